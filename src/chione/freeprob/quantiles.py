r"""Inverse of a distribution function: bands, gaps and atoms.

On a band [a, b] the angle, :math:`x = a + (b - a) \sin^2(\theta/2)`, takes square roots and inverse
square roots at the ends away, and resolves the ends at every scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.base import EPS, Array, Status
from chione.base.newton import bracketed_newton
from chione.freeprob.measures import AbstractMeasure, Integers

_TIE = 8.0  # units of rounding within which p counts as the value of F in a gap, or on an atom
_ONE_BY_ONE = 1000  # draws; beyond, a table costs less
_TABLE = 1025  # places in it
_HALVINGS = 40
_WIDEN = 60  # doublings by which the stated error of a quantile is widened until it holds


@dataclass(frozen=True)
class Segments:
    """Stretches on which F rises continuously, in order, and atoms between them.

    Parameters
    ----------
    low, high : ndarray, shape (K,)
        Ends; equal for an atom.
    below, upto : ndarray, shape (K,)
        F just before and at the end of the stretch.
    """

    low: Array
    high: Array
    below: Array
    upto: Array


def segments(law: AbstractMeasure) -> Segments:
    """The bands of the law, cut at its atoms, and the atoms."""
    atoms = np.array(law.atoms, dtype=np.float64).reshape(-1, 2)
    rows: list[tuple[float, float]] = [(a, a) for a in atoms[:, 0]]
    for a, b in law.support:
        if b > a:
            inside = atoms[(atoms[:, 0] > a) & (atoms[:, 0] < b), 0]
            ends = [a, *inside, b]
            rows += list(pairwise(ends))
    low, high = np.array(sorted(set(rows))).T
    finite = np.where(np.isfinite(low), low, 0.0)
    below = np.where(np.isfinite(low), law.cdf(finite), 0.0)
    upto = np.where(np.isfinite(high), law.cdf(np.where(np.isfinite(high), high, 0.0)), 1.0)
    place = low == high
    mass = np.zeros(low.size)
    mass[place] = atoms[np.searchsorted(atoms[:, 0], low[place]), 1]
    below = np.where(place, upto - mass, below)
    # an atom at the right end of a band is a stretch of its own
    ends_in_atom = ~place & np.isin(high, atoms[:, 0])
    upto[ends_in_atom] -= atoms[np.searchsorted(atoms[:, 0], high[ends_in_atom]), 1]
    upto = np.maximum.accumulate(np.maximum(upto, below))
    upto[-1] = 1.0
    return Segments(low, high, below, upto)


def quantile(law: AbstractMeasure, parts: Segments, p: Array) -> tuple[Array, Array, Integers]:
    """Smallest x with F(x) >= p, its error, its status; p of shape (n,) in [0, 1].

    At p = 0 the lower end of the support. A p that meets the value of F in a gap, to rounding,
    gives the lower end of the gap.
    """
    k = np.searchsorted(parts.upto + _TIE * EPS, p)  # the first stretch that reaches p
    k = np.minimum(k, p.size * 0 + parts.low.size - 1)
    low, high = parts.low[k], parts.high[k]
    x = np.where(p <= parts.below[k], low, high)
    error = EPS * abs(x)
    status = np.where(np.isfinite(x), np.int8(Status.OK), np.int8(Status.DIVERGENT))
    inner = np.nonzero(
        (p > parts.below[k]) & (p < parts.upto[k] - _TIE * EPS) & (high > low) & (p > 0.0)
    )[0]
    if inner.size:
        x[inner] = _solve(law, p[inner], low[inner], high[inner], parts, k[inner])
        error[inner] = _error(law, p[inner], x[inner], low[inner], high[inner])
        status[inner] = Status.OK
    # a continuous end is known as well as F tells it
    return x, np.where(np.isfinite(x), error, np.inf), status.astype(np.intp)


def _solve(
    law: AbstractMeasure, p: Array, low: Array, high: Array, parts: Segments, k: Integers
) -> Array:
    low, high = _finite_ends(law, p, low, high)
    width = high - low

    def place(angle: Array, i: Integers) -> Array:
        # from the nearer end, so that nothing is lost there
        left = low[i] + width[i] * np.sin(0.5 * angle) ** 2
        right = high[i] - width[i] * np.cos(0.5 * angle) ** 2
        return np.asarray(np.where(angle < 0.5 * np.pi, left, right))

    def f(angle: Array, i: Integers) -> tuple[Array, Array, Array]:
        x = place(angle, i)
        with np.errstate(all="ignore"):
            slope = -law.density(x) * 0.5 * width[i] * np.sin(angle)
        slope = np.where(np.isfinite(slope) & (slope < 0.0), slope, np.nan)
        return p[i] - law.cdf(x), slope, np.full(i.shape, 2.0 * EPS)

    share = (p - parts.below[k]) / (parts.upto[k] - parts.below[k])
    start = np.pi * np.clip(share, 1e-3, 1.0 - 1e-3)
    angle = bracketed_newton(f, np.zeros(p.size), np.full(p.size, np.pi), start)
    return place(angle, np.arange(p.size))


def _finite_ends(law: AbstractMeasure, p: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Infinite ends brought to where F has passed p."""
    for sign, end, other in ((1.0, high, low), (-1.0, low, high)):
        open_ = ~np.isfinite(end)
        if not open_.any():
            continue
        base = np.where(np.isfinite(other), other, 0.0)
        reach = np.maximum(abs(base), 1.0)
        end = np.where(open_, base + sign * reach, end)
        for _ in range(1000):
            short = open_ & (sign * (law.cdf(end) - p) < 0.0)
            if not short.any():
                break
            reach = np.where(short, 2.0 * reach, reach)
            end = np.where(short, base + sign * reach, end)
        low, high = (low, end) if sign > 0.0 else (end, high)
    return low, high


