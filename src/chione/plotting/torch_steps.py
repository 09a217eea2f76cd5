"""Pictures of steps: what one does to each layer, and how that goes with the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLUE, COLOURS, GREY, MARKERS, VERMILLION

_NAMES = 12  # of layers that an axis can hold


def step_picture(step: Mapping[str, Any]) -> Picture:
    """Panels of ``FirstStep.to_dict()``: updates of weights, changes of features, one example."""
    layers, example = step["layers"], step["example"]
    names = [layer["name"] for layer in layers]

    def updates(axes: Axes) -> None:
        weight, update = (_numbers([x[key] for x in layers]) for key in ("weight", "update"))
        with np.errstate(all="ignore"):
            axes.plot(update / weight, "o", color=BLUE, markersize=4.0)
        axes.set_title("Update of the weights of each layer")
        _finish(axes, names, r"update over weight,  $|\Delta W| / |W|$")

    def changes(axes: Axes) -> None:
        _band(axes, layers)
        axes.plot(
            _numbers([x["signal"] for x in layers]), color=GREY, linestyle="--", label="$|h|$"
        )
        axes.plot(
            _numbers([x["change"] for x in layers]), "o", color=BLUE, markersize=4.0,
            label="$|dh|$, this model",
        )  # fmt: skip
        axes.set_title("Change of the pre-activations of each layer")
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
        axes.set_title("Step on the first input alone")
        _finish(axes, [x["name"] for x in example], r"change of pre-activations,  $|dh|$")
        axes.legend(loc="best")

    panels = {
        "updates": Panel(updates, (6.4, 3.0)),
        "changes": Panel(changes, (6.4, 3.0)),
    }
    if example:
        panels["example"] = Panel(alone, (6.4, 3.0))
    return Picture(panels, columns=1)


def coord_picture(check: Any) -> Picture:
    """Panels of a ``CoordCheck``: dh over the width, layer by layer, and its slopes."""
    order = np.argsort(check.widths)
    widths, some = check.widths[order], range(min(len(check.layers), len(COLOURS)))
    chosen = [round(i * (len(check.layers) - 1) / max(len(some) - 1, 1)) for i in some]

    def changes(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        for k, i in enumerate(chosen):
            with np.errstate(all="ignore"):
                logs = np.log(np.where(check.changes[i] > 0.0, check.changes[i], np.nan))[order]
            middle, spread = logs.mean(axis=1), logs.std(axis=1, ddof=1)
            low, high = np.exp(middle - spread), np.exp(middle + spread)
            name = check.layers[i]
            axes.plot(
                widths, np.exp(middle), marker=MARKERS[k], markersize=4.0, color=COLOURS[k],
                label=name if len(name) <= 24 else "..." + name[-21:],
            )  # fmt: skip
            axes.fill_between(widths, low, high, color=COLOURS[k], alpha=0.15, linewidth=0)
        axes.set_yscale("log")
        axes.set_xticks(widths, [str(int(n)) for n in widths])
        axes.set_xlabel("width  $n$")
        axes.set_ylabel(r"$|dh|$ of a step" if check.steps == 1 else f"$|dh|$, {check.steps} steps")
        axes.set_title("Change of each layer over the width")
        axes.legend(loc="best", ncols=1 if len(chosen) < 5 else 2, title="layer")

    def slopes(axes: Axes) -> None:
        x = np.arange(len(check.layers))
        axes.axhspan(-check.tolerance, check.tolerance, color=GREY, alpha=0.2, linewidth=0,
                     label="the same at every width")  # fmt: skip
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        error = np.where(np.isfinite(check.slopes.error), check.slopes.error, 0.0)
        axes.errorbar(
            x, check.slopes.value, yerr=error, fmt="o", color=BLUE, markersize=4.0, label="measured"
        )
        _ticks(axes, check.layers)
        axes.set_title("How the change goes with the width")
        axes.set_ylabel(r"slope of $\log |dh|$ over $\log n$")
        axes.legend(loc="best")

    panels = {"changes": Panel(changes, (5.2, 3.8)), "slopes": Panel(slopes, (5.2, 3.8))}
    return Picture(panels, columns=2)


def rate_picture(found: Any) -> Picture:
    """The panel of a ``LargestLearningRate``: the loss behind one step over its learning rate."""

    def loss(axes: Axes) -> None:
        axes.axhline(found.loss, color=GREY, linestyle="--", label="loss at the start")
        axes.plot(found.rates, found.losses, "o-", color=BLUE, markersize=4.0, label="after a step")
        lines = (
            (found.learning_rate, VERMILLION, "-", found.rule),
            (found.theory, VERMILLION, ":", "the same by theory"),
            (found.critical, BLUE, "-.", "critical"),
        )
        for estimate, colour, line, words in lines:
            if estimate is not None and np.isfinite(estimate.value):
                axes.axvline(float(estimate.value), color=colour, linestyle=line, label=words)
        axes.set_xscale("log")
        usable = found.losses[np.isfinite(found.losses)]
        if len(usable) and usable.max() > 4.0 * abs(found.loss):
            axes.set_ylim(min(usable.min(), found.loss), 3.0 * abs(found.loss))
        axes.set_title("Loss behind one step")
        axes.set_xlabel(r"learning rate  $\eta$")
        axes.set_ylabel("loss on the batch")
        axes.legend(loc="best")

    return Picture({"loss": Panel(loss, (5.6, 3.8))})


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
    _ticks(axes, names)


def _ticks(axes: Axes, names: Sequence[str]) -> None:
    axes.margins(x=0.02)
    step = max(1, -(-len(names) // _NAMES))
    ticks = list(range(0, len(names), step))
    axes.set_xticks(ticks)
    short = [names[i] if len(names[i]) <= 24 else "..." + names[i][-21:] for i in ticks]
    turned = any(len(name) > 4 for name in short)
    axes.set_xticklabels(short, rotation=35 if turned else 0, ha="right" if turned else "center")
    axes.set_xlabel("layer, in order of execution")


def _numbers(values: Sequence[Any]) -> Array:
    return np.array([np.nan if v is None else float(v) for v in values])
