"""Curves over the depth: theory as a line, simulated networks as points with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chione.base import Array
from chione.plotting.style import BLUE, VERMILLION, new_figure, style

_POINTS = 26  # at most so many simulated points, so that their error bars can be told apart


@dataclass(frozen=True)
class DepthCurve:
    """One quantity over the layers, ready to be drawn.

    Parameters
    ----------
    theory : ndarray, shape (L,)
        The infinite-width value in layers 1 to L.
    measured, stderr : ndarray, shape (L,)
        Mean over simulated networks and its standard error; empty arrays for none.
    words, symbol : str
        Label of the axis, in words and as LaTeX.
    log : bool
        Whether the axis is logarithmic.
    layer : ndarray, optional
        Numbers of the layers, where they are not 1 to L.
    """

    theory: Array
    words: str
    symbol: str
    measured: Array = field(default_factory=lambda: np.empty(0))
    stderr: Array = field(default_factory=lambda: np.empty(0))
    log: bool = False
    layer: Array | None = None


def draw_depth(ax: Axes, curve: DepthCurve) -> None:
    """Draw the line, the points and their error bars of one standard error."""
    layers = np.arange(1, curve.theory.size + 1) if curve.layer is None else curve.layer
    deep = layers.size < layers[-1]
    ax.plot(layers, curve.theory, color=BLUE, label="theory, infinite width", zorder=2)
    if curve.measured.size:
        shown = np.unique(np.linspace(0, layers.size - 1, min(_POINTS, layers.size)).astype(int))
        ax.errorbar(
            layers[shown],
            curve.measured[shown],
            yerr=curve.stderr[shown],
            fmt="o",
            ms=3.4,
            mfc="white",
            mec=VERMILLION,
            ecolor=VERMILLION,
            elinewidth=1.1,
            mew=1.1,
            label="simulated networks",
            zorder=3,
        )
    if curve.log:
        ax.set_yscale("log")
    if np.count_nonzero(np.isfinite(curve.theory)) < min(2, layers.size):
        ax.text(0.5, 0.5, "beyond the range\nof float64", ha="center", transform=ax.transAxes)
        ax.set_yticks([])
    if deep:
        ax.set_xscale("log")
    else:
        ax.set_xlim(0.5 if layers.size < 20 else 0, layers.size + 0.02 * layers.size)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("layer $l$")
    ax.set_ylabel(f"{curve.words} {curve.symbol}")
    if not ax.get_title(loc="left"):
        ax.set_title(curve.words[:1].upper() + curve.words[1:])


def depth_figure(curves: Sequence[DepthCurve]) -> Figure:
    """Curves over the depth, side by side.

    Parameters
    ----------
    curves : sequence of DepthCurve
        One panel each.
    """
    with style():
        figure = new_figure(3.7 * len(curves), 3.1)
        for k, curve in enumerate(curves):
            ax = figure.add_subplot(1, len(curves), k + 1)
            draw_depth(ax, curve)
            if k == 0 and curve.measured.size:
                ax.legend()
    return figure


def wants_log(values: Array, *, factor: float = 12.0) -> bool:
    """Whether positive values span more than a factor, so that a linear axis would hide them."""
    v = values[np.isfinite(values)]
    return bool(v.size and v.min() > 0.0 and v.max() > factor * v.min())
