"""The order-chaos picture: q* as a heat map, the critical line, a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from chione.base import Array
from chione.plotting.style import HEAT, ORANGE, new_figure, style
from chione.theory import PhaseDiagram

_OUTLINE: list[patheffects.AbstractPathEffect] = [
    patheffects.withStroke(linewidth=2.6, foreground="#111111")
]
FIELD_WORDS = {
    "chi_parallel": r"slope of the length map $\chi_\parallel$",
    "chi_perp": r"factor on the mean square gradient $\chi_\perp$",
    "c_star": "correlation $c^*$ that inputs settle at",
    "one_minus_c_star": "distance $1 - c^*$",
    "xi_q": r"depth scale of lengths $\xi_q$",
    "xi_c": r"depth scale of correlations $\xi_c$",
}
_DECADES = 4.0  # the heat map spans at most so many: below, the colour is the darkest


_MOST = 1000  # rows or columns of a heat map: more than a picture has pixels


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
        Fixed points of the lengths; NaN where lengths diverge.
    phase : ndarray of str, shape (m, n)
        Word for each cell; its regions are labelled in the picture.
    line : tuple of ndarray
        The critical line as (sigma_w, sigma_b); empty arrays for none.
    point : tuple of float, optional
        (sigma_w, sigma_b) of a network to be marked.
    """

    sigma_w: Array
    sigma_b: Array
    q_star: Array
    phase: NDArray[np.str_]
    line: tuple[Array, Array]
    point: tuple[float, float] | None = None


def draw_diagram(figure: Figure, ax: Axes, picture: DiagramPicture) -> None:
    """Draw heat map, hatched divergent part, critical line, point and the names of the phases."""
    q = picture.q_star
    positive = q[np.isfinite(q) & (q > 0.0)]
    top = float(positive.max(initial=1e-300)) if positive.size else 1.0
    floor = float(positive.min(initial=top)) if positive.size else 0.1
    floor = max(min(floor, top / 10.0), top * 10.0**-_DECADES)
    mesh = ax.pcolormesh(
        picture.sigma_w,
        picture.sigma_b,
        np.ma.masked_invalid(np.where(np.isfinite(q), np.maximum(q, floor), np.nan)),
        cmap=HEAT,
        norm=LogNorm(floor, top),
        shading="nearest",
        rasterized=True,  # a million vector cells would make a PDF of 100 MB
    )
    mesh.set_edgecolor("face")
    if not np.all(np.isfinite(q)):
        ax.patch.set(facecolor="#e6e6e6", hatch="////", edgecolor="#b5b5b5")
    bar = figure.colorbar(mesh, ax=ax, pad=0.02, extend="min" if np.any(q < floor) else "neither")
    bar.set_label("fixed point $q^*$ of the mean square")
    bar.outline.set_visible(False)
    if picture.line[0].size:
        ax.plot(*picture.line, color="white", lw=2.0, path_effects=_OUTLINE, zorder=3)
    if picture.point is not None:
        ax.plot(
            *picture.point,
            marker="*",
            ms=13,
            mfc=ORANGE,
            mec="#111111",
            mew=0.9,
            ls="none",
            zorder=5,
            clip_on=False,
        )
    _name_phases(ax, picture)
    _explain(ax, picture)
    ax.set_xlim(picture.sigma_w[0], picture.sigma_w[-1])
    ax.set_ylim(picture.sigma_b[0], picture.sigma_b[-1])
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")


def draw_field(ax: Axes, diagram: PhaseDiagram, name: str) -> None:
    """One quantity of a phase diagram as a heat map, with the line between order and chaos."""
    rows, columns = shown(diagram.sigma_b.size), shown(diagram.sigma_w.size)
    some = np.ix_(rows, columns)
    values = np.asarray(getattr(diagram, name))[some]
    sigma_w, sigma_b = diagram.sigma_w[columns], diagram.sigma_b[rows]
    known = values[np.isfinite(values)]
    positive = known[known > 0.0]
    log = bool(positive.size) and positive.size == known.size and name != "c_star"
    if log and positive.max() > 4.0 * positive.min():
        low = max(float(positive.min()), float(positive.max()) * 10.0**-_DECADES)
        norm: Normalize = LogNorm(low, float(positive.max()))
    else:
        low = float(known.min(initial=np.inf)) if known.size else 0.0
        norm = Normalize(low, float(known.max(initial=low)) if known.size else 1.0)
    mesh = ax.pcolormesh(
        sigma_w, sigma_b, np.ma.masked_invalid(values),
        cmap=HEAT, norm=norm, shading="nearest", rasterized=True,
    )  # fmt: skip
    mesh.set_edgecolor("face")
    if known.size < values.size:
        ax.patch.set(facecolor="#e6e6e6", hatch="////", edgecolor="#b5b5b5")
    chi = np.asarray(diagram.chi_perp)[some]
    if min(chi.shape) > 1 and np.any(chi > 1.0) and np.any(chi < 1.0):
        ax.contour(sigma_w, sigma_b, chi, [1.0], colors="white", linewidths=1.6)
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.colorbar(mesh, ax=ax, pad=0.02).set_label(FIELD_WORDS[name])
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")
    ax.set_title(f"Phase diagram of {diagram.activation.name}")


def _explain(ax: Axes, picture: DiagramPicture) -> None:
    """A legend for the line and the point, on grey so that the white line shows."""
    entries = []
    if picture.line[0].size > 1:
        line = Line2D([], [], color="white", lw=2.0, label=r"critical line, $\chi_\perp = 1$")
        line.set_path_effects(_OUTLINE)
        entries.append(line)
    if picture.point is not None:
        entries.append(
            Line2D([], [], marker="*", ms=11, mfc=ORANGE, mec="#111111", ls="none",
                   label="this network")
        )  # fmt: skip
    if entries:
        legend = ax.legend(handles=entries, loc="upper left", frameon=True, framealpha=0.8)
        legend.get_frame().set(facecolor="#d9d9d9", edgecolor="none")


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


def _name_phases(ax: Axes, picture: DiagramPicture) -> None:
    """Write the name of each large region on the cell that lies deepest inside it."""
    rows, columns = picture.phase.shape
    for name in ("ordered", "chaotic", "divergent"):
        inside = picture.phase == name
        if inside.mean() < 0.06:  # too small to hold a word
            continue
        i, j = _deepest(inside)
        x = picture.sigma_w[min(max(j, int(0.14 * columns)), int(0.84 * columns))]
        y = picture.sigma_b[min(max(i, int(0.06 * rows)), int(0.92 * rows))]
        if picture.point is not None:  # not on the star of the network itself
            wide, high = np.ptp(picture.sigma_w), np.ptp(picture.sigma_b)
            off = (abs(x - picture.point[0]) / wide, (y - picture.point[1]) / high)
            if off[0] < 0.15 and abs(off[1]) < 0.1:
                y = y + high * (0.12 if y < 0.75 * picture.sigma_b[-1] else -0.12)
        text = ax.text(x, y, name, ha="center", va="center", color="white", fontweight="bold")
        text.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="#222222")])


def _deepest(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """The cell of the region that survives longest when its rim is peeled off, ring by ring."""
    step = max(1, max(inside.shape) // 60)  # a coarse copy is enough for a word
    core = inside[::step, ::step]
    while True:
        padded = np.pad(core, 1)
        inner = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not inner.any():
            break
        core = inner
    cells = np.argwhere(core)
    i, j = cells[np.argmin(np.sum((cells - cells.mean(axis=0)) ** 2, axis=1))]
    return int(i) * step, int(j) * step
