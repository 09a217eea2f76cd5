"""Pictures of a training that was watched: signals, gradients and updates over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from chione.plotting.panels import Panel, Picture
from chione.plotting.style import GREY, HEAT, VERMILLION

_SIZE = (6.4, 3.0)
_MOST = 24  # lines that are told apart; of more layers some are drawn


def monitor_picture(record: Mapping[str, Any]) -> Picture:
    """Panels of what ``MonitorRecord.to_dict()`` gives.

    ``signals``, ``gradients``, ``updates`` and ``dead``: a line for each layer or parameter, dark
    for the first one to light for the last; theory at step 0 as crosses; steps with remarks as
    vertical lines.
    """
    panels = {
        "signals": _panel(
            record, "layers", _key("mean_square"), "Size of signals", r"mean square of $h$,  $q$"
        ),
        "gradients": _panel(
            record,
            "layers",
            _key("gradient"),
            "Size of gradients",
            r"mean square of $\partial L / \partial h$",
        ),
        "updates": _panel(
            record,
            "parameters",
            _ratio,
            "Steps of the parameters",
            "size of a step over weight",
            (1e-4, 1e-2),
        ),
        "dead": _panel(
            record, "layers", _key("dead"), "Dead channels", "share without gradient", log=False
        ),
    }
    return Picture(panels, shown=("signals", "gradients", "updates"), columns=1)


def _panel(
    record: Mapping[str, Any],
    rows: str,
    value: Callable[[Mapping[str, Any]], float],
    title: str,
    label: str,
    band: tuple[float, float] | None = None,
    *,
    log: bool = True,
) -> Panel:
    def draw(axes: Axes) -> None:
        steps = record["steps"]
        names = _some([x["name"] for x in steps[0][rows]] if steps else [])
        colours = mpl.colormaps[HEAT](np.linspace(0.0, 0.9, max(len(names), 1)))
        for name, colour in zip(names, colours, strict=False):
            found = [(s["step"], x) for s in steps for x in s[rows] if x["name"] == name]
            y = np.array([value(x) for _, x in found])
            if log:
                y[~(y > 0.0)] = np.nan
            if np.any(np.isfinite(y)):
                axes.plot(
                    [at for at, _ in found], y, color=colour, linewidth=1.0, marker=".",
                    label=_end(name, names),
                )  # fmt: skip
        if rows == "layers" and label.endswith("$q$"):
            expected = [e["mean_square"] for e in record["expected"] if e["mean_square"]]
            axes.plot([0.0] * len(expected), expected, "x", color=VERMILLION,
                      label="theory" if expected else None)  # fmt: skip
        for k, remark in enumerate(record["remarks"]):
            axes.axvline(remark["step"], color=VERMILLION, linewidth=0.8, linestyle=":",
                         label=None if k else "remark")  # fmt: skip
        if band is not None:
            axes.axhspan(*band, color=GREY, alpha=0.15, linewidth=0.0,
                         label=f"{band[0]:g} to {band[1]:g}")  # fmt: skip
        if log:
            axes.set_yscale("log")
        axes.set_title(title)
        axes.set_ylabel(label)
        axes.set_xlabel("step")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

    return Panel(draw, _SIZE)


def _end(name: str, names: Sequence[str]) -> str | None:
    """What the key calls the ends of the scale of colours."""
    short = name if len(name) <= 16 else "..." + name[-13:]
    return {names[0]: f"first: {short}", names[-1]: f"last: {short}"}.get(name)


def _key(name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda row: math.nan if row[name] is None else float(row[name])


def _ratio(row: Mapping[str, Any]) -> float:
    weight, update = row["weight"], row["update"]
    return float(update) / float(weight) if weight and update is not None else math.nan


def _some(names: Sequence[str]) -> list[str]:
    step = max(1, -(-len(names) // _MOST))
    return list(names[::step])
