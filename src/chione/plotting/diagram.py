"""The order-chaos picture: a quantity as a heat map, the critical line, level lines, a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from chione.base import Array
from chione.plotting.phase_names import name_phases
from chione.plotting.style import HEAT, ORANGE, new_figure, style

_OUTLINE: list[patheffects.AbstractPathEffect] = [
    patheffects.withStroke(linewidth=2.6, foreground="#111111")
]
_THIN: list[patheffects.AbstractPathEffect] = [
    patheffects.withStroke(linewidth=1.9, foreground="#111111")
]
FIELD_WORDS = {
    "q_star": "fixed point $q^*$ of the mean square",
    "chi_parallel": r"slope of the length map $\chi_\parallel$",
    "chi_perp": r"factor on the mean square gradient $\chi_\perp$",
    "c_star": "correlation $c^*$ that inputs settle at",
    "one_minus_c_star": "distance $1 - c^*$",
    "xi_q": r"depth scale of lengths $\xi_q$",
    "xi_c": r"depth scale of correlations $\xi_c$",
}
_DECADES = 4.0  # the heat map spans at most so many: below, the colour is the darkest
_MOST = 1000  # rows or columns of a heat map: more than a picture has pixels
_LEVELS = 8  # level lines, where none are asked for by number


def shown(n: int) -> NDArray[np.intp]:
    """Which of n rows or columns a heat map shows: all, or a thousand with both ends."""
    return np.unique(np.linspace(0.0, n - 1.0, min(n, _MOST)).round().astype(np.intp))


@dataclass(frozen=True)
class DiagramPicture:
    """A phase diagram ready to be drawn.

    Parameters
    ----------
    sigma_w : ndarray, shape (n,)
        Columns, increasing.
    sigma_b : ndarray, shape (m,)
        Rows, increasing.
    q_star : ndarray, shape (m, n)
        The quantity of the heat map, by default q*; NaN where there is none: that part is hatched.
    phase : ndarray of str, shape (m, n)
        Word for each cell; its regions are labelled in the picture. Empty for no words.
    line : tuple of ndarray
        The critical line as (sigma_w, sigma_b); empty arrays for none. One point is a disc.
    point : tuple of float, optional
        (sigma_w, sigma_b) of a network to be marked.
    unstable : ndarray of bool, shape of the arrays of `line`
        Where lengths leave the fixed point of the critical line: it is dashed there.
    reached : ndarray of bool, shape (m, n)
        Where lengths of the input get to q*, or where there is none; other cells are dotted.
    name : str
        A key of ``FIELD_WORDS``: what the heat map shows.
    levels : sequence of float, optional
        Values at which level lines are drawn; None lets the picture choose, () is for none.
    """

    sigma_w: Array
    sigma_b: Array
    q_star: Array
    phase: NDArray[np.str_]
    line: tuple[Array, Array]
    point: tuple[float, float] | None = None
    unstable: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    reached: NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 0), np.bool_))
    name: str = "q_star"
    levels: Sequence[float] | None = ()


def draw_diagram(figure: Figure, ax: Axes, picture: DiagramPicture) -> None:
    """Draw heat map, hatched part without value, lines, point and the names of the phases."""
    values = picture.q_star
    norm, extend = _scale(picture)
    floor = norm.vmin if isinstance(norm, LogNorm) and norm.vmin is not None else -np.inf
    mesh = ax.pcolormesh(
        picture.sigma_w,
        picture.sigma_b,
        np.ma.masked_invalid(np.where(np.isfinite(values), np.maximum(values, floor), np.nan)),
        cmap=HEAT,
        norm=norm,
        shading="nearest",
        rasterized=True,  # a million vector cells would make a PDF of 100 MB
    )
    mesh.set_edgecolor("face")
    if not np.all(np.isfinite(values)):
        ax.patch.set(facecolor="#e6e6e6", hatch="////", edgecolor="#b5b5b5")
    bar = figure.colorbar(mesh, ax=ax, pad=0.02, extend=extend)
    bar.set_label(FIELD_WORDS[picture.name])
    bar.outline.set_visible(False)
    ax.set_xlim(picture.sigma_w[0], picture.sigma_w[-1])
    ax.set_ylim(picture.sigma_b[0], picture.sigma_b[-1])
    entries = [
        *_draw_unreached(ax, picture),
        *_draw_levels(ax, picture, norm),
        *_draw_line(ax, picture),
        *_draw_point(ax, picture),
    ]
    if picture.phase.size:
        name_phases(ax, picture.sigma_w, picture.sigma_b, picture.phase, picture.point)
    if entries:  # on grey, so that the white line shows
        legend = ax.legend(handles=entries, loc="upper left", frameon=True, framealpha=0.85)
        legend.get_frame().set(facecolor="#d9d9d9", edgecolor="none")
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")


def phase_diagram_figure(picture: DiagramPicture, *, title: str = "Phase diagram") -> Figure:
    r"""Order-chaos diagram: :math:`q^*` over :math:`(\sigma_w, \sigma_b)` and where chi_perp = 1.

    Parameters
    ----------
    picture : DiagramPicture
        The arrays.
    title : str
        Line above the picture.
    """
    with style():
        figure = new_figure(5.6, 4.0)
        ax = figure.add_subplot()
        draw_diagram(figure, ax, picture)
        ax.set_title(title)
    return figure


# ---- parts -------------------------------------------------------------------------------------


def _scale(picture: DiagramPicture) -> tuple[Normalize, str]:
    """The scale of colours: logarithmic for positive values that span much, and for q*."""
    values = picture.q_star
    known = values[np.isfinite(values)]
    positive = known[known > 0.0]
    if picture.name == "q_star":
        top = float(positive.max(initial=1e-300)) if positive.size else 1.0
        floor = float(positive.min(initial=top)) if positive.size else 0.1
        floor = max(min(floor, top / 10.0), top * 10.0**-_DECADES)
        return LogNorm(floor, top), "min" if np.any(known < floor) else "neither"
    if picture.name.startswith("xi") and positive.size:
        low, top = float(positive.min()), float(positive.max())
        # infinite on the line: a few cells would take all colours
        high = min(top, max(10.0 * low, float(np.quantile(positive, 0.98))))
        return LogNorm(low, high), "max" if top > high else "neither"
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if picture.name in ("c_star", "one_minus_c_star"):  # of networks that are all alike, too
        return Normalize(min(low, 0.0), max(high, 1.0)), "neither"
    top = max(high, low + 1e-3)
    if picture.name.startswith("chi") and low >= 0.0:
        low, top = 0.0, max(1.0, float(np.quantile(known, 0.95)) if known.size else 1.0)
    return Normalize(low, top), "max" if high > top else "neither"


def _draw_unreached(ax: Axes, picture: DiagramPicture) -> list[Patch]:
    """Dots where there is a q* that the lengths of the input do not get to."""
    if not picture.reached.size or min(picture.reached.shape) < 2:
        return []
    missed = ~picture.reached
    if not missed.any():
        return []
    ax.contourf(
        picture.sigma_w, picture.sigma_b, missed.astype(np.float64), [0.5, 1.5],
        colors="none", hatches=["...."], zorder=2,
    ).set_edgecolor("#ffffff88")  # fmt: skip
    words = "$q^*$ for small inputs only"
    return [Patch(facecolor="#56606e", edgecolor="white", hatch="....", label=words)]


def _draw_levels(ax: Axes, picture: DiagramPicture, norm: Normalize) -> list[Line2D]:
    """Labelled lines of equal value; they end where the quantity does."""
    values = np.ma.masked_invalid(picture.q_star)
    if min(values.shape) < 2 or values.count() == 0:
        return []
    levels = _chosen(norm) if picture.levels is None else np.unique(picture.levels)
    low, high = float(values.min()), float(values.max())
    levels = levels[(levels > low) & (levels < high)]
    if picture.name == "chi_perp" and picture.line[0].size:
        levels = levels[levels != 1.0]  # the critical line itself
    if levels.size == 0:
        return []
    lines = ax.contour(
        picture.sigma_w, picture.sigma_b, values, levels, colors="white", linewidths=0.8, zorder=2.5
    )
    lines.set_path_effects(_THIN)
    for text in ax.clabel(lines, fmt="%g", fontsize=7.5, inline_spacing=3, colors="white"):
        text.set_path_effects(_THIN)
    return []


def _chosen(norm: Normalize) -> Array:
    """A few round numbers on the scale."""
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 1.0)
    if isinstance(norm, LogNorm):
        for subs in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
            found = np.asarray(LogLocator(subs=subs, numticks=50).tick_values(low, high))
            if np.count_nonzero((found > low) & (found < high)) <= _LEVELS:
                break
        return found[(found > low) & (found < high)]
    return np.asarray(MaxNLocator(_LEVELS - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))


def _draw_line(ax: Axes, picture: DiagramPicture) -> list[Line2D]:
    """The critical line, dashed where q* is unstable; a disc where it is one point."""
    w, b = (np.asarray(x, dtype=np.float64) for x in picture.line)
    seen = (w >= ax.get_xlim()[0]) & (w <= ax.get_xlim()[1]) & (b <= ax.get_ylim()[1])
    if not seen.any():
        return []
    if w.size == 1:
        (disc,) = ax.plot(w, b, "D", ms=7, mfc="white", mec="#111111", mew=1.2, ls="none",
                          clip_on=False, zorder=4.5, label="critical point")  # fmt: skip
        return [disc]
    loose = picture.unstable if picture.unstable.size == w.size else np.zeros(w.size, np.bool_)
    entries = []
    parts: tuple[tuple[NDArray[np.bool_], Any, str], ...] = (
        (~loose, "-", r"critical line, $\chi_\perp = 1$"),
        (loose, (0, (2.2, 1.6)), r"$\chi_\perp = 1$ at unstable $q^*$"),
    )
    for where, dash, words in parts:
        # to the next point as well, so that no gap is between the two parts
        kept = where | np.roll(where, 1) & (np.arange(w.size) > 0) if dash == "-" else where
        if not (where & seen).any():
            continue
        ax.plot(np.where(kept, w, np.nan), np.where(kept, b, np.nan), color="white", lw=2.0,
                ls=dash, path_effects=_OUTLINE, zorder=3)  # fmt: skip
        entry = Line2D([], [], color="white", lw=2.0, ls=dash, label=words)
        entry.set_path_effects(_OUTLINE)
        entries.append(entry)
    return entries


def _draw_point(ax: Axes, picture: DiagramPicture) -> list[Line2D]:
    if picture.point is None:
        return []
    look = {"marker": "*", "mfc": ORANGE, "mec": "#111111", "mew": 0.9, "ls": "none"}
    ax.plot(*picture.point, ms=13, zorder=5, clip_on=False, **look)  # type: ignore[arg-type]
    return [Line2D([], [], ms=11, label="this network", **look)]  # type: ignore[arg-type]
