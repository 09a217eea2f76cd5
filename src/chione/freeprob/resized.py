"""Laws of A A^T turned into those of A^T A, and laws of numbers into those of their squares."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.charts import moment_resolvent
from chione.freeprob.classical import FreePoisson
from chione.freeprob.measures import AbstractMeasure, Complex, by_halves, upper_log
from chione.freeprob.point_masses import PointMasses

_BESIDE = 1e-12  # the argument that stands for 0, in units of the largest
_ATOM = 1e-12  # mass below which an atom at zero is rounding


@dataclass(frozen=True)
class Resized(AbstractMeasure):
    r"""The same non-zero eigenvalues in a space of another size: zeros are added or taken away.

    .. math:: G(z) = f\, G_0(z) + \frac{1 - f}{z}, \qquad M = f M_0

    If `base` is the law of :math:`A A^T`, A of shape (n, m), that of :math:`A^T A` has f = n/m.

    Parameters
    ----------
    base : AbstractMeasure
        A law.
    factor : float
        f, above 0; above 1 the base has at least the mass 1 - 1/f at zero.
    """

    base: AbstractMeasure
    factor: float

    def __post_init__(self) -> None:
        f, zero = self.factor, _mass_at_zero(self.base)
        if not 0.0 < f < np.inf or f * (1.0 - zero) > 1.0 + _ATOM:
            raise ValueError(
                f"{f * (1.0 - zero):g} times as many non-zero eigenvalues do not fit into the "
                f"smaller space: the law has the mass {zero:g} at zero, and {1.0 - 1.0 / f:g} is "
                "to be taken away; check which of A A^T and A^T A the law belongs to."
            )

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        f = self.factor
        zero = 1.0 - f * (1.0 - _mass_at_zero(self.base))
        found = [(a, f * m) for a, m in self.base.atoms if a != 0.0]
        return tuple(sorted([*found, *([(0.0, zero)] if zero > _ATOM else [])]))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        others = [s for s in self.base.support if s != (0.0, 0.0)]
        zero = any(a == 0.0 for a, _ in self.atoms)
        return tuple(sorted([*others, *([(0.0, 0.0)] if zero else [])]))

    def stieltjes(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        return np.asarray(self.factor * self.base.stieltjes(z) + (1.0 - self.factor) / z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        rest = (1.0 - self.factor) / z**2
        return np.asarray(self.factor * self.base.stieltjes_derivative(z) - rest)

    def stieltjes_error(self, z: Any) -> Array:
        z = np.asarray(z, dtype=complex)
        rest = 4.0 * EPS * abs((1.0 - self.factor) / z)
        return np.asarray(self.factor * self.base.stieltjes_error(z) + rest)

    def mean_log(self, z: Any) -> Complex:
        def upper(z: Complex) -> Complex:
            # at an atom at 0 only the imaginary part is finite: it is read just above
            z = np.where(z == 0.0, _BESIDE * self.support[-1][1], z)
            rest = (1.0 - self.factor) * upper_log(z)
            return np.asarray(self.factor * self.base.mean_log(z) + rest)

        return by_halves(upper, z)

    def cdf(self, x: Any) -> Array:
        """P(t <= x); the mass at zero is known."""
        x = checks.real_array("x", x)
        if self.base.support[0][0] < 0.0:
            return np.asarray(np.clip(1.0 - self.mean_log(x + 0j).imag / np.pi, 0.0, 1.0))
        positive = x > 0.0
        inner = np.where(positive, x, self.support[-1][1])
        value = np.clip(1.0 - self.mean_log(inner + 0j).imag / np.pi, 0.0, 1.0)
        return np.asarray(np.where(positive, value, np.where(x == 0.0, _mass_at_zero(self), 0.0)))

    def moments(self, n: int) -> Array:
        return self.factor * self.base.moments(n)


def resized(law: AbstractMeasure, factor: float) -> AbstractMeasure:
    """The law with zeros added or taken away, in closed form where it has one."""
    if factor == 1.0:
        return law
    if isinstance(law, FreePoisson) and abs(factor * law.rate - 1.0) < 4.0 * EPS:
        return FreePoisson(1.0 / law.rate, law.jump * law.rate)  # X^T X instead of X X^T
    out = Resized(law, factor)
    if isinstance(law, PointMasses):
        places, masses = zip(*out.atoms, strict=True)
        return PointMasses(places, tuple(np.array(masses) / sum(masses)))
    return out


@moment_resolvent.register
def _(law: Resized, z: Any) -> tuple[Complex, Complex, Complex]:
    _, m, q = moment_resolvent(law.base, z)
    return 1.0 + law.factor * m, law.factor * m, law.factor * q


@dataclass(frozen=True)
class Squared(AbstractMeasure):
    r"""The law of :math:`t^2`, t of the law `base` on [0, inf).

    .. math:: G(y) = \frac{G_0(w) - G_0(-w)}{2 w}, \quad U(y) = U_0(w) + \overline{U_0(-\bar w)}
        + i \pi, \qquad w = \sqrt y

    Parameters
    ----------
    base : AbstractMeasure
        A law on the half line.
    """

    base: AbstractMeasure

    def __post_init__(self) -> None:
        low = min(a for a, _ in self.base.support)
        if low < 0.0:
            raise ValueError(
                f"singular values must be 0 or above, but the law reaches down to {low:g}."
            )

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple((a * a, m) for a, m in self.base.atoms)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple((a * a, b * b) for a, b in self.base.support)

    def stieltjes(self, z: Any) -> Complex:
        def upper(y: Complex) -> Complex:
            w = np.sqrt(y)
            return np.asarray((self.base.stieltjes(w) - self.base.stieltjes(-w)) / (2.0 * w))

        return by_halves(upper, z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        def upper(y: Complex) -> Complex:
            w, base = np.sqrt(y), self.base
            rise = base.stieltjes_derivative(w) + base.stieltjes_derivative(-w)
            fall = (base.stieltjes(w) - base.stieltjes(-w)) / w
            return np.asarray((rise - fall) / (4.0 * y))

        return by_halves(upper, z)

    def mean_log(self, z: Any) -> Complex:
        def upper(y: Complex) -> Complex:
            w = np.sqrt(y)
            mirrored = np.conj(self.base.mean_log(-np.conj(w)))
            return np.asarray(self.base.mean_log(w) + mirrored + 1j * np.pi)

        return by_halves(upper, z)

    def moments(self, n: int) -> Array:
        return self.base.moments(2 * n)[1::2]


def _mass_at_zero(law: AbstractMeasure) -> float:
    return float(sum(m for a, m in law.atoms if a == 0.0))
