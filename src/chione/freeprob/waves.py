r"""Branches of v(h) between turning points, summed over h into one density of v.

Between two turning points of v the density of v has the form

.. math::
    \rho(v)\,dv = \Bigl(m_0 + 2 \sum_k m_k T_k(s)\Bigr) \frac{ds}{\pi \sqrt{1 - s^2}}, \qquad
    m_k = E\,T_k(s(h)), \quad v = \text{mid} + \text{half} \cdot s,

with coefficients that die out as fast as those of a Fourier series. All branches over the same
interval share one series, so a wave of hundreds of turns is no longer than one. Its transforms are
closed forms in :math:`J = 1 / (z + r)`, :math:`r = \sqrt{z - 1} \sqrt{z + 1}`:

.. math::
    E \frac{1}{z - s} = \frac{m_0 + 2 \sum_k m_k J^k}{r}, \qquad
    E \log(z - s) = m_0 \log \frac{z + r}{2} - 2 \sum_k \frac{m_k J^k}{k}

and those of :math:`v^2` at w follow from v and -v at :math:`u = \sqrt w`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.freeprob.measures import Complex
from chione.freeprob.pieces import Pieces, taken

_MOST = 40  # coefficients of one series
_LAST = 6  # of which so many have to have died out
_DEAD = 1e-13  # of the mass of a group
_SAME = 1e-14  # of the larger end: turning values that are equal up to rounding
_WORTH = 4  # pieces that a series has to stand for, or it is no faster
_ODD = 1e-14  # of the largest value: v(0) of an odd function
_EMPTY = 9.2  # standard deviations beyond which less than 4e-20 is left
_FAR = 1e-3  # of the square of the smallest |v|: nearer to 0 the two halves of P cancel
_NODES = 600  # at most, of the rule that serves there
_X, _W = legendre.leggauss(72)  # resolve T_40 over one branch


@dataclass(frozen=True)
class Wave:
    """The law of v over all branches between two turning values.

    Parameters
    ----------
    low, high : float
        The interval of v.
    m : ndarray, shape (n,)
        Chebyshev moments E T_k(s), over these branches only.
    noise : float
        Error of each.
    """

    low: float
    high: float
    m: Array
    noise: float

    @cached_property
    def nodes(self) -> tuple[Array, Array]:
        """Places v^2 and weights that give the moments, and 1/v where v has one sign."""
        n = 2 * self.m.size + 24
        if self.low * self.high > 0.0:
            near = abs(self.low + self.high) / (self.high - self.low)
            n = min(_NODES, n + int(20.0 / np.arccosh(near)))
        theta = (np.arange(n) + 0.5) * np.pi / n
        v = self.low + (self.high - self.low) * np.cos(0.5 * theta) ** 2
        return v * v, np.asarray(self._series(theta) / n)

    def transforms(self, w: Complex) -> tuple[Complex, Complex, Complex]:
        """P = E w/(w - v^2), M = E v^2/(w - v^2) and Q = w dM/dw, w of shape (n,)."""
        u = np.sqrt(w)
        with np.errstate(all="ignore"):
            (g, dg, b, db), other = self._own(u), self._mirror._own(u)
            g, dg, b, db = g + other[0], dg + other[1], b + other[2], db + other[3]
            # 1/(w-t) = [1/(u-v) + 1/(u+v)] / 2u, with or without v^2 on top: what does not cancel.
            p, m = 0.5 * u * g, 0.5 * b / u
            q = np.where(
                abs(w) < 0.25 * self._top, 0.5 * p + 0.25 * u * u * dg, 0.25 * db - 0.5 * m
            )
            small = abs(w) < 0.25 * self._top
            p, m = np.where(small, p, m + self.m[0]), np.where(small, p - self.m[0], m)
            if self.low * self.high > 0.0:
                near = np.nonzero(abs(w) < _FAR * min(abs(self.low), abs(self.high)) ** 2)[0]
                p[near], m[near], q[near] = self._beside_zero(w[near])
        return p, m, q

    def stieltjes_error(self, w: Complex) -> Array:
        """What the noise of the coefficients does to G of v^2."""
        u = np.sqrt(w)
        with np.errstate(divide="ignore"):
            size = sum(1.0 / abs(wave._joukowski(u)[1]) for wave in (self, self._mirror))
            return np.asarray(self._error / (self.high - self.low) / abs(u) * size)

    def mean_log(self, w: Complex) -> Complex:
        """E log(w - v^2) over these branches."""
        u = np.sqrt(w)
        return self._log(u) + self._mirror._log(u)

    def density(self, t: Array, relative: Array) -> tuple[Array, Array]:
        """Density of v^2 at t (n,), and its error where t has a relative error."""
        y = np.sqrt(np.maximum(t, 0.0))
        value, error = np.zeros(t.size), np.zeros(t.size)
        for wave in (self, self._mirror):
            rho, off = wave._density(y, 0.5 * relative)
            with np.errstate(all="ignore"):
                value += np.where(y > 0.0, rho / (2.0 * y), 0.0)
                own = off / (2.0 * y) + (0.5 * relative + 2.0 * EPS) * rho / (2.0 * y)
                error += np.where(y > 0.0, own, 0.0)
        return value, error

    def cdf(self, t: Array, relative: Array) -> tuple[Array, Array]:
        """P(v^2 <= t) at t (n,), and its error."""
        y = np.sqrt(np.maximum(t, 0.0))
        value = np.where(t >= 0.0, self._below(y) - self._below(-y), 0.0)
        error = np.full(t.size, 2.0 * self._error + 4.0 * EPS * self.m[0])
        for wave in (self, self._mirror):
            rho, off = wave._density(y, 0.5 * relative)
            loose = (0.5 * relative + 2.0 * EPS) * y + EPS * max(abs(self.low), abs(self.high))
            error += np.minimum((rho + off) * loose, self.m[0])
        return value, error

    # -------------------------------------------------------------------------------- inside

    @cached_property
    def _mirror(self) -> Wave:
        """The law of -v."""
        return Wave(-self.high, -self.low, self.m * (-1.0) ** np.arange(self.m.size), self.noise)

    @property
    def _top(self) -> float:
        return float(max(self.low**2, self.high**2))

    @property
    def _error(self) -> float:
        """Error of the series: of all coefficients kept, and of a few that were dropped."""
        return 2.0 * self.noise * (self.m.size + _LAST)

    @cached_property
    def _columns(self) -> Array:
        """Coefficients by J^k of E 1/(z - s) and of E v^2/(z - s), and k times both."""
        mid, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        m = np.concatenate([self.m, [0.0, 0.0]])
        square = m
        for _ in range(2):
            square = mid * square + half * _times_s(square)
        k = np.arange(m.size)
        double = np.where(k > 0, 2.0, 1.0)
        return np.stack([double * m, double * square, k * double * m, k * double * square], axis=1)

    def _joukowski(self, u: Complex) -> tuple[Complex, Complex, Complex]:
        half = 0.5 * (self.high - self.low)
        r = np.sqrt((u - self.high) / half) * np.sqrt((u - self.low) / half)
        z = (u - 0.5 * (self.low + self.high)) / half
        with np.errstate(all="ignore"):  # a root that was not found may be infinite
            return z, r, 1.0 / (z + r)

    def _own(self, u: Complex) -> tuple[Complex, Complex, Complex, Complex]:
        """E 1/(u - v), its derivative, E v^2/(u - v), its derivative."""
        half = 0.5 * (self.high - self.low)
        z, r, j = self._joukowski(u)
        powers = np.empty((u.size, self._columns.shape[0]), dtype=complex)
        powers[:, 0] = 1.0
        powers[:, 1:] = j[:, None]
        a, b, ka, kb = (np.multiply.accumulate(powers, axis=1) @ self._columns).T
        scale = 1.0 / (half * r)
        slope = -scale / (half * r)
        return a * scale, slope * (ka + z * a / r), b * scale, slope * (kb + z * b / r)

    def _log(self, u: Complex) -> Complex:
        z, r, j = self._joukowski(u)
        k = np.arange(1, self.m.size)
        own = self.m[0] * (np.log(0.5 * (self.high - self.low)) + np.log(0.5 * (z + r)))
        powers = np.multiply.accumulate(np.repeat(j[:, None], k.size, axis=1), axis=1)
        return np.asarray(own - powers @ (2.0 * self.m[1:] / k))

    def _beside_zero(self, w: Complex) -> tuple[Complex, Complex, Complex]:
        t, p = self.nodes
        inverse = 1.0 / (w[:, None] - t)
        one = inverse @ p
        square = (inverse * inverse) @ (p * t)
        return w * one, w * one - self.m[0], -w * square

    def _density(self, v: Array, relative: Array) -> tuple[Array, Array]:
        inside = (v > self.low) & (v < self.high)
        x = np.where(inside, v, 0.5 * (self.low + self.high))
        above, below = self.high - x, x - self.low
        theta = 2.0 * np.arctan2(np.sqrt(above), np.sqrt(below))
        root = np.sqrt(above * below)
        f, slope = self._series(theta), self._series(theta, 1)
        rho = f / (np.pi * root)
        # d rho / dv, with d theta / dv = -1 / root
        steep = abs(slope) / (np.pi * root**2) + rho * abs(above - below) / (2.0 * root**2)
        loose = (relative + 2.0 * EPS) * abs(x) + EPS * max(abs(self.low), abs(self.high))
        error = steep * loose + (self._error + 8.0 * EPS * f) / (np.pi * root)
        return np.where(inside, rho, 0.0), np.where(inside, error, 0.0)

    def _below(self, v: Array) -> Array:
        """P(. <= v)."""
        x = np.clip(v, self.low, self.high)
        psi = 2.0 * np.arctan2(np.sqrt(x - self.low), np.sqrt(self.high - x))
        k = np.arange(1, self.m.size)
        waves = np.sin(np.outer(psi, k)) @ ((-1.0) ** k * self.m[1:] / k)
        return np.asarray((self.m[0] * psi + 2.0 * waves) / np.pi)

    def _series(self, theta: Array, order: int = 0) -> Array:
        k = np.arange(self.m.size)
        double = np.where(k > 0, 2.0, 1.0) * self.m
        phases = np.outer(theta, k)
        return np.asarray(np.cos(phases) @ double if order == 0 else -np.sin(phases) @ (k * double))


def _times_s(m: Array) -> Array:
    """Moments of s T_k = (T_(k-1) + T_(k+1)) / 2 from those of T_k; the last ones are zero."""
    out = np.empty_like(m)
    out[0] = m[1]
    out[1:-1] = 0.5 * (m[:-2] + m[2:])
    out[-1] = 0.5 * m[-2]
    return out


def fold(
    v: Callable[[Array], Array], pieces: Pieces, q: float, factor: float
) -> tuple[tuple[Wave, ...], Pieces | None]:
    """The waves of v that are worth it, and the pieces that are left."""
    lo, hi = pieces.center - pieces.half, pieces.center + pieces.half
    odd = factor == 2.0 and abs(pieces.ends[0, 0]) <= _ODD * np.max(abs(pieces.ends))
    marks = _turning(pieces, lo, hi, factor)
    branch = np.searchsorted(marks, lo, side="right") - 1
    keep = np.ones(lo.size, dtype=bool)
    waves = []
    for low, high, members in _groups(pieces, lo, hi, marks, odd):
        own = np.isin(branch, members)
        if np.sum(own) < _WORTH:
            continue
        m = _moments(v, q, factor, (low, high), marks[members], marks[np.array(members) + 1])
        if odd:
            m[1::2] = 0.0  # as those of the other half of the line say
        # Dead coefficients are the rounding of h, once per turn; smaller ones say nothing.
        noise = _noise_of(m)
        if noise > _DEAD * m[0]:
            continue
        last = int(np.nonzero(abs(m) > noise)[0][-1])
        waves.append(Wave(low, high, m[: last + 1], noise))
        keep &= ~own
    if not waves:
        return (), pieces
    # The last turns are cut where the Gaussian ends, and hold nothing.
    reach = np.minimum(abs(lo), abs(hi)) / np.sqrt(q)
    return tuple(waves), taken(pieces, keep & (reach < _EMPTY))


def _noise_of(m: Array) -> float:
    """Level of the coefficients that have died out, over as many of them as there are."""
    noise = 2.0 * float(np.max(abs(m[-_LAST:]))) + 0.25 * EPS * m[0]
    for count in range(2 * _LAST, m.size, _LAST):
        level = float(np.max(abs(m[-count:])))
        if level > 2.0 * noise:
            break
        noise = max(noise, level)
    return float(noise)


def _turning(pieces: Pieces, lo: Array, hi: Array, factor: float) -> Array:
    """Places at which v turns, ascending; 0 with them where only h > 0 is stored."""
    rises = pieces.ends[:, 1] > pieces.ends[:, 0]
    joined = abs(lo[1:] - hi[:-1]) <= 1e-14 * abs(hi[:-1])
    turns = joined & (rises[1:] != rises[:-1]) & ~pieces.flat[1:] & ~pieces.flat[:-1]
    marks = lo[1:][turns]
    if factor == 2.0 and lo[0] == 0.0:
        marks = np.concatenate([[0.0], marks])
    return np.asarray(marks)


def _groups(
    pieces: Pieces, lo: Array, hi: Array, marks: Array, odd: bool
) -> list[tuple[float, float, list[int]]]:
    """Branches (by the number of their left mark) over one and the same interval of v."""
    if marks.size < 2:
        return []
    starts = np.searchsorted(lo, marks)
    first = pieces.ends[starts[:-1], 0].copy()
    last = pieces.ends[starts[1:] - 1, 1]
    if odd:  # the first branch goes on beyond 0
        first[0] = -last[0]
    if odd:  # of v and -v alike
        size = np.maximum(abs(first), abs(last))
        same = abs(first + last) <= _SAME * size
        first, last = np.where(same, -size, first), np.where(same, size, last)
    low, high = np.minimum(first, last), np.maximum(first, last)
    # Between neighbouring marks there must be no gap, as of an atom.
    gap = np.concatenate([[False], abs(lo[1:] - hi[:-1]) > 1e-14 * abs(hi[:-1])])
    broken = [bool(gap[a + 1 : b].any()) for a, b in pairwise(starts)]
    out: list[tuple[float, float, list[int]]] = []
    for j in np.argsort(-high):
        slack = _SAME * max(abs(low[j]), abs(high[j]))
        if broken[j] or not high[j] - low[j] > 1e5 * slack:
            continue
        for i, (a, b, members) in enumerate(out):
            if abs(b - high[j]) <= slack and abs(a - low[j]) <= slack:
                members.append(int(j))
                out[i] = (min(a, float(low[j])), max(b, float(high[j])), members)
                break
        else:
            out.append((float(low[j]), float(high[j]), [int(j)]))
    return out


def _moments(
    v: Callable[[Array], Array],
    q: float,
    factor: float,
    span: tuple[float, float],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
) -> Array:
    """E T_k(s), k < 40, over the branches from lo to hi."""
    half = 0.5 * (hi - lo)[:, None]
    h = 0.5 * (lo + hi)[:, None] + half * _X
    p = factor * half * _W * np.exp(-(h * h) / (2.0 * q)) / np.sqrt(2.0 * np.pi * q)
    value = np.asarray(v(h.ravel()), dtype=np.float64)
    above = np.maximum(span[1] - value, 0.0)
    below = np.maximum(value - span[0], 0.0)
    theta = 2.0 * np.arctan2(np.sqrt(above), np.sqrt(below))
    weight = p.ravel()
    return np.array([float(np.sum(weight * np.cos(k * theta))) for k in range(_MOST)])
