"""The picture of a sweep: what was swept decides whether it is a map, lines, or a list."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.activations import activation
from chione.base import Array, ChioneError, SpecError
from chione.plotting.panels import Panel, Picture, assemble
from chione.plotting.sweeps import (
    Axis,
    Curve,
    Series,
    SweepDots,
    SweepLines,
    SweepMap,
    draw_dots,
    draw_lines,
    draw_map,
    is_geometric,
)
from chione.sweeps.axes import CELL, QUANTITIES, READS_SIGMAS, Swept
from chione.sweeps.depth_scales import scales_over
from chione.theory import critical_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELDS = (*QUANTITIES, "best_rate", "diverged")
TRAINS = 6.0
"""Depth scales down to which networks train, by Schoenholz et al. 2017."""
_NUMBERS = ("sigma_w", "sigma_b", "width", "dropout", "depth")
_AXIS_WORDS = {
    "sigma_w": r"standard deviation of the weights $\sigma_w$",
    "sigma_b": r"standard deviation of the biases $\sigma_b$",
    "width": "width (units of a layer)",
    "dropout": "probability of dropping a unit",
    "depth": "depth (hidden layers)",
}
_SHORT = {"sigma_w": r"$\sigma_w$ = ", "sigma_b": r"$\sigma_b$ = ", "dropout": "dropout ",
          "width": "width ", "depth": "depth "}  # fmt: skip
_MOST_PANELS, _MOST_SERIES = 12, 7
_POINTS = 300  # of a line of theory


@dataclass(frozen=True)
class _View:
    """A result seen through a choice: places on the axes that are fixed, by name."""

    result: Swept
    quantity: str
    at: dict[str, int]

    def cells(self, *axes: str) -> Array:
        """The quantity with these axes, in this order."""
        return _take(_values(self.result, self.quantity), CELL, self.at, axes)

    def stderr(self, *axes: str) -> Array:
        """Its standard error."""
        known = self.result.stderr.get(self.quantity)
        return self.cells(*axes) * np.nan if known is None else _take(known, CELL, self.at, axes)

    def seeds(self, axis: str) -> Array:
        """Its values with axes (seed, axis); none where there is a single seed."""
        each = self.result.each.get(self.quantity)
        if each is None or self.result.seed.size < 2:
            return np.empty((0, 0))
        rate = np.nan_to_num(self.result.best_rate, nan=self.result.rate[0])
        best = np.abs(self.result.rate - rate[..., None]).argmin(axis=-1)[..., None, None]
        at_best = np.take_along_axis(each, best, axis=-2)[..., 0, :]
        return _take(at_best, (*CELL, "seed"), self.at, ("seed", axis))

    def value(self, axis: str) -> Any:
        """The value of a fixed axis."""
        return getattr(self.result, axis)[self.at.get(axis, 0)]


def draw(result: Swept, *, ax: Any = None, field: str | None = None) -> Figure:
    """The picture of one quantity, in panels where more was swept than a map can show."""
    quantity = FIELDS[0] if field is None else field
    if quantity not in FIELDS:
        raise SpecError(f"field must be one of {', '.join(FIELDS)}, but it is {field!r}.")
    return assemble(picture(result, quantity), ax=ax)


def picture(result: Swept, quantity: str) -> Picture:
    """The panels of one quantity."""
    shown, rest = _arranged(result)
    split, series = _divided(result, rest, maps=len(shown) == 2)
    choices = list(_choices(result, split))
    panels = {}
    for at in choices[:_MOST_PANELS]:
        view = _View(result, quantity, at)
        title = _title(view, split, more=len(choices) - _MOST_PANELS)
        if len(shown) == 2:
            panels[title] = Panel(partial(draw_map, picture=_map(view, *shown, title)), (5.4, 4.2))
        elif shown[0] in _NUMBERS:
            lines = _lines(view, shown[0], series, title)
            panels[title] = Panel(partial(draw_lines, picture=lines), (5.2, 3.8))
        else:
            dots = _dots(view, shown[0], series, title)
            size = (5.4, 1.6 + 0.26 * len(dots.rows) * max(1.0, 0.45 * len(dots.series)))
            panels[title] = Panel(partial(draw_dots, picture=dots), size)
    return Picture(panels, columns=min(3, max(1, len(panels))))


def _arranged(result: Swept) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Axes of a panel, and the other axes that vary."""
    varied = result.varied
    numbers = [name for name in _NUMBERS if name in varied]
    shown: tuple[str, ...]
    if len(numbers) >= 2:
        second = "depth" if "depth" in numbers else numbers[1]
        shown = (numbers[0], second)
    elif numbers:
        shown = (numbers[0],)
    else:
        shown = (varied[0] if varied else "activation",)
    return shown, tuple(name for name in varied if name not in shown)


