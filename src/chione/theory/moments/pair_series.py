r"""Hermite coefficients of an activation over a range of lengths, and sums of pairs of them.

.. math:: K = \sum_k a_k b_k c^k, \qquad
   D_\pm = \sum_k (a_k \mp s^k b_k)^2 \pm 2 \sum_k a_k s^k b_k \bigl(1 - |c|^k\bigr), \qquad
   \frac{d c_k}{d \log q} = \tfrac12 \bigl(k\,c_k + \sqrt{(k+1)(k+2)}\,c_{k+2}\bigr)

with s the sign of c; the last line is the heat equation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array
from chione.base import chebyshev as kit
from chione.gaussian import hermite_expansion
from chione.theory.moments.moments import moments

_BLOCK = 1 << 16  # entries at a time: the working set of the sums stays in the cache
_FEW = 1 << 13  # terms of all pairs together that are quicker as one product than by Horner's rule
_N_HERMITE = 320
_TAIL = 1e-13  # part of the mean square that the series may leave out
_PER_OCTAVE = 24  # nodes in log q for the interpolation of coefficients
_SHORT = 3e-4  # log(q1 / q2) below which coefficients are subtracted through their derivatives

Rows = tuple[Array, ...]  # coefficients and two derivatives in log q, (n, K) each
Index = NDArray[np.intp]


class Series:
    """Coefficients on Chebyshev nodes in log q, with the part that the series leaves out."""

    def __init__(self, act: AbstractActivation, low: float, high: float) -> None:
        self.low, self.high = low, high
        middle, half = 0.5 * (np.log(low) + np.log(high)), 0.5 * (np.log(high) - np.log(low))
        n = 6 + int(np.ceil(_PER_OCTAVE * 2.0 * half / np.log(2.0)))
        self._nodes = kit.nodes(n) if half > 1e-12 else np.zeros(1)
        self._middle, self._half = float(middle), float(half) or 1.0
        n = len(self._nodes)
        self._weights = (-1.0) ** np.arange(n) * np.sin(np.pi * (np.arange(n) + 0.5) / n)
        m = moments(act)
        rows, self.tail = [], 0.0
        for x in self._nodes:
            at = float(np.exp(self._middle + half * x))
            e = hermite_expansion(act.value, at, _N_HERMITE, breakpoints=act.kinks)
            square = float(e.coefficients @ e.coefficients)
            k = np.arange(_N_HERMITE)
            steep = float(k @ e.coefficients**2) / at
            whole = float(m.derivative_square(at).value)
            parts = _part(max(e.tail.value, 0.0), square), _part(abs(whole - steep), whole)
            self.tail = max(self.tail, *parts)
            rows.append(e.coefficients)
            if not self.tail <= _TAIL:
                break
        table = np.stack(rows)  # (nodes, K)
        size = np.abs(table).max(axis=0)
        used = np.flatnonzero(size > 1e-18 * size.max())
        # even and odd activations need every other coefficient
        self._step = 2 if used.size and not np.any((used - used[0]) % 2) else 1
        self._start = int(used[0]) % 2 if self._step == 2 else 0
        last = int(used[-1]) + 1 if used.size else 1
        self._k = np.arange(self._start, last, self._step)
        self._table = table[:, self._k]

    @classmethod
    def of(cls, act: AbstractActivation, q: Array, known: Series | None = None) -> Series | None:
        """The series, or None where it has not converged or there are lengths of zero.

        One that is `known` serves again where the lengths lie in its range, as they do where they
        settle.
        """
        low, high = float(q.min()), float(q.max())
        if low <= 0.0 or moments(act).has_jumps:
            return None
        if known is not None and known.low <= low <= high <= known.high:
            return known
        series = cls(act, low, high)
        return series if series.tail <= _TAIL else None

    def rows(self, q: Array) -> Rows:
        """Coefficients at each length."""
        x = (np.log(q) - self._middle) / self._half
        distance = x[:, None] - self._nodes
        exact = np.abs(distance) < 1e-15
        distance[exact] = 1.0
        weights = self._weights / distance
        weights[exact.any(axis=1)] = 0.0
        weights[exact] = 1.0
        a = np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self._table)
        first = self._log_derivative(a)
        return a, first, self._log_derivative(first)

    def _log_derivative(self, a: Array) -> Array:
        k, n = self._k, 2 // self._step
        out = 0.5 * k * a
        out[:, :-n] += 0.5 * np.sqrt((k[:-n] + 1.0) * (k[:-n] + 2.0)) * a[:, n:]
        return np.asarray(out)

    def steepness(self, a: Array) -> Array:
        """Sum of k a_k^2, which is q E phi'^2."""
        return np.asarray(a**2 @ self._k)

    def sum(self, a: Array, b: Array, c: Array) -> Array:
        """K of all pairs by Horner's rule in c, block by block."""
        return self._horner(a, b, c, self._start)

    def slope_sum(self, a: Array, b: Array, c: Array) -> Array:
        """The derivative of K with respect to c."""
        if self._k[0] == 0:
            return self._horner((self._k * a)[:, 1:], b[:, 1:], c, self._step - 1)
        return self._horner(self._k * a, b, c, self._start - 1)

    def paired_sum(self, a: Array, b: Array, c: Array) -> Array:
        """K of pairs whose coefficients stand row by row, (k, K) and (k,)."""
        return self._paired(a * b, c, self._start)

    def paired_slope_sum(self, a: Array, b: Array, c: Array) -> Array:
        """The derivative of K with respect to c, likewise."""
        product = self._k * a * b
        if self._k[0] == 0:
            return self._paired(product[:, 1:], c, self._step - 1)
        return self._paired(product, c, self._start - 1)

    def _paired(self, product: Array, c: Array, power: int) -> Array:
        x, v = c**self._step, np.zeros_like(c)
        if product.size < _FEW:
            powers = x[:, None] ** np.arange(product.shape[1])
            v = np.einsum("ij,ij->i", product, powers)
        else:
            for k in range(product.shape[1] - 1, -1, -1):
                v = v * x + product[:, k]
        return v * c**power if power else v

    def _horner(self, a: Array, b: Array, c: Array, power: int) -> Array:
        out = np.empty_like(c)
        step = max(1, _BLOCK // max(1, c.shape[1]))
        for start in range(0, c.shape[0], step):
            part = slice(start, start + step)
            x, v = c[part] ** self._step, np.zeros(c[part].shape)
            for k in range(a.shape[1] - 1, -1, -1):
                v *= x
                v += a[part, k, None] * b[:, k]
            out[part] = v * c[part] ** power if power else v
        return out

    def distance(
        self,
        one: tuple[Rows, Index],
        two: tuple[Rows, Index],
        ratio: Array,
        gap: Array,
        signs: tuple[Array, Array],
    ) -> tuple[Array, Array]:
        """D of some pairs, with its error; `signs` are those of c and of c one layer on."""
        (rows, i), (others, j) = one, two
        low = int(i.min())
        rows, i = tuple(x[low : int(i.max()) + 1] for x in rows), i - low
        a, b = rows[0], others[0]
        apart, rounding = self._apart((rows, i), (others, j), ratio, signs)
        x, s = 1.0 - gap, signs[0]
        columns = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
        y = x**self._step
        suffix, total = np.zeros_like(gap), np.zeros_like(gap)
        for n in range(len(self._k) - 1, 0, -1):
            product = columns[0][n].take(i) * columns[1][n].take(j)
            suffix += product * s if self._k[n] % 2 else product
            total *= y
            total += suffix
        suffix += a[i, 0] * b[j, 0] * (s if self._start else 1.0)
        # 1 - y is the gap, or gap (2 - gap) where every other coefficient is zero
        turned = gap * (2.0 - gap) * total if self._step == 2 else gap * total
        if self._start:
            turned = x * turned + gap * suffix
        size = np.sqrt(self.steepness(a)[i] * self.steepness(b)[j])
        error = rounding + 4e-14 * np.abs(turned) + 2.0 * self.tail * size * gap
        return apart + 2.0 * signs[1] * turned, error

    def _apart(
        self,
        one: tuple[Rows, Index],
        two: tuple[Rows, Index],
        ratio: Array,
        signs: tuple[Array, Array],
    ) -> tuple[Array, Array]:
        """Sum of (a_k -+ s^k b_k)^2 over all k and its error.

        Where the lengths nearly agree it comes from products of all pairs of coefficients and
        their derivatives, else from the coefficients of each pair.
        """
        (rows, i), (others, j) = one, two
        odd = self._k % 2 == 1
        out, error = np.zeros_like(ratio), np.zeros_like(ratio)
        size = np.sqrt(np.einsum("ij,ij->i", rows[0], rows[0]))[i]
        for part, sign in ((~odd, signs[1]), (odd, signs[0] * signs[1])):
            if not part.any():
                continue
            mine, theirs = (tuple(x[:, part] for x in r) for r in (rows, others))
            like = sign > 0.0
            short = like & (np.abs(ratio) < _SHORT)
            if short.any():
                out[short] += _products(mine, theirs, i[short], j[short], ratio[short])
            step = max(1, _BLOCK // max(1, int(part.sum())))
            rest = np.flatnonzero(~short)
            for start in range(0, len(rest), step):
                at = rest[start : start + step]
                x = mine[0][i[at]] - sign[at, None] * theirs[0][j[at]]
                here = np.einsum("ij,ij->i", x, x)
                out[at] += here
                error[at] += 4.0 * EPS * size[at] * np.sqrt(here)
        turned = np.einsum("ij,ij->i", rows[1], rows[1])[i]
        beyond = ratio**2 * float(self._k[-1]) * self.tail * turned
        return out, error + 4e-14 * out + np.where(np.abs(ratio) < _SHORT, beyond, 0.0)


def _part(rest: float, whole: float) -> float:
    """What the series leaves out of a mean square; all of it where its terms underflow."""
    return rest / whole if whole > 0.0 else (math.inf if rest > 0.0 else 0.0)


def _products(mine: Rows, theirs: Rows, i: Index, j: Index, t: Array) -> Array:
    r"""|a - b|^2 by the trapezoidal rule with its end correction, in t = log(q1 / q2).

    .. math:: a - b = \tfrac t2 (a' + b') - \tfrac{t^2}{12} (a'' - b'') + O(t^5)
    """
    first, second = mine[1], theirs[1]
    bend, other = mine[2], theirs[2]

    def own(x: Array, y: Array) -> Array:
        return np.asarray(np.einsum("ij,ij->i", x, y))

    sums = own(first, first)[i] + own(second, second)[j] + 2.0 * (first @ second.T)[i, j]
    mixed = own(first, bend)[i] - own(second, other)[j]
    mixed = mixed + (bend @ second.T)[i, j] - (first @ other.T)[i, j]
    return np.asarray(0.25 * t * t * sums - t**3 / 12.0 * mixed)
