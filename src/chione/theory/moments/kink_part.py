r"""What the kinks of an activation make of a pair of inputs, in closed form.

.. math:: p(x) = \sum_j \sum_m \frac{\Delta_{jm}}{m!} (x - k_j)_+^m

has the jumps :math:`\Delta_{jm}` of phi and of its derivatives at the kinks, so that phi - p is
smooth there, and its Hermite series short. A term may as well live below its kink. Whatever the
jumps are off by is left to that series:

.. math:: E\,\phi\phi = E\,p\,p + \sum_n \bigl(a_n a'_n - p_n p'_n\bigr)\,c^n
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from chione.activations import AbstractActivation
from chione.base import Array
from chione.base import chebyshev as kit
from chione.theory.moments.truncated_pairs import density, truncated

HIGHEST = 7  # derivative whose jumps are looked for
_NODES = 24  # of the fits on each side of a kink
_WIDTHS = tuple(4.0 * 2.0**-k for k in range(11))
_NOISE = 1e-6  # of a jump, relative to the derivatives on both sides


@dataclass(frozen=True)
class KinkPart:
    """The piecewise polynomial p of one activation.

    Parameters
    ----------
    places : ndarray, shape (J,)
        Kinks.
    jumps : ndarray, shape (J, order + 1)
        Jumps of the derivatives there.
    sides : ndarray, shape (J,)
        1 where the terms of a kink live above it, -1 where they live below.
    """

    places: Array
    jumps: Array
    sides: Array

    @property
    def order(self) -> int:
        """Highest derivative that may jump."""
        return len(self.jumps.T) - 1

    @property
    def weights(self) -> Array:
        r"""Factors of :math:`(\pm(x - k))_+^m`, (J, order + 1)."""
        m = np.arange(self.order + 1)
        factorials = np.array([math.factorial(k) for k in m], dtype=np.float64)
        return self.jumps * self.sides[:, None] ** (m + 1) / factorials

    def coefficients(self, q: Array, n: int) -> Array:
        r"""Hermite coefficients of :math:`p(\sqrt q z)`, (len(q), n)."""
        return np.asarray(self.by_order(q, n).sum(axis=0))

    def by_order(self, q: Array, n: int) -> Array:
        r"""The same of the terms of each order m, (order + 1, len(q), n).

        By parts :math:`p_n = q^{n/2} E\,p^{(n)} / \sqrt{n!}` up to the order, and from there on
        the point masses of the derivatives: :math:`\varphi(a)\,he_{n-m-1}(a)` at a = k / sqrt(q).
        """
        out = np.zeros((self.order + 1, len(q), n))
        root = np.sqrt(q)
        turned = (-1.0) ** np.arange(n)
        for k, side, factors in zip(self.places, self.sides, self.weights, strict=True):
            a = side * k / root
            he = _hermite(a, n - 1)  # he_i(a) enters p_(i + 1 + m)
            for m in np.flatnonzero(factors).tolist():
                one = _power(a, he, m, n) * (factors[m] * root**m)[:, None]
                out[m] += one * turned if side < 0.0 else one
        return out

    def size(self, q: Array) -> Array:
        """Sum of the root mean squares of all terms, whatever they cancel, (len(q),)."""
        root, total = np.sqrt(q), np.zeros(len(q))
        for k, side, factors in zip(self.places, self.sides, self.weights, strict=True):
            upper = _upper(side * k / root, 2 * self.order)
            for m in np.flatnonzero(factors).tolist():
                total += np.abs(factors[m]) * root**m * np.sqrt(np.maximum(upper[2 * m], 0.0))
        return total

    def moments(self, q1: Array, q2: Array, gap: Array, sign: Array) -> tuple[Array, Array]:
        r"""E p p and its derivative with respect to c; all of one shape, `gap` above zero."""
        value, slope = np.zeros_like(gap), np.zeros_like(gap)
        roots = np.sqrt(q1), np.sqrt(q2)
        kinks = list(zip(self.places, self.sides, self.weights, strict=True))
        for k, side, first in kinks:
            for other, beside, second in kinks:
                a, b, turn = side * k / roots[0], beside * other / roots[1], side * beside
                table = truncated(a, b, gap, turn * sign, self.order)
                for m in np.flatnonzero(first).tolist():
                    left = first[m] * roots[0] ** m
                    for n in np.flatnonzero(second).tolist():
                        both = left * (second[n] * roots[1] ** n)
                        value += both * table[m + 1][n + 1]
                        # (z - a)_+^0 has a point mass for a derivative
                        slope += turn * max(m, 1) * max(n, 1) * both * table[m][n]
        return value, slope


def _upper(a: Array, m: int) -> list[Array]:
    """E (z - a)_+^k for k up to m."""
    upper = [np.asarray(ndtr(-a)), density(a) - a * ndtr(-a)]
    for k in range(1, m):
        upper.append(-a * upper[k] + k * upper[k - 1])
    return upper


def _power(a: Array, he: Array, m: int, n: int) -> Array:
    """Hermite coefficients of (z - a)_+^m."""
    out = np.zeros((len(a), n))
    upper = _upper(a, m)
    for i in range(min(m + 1, n)):
        size = math.factorial(m) / math.sqrt(math.factorial(i)) / math.factorial(m - i)
        out[:, i] = size * upper[m - i]
    order = np.arange(float(n - 1 - m))
    falling = np.ones(n - 1 - m)  # (i + 1 + m)! / i!
    for k in range(m + 1):
        falling = falling * (order + 1.0 + k)
    out[:, m + 1 :] = math.factorial(m) / np.sqrt(falling) * he[:, : n - 1 - m]
    return out


def _hermite(a: Array, n: int) -> Array:
    """The first n orthonormal polynomials times the density, (len(a), n)."""
    he = np.empty((n, len(a)))
    he[0] = density(a)
    if n > 1:
        he[1] = a * he[0]
    roots = np.sqrt(np.arange(n + 1.0)).tolist()
    for k in range(1, n - 1):
        he[k + 1] = (a * he[k] - roots[k] * he[k - 1]) / roots[k + 1]
    return he.T


@lru_cache(maxsize=64)
def kink_parts(phi: AbstractActivation) -> tuple[KinkPart, ...]:
    """Such parts of an activation, from the jumps of its derivatives.

    Terms that live on the far side of their kinks are small at short lengths; those that all live
    above them cancel at long ones where phi is bounded.
    """
    jumps = np.array([jumps_at(phi, k) for k in phi.kinks]).reshape(-1, HIGHEST + 1)
    places = np.asarray(phi.kinks, dtype=np.float64)
    outward, above = np.where(places < 0.0, -1.0, 1.0), np.ones_like(places)
    every = (outward,) if np.array_equal(outward, above) else (outward, above)
    return tuple(KinkPart(places, jumps, sides) for sides in every)


@lru_cache(maxsize=512)
def jumps_at(phi: AbstractActivation, k: float) -> tuple[float, ...]:
    """Jumps of the value and of five derivatives, by Chebyshev fits on both sides of a kink."""
    others = [abs(k - x) for x in phi.kinks if x != k]
    room = min(others, default=np.inf)
    best, rest = None, np.inf
    for width in _WIDTHS:
        width = min(width, room)
        left, right = _fitted(phi, k, -width), _fitted(phi, k, width)
        size = np.abs(left[0]) + np.abs(right[0])
        missed = max(_ending(left[0]), _ending(right[0]))
        if not np.all(np.isfinite(size)):
            continue
        if missed < 0.1 * rest:
            best, rest = (left[1], right[1]), missed
        if missed < 1e-14:
            break
    if best is None:
        return (0.0,) * (HIGHEST + 1)
    below, above = best
    noisy = np.abs(above - below) <= _NOISE * (np.abs(below) + np.abs(above))
    exact = np.where(noisy, 0.0, above - below)
    for m in range(2):  # these are known without fits
        exact[m] = phi.jump(m, k)
    return tuple(float(x) for x in exact)


def _ending(c: Array) -> float:
    """Last coefficients relative to the largest."""
    return float(kit.left_out(c) / (np.abs(c).max() or 1.0))


def _fitted(phi: AbstractActivation, k: float, width: float) -> tuple[Array, Array]:
    """Chebyshev coefficients of phi between k and k + width, and derivatives at k."""
    x = kit.nodes(_NODES)
    with np.errstate(all="ignore"):
        c = kit.fit_matrix(_NODES) @ phi.value(k + 0.5 * width * (x + 1.0))
    series = np.polynomial.Chebyshev(c)
    values = [float(series.deriv(m)(-1.0) if m else series(-1.0)) for m in range(HIGHEST + 1)]
    return c, np.array(values) * (2.0 / width) ** np.arange(HIGHEST + 1)
