"""Pictures of the two maps from layer to layer: lengths with a cobweb, correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from chione.base import Array
from chione.plotting.style import BLACK, BLUE, GREY, VERMILLION, one_axes, style


@dataclass(frozen=True)
class MapPicture:
    """A map of an interval to itself, one orbit, and its fixed points, ready to be drawn.

    Parameters
    ----------
    x, y : ndarray, shape (K,)
        Argument and image.
    orbit : ndarray, shape (L,)
        Successive values from layer to layer; empty for none.
    fixed_points : tuple of (float, bool)
        Place of each fixed point, and whether it is stable.
    note : str
        What is particular about the map, written below its title; empty for nothing.
    """

    x: Array
    y: Array
    orbit: Array
    fixed_points: tuple[tuple[float, bool], ...] = ()
    note: str = ""


def cobweb(orbit: Array | Sequence[float]) -> tuple[Array, Array]:
    """Corners of the staircase (x, x), (x, f(x)), (f(x), f(x)), ... of an orbit."""
    o = np.asarray(orbit, dtype=np.float64)
    x = np.repeat(o, 2)[:-1]
    y = np.concatenate([o[:1], np.repeat(o[1:], 2)])
    return x, y


def draw_map(ax: Axes, picture: MapPicture, *, symbol: str, words: str) -> None:
    """Draw map, diagonal, staircase and fixed points; `symbol` is the LaTeX of the variable."""
    low, high = float(picture.x[0]), float(picture.x[-1])
    ax.plot([low, high], [low, high], color=GREY, lw=1.0, ls=(0, (4, 2)), zorder=1)
    ax.plot(picture.x, picture.y, color=BLUE, zorder=3)
    if picture.orbit.size > 1:
        ax.plot(*cobweb(picture.orbit), color=VERMILLION, lw=1.0, zorder=2)
        ax.plot(
            picture.orbit[0],
            picture.orbit[0],
            marker="o",
            ms=4,
            color=VERMILLION,
            ls="none",
            zorder=4,
        )
    for place, stable in picture.fixed_points:
        if low <= place <= high:
            face = BLACK if stable else "white"
            (disc,) = ax.plot(place, place, "o", ms=6.5, mfc=face, mec=BLACK, mew=1.2, zorder=5)
            disc.set_clip_on(False)  # a fixed point at c = 1 sits on the corner
    ax.set_xlim(low, high)
    finite = picture.y[np.isfinite(picture.y)]
    top = max(high, min(float(finite.max(initial=high)), high + 0.35 * (high - low)))
    ax.set_ylim(min(low, float(finite.min(initial=low))), top)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if picture.note:
        ax.text(0.02, 0.98, picture.note, transform=ax.transAxes, va="top", fontsize=8, color=BLACK)
    ax.set_xlabel(f"{words} ${symbol}^l$")
    ax.set_ylabel(f"in the next layer ${symbol}^{{l+1}}$")


def explain_discs(ax: Axes, picture: MapPicture) -> None:
    """A legend for the discs and the staircase, of those that there are."""
    entries = []
    inside = {s for place, s in picture.fixed_points if picture.x[0] <= place <= picture.x[-1]}
    for stable, words, face in ((True, "stable", BLACK), (False, "unstable", "white")):
        if stable in inside:
            entries.append(
                Line2D([], [], marker="o", ms=6, mec=BLACK, mfc=face, ls="none", label=words)
            )
    if picture.orbit.size > 1:
        entries.append(
            Line2D([], [], color=VERMILLION, lw=1.0, marker="o", ms=4, label="layer by layer")
        )
    if entries:
        ax.legend(handles=entries, loc="best", handlelength=1.2)


def length_map_figure(
    q: Array,
    image: Array,
    *,
    orbit: Array | None = None,
    fixed_points: Sequence[tuple[float, bool]] = (),
) -> Figure:
    r"""The length map with a cobweb.

    .. math:: q^{l+1} = \sigma_w^2 E\,\phi(\sqrt{q^l} z)^2 + \sigma_b^2

    Parameters
    ----------
    q, image : ndarray, shape (K,)
        Mean squares, increasing, and their images.
    orbit : ndarray, shape (L,), optional
        Mean squares of successive layers, drawn as a staircase.
    fixed_points : sequence of (float, bool)
        Each fixed point and whether it is stable (a full disc) or not (an open one).
    """
    with style():
        figure, ax = one_axes(4.2, 4.0)
        picture = _picture(q, image, orbit, fixed_points)
        draw_map(ax, picture, symbol="q", words="mean square")
        ax.set_title("Length map")
        explain_discs(ax, picture)
    return figure


def correlation_map_figure(
    c: Array,
    image: Array,
    *,
    orbit: Array | None = None,
    fixed_points: Sequence[tuple[float, bool]] = (),
) -> Figure:
    r"""The correlation map of two inputs at the fixed point of the lengths.

    .. math:: c^{l+1} = (\sigma_w^2 E\,\phi(u_1) \phi(u_2) + \sigma_b^2) / q^*

    Parameters
    ----------
    c, image : ndarray, shape (K,)
        Correlations, increasing, and their images.
    orbit, fixed_points :
        As in :func:`length_map_figure`.
    """
    with style():
        figure, ax = one_axes(4.2, 4.0)
        picture = _picture(c, image, orbit, fixed_points)
        draw_map(ax, picture, symbol="c", words="correlation")
        ax.set_title("Correlation map")
        explain_discs(ax, picture)
    return figure


def _picture(
    x: Array, y: Array, orbit: Array | None, points: Sequence[tuple[float, bool]]
) -> MapPicture:
    walk = np.empty(0) if orbit is None else np.asarray(orbit, dtype=np.float64)
    return MapPicture(np.asarray(x, float), np.asarray(y, float), walk, tuple(points))
