r"""The heat flow of one function on a grid of its own, for many centres at once.

.. math:: H(x, v) = E\,g(x + \sqrt v\,z)

is a Gaussian sum over values of g that do not depend on x, so g is evaluated once on panels no
wider than the Gaussian, and kept for the next variance of the same size. H is entire, and as
smooth as the Gaussian: where it is asked for at more points than that takes, it is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.base import chebyshev as kit
from chione.gaussian.kept import is_unchanging
from chione.gaussian.panels import LAST, NODES, WEIGHTS
from chione.gaussian.resolution import Resolution
from chione.gaussian.smoothing import NARROW

_WIDEST = 2.9  # standard deviations in one panel: g and the Gaussian are both close to polynomials
_MASS = 14.0  # standard deviations of the outer variable that matter
_MOST_PANELS = 8_000  # of one grid: 16 evaluations each
_MOST_LOCAL = 200_000  # of a grid that is not kept
_TERMS = 400_000  # products of values and densities at a time: they stay near the cache
# On half a width of s the interpolant of H leaves out |H(x + iy)| / rho^24 < 1e-18 (rho = 8)
_N_FIT = 24
_X, _TO_CHEBYSHEV = kit.nodes(_N_FIT), kit.fit_matrix(_N_FIT)
_HALF = 1.0  # half width of a piece of H in standard deviations
_LEBESGUE = 3.1  # of 24 Chebyshev nodes
_CROWDED = 30  # centres in one piece, above which it is interpolated
_TOGETHER = 8  # other centres in one piece that share one window
_EDGE = 8.6  # standard deviations: what lies beyond tells whether the window is wide enough

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Grid:
    """Values of g on panels.

    Parameters
    ----------
    low, high : ndarray, shape (P,)
        Ends of the panels.
    columns : ndarray, shape (P, 16, 4)
        What sums densities at the nodes to the integral of g, of abs(g), and to the last two
        Legendre coefficients of the product.
    spread : ndarray, shape (P,)
        Range of g on each panel, of which rounding its argument moves a part.
    rough : ndarray of bool, shape (P,)
        Panels where g is not resolved.
    """

    low: Array
    high: Array
    columns: Array
    spread: Array
    rough: NDArray[np.bool_]


@dataclass(frozen=True)
class Flow:
    """H at some centres.

    Parameters
    ----------
    mean, error, rounding, tail : ndarray
        H, a bound on its error, the part of it that no panels take away, and what the window
        leaves out.
    """

    mean: Array
    error: Array
    rounding: Array
    tail: Array


@dataclass(frozen=True)
class Local:
    """Panels of g that are too many to keep: values are found where they are asked for."""

    g: Function
    low: Array
    high: Array
    rough: NDArray[np.bool_]

    def around(self, x: Array, v: float) -> Grid | None:
        """Values on the panels that lie in the window of some centre."""
        reach = (NARROW + 2.0 * _HALF) * float(np.sqrt(v))  # and of the rest of its piece
        first = np.searchsorted(self.high, x - reach, side="right")
        last = np.searchsorted(self.low, x + reach)
        n = len(self.low) + 1
        change = np.bincount(first, minlength=n) - np.bincount(last, minlength=n)
        hit = np.cumsum(change)[:-1] > 0
        return _values(self.g, self.low[hit], self.high[hit], self.rough[hit])


def grid_of(g: Function, resolution: Resolution, q: float, v: float) -> Grid | Local | None:
    """Panels of g for Gaussians of variance v or up to four times it; None where it takes too many.

    Parameters
    ----------
    g : callable
        Vectorised function.
    resolution : Resolution
        Panels that resolve it.
    q : float
        Variance of the whole: the grid reaches as far as its windows do.
    v : float
        Variance of one window.
    """
    level = int(np.floor(0.5 * np.log2(v / q)))
    if 8.0 * 2.0**-level > _MOST_LOCAL:
        return None
    if is_unchanging(g):
        found = _kept(g, resolution.breakpoints, _Hashed(resolution), q, level)
    else:
        found = _grid(g, resolution, q, level)
    if found is not None:
        return found
    ends = _panels(resolution, q, level)
    return None if not _MOST_PANELS < len(ends[0]) <= _MOST_LOCAL else Local(g, *ends)


@dataclass(frozen=True, eq=False)
class _Hashed:
    """A resolution as a key: it is kept for as long as the activation itself."""

    of: Resolution

    def __hash__(self) -> int:
        return hash(len(self.of.edges))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and np.array_equal(self.of.edges, other.of.edges)


@lru_cache(maxsize=64)
def _kept(
    g: Function, breakpoints: tuple[float, ...], resolution: _Hashed, q: float, level: int
) -> Grid | None:
    return _grid(g, resolution.of, q, level)


def _grid(g: Function, resolution: Resolution, q: float, level: int) -> Grid | None:
    ends = _panels(resolution, q, level)
    return None if len(ends[0]) > _MOST_PANELS else _values(g, *ends)


def _panels(resolution: Resolution, q: float, level: int) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Ends of panels no wider than the Gaussian, and which of them are not resolved."""
    root = float(np.sqrt(q))
    reach = min((_MASS + NARROW + 1.0) * root, float(resolution.edges[-1]))
    inside = (resolution.edges[:-1] < reach) & (resolution.edges[1:] > -reach)
    low, high = resolution.edges[:-1][inside], resolution.edges[1:][inside]
    low, high = np.maximum(low, -reach), np.minimum(high, reach)
    parts = np.ceil((high - low) / (_WIDEST * root * 2.0**level)).astype(np.intp)
    parts = np.maximum(parts, 2)  # nothing is bisected later on
    panel = np.repeat(np.arange(len(low)), parts)
    step = np.arange(len(panel)) - np.repeat(np.cumsum(parts) - parts, parts)
    a = low[panel] + step * ((high - low) / parts)[panel]
    return a, np.append(a[1:], high[-1]), resolution.rough[inside][panel]


