"""A function cut into pieces on which it is a short, monotone Chebyshev series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from chione.base import EPS, Array, ConvergenceError

NODES = 16  # per piece: a series that ends at eps there is analytic well beyond the piece
_TAIL = 3  # coefficients at the end of a series that must have died out
_RELATIVE = 2e-15  # size of a dead coefficient, relative to the piece
_GLOBAL = 1e-16  # and relative to the whole function: derivatives are rounded on that scale
_FLAT = 1e-13  # a piece that varies by less, relative to its size, counts as constant
_MAX_PIECES = 4000  # beyond this the function is not piecewise smooth at any useful scale
_MIN_WIDTH = 1e-13  # of the distance from 0; narrower pieces are accepted as they are
_STUCK = 0.05  # of the coefficients before: the end of a series of noise
_RARE = 6.0  # first widths, of 1.25 standard deviations: 6e-14 of the mass lies beyond
_MISSED = 1e3  # times the noise: what lies between two nodes of a resolved piece agrees to that

_SAME = 1e-12  # of the values: what a series and its function differ by at an end

_X, _W = legendre.leggauss(NODES)
_VANDER = chebyshev.chebvander(_X, NODES - 1)
_TO_SERIES = np.linalg.inv(chebyshev.chebvander(_X, NODES - 1))  # values at nodes -> coefficients


@dataclass(frozen=True)
class Pieces:
    """Pieces of a function v of h.

    Parameters
    ----------
    center, half : ndarray, shape (K,)
        Middle and half width of each piece.
    h, weight, value : ndarray, shape (K, NODES)
        Gauss-Legendre nodes, weights of dh, and v there.
    series : ndarray, shape (K, NODES)
        Chebyshev coefficients of v in s = (h - center) / half.
    flat : ndarray of bool, shape (K,)
        Pieces on which v is constant to rounding.
    ends : ndarray, shape (K, 2)
        v at both ends of each piece, from the inside.
    """

    center: Array
    half: Array
    h: Array
    weight: Array
    value: Array
    series: Array
    flat: NDArray[np.bool_]
    ends: Array


def cut(
    f: Callable[[Array], Array],
    breakpoints: tuple[float, ...],
    *,
    first_width: float,
    probes: Array | None = None,
    slope: Callable[[Array], Array] | None = None,
) -> Pieces:
    """Cut the range of `breakpoints` until f is resolved and monotone on each piece.

    The series of a piece has to meet f at the `probes` in it as well as it dies out. With the
    `slope` of f at hand they are integrals of its series, so that their own derivatives keep all
    digits.

    Raises
    ------
    ConvergenceError
        Where more than 4000 pieces would be needed.
    """
    edges = _grid(np.unique(np.asarray(breakpoints, dtype=np.float64)), first_width)
    looked = np.empty(0) if probes is None else probes
    looked = looked[(looked > edges[0]) & (looked < edges[-1])]
    lo, hi = _resolve(f, edges[:-1], edges[1:], looked, first_width)
    lo, hi = _split_turning_points(f, lo, hi)
    return _build(f, lo, hi, slope)


def joined(parts: list[Pieces]) -> Pieces:
    """All pieces in one."""
    names = [f.name for f in fields(Pieces)]
    return Pieces(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def taken(pieces: Pieces, which: NDArray[np.bool_]) -> Pieces | None:
    """Some of the pieces; None where that is none of them."""
    if not which.any():
        return None
    return Pieces(*(getattr(pieces, f.name)[which] for f in fields(Pieces)))


def halved(
    f: Callable[[Array], Array],
    pieces: Pieces,
    slope: Callable[[Array], Array] | None = None,
) -> Pieces:
    """Every piece cut in two."""
    c, half = pieces.center, pieces.half
    lo = np.stack([c - half, c], axis=1).ravel()
    hi = np.stack([c, c + half], axis=1).ravel()
    return _build(f, lo, hi, slope)


def _grid(points: Array, width: float) -> Array:
    parts = [
        np.linspace(a, b, max(1, int(np.ceil((b - a) / width))) + 1)[:-1]
        for a, b in pairwise(points)
    ]
    return np.concatenate([*parts, points[-1:]])


def _nodes(lo: Array, hi: Array) -> Array:
    return np.asarray(0.5 * (lo + hi)[:, None] + 0.5 * (hi - lo)[:, None] * _X)


def _resolve(
    f: Callable[[Array], Array], lo: Array, hi: Array, probes: Array, sigma: float
) -> tuple[Array, Array]:
    span = hi[-1] - lo[0]
    # Next to 0 a function may be narrow beside a wide Gaussian: there pieces go on shrinking.
    least = _MIN_WIDTH * min(span, 1.0)
    at_probes = f(probes) if probes.size else probes
    done: list[tuple[Array, Array]] = []
    scale, count = float(np.max(abs(at_probes), initial=0.0)), 0
    while lo.size:
        h = _nodes(lo, hi)
        v = f(h)
        if not np.all(np.isfinite(v)):
            raise ConvergenceError("the derivative of the activation is not finite everywhere.")
        size = np.max(abs(v), axis=1)
        scale = max(scale, float(size.max()))
        series = v @ _TO_SERIES.T
        tail = np.max(abs(series)[:, -_TAIL:], axis=1)
        # A rounded h moves v by eps |h v'|: a series cannot be cleaner than that.
        slope = np.max(abs(np.diff(v, axis=1) / np.diff(h, axis=1)), axis=1)
        noise = _RELATIVE * size + EPS * abs(h).max(axis=1) * slope
        # Of the whole, where the coefficients have stopped to fall, or no mass is left to matter.
        stuck = tail > _STUCK * np.median(abs(series)[:, -2 * _TAIL : -_TAIL], axis=1)
        rare = np.minimum(abs(lo), abs(hi)) > _RARE * sigma
        noise = noise + np.where(stuck | rare, _GLOBAL * scale, 0.0)
        off = _off_probes(lo, hi, series, probes, at_probes) > _MISSED * (noise + _GLOBAL * scale)
        smallest = hi - lo <= np.maximum(_MIN_WIDTH * np.maximum(abs(lo), abs(hi)), least)
        fine = ((tail <= noise) & ~off) | smallest
        done.append((lo[fine], hi[fine]))
        count += int(fine.sum())
        lo, hi = lo[~fine], hi[~fine]
        if count + 2 * lo.size > _MAX_PIECES:
            raise ConvergenceError(
                "the derivative of the activation is too rough to be resolved by "
                f"{_MAX_PIECES} pieces; declare its kinks, or smooth it."
            )
        mid = 0.5 * (lo + hi)
        lo, hi = np.concatenate([lo, mid]), np.concatenate([mid, hi])
    lo, hi = (np.concatenate([d[i] for d in done]) for i in (0, 1))
    order = np.argsort(lo)
    return lo[order], hi[order]


def _off_probes(lo: Array, hi: Array, series: Array, probes: Array, at_probes: Array) -> Array:
    """How far each series is from f at the probes inside its piece."""
    off = np.zeros(lo.size)
    if not probes.size:
        return off
    order = np.argsort(lo)
    k = order[np.clip(np.searchsorted(lo[order], probes) - 1, 0, None)]
    hit = (probes > lo[k]) & (probes < hi[k])
    k, h = k[hit], probes[hit]
    s = (2.0 * h - lo[k] - hi[k]) / (hi[k] - lo[k])
    value = np.sum(series[k] * chebyshev.chebvander(s, NODES - 1), axis=1)
    np.maximum.at(off, k, abs(value - at_probes[hit]))
    return off


def _split_turning_points(f: Callable[[Array], Array], lo: Array, hi: Array) -> tuple[Array, Array]:
    pieces = _build(f, lo, hi)
    grid = np.linspace(-1.0, 1.0, 4 * NODES + 1)
    slope = chebyshev.chebder(pieces.series.T)
    values = chebyshev.chebval(grid, slope)  # (K, grid)
    cuts = []
    rows, cols = np.nonzero((values[:, :-1] * values[:, 1:] < 0.0) & ~pieces.flat[:, None])
    for k, i in zip(rows, cols, strict=True):
        s = _bisect(slope[:, k], grid[i], grid[i + 1])
        if abs(s) < 1.0 - 1e-9:
            cuts.append(pieces.center[k] + pieces.half[k] * s)
    edges = np.unique(np.concatenate([lo, hi, np.array(cuts)]))
    return edges[:-1], edges[1:]


def _bisect(series: NDArray[Any], a: float, b: float) -> float:
    fa = chebyshev.chebval(a, series)
    for _ in range(60):
        m = 0.5 * (a + b)
        fm = chebyshev.chebval(m, series)
        a, b, fa = (m, b, fm) if fm * fa > 0.0 else (a, m, fa)
    return 0.5 * (a + b)


def _build(
    f: Callable[[Array], Array],
    lo: Array,
    hi: Array,
    slope: Callable[[Array], Array] | None = None,
) -> Pieces:
    h = _nodes(lo, hi)
    v = f(h)
    half = 0.5 * (hi - lo)
    series = v @ _TO_SERIES.T
    if slope is not None:
        series = _integrated(slope(h) * half[:, None], v, series)
    size = np.max(abs(v), axis=1)
    flat = np.ptp(v, axis=1) <= _FLAT * size
    weight, ends = half[:, None] * _W, _ends(f, lo, hi, series)
    return Pieces(0.5 * (lo + hi), half, h, weight, v, series, flat, ends)


def _integrated(slope: Array, value: Array, series: Array) -> Array:
    """Series of f from values of its slope at the nodes; where that is no better, as it was."""
    first = slope @ _TO_SERIES.T
    out = chebyshev.chebint(first[:, : NODES - 1].T).T
    out[:, 0] += np.mean(value - out @ _VANDER.T, axis=1)
    # A slope with a tail of its own, or one of another function, is left alone.
    off = np.max(abs(value - out @ _VANDER.T), axis=1)
    fine = off <= 2.0 * _RELATIVE * np.max(abs(value), axis=1)
    return np.where(fine[:, None], out, series)


def _ends(f: Callable[[Array], Array], lo: Array, hi: Array, series: Array) -> Array:
    """Values at the ends: of f itself, unless the end lies on the wrong side of a jump."""
    sign = (-1.0) ** np.arange(NODES)
    fitted = np.stack([series @ sign, series.sum(axis=1)], axis=1)
    h = np.stack([np.nextafter(lo, hi), np.nextafter(hi, lo)], axis=1)
    own = np.asarray(f(h.ravel()), dtype=np.float64).reshape(h.shape)
    size = np.max(abs(fitted), axis=1, keepdims=True)
    return np.where(abs(own - fitted) <= _SAME * size, own, fitted)


def powers(s: NDArray[Any], n: int) -> NDArray[Any]:
    """1, s, .. s^(n-1) for each s, shape (P, n)."""
    out = np.empty((s.size, n), dtype=s.dtype)
    out[:, 0] = 1.0
    out[:, 1:] = s[:, None]
    return np.multiply.accumulate(out, axis=1)


def to_powers(series: Array) -> Array:
    """Chebyshev coefficients in the rows to coefficients of powers.

    Safe for short series that die out: power coefficients of T_k grow like 2.4^k, those of the
    series fall like 8.6^-k.
    """
    return np.asarray(series @ _power_basis(series.shape[1]))


@lru_cache(maxsize=8)
def _power_basis(n: int) -> Array:
    """Coefficients by powers of T_0 .. T_(n-1) in the rows."""
    basis = np.zeros((n, n))
    for k, unit in enumerate(np.eye(n)):
        c = chebyshev.cheb2poly(unit)
        basis[k, : c.size] = c
    return basis
