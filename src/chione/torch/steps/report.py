"""What the first step of training does to a model, as a result."""

from __future__ import annotations

import math
from typing import Any, final

from chione.base import AbstractResult, Estimate, paragraph, result, text_table
from chione.base.text import page_width

_SHOWN = 60  # rows of a table; of longer ones the first and last


@final
@result
class LayerStep(AbstractResult):
    r"""One executed layer before and behind the step; root mean squares over entries.

    Parameters
    ----------
    name, kind, operation : str
        As in :class:`LayerReport`.
    shape : tuple of int
        Shape of its output, batch included.
    weight, update : float
        Of the weight as it was applied, and of its change; NaN without a weight.
    signal, change : float
        Of the output h, and of its change dh over the whole batch.
    low, high : float
        Where dh lies for other draws of the weights at this width: geometric mean over draws,
        divided by and times the exponential of two standard deviations of the logarithm; NaN
        without draws.
    """

    name: str
    kind: str
    operation: str
    shape: tuple[int, ...]
    weight: float
    update: float
    signal: float
    change: float
    low: float
    high: float

    @property
    def relative_update(self) -> float:
        """``|dW| / |W|``."""
        return _ratio(self.update, self.weight)

    @property
    def relative_change(self) -> float:
        """``|dh| / |h|``."""
        return _ratio(self.change, self.signal)


@final
@result
class ParameterStep(AbstractResult):
    """One parameter; root mean squares over its entries.

    Parameters
    ----------
    name : str
        Its name in the model.
    size : int
        Number of entries.
    value, gradient, update : float
        Of the parameter, of its gradient before the first step, and of its change.
    state : {"moved", "no gradient", "frozen", "not in the optimizer", "still"}
        Whether it has moved, and why not; still: its gradient is zero, or its learning rate.
    """

    name: str
    size: int
    value: float
    gradient: float
    update: float
    state: str

    @property
    def relative(self) -> float:
        """Update beside value."""
        return _ratio(self.update, self.value)


@final
@result
class ExampleStep(AbstractResult):
    """How far a row moves in a step on the first input alone.

    Parameters
    ----------
    name : str
        The row.
    change : float
        Root mean square of dh, measured.
    low, high : float
        The noise band of this width, as in :class:`LayerStep`.
    theory : Estimate
        At infinite width with these ratios of widths.
    """

    name: str
    change: float
    low: float
    high: float
    theory: Estimate


@final
@result
class FirstStep(AbstractResult):
    r"""What the next steps of an optimiser do to a model, layer by layer.

    Parameters
    ----------
    layers : tuple of LayerStep
        Rows of the model in order of execution.
    parameters : tuple of ParameterStep
        All parameters.
    example : tuple of ExampleStep
        A step on the first input alone, beside theory; empty where theory cannot take the model.
    model, optimizer : str
        Class of the model, and the optimiser with its learning rates.
    steps, batch : int
        Steps that were taken, and number of inputs.
    loss, loss_after : float
        Before, and behind the last step.
    predicted : float
        Sum over the steps of :math:`g \cdot \Delta\theta`, the change of the loss to first order;
        for plain SGD that is :math:`-\eta |g|^2`.
    output, output_change : float
        Root mean squares of the output and of its change.
    draws, seed : int
        Other draws of the weights behind the noise bands, and the seed.
    notes : tuple of str
        What could not be done, and why.
    """

    layers: tuple[LayerStep, ...]
    parameters: tuple[ParameterStep, ...]
    example: tuple[ExampleStep, ...]
    model: str
    optimizer: str
    steps: int
    batch: int
    loss: float
    loss_after: float
    predicted: float
    output: float
    output_change: float
    draws: int
    seed: int
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> LayerStep:
        """The layer of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise KeyError(f"no layer named {name!r}; the layers are {names}")

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say, for a reader."""
        return tuple(_sentences(self))

    def __str__(self) -> str:
        word = "one step" if self.steps == 1 else f"{self.steps} steps"
        head = f"{self.model}: {word} of {self.optimizer} on a batch of {self.batch}"
        blocks = [head, _layer_table(self.layers)]
        if self.example:
            title = "One step on the first input alone, beside theory (infinite width)"
            blocks.append(f"{title}\n{_example_table(self.example)}")
        blocks += [paragraph(s, width=page_width()) for s in self.sentences]
        blocks += [paragraph(f"note: {n}", width=page_width()) for n in self.notes]
        return "\n\n".join(blocks)

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw sizes of updates and changes over the layers, with bands and theory."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.saving import save
        from chione.plotting.torch_steps import step_picture

        figure = assemble(step_picture(self.to_dict()), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0.0 else math.nan


def _number(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.3g}"


def _band(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{low:.2g} .. {high:.2g}"


def _layer_table(layers: tuple[LayerStep, ...]) -> str:
    heads = ["layer", "operation", "|W|", "|dW|/|W|", "|h|", "|dh|", "|dh|/|h|", "|dh| other draws"]
    rows = [
        [
            x.name,
            x.operation,
            _number(x.weight),
            _number(x.relative_update),
            _number(x.signal),
            _number(x.change),
            _number(x.relative_change),
            _band(x.low, x.high),
        ]
        for x in layers
    ]
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return text_table(heads, _some(rows), align="<<>>>>>>"[: len(heads)])


def _example_table(rows: tuple[ExampleStep, ...]) -> str:
    cells = [
        [x.name, _number(x.change), _number(float(x.theory.value)), _band(x.low, x.high)]
        for x in rows
    ]
    heads = ["layer", "|dh|", "theory", "other draws"]
    return text_table(heads, _some(cells), align="<>>>")


def _some(rows: list[list[str]]) -> list[list[str]]:
    if len(rows) <= _SHOWN:
        return rows
    half = _SHOWN // 2
    left = len(rows) - 2 * half
    gap = [f"... {left} more (see .layers)", *[""] * (len(rows[0]) - 1)]
    return [*rows[:half], gap, *rows[-half:]]


def _sentences(found: FirstStep) -> Any:
    after = found.loss_after
    change = after - found.loss
    yield (
        f"The loss goes from {found.loss:.5g} to {after:.5g}: it changes by {change:.3g}, to first "
        f"order by {found.predicted:.3g}. The output (rms {found.output:.3g}) moves by "
        f"{found.output_change:.3g}."
    )
    if not math.isfinite(after) or change > 0.0 > found.predicted:
        yield (
            "The loss rises although the gradient says that it falls: the step is longer than the "
            "curvature allows. See chione.torch.largest_learning_rate."
        )
    moving = [p for p in found.parameters if p.state == "moved" and not math.isnan(p.relative)]
    if moving:
        ordered = sorted(moving, key=lambda p: p.relative)
        middle = ordered[len(ordered) // 2]
        yield (
            f"Parameters move by {middle.relative:.2g} of their size (median), most "
            f"{ordered[-1].name} ({ordered[-1].relative:.2g}), least {ordered[0].name} "
            f"({ordered[0].relative:.2g})."
        )
    for state in ("frozen", "not in the optimizer", "no gradient", "still"):
        names = [p.name for p in found.parameters if p.state == state]
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield f"{_WHY[state]}: {', '.join(names[:5])}{more}."


_WHY = {
    "frozen": "Frozen",
    "not in the optimizer": "Trainable, but not in the optimizer",
    "no gradient": "No gradient arrives, so these do not move",
    "still": "Their gradient or learning rate is zero, so these do not move",
}
