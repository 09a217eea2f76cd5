r"""The inverse of :math:`M(w) = E[t/(w - t)]` on the real axis, tabulated once for a law.

Off the support of t, M falls on each gap (on one of them through infinity), so there is one real
branch of its inverse for each gap. Tables hold it to a few digits, which is what Newton's method
and a search for sign changes need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from chione.base import Array
from chione.freeprob.measures import Booleans
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_widths_equation import WidthsEquation

_REACH = 250.0  # in log |w| on the negative axis, both ways
_STEP = 0.5  # in log |w|


@dataclass(frozen=True)
class NegativeAxis:
    r"""M at :math:`w = -e^u` by plain positive sums.

    Parameters
    ----------
    u : ndarray, shape (K,)
        Rising.
    log_minus_m : ndarray, shape (K,)
        log of :math:`E\,t/(e^u + t)`.
    log_rest : ndarray, shape (K,)
        log of :math:`E_{t>0}\, e^u/(e^u + t)`.
    log_q : ndarray, shape (K,)
        log of :math:`dM/du`.
    """

    u: Array
    log_minus_m: Array
    log_rest: Array
    log_q: Array

    def log_w(self, log_minus_m: Array, log_rest: Array, eq: WidthsEquation, a: float) -> Array:
        """Log |w| at given -M = a |x|; for the narrowest layer from the complement of -M."""
        narrowest = a == eq.groups[0][-1] and eq.narrowest_layer
        if narrowest:
            own = log_rest + np.log(a) - log_minus_m
        else:
            minus_m = np.exp(np.minimum(log_minus_m, np.log(eq.alive)))
            own = np.log(np.maximum(eq.alive - minus_m, 1e-300)) - log_minus_m
        return np.asarray(np.interp(own, self.log_rest - self.log_minus_m, self.u))


class _ByIdentity:
    """A law as a key: two laws are one where they are one object."""

    def __init__(self, law: GaussianSquare) -> None:
        self.law = law

    def __hash__(self) -> int:
        return id(self.law)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.law is self.law


def negative_axis(law: GaussianSquare) -> NegativeAxis:
    """The table of a law, kept for the laws used last."""
    return _negative_axis(_ByIdentity(law))


@lru_cache(maxsize=16)
def _negative_axis(key: _ByIdentity) -> NegativeAxis:
    t, p = key.law.nodes
    t, p = t[t > 0.0], p[t > 0.0]
    u = np.arange(-_REACH, max(0.0, float(np.log(t.max()))) + _REACH, _STEP)
    with np.errstate(over="ignore", under="ignore"):
        ratio = np.exp(u[:, None] - np.log(t))  # |w| / t
        share = 1.0 / (1.0 + ratio)
        rest = 1.0 / (1.0 + 1.0 / ratio)
        both = share * rest
    with np.errstate(divide="ignore"):
        return NegativeAxis(u, np.log(share @ p), np.log(rest @ p), np.log(both @ p))


# --------------------------------------------------------------------------- positive branches


@dataclass(frozen=True)
class Branch:
    r"""The inverse of M on one gap of the support of t.

    Parameters
    ----------
    low, high : float
        Ends of the gap in w; (-inf, 0) for the negative axis.
    above : float
        P(t > w) for w in the gap.
    w : ndarray, shape (K,)
        Rising, graded towards both ends.
    m : ndarray, shape (K,)
        M there, falling.
    p : ndarray, shape (K,)
        1 + M.
    ratio : ndarray, shape (K,)
        M / (w dM/dw): the slope of log w by log |x|.
    alive : float
        P(t > 0).
    """

    low: float
    high: float
    above: float
    w: Array
    m: Array
    p: Array
    ratio: Array
    alive: float

    @property
    def positive(self) -> bool:
        """Whether w is above 0."""
        return self.high > 0.0

    @cached_property
    def scale(self) -> float:
        """Size of M in the middle of the branch, between its two poles or ends."""
        return float(np.clip(np.median(abs(self.m[abs(self.m) > 0.0])), 1e-6, 1.0))

    def place(self, m: Array) -> Array:
        """A coordinate in which the branch is smooth and stretched at both ends; falls with M."""
        if self.positive:
            return np.asarray(np.arcsinh(-m / self.scale))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(-m) - np.log(self.alive + m))

    def slope_at(self, m: Array, n: float, e: float, large: Array) -> Array:
        r"""Slope of n log w + e log P by log |x| to about four digits, NaN where M is not m.

        At large x the e of e M/P = e - e/P is left out: it cancels against whole numbers.
        """
        y = self.place(m)
        touches = self.high == 0.0 or self.low == 0.0  # w = 0, where P is 0 and both have poles
        with np.errstate(divide="ignore", invalid="ignore"):
            own = n * self.ratio
            if e == 0.0:
                out = self._smooth(own, y)
            elif touches:
                out = self._smooth(own + e * self.m / self.p, y)
                out = np.where(large, self._smooth(own - e / self.p, y), out)
            else:
                out = self._smooth(own, y) + np.where(large, -e, e * m) / (1.0 + m)
        return np.where((m <= self.m[0]) & (m >= self.m[-1]), out, np.nan)

    def _smooth(self, value: Array, y: Array) -> Array:
        knots = self.place(self.m)
        keep = np.isfinite(knots) & np.isfinite(value)
        keep[1:] &= np.diff(knots) > 1e-12
        spline = CubicSpline(knots[keep], value[keep])
        return np.asarray(spline(np.clip(y, knots[keep][0], knots[keep][-1])))

    def start(self, m: Array) -> tuple[Array, Array, Array]:
        """A guess of w at values of M, and a bracket."""
        k = np.clip(np.searchsorted(-self.m, -m), 1, self.m.size - 1)
        y, y0, y1 = (self.place(v) for v in (m, self.m[k - 1], self.m[k]))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip(np.where(y1 > y0, (y - y0) / (y1 - y0), 0.5), 0.0, 1.0)
        w0, w1 = self.w[np.maximum(k - 2, 0)], self.w[np.minimum(k + 1, self.m.size - 1)]
        return self.w[k - 1] + share * (self.w[k] - self.w[k - 1]), w0, w1


_POINTS = 160  # of a branch, towards each end
_OUT = 1e12  # how far out, relative: M is a straight line in 1/w there
_CLOSE = 1e-15  # how near, relative, to its ends a branch is tabulated


def branches(law: GaussianSquare) -> tuple[Branch, ...]:
    """The branches of a law from below, kept for the laws used last."""
    return _branches(_ByIdentity(law))


@lru_cache(maxsize=16)
def _branches(key: _ByIdentity) -> tuple[Branch, ...]:
    law = key.law
    axis = _negative_axis(key)
    u, log_m, log_q, log_rest = (
        v[::-1] for v in (axis.u, axis.log_minus_m, axis.log_q, axis.log_rest)
    )
    zero = sum(m for a, m in law.atoms if a == 0.0)
    p = np.exp(log_rest) + zero
    out = [
        Branch(-np.inf, 0.0, 1.0, -np.exp(u), -np.exp(log_m), p, -np.exp(log_m - log_q), 1.0 - zero)
    ]
    ends = [0.0, *[x for s in law.support for x in s], np.inf]
    t, weight = law.nodes
    for a, b in zip(ends[0::2], ends[1::2], strict=True):
        if not b > a or np.isinf(a):
            continue
        w = _grid(a, b)
        r = law.resolvent(w.astype(complex))
        p, m, q = r.p.real, r.m.real, r.q.real
        good = np.isfinite(m) & np.isfinite(q) & (q < 0.0)
        w, p, m, q = w[good], p[good], m[good], q[good]
        falls = _falling(m)
        above = float(weight[t > 0.5 * (a + b)].sum()) if np.isfinite(b) else 0.0
        out.append(Branch(a, b, above, w[falls], m[falls], p[falls], (m / q)[falls], 1.0 - zero))
    return tuple(out)


def _falling(m: Array) -> Booleans:
    """Points that fall, seen from the middle: rounding may break the order at either end."""
    k = m.size // 2
    left = m[:k] > np.maximum.accumulate(m[1 : k + 1][::-1])[::-1]
    right = m[k + 1 :] < np.minimum.accumulate(m[k:-1])
    return np.concatenate([left, [True], right])


def _grid(a: float, b: float) -> Array:
    if np.isinf(b):
        return np.asarray(a * (1.0 + np.geomspace(_CLOSE, _OUT, 2 * _POINTS)))
    near = np.geomspace(1e-9 if a == 0.0 else _CLOSE * max(1.0, b / (b - a)), 0.5, _POINTS)
    far = np.geomspace(_CLOSE * max(1.0, b / (b - a)), 0.5, _POINTS)
    return np.unique(np.concatenate([a + (b - a) * near, b - (b - a) * far]))
