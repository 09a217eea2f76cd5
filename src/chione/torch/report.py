"""What `inspect` returns: numbers for each layer, a verdict, and ways to read them."""

from __future__ import annotations

import math
from dataclasses import asdict, field
from typing import Any

from chione.base import AbstractResult, plain, result


@result
class Expected(AbstractResult):
    """What the theory of wide networks expects of one layer; NaN where it cannot tell.

    Parameters
    ----------
    mean_square, correlation, gradient, jacobian : float
        As measured, see :class:`LayerReport`.
    chi_perp : float
        Factor on the total squared gradient from this layer to the one it reads.
    """

    mean_square: float = math.nan
    correlation: float = math.nan
    gradient: float = math.nan
    jacobian: float = math.nan
    chi_perp: float = math.nan


@result
class LayerReport(AbstractResult):
    r"""One executed layer.

    Parameters
    ----------
    name : str
        Path in the model; a second execution of the same module says "(2)".
    kind : str
        affine, embedding, norm, sum (a residual or other addition), attention or unknown.
    operation : str
        What was executed: linear, convolution, layer_norm, ...
    shape : tuple of int
        Shape of the output, batch included.
    fan_in, fan_out : float or None
        Products in one output, and units or channels; None without weights.
    mean, mean_square : float
        Of the output (the pre-activation h), over inputs and units.
    one_minus_c, correlation : float
        Mean over pairs of different inputs of :math:`1 - c` and of c; NaN with one input.
    gradient : float
        Mean square of dLoss/dh.
    jacobian, jacobian_error : float
        :math:`\|\partial y / \partial h\|_F^2 / n_y`, y the output and :math:`n_y` its entries,
        by random projections, and the standard error over them.
    weight_std, bias_std : float or None
        Standard deviations of the entries.
    sigma_w, sigma_b : float or None
        :math:`\sqrt{n_{in} \langle W^2 \rangle}` and :math:`\sqrt{\langle b^2 \rangle}`.
    activation : str or None
        What is applied to h next.
    saturation, dead : float
        Fraction of entries with :math:`|\phi'| < 10^{-3}`, and of units that are so for every
        input of the batch; NaN without an activation.
    known : bool
        Whether the theory has a rule for this layer; `expected` is filled only then.
    expected : Expected
        What theory expects beside the measured values.
    residual : bool
        Whether a sum is a residual addition.
    """

    name: str
    kind: str
    operation: str
    shape: tuple[int, ...]
    fan_in: float | None
    fan_out: int | None
    mean: float
    mean_square: float
    one_minus_c: float
    gradient: float
    jacobian: float
    jacobian_error: float
    weight_std: float | None
    bias_std: float | None
    sigma_w: float | None
    sigma_b: float | None
    activation: str | None
    saturation: float
    dead: float
    known: bool
    expected: Expected
    residual: bool = False

    @property
    def correlation(self) -> float:
        """Mean correlation between different inputs."""
        return 1.0 - self.one_minus_c


@result
class Verdict(AbstractResult):
    """Whether the model can train as it is, and if not where, why and what to do.

    Parameters
    ----------
    trains : {"yes", "doubtful", "no"}
        The answer of the rule in :mod:`chione.theory.depth.trainability`: plain gradient descent
        trains it; it depends on the optimiser; neither does.
    problem : str
        "none", "vanishing gradient", "exploding gradient", "vanishing signal", "exploding signal",
        "collapsed inputs", "dead units" or "no gradient".
    layer : str or None
        The first layer where it goes wrong.
    cause, fix : str
        One sentence each; empty if nothing is wrong.
    warnings : tuple of str
        What does not prevent training but is worth knowing.
    """

    trains: str
    problem: str = "none"
    layer: str | None = None
    cause: str = ""
    fix: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        """Whether some optimiser may train it: not a "no"."""
        return self.trains != "no"

    @property
    def sentence(self) -> str:
        """The verdict for a reader."""
        if self.trains == "yes":
            return "Trainable: signals, gradients and differences between inputs survive the depth."
        where = f" at layer {self.layer!r}" if self.layer else ""
        word = "Not trainable" if self.trains == "no" else "Doubtful"
        return f"{word}, {self.problem}{where}. {self.cause} {self.fix}".strip()


@result
class InspectionReport(AbstractResult):
    """Signals and gradients of a real model on a real batch.

    Parameters
    ----------
    layers : tuple of LayerReport
        In order of execution.
    verdict : Verdict
    model : str
        Name of the class.
    batch : int
        Number of inputs.
    output_shape : tuple of int
    loss : str
        What the gradients are of.
    projections, seed : int
        Number of random projections and their seed.
    training : bool
        Whether the model was in training mode.
    input_one_minus_c : float
        1 - c of the inputs, NaN if they are integers.
    shared : tuple of tuple of str
        Names of parameters that are one tensor.
    notes : tuple of str
        What could not be measured, and why.
    """

    layers: tuple[LayerReport, ...]
    verdict: Verdict
    model: str
    batch: int
    output_shape: tuple[int, ...]
    loss: str
    projections: int
    seed: int
    training: bool
    input_one_minus_c: float
    shared: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> LayerReport:
        """The layer of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise KeyError(f"no layer named {name!r}; the layers are {names}")

    def __str__(self) -> str:
        from chione.torch.text import report_text

        return report_text(self)

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types, numbers that are not finite as None."""
        out: dict[str, Any] = plain(asdict(self))
        out["verdict"]["trainable"] = self.verdict.trainable
        out["verdict"]["sentence"] = self.verdict.sentence
        for row, layer in zip(out["layers"], self.layers, strict=True):
            row["correlation"] = plain(layer.correlation)
        return out

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw mean square, correlation and gradient over the layers, theory as lines."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.style import save
        from chione.plotting.torch_report import layers_picture

        figure = assemble(layers_picture(self.to_dict()), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure

    def assert_trainable(self) -> None:
        """Raise AssertionError with the verdict if the model cannot train, for a test suite."""
        if not self.verdict.trainable:
            raise AssertionError(self.verdict.sentence)
