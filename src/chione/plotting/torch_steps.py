"""Pictures of steps: what one does to each layer, and how that goes with the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLUE, GREY, VERMILLION

_NAMES = 12  # of layers that an axis can hold


def step_picture(step: Mapping[str, Any]) -> Picture:
    """Panels of ``FirstStep.to_dict()``: updates of weights, changes of features, one example."""
    layers, example = step["layers"], step["example"]
    names = [layer["name"] for layer in layers]

    def updates(axes: Axes) -> None:
        weight, update = (_numbers([x[key] for x in layers]) for key in ("weight", "update"))
        with np.errstate(all="ignore"):
            axes.plot(update / weight, "o", color=BLUE, markersize=4.0)
        _finish(axes, names, r"update of the weights,  $|\Delta W| / |W|$")

    def changes(axes: Axes) -> None:
        _band(axes, layers)
        axes.plot(
            _numbers([x["signal"] for x in layers]), color=GREY, linestyle="--", label="$|h|$"
        )
        axes.plot(
            _numbers([x["change"] for x in layers]), "o", color=BLUE, markersize=4.0,
            label="$|dh|$, this model",
        )  # fmt: skip
        _finish(axes, names, r"pre-activations,  $|h|$ and $|dh|$")
        axes.legend(loc="best")

    def alone(axes: Axes) -> None:
        _band(axes, example)
        axes.plot(
            _numbers([x["theory"]["value"] for x in example]), color=VERMILLION, label="theory"
        )
        axes.plot(
            _numbers([x["change"] for x in example]), "o", color=BLUE, markersize=4.0,
            label="this model",
        )  # fmt: skip
        _finish(axes, [x["name"] for x in example], r"$|dh|$, step on the first input alone")
        axes.legend(loc="best")

    panels = {
        "updates": Panel(updates, (6.4, 3.0)),
        "changes": Panel(changes, (6.4, 3.0)),
    }
    if example:
        panels["example"] = Panel(alone, (6.4, 3.0))
    return Picture(panels, columns=1)


def _band(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    low, high = (_numbers([row[key] for row in rows]) for key in ("low", "high"))
    if np.any(np.isfinite(low)):
        axes.fill_between(
            np.arange(len(rows)), low, high, color=BLUE, alpha=0.2, linewidth=0,
            label="other draws",
        )  # fmt: skip


def _finish(axes: Axes, names: Sequence[str], label: str) -> None:
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.margins(x=0.02)
    step = max(1, -(-len(names) // _NAMES))
    ticks = list(range(0, len(names), step))
    axes.set_xticks(ticks)
    short = [names[i] if len(names[i]) <= 24 else "..." + names[i][-21:] for i in ticks]
    axes.set_xticklabels(short, rotation=35, ha="right")


def _numbers(values: Sequence[Any]) -> Array:
    return np.array([np.nan if v is None else float(v) for v in values])