def _divided(
    result: Swept, rest: tuple[str, ...], *, maps: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Axes that make panels, and those that make series within a panel."""
    if maps:
        return rest, ()
    for k in range(len(rest) + 1):
        if np.prod([getattr(result, name).size for name in rest[k:]]) <= _MOST_SERIES:
            return rest[:k], rest[k:]
    return rest, ()


def _choices(result: Swept, axes: tuple[str, ...]) -> Iterator[dict[str, int]]:
    for places in itertools.product(*(range(getattr(result, name).size) for name in axes)):
        yield dict(zip(axes, places, strict=True))


# ---- what panels hold ------------------------------------------------------------------------


def _map(view: _View, x: str, y: str, title: str) -> SweepMap:
    values = view.cells(y, x)
    limits, log = _limits(view.quantity, values)
    curves: tuple[Curve, ...] = ()
    if view.value("scheme") == READS_SIGMAS:
        if (x, y) == ("sigma_w", "depth"):
            curves = _depth_curves(view)
        elif (x, y) == ("sigma_w", "sigma_b") and view.value("dropout") == 0.0:
            curves = _critical_curve(view)
    across, up = _axis(view.result, x), _axis(view.result, y)
    return SweepMap(across, up, values, _words(view), limits, curves, title, log)


def _depth_curves(view: _View) -> tuple[Curve, ...]:
    """6 xi_c and 6 xi_chi over sigma_w."""
    edges = _axis(view.result, "sigma_w").edges
    x = np.linspace(max(edges[0], 1e-3 * edges[-1]), edges[-1], _POINTS)
    name, b = str(view.value("activation")), view.value("sigma_b")
    found = scales_over(name, x, [b], dropout=float(view.value("dropout")))
    labels = (r"6 $\xi_c$ of correlations", r"6 $\xi_\chi$ of gradients")
    return tuple(
        Curve(x, TRAINS * xi[0], label)
        for xi, label in zip(found, labels, strict=True)
        if np.any(np.isfinite(xi))
    )


def _critical_curve(view: _View) -> tuple[Curve, ...]:
    try:
        line = critical_line(activation(str(view.value("activation"))))
    except ChioneError:  # no moments, no line
        return ()
    label = r"critical line $\chi_\perp = 1$"
    known = np.isfinite(line.sigma_w)
    return (Curve(line.sigma_w, line.sigma_b, label),) if known.any() else ()


def _lines(view: _View, axis: str, series: tuple[str, ...], title: str) -> SweepLines:
    values = view.cells(axis)
    marks: list[tuple[float, str]] = []
    alone = not set(series) & {"activation", "sigma_b", "sigma_w", "dropout", "scheme"}
    if axis == "depth" and alone and view.value("scheme") == READS_SIGMAS:
        place = tuple(view.at.get(n, 0) for n in ("activation", "dropout", "sigma_b", "sigma_w"))
        scales = (view.result.xi_c, view.result.xi_chi)
        for xi, label in zip(scales, (r"6 $\xi_c$", r"6 $\xi_\chi$"), strict=True):
            depth = TRAINS * float(xi[place])
            if view.result.depth[0] <= depth <= view.result.depth[-1]:
                marks.append((depth, label))
    log = _limits(view.quantity, values)[1]
    x = _axis(view.result, axis)
    return SweepLines(x, _series(view, axis, series), _words(view), tuple(marks), title, log)


def _dots(view: _View, axis: str, series: tuple[str, ...], title: str) -> SweepDots:
    rows = tuple(str(word) for word in getattr(view.result, axis))
    guess = 1.0 / view.result.classes if "accuracy" in view.quantity else None
    log = _limits(view.quantity, view.cells(axis))[1]
    return SweepDots(rows, _series(view, axis, series), _words(view), axis, title, guess, log)


def _series(view: _View, axis: str, names: tuple[str, ...]) -> tuple[Series, ...]:
    out = []
    for at in _choices(view.result, names):
        one = _View(view.result, view.quantity, view.at | at)
        label = ", ".join(_value_words(one, name) for name in names)
        out.append(Series(label, one.cells(axis), one.stderr(axis), one.seeds(axis)))
    return tuple(out)


# ---- words and scales ------------------------------------------------------------------------


def _axis(result: Swept, name: str) -> Axis:
    values = np.asarray(getattr(result, name), dtype=float)
    return Axis(values, _AXIS_WORDS[name], is_geometric(values))


def _words(view: _View) -> str:
    steps = f"after {view.result.steps} steps"
    return {
        "accuracy": f"training accuracy {steps}",
        "test_accuracy": f"test accuracy {steps}",
        "loss": f"loss {steps}",
        "best_rate": "best learning rate",
        "diverged": "share of trainings that diverged",
    }[view.quantity]


def _limits(quantity: str, values: Array) -> tuple[tuple[float, float], bool]:
    """Ends of the colours, and whether they are logarithmic."""
    known = values[np.isfinite(values)]
    if quantity in ("accuracy", "test_accuracy", "diverged") or not known.size:
        return (0.0, 1.0), False
    low, high = float(known.min()), float(known.max())
    log = bool(low > 0.0 and high > 30.0 * low) or (quantity == "best_rate" and high > low)
    return (low, high if high > low else low + 1.0), log


def _title(view: _View, split: tuple[str, ...], *, more: int) -> str:
    """What a panel is of: activation and data, and what else is fixed and worth a word."""
    result = view.result
    head = [_value_words(view, name) for name in split]
    if "activation" not in split and result.activation.size == 1:
        head.insert(0, str(result.activation[0]))
    fixed = [
        _value_words(view, name)
        for name in ("depth", "width", "sigma_b", "optimizer")
        if name not in split and getattr(result, name).size == 1
    ]
    if (
        "scheme" not in split
        and result.scheme.tolist() != [READS_SIGMAS]
        and result.scheme.size == 1
    ):
        fixed.insert(0, str(result.scheme[0]))
    if all(s != READS_SIGMAS for s in result.scheme):
        fixed = [words for words in fixed if "sigma" not in words]
    if result.seed.size > 1:
        fixed.append(f"mean of {result.seed.size} seeds")
    tail = f" (and {more} more)" if more > 0 else ""
    data = Path(result.data).name
    several = f"{result.activation.size} activations"
    return f"{', '.join(head) or several} on {data}: {', '.join(fixed)}{tail}"


def _value_words(view: _View, name: str) -> str:
    value = view.value(name)
    return f"{_SHORT[name]}{value:g}" if name in _SHORT else str(value)


def _values(result: Swept, quantity: str) -> Array:
    known = result.mean[quantity] if quantity in result.mean else getattr(result, quantity)
    return np.asarray(known, dtype=float)


def _take(a: Array, names: tuple[str, ...], at: dict[str, int], wanted: tuple[str, ...]) -> Array:
    """Entries of an array with named axes: `wanted` stay, in that order; others are fixed."""
    for k in reversed(range(len(names))):
        if names[k] not in wanted:
            a = np.take(a, at.get(names[k], 0), axis=k)
    left = [name for name in names if name in wanted]
    return np.asarray(np.transpose(a, [left.index(name) for name in wanted]))
