"""Free additive and free multiplicative convolution of two measures, by subordination."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import Array
from chione.freeprob import series
from chione.freeprob.measures import AbstractMeasure, Complex

_NEWTON = 30
_SCAN = 400  # points at which bands are looked for
_DENSE = 1e-7  # density that tells a band from a gap: a square root is this large at 1e-14
_ASIDE = 1e-9  # how far aside, relative, a point is moved where Newton's system is singular
_ATOM = 1e-12  # mass below which an atom is rounding
_PATH = np.concatenate([np.geomspace(1e3, 1e-3, 31), np.geomspace(1e-4, 1e-12, 9), [0.0]])
_TURN = np.pi * (1.0 - np.linspace(0.0, 1.0, 31)) ** 1.5
_SHRINK = np.geomspace(1e8, 1.0, 33)


@dataclass(frozen=True)
class FreeSum(AbstractMeasure):
    r"""Free additive convolution :math:`\mu \boxplus \nu`.

    .. math::
        G(z) = G_\mu(\omega_1) = G_\nu(\omega_2), \qquad \omega_1 + \omega_2 = z + 1 / G(z)

    Followed from large Im z, where :math:`\omega_i \approx z`, straight down to z.

    Parameters
    ----------
    left, right : AbstractMeasure
        The two measures.
    """

    left: AbstractMeasure
    right: AbstractMeasure

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        found = [(a + b, p + q - 1.0) for a, p in self.left.atoms for b, q in self.right.atoms]
        return tuple(sorted((a, m) for a, m in found if m > _ATOM))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        (a, b), (c, d) = (_hull(m) for m in (self.left, self.right))
        return _bands(self.density, a + c, b + d, self.atoms)

    def stieltjes(self, z: Any) -> Complex:
        return self._transform(z)[0]

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self._transform(z)[1]

    def moments(self, n: int) -> Array:
        kappa = self.left.free_cumulants(n) + self.right.free_cumulants(n)
        return series.moments_from_free_cumulants(kappa)

    def r_transform(self, g: Any) -> Complex:
        return np.asarray(self.left.r_transform(g) + self.right.r_transform(g))

    def _transform(self, z: Any) -> tuple[Complex, Complex]:
        z = np.asarray(z, dtype=complex)
        flat = np.where(z.ravel().imag < 0.0, np.conj(z.ravel()), z.ravel())
        size = max(abs(x) for m in (self.left, self.right) for x in _hull(m)) + 1.0
        g, slope = self._follow(flat, size)
        bad = np.nonzero(~np.isfinite(g))[0]
        if bad.size:  # points of symmetry at which the two equations say the same
            g[bad], slope[bad] = self._follow(flat[bad] + _ASIDE * size, size)
        flip = z.ravel().imag < 0.0
        g, slope = np.where(flip, np.conj(g), g), np.where(flip, np.conj(slope), slope)
        return np.asarray(g.reshape(z.shape)), np.asarray(slope.reshape(z.shape))

    def _follow(self, z: Complex, size: float) -> tuple[Complex, Complex]:
        w1 = w2 = z + 1j * size * _PATH[0]
        slope = w1
        for height in _PATH:
            w1, w2, slope = self._newton(z + 1j * size * height, w1, w2)
        return self.left.stieltjes(w1), slope

    def _newton(self, z: Complex, w1: Complex, w2: Complex) -> tuple[Complex, Complex, Complex]:
        dg = w1
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON):
                g1, g2 = self.left.stieltjes(w1), self.right.stieltjes(w2)
                d1, d2 = self.left.stieltjes_derivative(w1), self.right.stieltjes_derivative(w2)
                r1, r2 = w1 + w2 - z - 1.0 / g1, g1 - g2
                a = 1.0 + d1 / g1**2  # the system is a s1 + s2 = r1, d1 s1 - d2 s2 = r2
                det = a * d2 + d1
                s1, s2 = (r1 * d2 + r2) / det, (r1 * d1 - a * r2) / det
                w1, s1 = _step(w1, s1, z)
                w2, s2 = _step(w2, s2, z)
                dg = d1 * d2 / det  # dG/dz = d1 dw1/dz, and dw1/dz = d2 / det
                if not np.any(abs(s1) + abs(s2) > 1e-15 * (abs(w1) + abs(w2))):
                    break
        return w1, w2, dg


@dataclass(frozen=True)
class FreeProduct(AbstractMeasure):
    r"""Free multiplicative convolution :math:`\mu \boxtimes \nu` of measures on [0, inf).

    .. math::
        x = M_\mu(\omega_1) = M_\nu(\omega_2), \qquad \omega_1 \omega_2 = z \frac{1 + x}{x}

    Followed along the negative axis from far out, then turned to z through the upper half plane.

    Parameters
    ----------
    left, right : AbstractMeasure
        Measures on the half line, neither of them the point mass at zero.
    """

    left: AbstractMeasure
    right: AbstractMeasure

    def __post_init__(self) -> None:
        for m in (self.left, self.right):
            if _hull(m)[0] < 0.0:
                raise ValueError(
                    "a free product needs measures on [0, inf), but one reaches down to "
                    f"{_hull(m)[0]:g}; use the law of squares, or a free sum."
                )

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        zero = max(sum(p for a, p in m.atoms if a == 0.0) for m in (self.left, self.right))
        found = [
            (a * b, p + q - 1.0)
            for a, p in self.left.atoms
            for b, q in self.right.atoms
            if a * b > 0.0
        ]
        if zero > 0.0:
            found.append((0.0, zero))
        return tuple(sorted((a, m) for a, m in found if m > _ATOM))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        top = _hull(self.left)[1] * _hull(self.right)[1]
        return _bands(self.density, 0.0, top, self.atoms)

    def stieltjes(self, z: Any) -> Complex:
        return self._transform(z)[0]

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self._transform(z)[1]

    def moments(self, n: int) -> Array:
        s = series.multiply(self.left.s_coefficients(n), self.right.s_coefficients(n))
        return series.moments_from_s(s)

    def s_transform(self, x: Any) -> Complex:
        return np.asarray(self.left.s_transform(x) * self.right.s_transform(x))

    def _transform(self, z: Any) -> tuple[Complex, Complex]:
        z = np.asarray(z, dtype=complex)
        flat = np.where(z.ravel().imag < 0.0, np.conj(z.ravel()), z.ravel())
        flat = np.where(flat == 0.0, 1e-300, flat)
        radius, angle = abs(flat), np.angle(flat)
        far = -radius * _SHRINK[0]
        w1, w2 = far / self.right.mean + 0j, far / self.left.mean + 0j
        slope = w1
        for factor in _SHRINK:
            w1, w2, slope = self._newton(-radius * factor + 0j, w1, w2)
        for turn in _TURN:
            at = radius * np.exp(1j * (angle + (np.pi - angle) * turn / np.pi))
            at = flat if turn == 0.0 else at
            w1, w2, slope = self._newton(at, w1, w2)
        x = self.left.moment_function(w1)
        g, dg = (1.0 + x) / flat, slope / flat - (1.0 + x) / flat**2
        flip = z.ravel().imag < 0.0
        g, dg = np.where(flip, np.conj(g), g), np.where(flip, np.conj(dg), dg)
        return np.asarray(g.reshape(z.shape)), np.asarray(dg.reshape(z.shape))

    def _newton(self, z: Complex, w1: Complex, w2: Complex) -> tuple[Complex, Complex, Complex]:
        dx = w1
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON):
                x1, x2 = self.left.moment_function(w1), self.right.moment_function(w2)
                d1 = w1 * self.left.moment_function_derivative(w1)  # by log w
                d2 = w2 * self.right.moment_function_derivative(w2)
                r1 = w1 * w2 * x1 / (z * (1.0 + x1)) - 1.0  # small when solved; its logarithm
                r1 = np.log1p(r1)
                r2 = x1 - x2
                a = 1.0 + d1 / (x1 * (1.0 + x1))
                det = a * d2 + d1
                s1, s2 = (r1 * d2 + r2) / det, (r1 * d1 - a * r2) / det
                hold = np.minimum(1.0, 0.5 / np.maximum(np.maximum(abs(s1), abs(s2)), 1e-300))
                w1, w2 = (_turn(w, hold * s, z) for w, s in ((w1, s1), (w2, s2)))
                dx = d1 * d2 / det / z  # dx/dz
                if not np.any(abs(s1) + abs(s2) > 1e-15):
                    break
        return w1, w2, dx


def free_sum(left: AbstractMeasure, right: AbstractMeasure) -> FreeSum:
    """Law of the sum of two free variables with these laws."""
    return FreeSum(left, right)


def free_product(left: AbstractMeasure, right: AbstractMeasure) -> FreeProduct:
    """Law of the product (in symmetric form) of two free positive variables with these laws."""
    return FreeProduct(left, right)


def _step(w: Complex, step: Complex, z: Complex) -> tuple[Complex, Complex]:
    """Keep Im w at or above Im z, where subordination functions live."""
    size = abs(step) / (0.5 * abs(w) + 1e-300)
    step = np.where(size > 1.0, step / np.maximum(size, 1e-300), step)
    new = w - step
    new = new.real + 1j * np.maximum(new.imag, z.imag)
    return np.asarray(new), np.asarray(step)


def _turn(w: Complex, step: Complex, z: Complex) -> Complex:
    """Keep arg w at or above arg z: below the axis the transforms are on another sheet."""
    new = w * np.exp(-step)
    low = (np.angle(new) < np.angle(z)) & (abs(np.angle(new) - np.angle(z)) < np.pi)
    return np.asarray(np.where(low, abs(new) * z / abs(z), new))


def _hull(m: AbstractMeasure) -> tuple[float, float]:
    points = [x for s in m.support for x in s] + [a for a, _ in m.atoms]
    return min(points), max(points)


def _bands(
    density: Callable[[Any], Array], low: float, high: float, atoms: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """Intervals of positive density inside [low, high], ends found by bisection."""
    margin = 1e-3 * (high - low)
    u = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, _SCAN))
    start = low if low == 0.0 else low - margin
    x = start + (high + margin - start) * u
    x = x[(x != 0.0)]
    on = density(x) > _DENSE
    if on[0]:
        x, on = np.concatenate([[start], x]), np.concatenate([[False], on])
    change = np.nonzero(on[1:] != on[:-1])[0]
    inner = np.where(on[change], x[change], x[change + 1])
    outer = np.where(on[change], x[change + 1], x[change])
    for _ in range(46):
        mid = 0.5 * (inner + outer)
        is_on = density(mid) > _DENSE
        inner, outer = np.where(is_on, mid, inner), np.where(is_on, outer, mid)
    ends = np.sort(0.5 * (inner + outer))
    out = [(float(a), float(b)) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
    return tuple(sorted([*out, *((a, a) for a, _ in atoms)]))
