"""H0 of a model Hessian: a Wishart matrix, or the square of a product of two matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Complex
from chione.theory.spectra.hessian_branches import SERIES, TERMS, horner, log1p, pole_share, times
from chione.theory.spectra.hessian_parts import AbstractPart


@dataclass(frozen=True)
class Wishart(AbstractPart):
    r"""H0 = X X^T / m with n / m = phi: jumps of size phi at the rate 1 / phi.

    .. math:: R(g) = \frac{1}{1 - \phi g}, \qquad V(F) = \frac{F}{F - \phi}
    """

    ratio: float

    @property
    def mean(self) -> float:
        """One."""
        return 1.0

    @property
    def variance(self) -> float:
        """The ratio."""
        return self.ratio

    @property
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """The pole at phi."""
        return ((self.ratio, self.ratio, self.ratio),)

    @property
    def rate(self) -> float:
        """1 / phi."""
        return 1.0 / self.ratio

    def value(self, f: Any) -> Any:
        """F / (F - phi): as a quotient, so that a small F keeps its digits."""
        return f / (f - self.ratio)

    def slope(self, f: Any) -> Any:
        """-phi / (F - phi)^2."""
        return -self.ratio / (f - self.ratio) ** 2

    def bend(self, f: Any) -> Any:
        """2 phi / (F - phi)^3."""
        return 2.0 * self.ratio / (f - self.ratio) ** 3

    def share(self, f: Any) -> tuple[Array, Array]:
        """Phi / |F - phi|^2."""
        return pole_share(f, self.ratio, self.ratio)

    def potential(self, g: Complex) -> tuple[Complex, Array]:
        """-log(1 - phi g) / phi - c g."""
        t = times(-self.ratio, g)
        near = abs(t) < SERIES
        small = np.where(near, t, 0.0)
        series = horner(small, np.where(TERMS % 2 == 1.0, 1.0, -1.0) / TERMS)
        value = -np.where(near, series, log1p(t)) / self.ratio
        return np.asarray(value), np.where(near, 1.0, 0.0)

    def cumulants(self, n: int) -> Array:
        """phi^(k-1)."""
        return np.asarray(self.ratio ** np.arange(0.0, n))


@dataclass(frozen=True)
class ProductWishart(AbstractPart):
    r"""H0 = A B B^T A^T / m^2, A of n x m and B of m x m Gaussian entries, n / m = phi.

    .. math::
        S(x) = (1 + \phi x)^{-2}, \qquad
        V(F) = (1 + y)^2, \quad F y = \phi (1 + y)^2, \quad |y| < 1

    with :math:`y = \phi x` and x = z G - 1 of H0 alone. Jumps phi t, t of Marchenko and Pastur's
    law of square matrices, at the rate 1 / phi.
    """

    ratio: float

    @property
    def mean(self) -> float:
        """One."""
        return 1.0

    @property
    def variance(self) -> float:
        """Twice the ratio."""
        return 2.0 * self.ratio

    @property
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """Jumps from 0 to 4 phi."""
        return ((0.0, 4.0 * self.ratio, 2.0 * self.ratio),)

    @property
    def rate(self) -> float:
        """1 / phi."""
        return 1.0 / self.ratio

    def value(self, f: Any) -> Any:
        """(1 + y)^2 = F y / phi."""
        return f * self._y(f) / self.ratio

    def slope(self, f: Any) -> Any:
        """2 (1 + y) y', with dF/dy = phi (y^2 - 1) / y^2."""
        y = self._y(f)
        return -2.0 * y * y / (self.ratio * (1.0 - y))

    def bend(self, f: Any) -> Any:
        """Derivative of the slope by y, times y'."""
        y = self._y(f)
        by_y = -2.0 * y * (2.0 - y) / (self.ratio * (1.0 - y) ** 2)
        return by_y * y * y / (self.ratio * (y * y - 1.0))

    def share(self, f: Any) -> tuple[Array, Array]:
        r"""Im V = 2 Re(1 + y) Im y, and the derivative from V', or from V'' close to the axis."""
        f = np.asarray(f, dtype=complex)
        v = np.maximum(f.imag, 1e-290)
        y = self._y(f)
        root = np.sqrt(f * y / self.ratio)  # 1 + y, with its digits where y is close to -1
        im = np.where(abs(y) < 0.5, (1.0 + y.real) * y.imag, root.real * root.imag)
        with np.errstate(all="ignore"):
            s = -2.0 * im / v
            by_square = -(np.real(self.slope(f)) + s) / (2.0 * v * v)  # loses (v / distance)^2
            near = np.imag(self.bend(f)) / (6.0 * v)  # right to that order
        outside = np.maximum(-f.real, f.real - 4.0 * self.ratio)
        return np.asarray(s), np.where(v < 0.01 * outside, near, by_square)

    def potential(self, g: Complex) -> tuple[Complex, Array]:
        """(2 log(1 + y) - y) / phi - c g, as a series in y where it is small."""
        y = self._y(1.0 / g)
        n = TERMS
        small = np.where(abs(y) < SERIES, y, 0.0)
        series = horner(small, np.where(n % 2 == 1.0, 1.0, -1.0) * (2.0 / n - n))
        # (1 + y)^2, which keeps its digits where y is close to -1
        large = np.log(y / (self.ratio * g)) - y
        near = abs(y) < SERIES
        return np.asarray(np.where(near, series, large) / self.ratio), np.where(near, 1.0, 0.0)

    def cumulants(self, n: int) -> Array:
        """Catalan number C_k times phi^(k-1): y is their sum over (phi g)^k."""
        out = [1.0]
        for k in range(1, n):
            out.append(out[-1] * self.ratio * 2.0 * (2.0 * k + 1.0) / (k + 2.0))
        return np.array(out[:n])

    def _y(self, f: Any) -> Any:
        f = np.asarray(f, dtype=complex)
        p = self.ratio
        root = np.sqrt(f) * np.sqrt(f - 4.0 * p)  # grows like F in all directions
        return 2.0 * p / (f - 2.0 * p + root)
