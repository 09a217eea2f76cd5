"""Shared pieces of the gallery's pictures."""

from __future__ import annotations

from typing import Any

from matplotlib.transforms import Bbox

from chione.base import Array
from chione.plotting import COLOURS, MARKERS, look

W_AXIS = r"standard deviation of the weights $\sigma_w$"
WHOLE = Bbox.unit()  # of the axes: a table that fills them
B_AXIS = r"standard deviation of the biases $\sigma_b$"


def theory(ax: Any, x: Array, y: Array, i: int, label: str | None = None) -> None:
    """The line of series number i."""
    ax.plot(x, y, **look(i), label=label, zorder=2)


def points(ax: Any, x: Array, y: Array, error: Array, i: int, label: str | None = None) -> None:
    """Simulated means of series number i, with standard errors."""
    mark, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
    ax.errorbar(
        x, y, error, fmt=mark, ms=4.0, color=colour, mfc="white", mew=1.0,
        elinewidth=1.0, label=label, zorder=3,
    )  # fmt: skip


def name_marks(ax: Any, words: str) -> None:
    """One entry of the key for the marks of all series."""
    ax.plot([], [], "o", ms=4.0, color="#555555", mfc="white", mew=1.0, label=words)


def finish(ax: Any, title: str, x: str, y: str, legend: str | None = "best") -> None:
    """Title, labels with words and symbols, and the legend."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if legend is not None:
        ax.legend(loc=legend, handlelength=2.4)
