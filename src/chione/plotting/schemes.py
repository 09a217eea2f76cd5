"""Test accuracies of initialisations side by side: a dot for the median, a line for all seeds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

# colour, marker and filling by name: no two alike in greyscale
_LOOKS = {
    "pytorch": (GREY, "v", False),
    "calculate_gain": (ORANGE, "^", False),
    "he": (GREEN, "D", False),
    "xavier": (PURPLE, "s", False),
    "lsuv": (BLACK, "P", True),
    "orthogonal": (SKY, "X", True),
    "chione": (BLUE, "o", False),
    "chione orthogonal": (VERMILLION, "o", True),
}
_OTHERS = tuple(_LOOKS.values())


def scheme_picture(
    accuracy: Array,
    activations: Sequence[str],
    depths: Array,
    optimizers: Sequence[str],
    schemes: Sequence[str],
) -> Picture:
    """A panel for each optimiser and depth, named ``"adam 50"``.

    Parameters
    ----------
    accuracy : ndarray, shape (A, D, O, C, S)
        Test accuracies; NaN is left out, and a cell without any number drawn at 0.
    activations, optimizers, schemes : sequences of str, lengths A, O and C
        What was combined.
    depths : ndarray, shape (D,)
        Hidden layers.
    """
    panels = {
        f"{name} {depth}": Panel(
            partial(
                _draw, accuracy=_known(accuracy[:, d, o]), activations=activations,
                schemes=schemes, title=f"{depth} layers, {name}", legend=(d, o) == (0, 0),
            ),
            (3.4, 1.1 + 0.42 * len(activations)),
        )
        for o, name in enumerate(optimizers)
        for d, depth in enumerate(depths)
    }  # fmt: skip
    return Picture(panels, columns=len(depths))


def _known(accuracy: Array) -> Array:
    """NaN replaced by the first number of its cell: neither median nor range change."""
    return np.where(np.isnan(accuracy), np.nan_to_num(accuracy[..., :1]), accuracy)


def _draw(
    ax: Axes,
    *,
    accuracy: Array,  # (A, C, S)
    activations: Sequence[str],
    schemes: Sequence[str],
    title: str,
    legend: bool,
) -> None:
    rows = np.arange(len(activations))
    shift = 0.78 * (np.arange(len(schemes)) - 0.5 * (len(schemes) - 1)) / max(1, len(schemes))
    for k, name in enumerate(schemes):
        colour, marker, filled = _LOOKS.get(name, _OTHERS[k % len(_OTHERS)])
        values = accuracy[:, k]
        y = rows + shift[k]
        ax.hlines(y, values.min(-1), values.max(-1), color=colour, lw=1.1)
        face = colour if filled else "white"
        ax.plot(
            np.median(values, axis=-1), y, ls="", marker=marker, ms=4.0, mec=colour, mfc=face,
            mew=0.9, label=name, clip_on=False,
        )  # fmt: skip
    for edge in rows[1:] - 0.5:
        ax.axhline(edge, color="#dddddd", lw=0.6, zorder=0)
    ax.set_yticks(rows, list(activations))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("test accuracy")
    ax.set_title(title)
    ax.tick_params(axis="y", length=0)
    if legend:
        ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=8)