def _error(law: AbstractMeasure, p: Array, x: Array, low: Array, high: Array) -> Array:
    """A distance at which F is past p on both sides by more than its own error."""
    doubt = law.cdf_error(x)
    with np.errstate(all="ignore"):
        rho = law.density(x)
        first = (abs(law.cdf(x) - p) + doubt) / rho
    error = np.where(np.isfinite(first), first, 0.0) + 4.0 * EPS * abs(x) + 1e-300
    open_ = np.ones(p.size, dtype=bool)
    for _ in range(_WIDEN):
        i = np.nonzero(open_)[0]
        if i.size == 0:
            break
        left, right = np.maximum(x[i] - error[i], low[i]), np.minimum(x[i] + error[i], high[i])
        good = (law.cdf(left) + doubt[i] <= p[i]) | (left <= low[i])
        good &= (law.cdf(right) - doubt[i] >= p[i]) | (right >= high[i])
        open_[i[good]] = False
        error[i[~good]] *= 2.0
    return np.asarray(error)


def draw(law: AbstractMeasure, parts: Segments, p: Array) -> Array:
    """Quantiles of uniform numbers p, shape (n,): one by one where they are few, else by a table.

    The table holds F and its slope at angles of each stretch; between them F is a cubic, right to
    the fourth power of the step: 1e-10 where F is smooth in the angle.
    """
    if p.size <= _ONE_BY_ONE:
        return quantile(law, parts, p)[0]
    k = np.minimum(np.searchsorted(parts.upto, p), parts.low.size - 1)
    out = parts.low[k]  # where it is an atom
    for j in np.unique(k[parts.high[k] > parts.low[k]]):
        mine = k == j
        ends = p[mine].min(keepdims=True), p[mine].max(keepdims=True)
        low, _ = _finite_ends(law, ends[0], parts.low[[j]], parts.high[[j]])
        _, high = _finite_ends(law, ends[1], parts.low[[j]], parts.high[[j]])
        out[mine] = _from_table(law, float(low[0]), float(high[0]), p[mine])
    return out


def _from_table(law: AbstractMeasure, low: float, high: float, p: Array) -> Array:
    angle = np.linspace(0.0, np.pi, _TABLE)
    step, width = angle[1], high - low
    x = _place(low, high, angle)
    with np.errstate(all="ignore"):
        slope = law.density(x) * 0.5 * width * np.sin(angle) * step  # of F by cells
    below = np.maximum.accumulate(law.cdf(x))
    below[0] -= _mass_at(law, low)
    # at the very ends the slope in the angle is that of F = s u + t u^2 or of a higher power alone;
    # the cubic rises where no slope is above three times the chord's
    chord = np.diff(below)
    slope[0] = max(2.0 * chord[0] - slope[1], 0.0)
    slope[-1] = max(2.0 * chord[-1] - slope[-2], 0.0)
    left, right = (np.where(np.isfinite(v), v, 0.0) for v in (slope[:-1], slope[1:]))
    left, right = np.minimum(left, 3.0 * chord), np.minimum(right, 3.0 * chord)
    cell = np.clip(np.searchsorted(below, p, side="right") - 1, 0, chord.size - 1)
    a, b, c, start = left[cell], right[cell], chord[cell], below[cell]
    lo, hi = np.zeros(p.size), np.ones(p.size)
    for _ in range(_HALVINGS):
        t = 0.5 * (lo + hi)
        f = start + t * (a + t * (3.0 * c - 2.0 * a - b + t * (a + b - 2.0 * c)))
        lo, hi = np.where(f < p, t, lo), np.where(f < p, hi, t)
    return _place(low, high, (cell + 0.5 * (lo + hi)) * step)


def _place(low: float, high: float, angle: Array) -> Array:
    """Places at angles, each from the nearer end, so that nothing is lost there."""
    left = low + (high - low) * np.sin(0.5 * angle) ** 2
    right = high - (high - low) * np.cos(0.5 * angle) ** 2
    return np.asarray(np.where(angle < 0.5 * np.pi, left, right))


def _mass_at(law: AbstractMeasure, x: float) -> float:
    return sum(m for a, m in law.atoms if a == x)
