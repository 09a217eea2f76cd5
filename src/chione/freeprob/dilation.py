"""Laws shifted, dilated and reflected."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from scipy.special import comb

from chione.base import EPS, Array, checks
from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.measures import (
    AbstractMeasure,
    Complex,
    absolute_moments,
    by_halves,
    rounding_of_cdf,
)
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.uniform import Uniform


@dataclass(frozen=True)
class Dilated(AbstractMeasure):
    r"""The law of :math:`a s + b`, s of the law `base`.

    .. math:: G(z) = \frac1a G_s\Big(\frac{z - b}{a}\Big), \qquad R(g) = a R_s(a g) + b

    Parameters
    ----------
    base : AbstractMeasure
        The law of s.
    factor : float
        Dilation a, not 0; below 0 it reflects.
    offset : float
        Shift b.
    """

    base: AbstractMeasure
    factor: float = 1.0
    offset: float = 0.0

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        a, b = self.factor, self.offset
        return tuple(sorted((a * x + b, m) for x, m in self.base.atoms))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        a, b = self.factor, self.offset
        ends = ((a * lo + b, a * hi + b) for lo, hi in self.base.support)
        return tuple(sorted((min(e), max(e)) for e in ends))

    def stieltjes(self, z: Any) -> Complex:
        return by_halves(lambda z: self._up(self.base.stieltjes, z) / self.factor, z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        f = self.base.stieltjes_derivative
        return by_halves(lambda z: self._up(f, z) / self.factor**2, z)

    def stieltjes_error(self, z: Any) -> Array:
        z = np.asarray(z, dtype=complex)
        w = self._back(z)
        slope = abs(self.base.stieltjes_derivative(w))
        # z - b is right to half a unit of itself
        moved = EPS * abs(w) * slope
        error = (self.base.stieltjes_error(w) + 4.0 * moved) / abs(self.factor)
        return np.asarray(np.where(np.isnan(error), np.inf, error))

    def moment_function(self, z: Any) -> Complex:
        def both(w: Complex) -> Complex:
            return self.base.moment_function(w) + self._ratio * self.base.stieltjes(w)

        return by_halves(lambda z: self._up(both, z), z)

    def moment_function_derivative(self, z: Any) -> Complex:
        def both(w: Complex) -> Complex:
            slope = self._ratio * self.base.stieltjes_derivative(w)
            return self.base.moment_function_derivative(w) + slope

        return by_halves(lambda z: self._up(both, z) / self.factor, z)

    def moment_function_error(self, z: Any) -> Array:
        z = np.asarray(z, dtype=complex)
        error = self.base.moment_function_error(self._back(z))
        with np.errstate(all="ignore"):
            moved = (
                8.0
                * EPS
                * abs(self._back(z))
                * abs(self.moment_function_derivative(z) * self.factor)
            )
            error = error + abs(self.offset) * self.stieltjes_error(z) + moved
        return np.asarray(np.where(np.isnan(error), np.inf, error))

    def mean_log(self, z: Any) -> Complex:
        # a < 0: z - a s - b = -|a| (w - s) with w below the axis, where log(-u) = log u + i pi
        turn = 0.0 if self.factor > 0.0 else 1j * np.pi
        size = np.log(abs(self.factor))
        return by_halves(lambda z: self._up(self.base.mean_log, z) + (size + turn), z)

    def cdf(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        s = self._back(x + 0j).real
        below = self.base.cdf(s)
        if self.factor > 0.0:
            return below
        at = sum((np.where(s == a, m, 0.0) for a, m in self.base.atoms), np.zeros(s.shape))
        return np.asarray(1.0 - below + at)

    def cdf_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        lost = rounding_of_cdf(self, x, 4.0 * EPS * abs(x - self.offset))
        return np.asarray(self.base.cdf_error(self._back(x + 0j).real) + lost)

    def density(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return np.asarray(self.base.density(self._back(x + 0j).real) / abs(self.factor))

    def density_error(self, x: Any) -> Array:
        return np.asarray(self.stieltjes_error(checks.real_array("x", x) + 0j) / np.pi)

    def moments(self, n: int) -> Array:
        return self._binomial(
            self.factor, self.offset, np.concatenate([[1.0], self.base.moments(n)])
        )

    def moments_error(self, n: int) -> Array:
        m, error = self.base.moments(n + 1), self.base.moments_error(n)
        size = np.concatenate([[1.0], absolute_moments(m)[:n]])
        a, b = abs(self.factor), abs(self.offset)
        rounding = 8.0 * np.arange(1, n + 1) * EPS * self._binomial(a, b, size)
        return np.asarray(self._binomial(a, b, np.concatenate([[0.0], error])) + rounding)

    @property
    def _ratio(self) -> float:
        return self.offset / self.factor

    @staticmethod
    def _binomial(a: float, b: float, m: Array) -> Array:
        k = np.arange(m.size)
        terms = [comb(j, k[: j + 1]) * a ** k[: j + 1] * b ** (j - k[: j + 1]) for j in k[1:]]
        return np.array([float(t @ m[: t.size]) for t in terms])

    def _back(self, z: Complex) -> Complex:
        return np.asarray((z - self.offset) / self.factor)

    def _up(self, f: Any, z: Complex) -> Complex:
        """F of the base at (z - b) / a for z above; where that lies below, by conjugation."""
        w = self._back(z)
        return np.asarray(f(w) if self.factor > 0.0 else np.conj(f(np.conj(w))))


@singledispatch
def dilated(law: AbstractMeasure, factor: float, offset: float) -> AbstractMeasure:
    """The law of a s + b, of the same family where that is closed under it; a = 0 is refused."""
    return Dilated(law, factor, offset)


@dilated.register
def _(law: Dilated, factor: float, offset: float) -> AbstractMeasure:
    a, b = factor * law.factor, factor * law.offset + offset
    return law.base if (a, b) == (1.0, 0.0) else Dilated(law.base, a, b)


@dilated.register
def _(law: PointMasses, factor: float, offset: float) -> AbstractMeasure:
    with np.errstate(over="ignore"):  # refused below
        places = factor * law.place + offset
    if np.unique(places).size < places.size:  # a shift that swallows the distances
        return Dilated(law, factor, offset)
    return PointMasses(tuple(places.tolist()), law.masses)


@dilated.register
def _(law: Semicircle, factor: float, offset: float) -> AbstractMeasure:
    return Semicircle(factor**2 * law.variance_, factor * law.center + offset)


@dilated.register
def _(law: Arcsine, factor: float, offset: float) -> AbstractMeasure:
    return Arcsine(abs(factor) * law.radius) if offset == 0.0 else Dilated(law, factor, offset)


@dilated.register
def _(law: Uniform, factor: float, offset: float) -> AbstractMeasure:
    ends = sorted((factor * law.low + offset, factor * law.high + offset))
    return Uniform(*ends) if ends[0] < ends[1] else Dilated(law, factor, offset)


@dilated.register
def _(law: FreePoisson, factor: float, offset: float) -> AbstractMeasure:
    if offset == 0.0 and factor > 0.0:
        return FreePoisson(law.rate, factor * law.jump)
    return Dilated(law, factor, offset)
