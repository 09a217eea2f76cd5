"""H1 of a model Hessian: a Wigner matrix, or the blocks of a hidden layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Complex
from chione.theory.spectra.hessian_branches import log1p, pole_share, times
from chione.theory.spectra.hessian_parts import AbstractPart


@dataclass(frozen=True)
class Wigner(AbstractPart):
    r"""H1 of independent entries.

    .. math:: R(g) = 2 \epsilon g, \qquad V(F) = 2 \epsilon / F
    """

    energy: float

    @property
    def mean(self) -> float:
        """Zero."""
        return 0.0

    @property
    def variance(self) -> float:
        """2 epsilon."""
        return 2.0 * self.energy

    @property
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """A pole at 0."""
        return ((0.0, 0.0, self.variance),)

    @property
    def rate(self) -> float:
        """No end of small jumps."""
        return float("inf")

    def value(self, f: Any) -> Any:
        """2 epsilon / F."""
        return self.variance / f

    def slope(self, f: Any) -> Any:
        """-2 epsilon / F^2."""
        return -self.variance / f**2

    def bend(self, f: Any) -> Any:
        """4 epsilon / F^3."""
        return 2.0 * self.variance / f**3

    def share(self, f: Any) -> tuple[Array, Array]:
        """2 epsilon / |F|^2."""
        return pole_share(f, 0.0, self.variance)

    def potential(self, g: Complex) -> tuple[Complex, Array]:
        """Epsilon g^2."""
        return np.asarray(self.energy * g * g), np.zeros(g.shape)

    def cumulants(self, n: int) -> Array:
        """The second alone."""
        return np.where(np.arange(1, n + 1) == 2, self.variance, 0.0)


@dataclass(frozen=True)
class Blocks(AbstractPart):
    r"""H1 of a network with one hidden layer: the second derivatives by both layers' weights.

    .. math::
        H_1 = \begin{pmatrix} 0 & H_{12} \\ H_{12}^T & 0 \end{pmatrix}, \qquad
        R(g) = \frac{p}{\phi} \cdot \frac{2 a^2 g}{1 - a^2 g^2}, \quad
        a^2 = \tfrac12 \epsilon \phi^2

    Each hidden unit has its own block :math:`E D X^T / m` of residuals of variance 2 epsilon and
    data, over the share p of data at which the unit is active: one datum adds the eigenvalues
    :math:`\pm a`.
    """

    ratio: float
    energy: float
    active: float

    @property
    def mean(self) -> float:
        """Zero."""
        return 0.0

    @property
    def variance(self) -> float:
        """P phi epsilon."""
        return self.active * self.ratio * self.energy

    @property
    def reach(self) -> float:
        """Size a of the jumps."""
        return float(np.sqrt(0.5 * self.energy) * self.ratio)

    @property
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """The poles at -a and a."""
        a, w = self.reach, 0.5 * self.variance
        return ((-a, -a, w), (a, a, w))

    @property
    def rate(self) -> float:
        """P / phi for each sign."""
        return 2.0 * self.active / self.ratio

    def value(self, f: Any) -> Any:
        """P phi eps F / (F^2 - a^2)."""
        a = self.reach
        return self.variance * f / ((f - a) * (f + a))

    def slope(self, f: Any) -> Any:
        """Derivative of `value`."""
        a, w = self.reach, 0.5 * self.variance
        return -w / (f - a) ** 2 - w / (f + a) ** 2

    def bend(self, f: Any) -> Any:
        """Second derivative of `value`."""
        a, w = self.reach, 0.5 * self.variance
        return 2.0 * w / (f - a) ** 3 + 2.0 * w / (f + a) ** 3

    def share(self, f: Any) -> tuple[Array, Array]:
        """Of both poles."""
        a, w = self.reach, 0.5 * self.variance
        (s, ds), (t, dt) = pole_share(f, a, w), pole_share(f, -a, w)
        return s + t, ds + dt

    def potential(self, g: Complex) -> tuple[Complex, Array]:
        """-(p / phi) (log(1 - a g) + log(1 + a g)), of the square where that is small."""
        t = times(self.reach, g)
        square = np.where(abs(t) < 0.5, t * t, 0.0)
        far = log1p(-t) + log1p(t)
        value = -self.active / self.ratio * np.where(abs(t) < 0.5, log1p(-square), far)
        return np.asarray(value), np.zeros(g.shape)

    def cumulants(self, n: int) -> Array:
        """2 (p / phi) a^k for even k."""
        k = np.arange(1, n + 1)
        with np.errstate(over="ignore"):
            return np.where(k % 2 == 0, self.rate * self.reach ** k.astype(float), 0.0)
