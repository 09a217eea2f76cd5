"""What a monitor has seen: numbers of the measured steps, and what it said."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, final

from chione.base import AbstractResult, paragraph, result, text_table


class TrainingWarning(UserWarning):
    """Something in a training that needs a look; the message says what, where and what to do."""


@final
@result
class LayerSignal(AbstractResult):
    r"""What left one module in a measured step, for the first batch of that step.

    Parameters
    ----------
    name : str
        Path of the module; ``(output)`` is what the model returned.
    mean, mean_square, one_minus_c : float
        As in `inspect`; 1 - c is NaN with one input.
    gradient : float
        Mean square of dLoss/dh there, with the loss as it was scaled.
    size : int
        Number of entries.
    dead : float
        Share of channels whose gradient is exactly zero for every input; NaN below 32 inputs
        and positions.
    """

    name: str
    mean: float
    mean_square: float
    one_minus_c: float
    gradient: float = math.nan
    size: int = 0
    dead: float = math.nan


@final
@result
class ParameterUpdate(AbstractResult):
    r"""One parameter in a measured step; root mean squares.

    Parameters
    ----------
    name : str
    weight : float
        Before the step.
    gradient : float
        As the optimizer received it: unscaled, clipped.
    update : float
        Of the change; NaN where no optimizer has stepped.
    rank : int
        Number of axes of the parameter.
    natural : float
        :math:`1/\sqrt{n}` with n the products in one output: the weight of a wide layer.
    """

    name: str
    weight: float
    gradient: float
    update: float = math.nan
    rank: int = 1
    natural: float = math.nan

    @property
    def ratio(self) -> float:
        """Size of the update relative to the weight; NaN for a weight of zero."""
        return self.update / self.weight if self.weight > 0.0 else math.nan


@final
@result
class MonitoredStep(AbstractResult):
    """One measured step.

    Parameters
    ----------
    step : int
        Steps of the optimizer before it.
    layers : tuple of LayerSignal
        In order of execution.
    parameters : tuple of ParameterUpdate
    softmax : bool
        Whether the gradient at the output sums to zero over its last axis, as cross-entropy makes
        it, so that outputs are logits.
    entropy : tuple of (str, float)
        Of attention weights by module: mean over rows of the entropy relative to that of a uniform
        row.
    """

    step: int
    layers: tuple[LayerSignal, ...]
    parameters: tuple[ParameterUpdate, ...]
    softmax: bool = False
    entropy: tuple[tuple[str, float], ...] = ()

    def layer(self, name: str) -> LayerSignal | None:
        """The layer of that name, or None."""
        return next((x for x in self.layers if x.name == name), None)

    def parameter(self, name: str) -> ParameterUpdate | None:
        """The parameter of that name, or None."""
        return next((x for x in self.parameters if x.name == name), None)

    @property
    def gradient_norm(self) -> float:
        """Root of the sum over parameters of their mean square gradients."""
        return math.sqrt(sum(p.gradient**2 for p in self.parameters if p.gradient >= 0.0))

    def scalars(self) -> dict[str, float]:
        """All numbers by tag, as loggers take them."""
        out: dict[str, float] = {}
        for x in self.layers:
            for key in ("mean", "mean_square", "one_minus_c", "gradient", "dead"):
                out[f"{key}/{x.name}"] = float(getattr(x, key))
        for p in self.parameters:
            for key in ("weight", "gradient", "update", "ratio"):
                out[f"{key}/{p.name}"] = float(getattr(p, key))
        for name, value in self.entropy:
            out[f"entropy/{name}"] = value
        return {f"chione/{tag}": x for tag, x in out.items() if math.isfinite(x)}


@final
@result
class ExpectedSignal(AbstractResult):
    """What theory expects of a layer before the first step; NaN where it has no rule.

    Parameters
    ----------
    name : str
    mean_square, one_minus_c : float
        By theory.
    measured : float
        The mean square on the same inputs.
    """

    name: str
    mean_square: float
    one_minus_c: float
    measured: float


@final
@result
class Remark(AbstractResult):
    """One thing that a monitor said.

    Parameters
    ----------
    step : int
    problem : str
        not finite, dead units, vanishing gradient, exploding gradient, exploding signal, collapsed
        inputs, large updates, small updates, growing logits, attention entropy, off theory.
    name : str
        The layer or parameter.
    sentence : str
    """

    step: int
    problem: str
    name: str
    sentence: str


@final
@result
class MonitorRecord(AbstractResult):
    """Everything a monitor has seen.

    Parameters
    ----------
    model : str
        Name of the class.
    every : int
        Steps from one measurement to the next.
    steps : tuple of MonitoredStep
    remarks : tuple of Remark
    expected : tuple of ExpectedSignal
        By theory, on inputs of the first batch.
    notes : tuple of str
        What could not be measured.
    """

    model: str
    every: int
    steps: tuple[MonitoredStep, ...]
    remarks: tuple[Remark, ...] = ()
    expected: tuple[ExpectedSignal, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        last = self.steps[-1].step if self.steps else 0
        title = f"{self.model}: {len(self.steps)} measured steps, every {self.every}, up to {last}"
        blocks = [paragraph(title)]
        if self.steps:
            first, now = self.steps[0], self.steps[-1]
            rows = []
            for x in now.layers:
                old = first.layer(x.name)
                pair = (x if old is None else old), x
                rows.append(
                    [
                        x.name,
                        *(f"{v.mean_square:.2e}" for v in pair),
                        *(f"{v.gradient:.1e}" for v in pair),
                        "" if math.isnan(x.dead) else f"{x.dead:.0%}",
                    ]
                )
            head = ("layer", "q first", "last", "gradient first", "last", "dead")
            blocks.append(text_table(head, rows, align="<>>>>>"))
        blocks += [paragraph(f"step {r.step}: {r.sentence}") for r in self.remarks]
        blocks += [paragraph(f"note: {n}") for n in self.notes]
        if not self.remarks:
            blocks.append("No warnings.")
        return "\n\n".join(blocks)

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw signals, gradients and updates over the steps, remarks as marks."""
        from chione.plotting.monitor import monitor_picture
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.saving import save

        figure = assemble(monitor_picture(self.to_dict()), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


# ---- lines of a file ----------------------------------------------------------------------------


def line_of(x: MonitoredStep | Remark | ExpectedSignal) -> str:
    """A part of the record as one line of JSON."""
    return json.dumps(x.to_dict())


def head_line(model: str, every: int) -> str:
    """The first line of a run."""
    return json.dumps({"kind": "MonitorRecord", "model": model, "every": every})


def read_record(path: str | Path) -> MonitorRecord:
    """Read what a :class:`Monitor` has written, of a run that goes on or was cut off as well.

    Parameters
    ----------
    path : str or Path
        The file of JSON lines. Where several runs were written to it, the last one is read.

    Returns
    -------
    MonitorRecord

    Raises
    ------
    ValueError
        If the file holds no run.
    """
    lines = []
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue  # the last line of a run that was cut off
    starts = [k for k, x in enumerate(lines) if _kind(x) == "MonitorRecord"]
    if not starts:
        raise ValueError(
            f"{str(path)!r} holds no run of a monitor; it must be a file that "
            "chione.torch.Monitor(path=...) has written."
        )
    head, rest = lines[starts[-1]], lines[starts[-1] + 1 :]
    expected = [x for x in rest if _kind(x) == "ExpectedSignal"]
    return MonitorRecord(
        head["model"],
        head["every"],
        tuple(_step(x) for x in rest if _kind(x) == "MonitoredStep"),
        tuple(Remark(**_given(x)) for x in rest if _kind(x) == "Remark"),
        tuple(ExpectedSignal(**_given(x)) for x in expected),
    )


def _kind(x: Any) -> str:
    return str(x.get("kind", "")) if isinstance(x, dict) else ""


def _given(x: dict[str, Any]) -> dict[str, Any]:
    """Fields of a line, None as NaN."""
    return {key: math.nan if v is None else v for key, v in x.items() if key != "kind"}


def _step(x: dict[str, Any]) -> MonitoredStep:
    return MonitoredStep(
        x["step"],
        tuple(LayerSignal(**_given(y)) for y in x["layers"]),
        tuple(ParameterUpdate(**_given(y)) for y in x["parameters"]),
        x["softmax"],
        tuple((str(name), float(value)) for name, value in x["entropy"]),
    )
