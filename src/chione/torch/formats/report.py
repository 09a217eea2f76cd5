"""What `precision` returns: shares by tensor and format, loss scales, Adam's epsilon."""

from __future__ import annotations

import math
from typing import Any, final

from chione.base import AbstractResult, paragraph, result, text_table

_HEAD = ("tensor", "what", "rms", "largest")


@final
@result
class FormatShare(AbstractResult):
    """What one format does to one tensor: shares of its entries that are finite and not zero.

    Parameters
    ----------
    format : str
        Name of the format.
    underflow, subnormal, overflow : float
        Measured: what becomes zero; becomes subnormal, so that digits are lost; is too large.
    expected_underflow, expected_subnormal, expected_overflow : float
        By theory; NaN where it has no law for the tensor.
    underflow_error, subnormal_error, overflow_error : float
        How far a network of this width is from theory: four standard deviations over networks
        and entries, and the bound on theory's own error.
    """

    format: str
    underflow: float
    subnormal: float
    overflow: float
    expected_underflow: float = math.nan
    expected_subnormal: float = math.nan
    expected_overflow: float = math.nan
    underflow_error: float = math.nan
    subnormal_error: float = math.nan
    overflow_error: float = math.nan


@final
@result
class TensorRange(AbstractResult):
    """The numbers of one tensor.

    Parameters
    ----------
    name : str
        The layer that made it, or the parameter.
    what : {"input", "activation", "weight", "gradient", "weight gradient"}
        Activations are all outputs of layers and of functions; `gradient` is that of the loss at
        these outputs.
    kind : str
        Of the layer, as `inspect` says it; parameter.
    size : int
        Number of entries.
    zeros, broken : float
        Shares of all entries that are exactly zero, and that are NaN or infinite.
    rms, smallest, largest : float
        Root mean square, and sizes of the smallest (but for zeros) and the largest entry.
    formats : tuple of FormatShare
    """

    name: str
    what: str
    kind: str
    size: int
    zeros: float
    broken: float
    rms: float
    smallest: float
    largest: float
    formats: tuple[FormatShare, ...]

    def __getitem__(self, name: str) -> FormatShare:
        """The shares in one format."""
        return next(f for f in self.formats if f.format == name)


@final
@result
class FormatVerdict(AbstractResult):
    """Whether one format can carry one step of this model.

    Parameters
    ----------
    format : str
    answer : {"fits", "with a loss scale", "with tensor scales", "no"}
        As it is; if the loss is multiplied by `loss_scale`; if each tensor is multiplied by a
        power of two of its own (float8 only); or not.
    layer, what : str or None
        The first tensor, in the order of the computation, that loses more than the tolerance.
    lowest_scale, highest_scale, loss_scale : float
        Powers of two: from the smallest one at which no gradient loses more than the tolerance to
        the largest at which none overflows, and the one to use; NaN without a loss.
    sentence : str
        All this in words.
    """

    format: str
    answer: str
    layer: str | None
    what: str | None
    lowest_scale: float
    highest_scale: float
    loss_scale: float
    sentence: str


@final
@result
class AdamEpsilon(AbstractResult):
    r"""Adam's epsilon against the gradients: its first step is :math:`g / (|g| + \epsilon)`.

    Parameters
    ----------
    epsilon : float
        As given.
    stored : float
        As the format of the parameters stores it.
    below : float
        Share of the gradients that are not zero, of all parameters, below epsilon: their steps
        are less than half of what Adam means.
    lost : float
        Share whose second moment :math:`(1 - \beta_2) g^2` becomes zero in that format.
    layer, layer_below : str or None, float
        The parameter with the largest share below epsilon, and that share.
    advised : float
        An epsilon below all but one in a hundred gradients of each parameter.
    sentence : str
    """

    epsilon: float
    stored: float
    below: float
    lost: float
    layer: str | None
    layer_below: float
    advised: float
    sentence: str


@final
@result
class PrecisionReport(AbstractResult):
    """What float16, bfloat16 and float8 do to the numbers of one step.

    Parameters
    ----------
    model : str
        Name of the class.
    dtype : str
        Of its parameters.
    batch : int
        Number of inputs.
    loss : float
        Its value; NaN without one.
    tolerance : float
        Share of a tensor that may be lost.
    tensors : tuple of TensorRange
        Inputs and activations in order of execution, then weights, then gradients from the output
        back, then gradients of the weights.
    verdicts : tuple of FormatVerdict
    adam : AdamEpsilon or None
        None without a loss.
    notes : tuple of str
        What could not be measured, and why.
    """

    model: str
    dtype: str
    batch: int
    loss: float
    tolerance: float
    tensors: tuple[TensorRange, ...]
    verdicts: tuple[FormatVerdict, ...]
    adam: AdamEpsilon | None
    notes: tuple[str, ...] = ()

    def verdict(self, name: str) -> FormatVerdict:
        """The verdict on one format."""
        return next(v for v in self.verdicts if v.format == name)

    def tensor(self, name: str, what: str) -> TensorRange:
        """One tensor by its name and what it is.

        Raises
        ------
        KeyError
            If there is none; the message lists the names.
        """
        for t in self.tensors:
            if t.name == name and t.what == what:
                return t
        names = ", ".join(t.name for t in self.tensors if t.what == what)
        raise KeyError(f"no {what} named {name!r}; the names are {names}")

    def __str__(self) -> str:
        title = f"{self.model}: {self.dtype} parameters, batch of {self.batch}"
        if math.isfinite(self.loss):
            title += f", loss {self.loss:.4g}"
        names = [v.format for v in self.verdicts]
        shown = [t for t in self.tensors if any(_worth(f, self.tolerance) for f in t.formats)]
        rows = [
            [t.name, t.what, f"{t.rms:.1e}", f"{t.largest:.1e}", *(_cell(f) for f in t.formats)]
            for t in shown
        ]
        head = (*_HEAD, *names)
        table = text_table(head, rows, align="<<" + ">" * (len(head) - 2)) if rows else ""
        legend = (
            "0: share of entries that become zero, s: that become subnormal, !: that are too "
            f"large; in brackets by theory. Tensors that lose no more than {self.tolerance:g} "
            f"in all formats are left out ({len(self.tensors) - len(shown)} of "
            f"{len(self.tensors)})."
        )
        say = [legend, *(f"note: {n}" for n in self.notes)]
        say += [v.sentence for v in self.verdicts]
        say += [self.adam.sentence] if self.adam is not None else []
        blocks = [paragraph(title), table, *(paragraph(s) for s in say)]
        return "\n\n".join(b for b in blocks if b)

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw the range of each tensor beside what the formats hold."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.precision import precision_picture
        from chione.plotting.saving import save

        figure = assemble(precision_picture(self.to_dict()), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


def _worth(f: FormatShare, tolerance: float) -> bool:
    return any(x > tolerance for x in (f.underflow, f.subnormal, f.overflow))


def _cell(f: FormatShare) -> str:
    triples = (
        ("0", f.underflow, f.expected_underflow),
        ("s", f.subnormal, f.expected_subnormal),
        ("!", f.overflow, f.expected_overflow),
    )
    parts = []
    for sign, share, expected in triples:
        if share > 0.0:
            theory = f" ({_percent(expected)})" if math.isfinite(expected) else ""
            parts.append(f"{sign} {_percent(share)}{theory}")
    return ", ".join(parts)


def _percent(x: float) -> str:
    return f"{x:.0%}" if x >= 0.1 else f"{100.0 * x:.2g}%"