@np.errstate(all="ignore")
def _values(g: Function, low: Array, high: Array, rough: NDArray[np.bool_]) -> Grid | None:
    half = 0.5 * (high - low)
    h = 0.5 * (low + high)[:, None] + half[:, None] * NODES
    values = np.asarray(g(h.ravel()), dtype=np.float64).reshape(h.shape)
    if not np.all(np.isfinite(values)):
        return None
    weighted = (values * (half[:, None] * WEIGHTS))[..., None]
    last = (values * half[:, None])[:, :, None] * LAST
    columns = np.concatenate([weighted, np.abs(weighted), last], axis=2)
    return Grid(low, high, columns, np.ptp(values, axis=1), rough)


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def flow(grid: Grid, x: Array, v: float) -> Flow:
    """H at groups of neighbouring centres.

    Parameters
    ----------
    grid : Grid
        Values of g.
    x : ndarray, shape (F, m)
        Centres; the m of one row share their panels.
    v : float
        Variance.
    """
    s = float(np.sqrt(v))
    first = np.searchsorted(grid.high, x.min(1) - NARROW * s, side="right")
    last = np.searchsorted(grid.low, x.max(1) + NARROW * s)
    count = np.maximum(last - first, 1)
    out = Flow(*(np.zeros(x.shape) for _ in range(4)))
    order = np.argsort(count, kind="stable")
    start = 0
    while start < len(order):
        n = max(1, _TERMS // (16 * x.shape[1] * int(count[order[start]])))
        rows = order[start : start + n]
        most = int(count[rows[-1]])
        panel = first[rows][:, None] + np.arange(most)
        used = np.arange(most) < count[rows][:, None]
        found = _block(grid, x[rows], v, np.minimum(panel, len(grid.low) - 1), used)
        out.mean[rows], out.error[rows] = found.mean, found.error
        out.rounding[rows], out.tail[rows] = found.rounding, found.tail
        start += len(rows)
    return out


def _block(
    grid: Grid, x: Array, v: float, panel: NDArray[np.intp], used: NDArray[np.bool_]
) -> Flow:
    """H at rows (F, m) of centres with C panels each."""
    a, b = grid.low[panel], grid.high[panel]  # (F, C)
    half = 0.5 * (b - a)
    # differences before the sum: a rounded middle would part a panel from its neighbours
    apart = 0.5 * ((a[:, :, None] - x[:, None, :]) + (b[:, :, None] - x[:, None, :]))  # (F, C, m)
    # measured from the centre: at small v the difference of h and x would be all rounding
    t = apart[..., None] + (half[..., None] * NODES)[:, :, None]  # (F, C, m, 16)
    t *= t
    t *= -0.5 / v
    density = np.exp(t, out=t)
    unit = used / np.sqrt(2.0 * np.pi * v)  # (F, C)
    columns = grid.columns[panel] * unit[..., None, None]
    if x.shape[1] == 1:  # many products of a row and a matrix: slow one by one
        sums = np.einsum("fcj,fcjk->fck", density[:, :, 0], columns)[:, :, None]
    else:
        sums = density @ columns  # (F, C, m, 4)
    absolute, last = sums[..., 1], np.abs(sums[..., 2:]).sum(-1)
    # what Gauss-Legendre misses is of order the square of the last coefficient it sees
    missed = np.minimum(last**2 / np.where(absolute > 0.0, absolute, 1.0), last)
    missed = np.where(grid.rough[panel][..., None], last, missed)
    gap = np.maximum(np.abs(apart) - half[..., None], 0.0)
    # h is rounded, and again inside g: that shifts g by some eps |h| times its slope
    steep = grid.spread[panel] * np.maximum(np.abs(a), np.abs(b)) * unit
    blur = 4.0 * EPS * np.exp(-0.5 * gap**2 / v) * steep[..., None]
    beyond = np.zeros(absolute.shape)
    far = (np.abs(apart) + half[..., None] > _EDGE * np.sqrt(v)).any(-1) & used
    outside = np.where(density[far] < np.exp(-0.5 * _EDGE**2), density[far], 0.0)
    weights = np.abs(grid.columns[panel[far], :, 0]) * unit[far][:, None]
    beyond[far] = (outside @ weights[..., None])[..., 0]
    rounding = (12.0 * EPS * absolute + blur).sum(1)
    return Flow(sums[..., 0].sum(1), missed.sum(1) + rounding, rounding, beyond.sum(1))


def heat(grid: Grid, x: Array, v: float) -> Flow:
    """H at any centres (n,): interpolated where they lie closer than the nodes that takes."""
    width = 2.0 * _HALF * float(np.sqrt(v))
    place = np.floor(x / width)
    pieces, piece, count = np.unique(place, return_inverse=True, return_counts=True)
    crowded = count > _CROWDED
    out = Flow(*(np.empty(len(x)) for _ in range(4)))
    mine = crowded[piece]
    if mine.any():
        index = np.cumsum(crowded) - 1
        found = _interpolated(grid, pieces[crowded], index[piece[mine]], x[mine], v)
        _put(out, mine, found)
    if not mine.all():
        _put(out, ~mine, _each(grid, x[~mine], piece[~mine], v))
    return out


def _put(out: Flow, where: NDArray[np.bool_], found: Flow) -> None:
    out.mean[where], out.error[where] = found.mean.ravel(), found.error.ravel()
    out.rounding[where], out.tail[where] = found.rounding.ravel(), found.tail.ravel()


def _each(grid: Grid, x: Array, piece: NDArray[np.intp], v: float) -> Flow:
    """H at centres as they are; those of one piece share their window, up to eight at a time."""
    order = np.argsort(piece, kind="stable")
    ordered = piece[order]
    rank = np.arange(len(x)) - np.searchsorted(ordered, ordered)
    starts = np.flatnonzero(rank % _TOGETHER == 0)
    row = np.cumsum(rank % _TOGETHER == 0) - 1
    column = rank % _TOGETHER
    rows = np.repeat(x[order][starts][:, None], _TOGETHER, axis=1)  # what is left of a row repeats
    rows[row, column] = x[order]
    found = flow(grid, rows, v)
    out = Flow(*(np.empty(len(x)) for _ in range(4)))
    for name in ("mean", "error", "rounding", "tail"):
        getattr(out, name)[order] = getattr(found, name)[row, column]
    return out


def _interpolated(grid: Grid, pieces: Array, piece: NDArray[np.intp], x: Array, v: float) -> Flow:
    """H on pieces of two standard deviations, from 24 Chebyshev nodes each."""
    half = _HALF * float(np.sqrt(v))
    centre = half * (2.0 * pieces + 1.0)
    found = flow(grid, centre[:, None] + half * _X, v)
    series = _TO_CHEBYSHEV @ found.mean.T  # (24, n)
    # the nodes and the centres are rounded: that shifts H by eps |x| times its slope
    steep = np.ptp(found.mean, axis=1) * (np.abs(centre) / half + 1.0)
    error = _LEBESGUE * found.error.max(1) + 4.0 * kit.left_out(series)
    error += 4.0 * EPS * (steep + np.abs(found.mean).max(1))
    mean = kit.series(series[:, piece], (x - centre[piece]) / half)
    # rounding is the smallest near by: far in a tail the interpolant is not as good as that
    return Flow(mean, error[piece], found.rounding.min(1)[piece], found.tail.max(1)[piece])
