"""Names of phases in a diagram: inside large regions, with an arrow into narrow ones."""

from __future__ import annotations

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from numpy.typing import NDArray

from chione.base import Array

_ROOM = 0.06  # share of the cells that holds a word
_SEEN = 0.002  # share that can be seen at all
_APART = (0.24, 0.09)  # of two words, in widths and heights of the axes
_WAYS = ((0.2, 0.0), (-0.2, 0.0), (0.2, 0.16), (-0.2, 0.16), (0.2, -0.16), (-0.2, -0.16),
         (0.3, 0.3), (-0.3, 0.3), (0.3, -0.3), (-0.3, -0.3))  # fmt: skip
Place = tuple[float, float]


def name_phases(
    ax: Axes, sigma_w: Array, sigma_b: Array, phase: NDArray[np.str_], point: Place | None
) -> None:
    """Write the name of each region: on the cell that lies deepest inside, or with an arrow to it.

    Parameters
    ----------
    ax : Axes
        Where.
    sigma_w, sigma_b : ndarray, shapes (n,) and (m,)
        Columns and rows.
    phase : ndarray of str, shape (m, n)
        A word for each cell.
    point : tuple of float, optional
        What no word may cover.
    """
    taken = [] if point is None else [_share(sigma_w, sigma_b, point)]
    narrow = []
    for name in ("ordered", "chaotic", "divergent"):
        inside = phase == name
        if inside.mean() < _ROOM:
            if inside.mean() >= _SEEN:
                narrow.append((name, inside))
            continue
        x, y = _share(sigma_w, sigma_b, _cell(sigma_w, sigma_b, _deepest(inside)))
        x, y = min(max(x, 0.14), 0.84), min(max(y, 0.06), 0.92)
        if point is not None and abs(x - taken[0][0]) < 0.15 and abs(y - taken[0][1]) < 0.1:
            y += 0.12 if y < 0.75 else -0.12  # not on the star of the network itself
        taken.append((x, y))
        _write(ax, name, _sigmas(sigma_w, sigma_b, (x, y)))
    for name, inside in narrow:
        x, y = _share(sigma_w, sigma_b, _cell(sigma_w, sigma_b, _middle(inside)))
        for across, up in _WAYS:
            place = (x + across, y + up)
            free = all(
                abs(place[0] - a) > _APART[0] or abs(place[1] - b) > _APART[1] for a, b in taken
            )
            if free and 0.12 < place[0] < 0.88 and 0.06 < place[1] < 0.92:
                taken.append(place)
                at, to = (_sigmas(sigma_w, sigma_b, p) for p in (place, (x, y)))
                _write(ax, name, at, to)
                break


def _write(ax: Axes, name: str, place: Place, to: Place | None = None) -> None:
    outline: list[patheffects.AbstractPathEffect] = [
        patheffects.withStroke(linewidth=2.2, foreground="#222222")
    ]
    arrow = None
    if to is not None:
        arrow = {"arrowstyle": "-|>", "color": "white", "path_effects": outline, "shrinkB": 0.0}
    text = ax.annotate(
        name, to or place, place, ha="center", va="center",
        color="white", fontweight="bold", arrowprops=arrow, zorder=4,
    )  # fmt: skip
    text.set_path_effects(outline)


def _cell(sigma_w: Array, sigma_b: Array, at: tuple[int, int]) -> Place:
    return float(sigma_w[at[1]]), float(sigma_b[at[0]])


def _share(sigma_w: Array, sigma_b: Array, at: Place) -> Place:
    """Sigmas as shares of the width and height of the axes."""
    wide, high = np.ptp(sigma_w) or 1.0, np.ptp(sigma_b) or 1.0
    return float((at[0] - sigma_w[0]) / wide), float((at[1] - sigma_b[0]) / high)


def _sigmas(sigma_w: Array, sigma_b: Array, at: Place) -> Place:
    """The other way round."""
    wide, high = float(np.ptp(sigma_w)), float(np.ptp(sigma_b))
    return float(sigma_w[0]) + at[0] * wide, float(sigma_b[0]) + at[1] * high


def _middle(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """A cell where the region is widest along its row, of those the one in the middle."""
    width = inside.sum(axis=1)
    rows = np.flatnonzero(width >= 0.5 * width.max())
    i = int(rows[rows.size // 2])
    columns = np.flatnonzero(inside[i])
    return i, int(columns[columns.size // 2])


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
