r"""The law of v(h)^2 from its inverse branches: density and distribution function.

.. math::
    \rho(t) = \sum_{h: v(h)^2 = t} \frac{p(h)}{2 \sqrt t\, |v'(h)|}, \qquad
    P(v^2 \le t) = \sum_k P(h \in \text{piece } k,\ |v(h)| \le \sqrt t)

over the monotone pieces of v. Both come with what rounding, of v and of t, can have moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import ndtr

from chione.base import EPS, Array
from chione.freeprob.measures import Integers
from chione.freeprob.pieces import _X, NODES, Pieces, powers, to_powers

_STEPS = 60  # of Newton's method in a bracket; six are used, bisection would need fifty
_POLISH = 3  # of Newton's method with v itself
_SERIES = 4e-15  # how far a series is from v, relative to the largest value of the piece
_SLOPE = 2e-13  # the same of its derivative by s
_NODES = np.concatenate([[-1.0], _X, [1.0]])
_BLOCK = 400_000  # pairs of a point and a piece at a time


@dataclass(frozen=True)
class Law:
    """Density or probability at given places, and a bound on the error of each."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Branches:
    """The monotone pieces of v under a Gaussian.

    Parameters
    ----------
    pieces : Pieces
        Every one monotone.
    q : float
        Variance of h.
    factor : float
        2 where only h > 0 is stored, else 1.
    v : callable
        The function itself.
    slope : callable or None
        Its derivative, where that is known.
    """

    pieces: Pieces
    q: float
    factor: float
    v: Callable[[Array], Array]
    slope: Callable[[Array], Array] | None

    @cached_property
    def _powers(self) -> Array:
        """Coefficients by powers of s of v and its first two derivatives, shape (3, K, n)."""
        c = self.pieces.series
        first, second = np.zeros_like(c), np.zeros_like(c)
        first[:, :-1] = chebyshev.chebder(c.T).T
        second[:, :-2] = chebyshev.chebder(c.T, 2).T
        return np.stack([to_powers(x) for x in (c, first, second)])

    @cached_property
    def _table(self) -> Array:
        """V along each piece, ends included, turned so that it rises, shape (K, n + 2)."""
        ends = self.pieces.ends
        table = np.concatenate([ends[:, :1], self.pieces.value, ends[:, 1:]], axis=1)
        turned = np.where(self._turn[:, None] > 0.0, table, table[:, ::-1])
        return np.asarray(np.maximum.accumulate(turned, axis=1))

    @cached_property
    def _turn(self) -> Array:
        """+1, or -1 where v falls."""
        return np.where(self.pieces.ends[:, 1] >= self.pieces.ends[:, 0], 1.0, -1.0)

    @cached_property
    def _mass(self) -> Array:
        return self._between(*self._span)

    def density(self, x: Array, relative: Array | float = 0.0) -> Law:
        """Density at x (n,); `relative` is the error with which x is known."""
        value, error = np.zeros(x.size), np.zeros(x.size)
        loose = np.broadcast_to(relative, x.shape)
        for part in self._parts(x.size):
            y = np.sqrt(np.maximum(x[part], 0.0))
            for target in (y, -y):
                point, row = self._crossed(target)
                keep = (y[point] > 0.0) & (x[part][point] > 0.0)
                point, row = point[keep], row[keep]
                h, first, second, d_h, d_first = self._at(row, target[point], loose[part][point])
                with np.errstate(all="ignore"):
                    rho = self._gauss(h) / (2.0 * y[point] * abs(first))
                    moved = (abs(h) / self.q + abs(second / first)) * d_h + d_first / abs(first)
                    off = rho * (
                        moved + 0.5 * loose[part][point] + 8.0 * EPS + EPS * h * h / self.q
                    )
                value[part] += np.bincount(point, rho, y.size)
                error[part] += np.bincount(point, off, y.size)
        return Law(value, error)

    def cdf(self, x: Array, relative: Array | float = 0.0) -> Law:
        """Mass of the pieces at or below x (n,)."""
        value, error = np.zeros(x.size), np.full(x.size, 4.0 * EPS)
        loose = np.broadcast_to(relative, x.shape)
        p, root_q = self.pieces, np.sqrt(self.q)
        size = np.max(abs(p.ends), axis=1)
        least = np.where(p.ends[:, 0] * p.ends[:, 1] < 0.0, 0.0, np.min(abs(p.ends), axis=1))
        middle = np.where(p.flat, np.median(abs(p.value), axis=1), 0.0)
        for part in self._parts(x.size):
            y = np.where(x[part] >= 0.0, np.sqrt(np.maximum(x[part], 0.0)), -1.0)[:, None]
            whole = np.where(p.flat, middle <= y * (1.0 + 1e-15), size <= y)
            value[part] += whole @ self._mass
            point, row = np.nonzero(~whole & ~p.flat & (least < y))
            inside = np.zeros((2, point.size))
            for i, sign in enumerate((-1.0, 1.0)):
                target = sign * y[point, 0]
                up = target >= self._table[row, -1]
                s = np.where(up, self._turn[row], -self._turn[row])
                at = np.nonzero(~up & (target > self._table[row, 0]))[0]
                h = p.center[row] + p.half[row] * s
                h[at], _, _, d_h, _ = self._at(row[at], target[at], loose[part][point[at]])
                inside[i] = h / root_q
                d_mass = self._gauss(h[at]) * d_h
                error[part] += np.bincount(point[at], d_mass, len(y))
            low, high = inside.min(axis=0), inside.max(axis=0)
            value[part] += np.bincount(point, self._between(low, high), len(y))
        return Law(value, error)

    # ------------------------------------------------------------------------------- inside

    @property
    def _span(self) -> tuple[Array, Array]:
        p, root_q = self.pieces, np.sqrt(self.q)
        return (p.center - p.half) / root_q, (p.center + p.half) / root_q

    def _between(self, low: Array, high: Array) -> Array:
        right = low > 0.0
        a, b = np.where(right, -high, low), np.where(right, -low, high)
        return np.asarray(self.factor * (ndtr(b) - ndtr(a)))

    def _gauss(self, h: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.exp(-0.5 * (h / np.sqrt(self.q)) ** 2)
        return np.asarray(self.factor * scaled / np.sqrt(2.0 * np.pi * self.q))

    def _parts(self, n: int) -> list[slice]:
        step = max(1, _BLOCK // self.pieces.half.size)
        return [slice(i, i + step) for i in range(0, n, step)]

    def _crossed(self, target: Array) -> tuple[Integers, Integers]:
        low, high = self._table[:, 0], self._table[:, -1]
        hit = (low <= target[:, None]) & (target[:, None] < high) & ~self.pieces.flat
        point, row = np.nonzero(hit)
        return point, row

    def _at(self, row: Integers, y: Array, relative: Array) -> tuple[Array, ...]:
        """H, v', v'' where v = y in these pieces, and the errors of h and v'."""
        p = self.pieces
        half, size = p.half[row], np.max(abs(p.ends[row]), axis=1, initial=0.0)
        s = self._root(row, y)
        h = p.center[row] + half * s
        basis = powers(s, NODES)
        first, second = (np.sum(self._powers[i, row] * basis, axis=1) for i in (1, 2))
        first, second = first / half, second / half**2
        d_first = _SLOPE * size / half
        noise = _SERIES * size
        if self.slope is not None and row.size:
            noise, d_first = 4.0 * EPS * abs(y), 8.0 * EPS * abs(first)
            for _ in range(_POLISH):
                with np.errstate(all="ignore"):
                    step = (np.asarray(self.v(h)) - y) / np.asarray(self.slope(h))
                new = h - np.where(np.isfinite(step), step, 0.0)
                h = np.clip(new, p.center[row] - half, p.center[row] + half)
            first = np.asarray(self.slope(h), dtype=np.float64)
        with np.errstate(all="ignore"):
            d_h = (noise + 0.5 * relative * abs(y)) / abs(first) + EPS * abs(h)
        return h, first, second, np.minimum(d_h, 2.0 * half), d_first

    def _root(self, row: Integers, y: Array) -> Array:
        """Root of the monotone series in [-1, 1] by Newton inside a bracket."""
        table, turn = self._table[row], self._turn[row]
        line = np.arange(row.size)
        k = np.clip(np.sum(table <= y[:, None], axis=1), 1, table.shape[1] - 1)
        a, b = turn * self._along(k - 1, turn), turn * self._along(k, turn)
        v0, v1 = table[line, k - 1], table[line, k]
        share = np.where(v1 > v0, (y - v0) / np.where(v1 > v0, v1 - v0, 1.0), 0.5)
        # In u = turn * s the function rises.
        u = a + (b - a) * np.clip(share, 0.0, 1.0)
        active = np.arange(row.size)
        coefficients = self._powers[:2, row]
        for _ in range(_STEPS):
            basis = powers(turn[active] * u[active], NODES)
            r = np.sum(coefficients[0, active] * basis, axis=1) - y[active]
            d = np.sum(coefficients[1, active] * basis, axis=1) * turn[active]
            high = r > 0.0
            b[active] = np.where(high, u[active], b[active])
            a[active] = np.where(high, a[active], u[active])
            with np.errstate(all="ignore"):
                new = u[active] - r / d
            out = ~((new >= a[active]) & (new <= b[active]))
            new = np.where(out, 0.5 * (a[active] + b[active]), new)
            step = abs(new - u[active])
            u[active] = new
            active = active[(step > 2e-16) & (r != 0.0)]
            if active.size == 0:
                break
        return np.asarray(turn * u)

    def _along(self, k: Integers, turn: Array) -> Array:
        """Place in s of the k-th entry of a table that may run backwards."""
        return np.where(turn > 0.0, _NODES[k], _NODES[::-1][k])
