"""Pictures of number formats: the range of each tensor of a step beside what formats hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLACK, BLUE, COLOURS, GREY, MARKERS, look

_SIZE = (6.4, 3.4)


def precision_picture(report: Mapping[str, Any]) -> Picture:
    """Panels of what ``PrecisionReport.to_dict()`` gives.

    ``activations`` and ``gradients``: from the smallest to the largest entry of each tensor, its
    root mean square as a point; ``underflow`` and ``overflow``: shares by format, theory as lines.
    """
    tensors = report["tensors"]
    names = [v["format"] for v in report["verdicts"]]
    forward = [t for t in tensors if t["what"] in ("input", "activation")]
    back = [t for t in tensors if t["what"] == "gradient"]
    panels = {
        "activations": Panel(
            lambda axes: _ranges(axes, forward, "Activations", "size of entries"), _SIZE
        )
    }
    if back:
        panels["gradients"] = Panel(
            lambda axes: _ranges(axes, back, "Gradients", "size of entries"), _SIZE
        )
    for share, words in (("underflow", "become zero"), ("overflow", "are too large")):
        panels[share] = Panel(
            lambda axes, share=share, words=words: _shares(  # type: ignore[misc]
                axes, forward + back, names, share, f"Entries that {words}"
            ),
            _SIZE,
        )
    shown = tuple(n for n in ("activations", "gradients", "underflow") if n in panels)
    return Picture(panels, shown=shown, columns=1)


def _ranges(axes: Axes, tensors: Sequence[Mapping[str, Any]], title: str, label: str) -> None:
    x = np.arange(len(tensors))
    low, high, rms = (_numbers(tensors, key) for key in ("smallest", "largest", "rms"))
    axes.vlines(x, low, high, color=GREY, linewidth=2.0, label="smallest to largest")
    axes.plot(x, rms, "o", color=BLUE, markersize=4.0, label="root mean square")
    axes.set_yscale("log")
    axes.set_title(title)
    axes.set_ylabel(label)
    axes.legend(loc="best")
    _name(axes, tensors)


def _shares(
    axes: Axes,
    tensors: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    share: str,
    title: str,
) -> None:
    x = np.arange(len(tensors))
    for k, name in enumerate(names):
        rows = [t["formats"][k] for t in tensors]
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
        axes.plot(x, _numbers(rows, f"expected_{share}"), **look(k), zorder=2)
        axes.plot(x, _numbers(rows, share), marker, color=colour, markersize=3.5, label=name)
    axes.plot([], [], color=BLACK, label="lines: theory")
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(title)
    axes.set_ylabel("share of entries")
    axes.legend(loc="best")
    _name(axes, tensors)


def _name(axes: Axes, tensors: Sequence[Mapping[str, Any]]) -> None:
    step = max(1, -(-len(tensors) // 12))  # at most a dozen names are readable
    ticks = list(range(0, len(tensors), step))
    names = [str(tensors[k]["name"]) for k in ticks]
    axes.set_xticks(ticks)
    short = [name if len(name) <= 24 else "..." + name[-21:] for name in names]
    axes.set_xticklabels(short, rotation=35, ha="right")
    axes.set_xlabel("tensor, in order of execution, then gradients back")


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> Any:
    return np.array([np.nan if r[key] is None else float(r[key]) for r in rows])
