"""Shared pieces of the gallery's pictures."""

from __future__ import annotations

from typing import Any

from chione.base import Array
from chione.plotting import COLOURS, LINES, MARKERS

W_AXIS = r"standard deviation of the weights $\sigma_w$"
B_AXIS = r"standard deviation of the biases $\sigma_b$"


def theory(ax: Any, x: Array, y: Array, i: int, label: str | None = None) -> None:
    """The line of series number i."""
    ax.plot(x, y, color=COLOURS[i % 7], ls=LINES[i % 5], label=label, zorder=2)


def points(ax: Any, x: Array, y: Array, error: Array, i: int, label: str | None = None) -> None:
    """Simulated means of series number i, with standard errors."""
    ax.errorbar(
        x, y, error, fmt=MARKERS[i % 7], ms=4.0, color=COLOURS[i % 7], mfc="white", mew=1.0,
        elinewidth=1.0, label=label, zorder=3,
    )  # fmt: skip


def finish(ax: Any, title: str, x: str, y: str, legend: str | None = "best") -> None:
    """Title, labels with words and symbols, and the legend."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if legend is not None:
        ax.legend(loc=legend, handlelength=2.4)
