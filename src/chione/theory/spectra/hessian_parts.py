r"""The summands of a model Hessian, as Voiculescu transforms of the reciprocal F = 1/G.

Every summand is a sum of many small free matrices, so that its law is freely infinitely divisible:

.. math:: V(F) = R(1/F) = m + \int \frac{d\rho(t)}{F - t}, \qquad z = F + \sum_i V_i(F),

with a measure rho on the line. Hence [1] one F in the upper half plane belongs to each z there; on
the real axis F is the one root above the axis where the law has a density, and outside the one
real root at which z rises with F. Whoever finds a root has found the right one.

References
----------
.. [1] H. Bercovici, D. Voiculescu, Free convolution of measures with unbounded support, Indiana
   Univ. Math. J. 42, 1993.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.freeprob.measures import Complex

_SERIES = 0.25  # below this size logarithms less their first terms are summed as series
_TERMS = np.arange(2.0, 30.0)  # 0.25^28 is below the rounding


class AbstractPart(ABC):
    """One summand: its V, what follows from it, and where its rho lies."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """First cumulant m."""

    @property
    @abstractmethod
    def variance(self) -> float:
        """Second cumulant, the mass of rho."""

    @property
    @abstractmethod
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """Intervals of rho (low, high, mass) from below; poles have low = high."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """Number of jumps a dimension, inf for the semicircle; below 1 in all, zero has an atom."""

    @abstractmethod
    def value(self, f: Any) -> Any:
        """V(F)."""

    @abstractmethod
    def slope(self, f: Any) -> Any:
        """V'(F)."""

    @abstractmethod
    def bend(self, f: Any) -> Any:
        """V''(F)."""

    @abstractmethod
    def share(self, f: Any) -> tuple[Array, Array]:
        r"""S = \int d\rho / |F - t|^2 = -Im V / Im F, and its derivative by (Im F)^2."""

    @abstractmethod
    def potential(self, g: Complex) -> Complex:
        r"""\int_0^g (R - m), on the branch of the lower half plane; Im g = -0.0 is its border."""

    @abstractmethod
    def cumulants(self, n: int) -> Array:
        """Free cumulants 1 .. n."""


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
        return _pole_share(f, self.ratio, self.ratio)

    def potential(self, g: Complex) -> Complex:
        """-(log(1 - phi g) + phi g) / phi."""
        return np.asarray(-_log_less_linear(_times(-self.ratio, g)) / self.ratio)

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

    def potential(self, g: Complex) -> Complex:
        """(2 log(1 + y) - y) / phi - g, as a series in y where it is small."""
        y = self._y(1.0 / g)
        n = _TERMS
        small = np.where(abs(y) < _SERIES, y, 0.0)
        series = _horner(small, np.where(n % 2 == 1.0, 1.0, -1.0) * (2.0 / n - n))
        # 1 + y as a root, which keeps its digits where y is close to -1
        large = np.log(y / (self.ratio * g)) - y - self.ratio * g
        return np.asarray(np.where(abs(y) < _SERIES, series, large) / self.ratio)

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
        return _pole_share(f, 0.0, self.variance)

    def potential(self, g: Complex) -> Complex:
        """Epsilon g^2."""
        return np.asarray(self.energy * g * g)

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
        (s, ds), (t, dt) = _pole_share(f, a, w), _pole_share(f, -a, w)
        return s + t, ds + dt

    def potential(self, g: Complex) -> Complex:
        """-(p / phi) (log(1 - a g) + log(1 + a g)), of the square where that is small."""
        t = _times(self.reach, g)
        square = np.where(abs(t) < 0.5, t * t, 0.0)
        far = _log1p(-t) + _log1p(t)
        return np.asarray(-self.active / self.ratio * np.where(abs(t) < 0.5, _log1p(-square), far))

    def cumulants(self, n: int) -> Array:
        """2 (p / phi) a^k for even k."""
        k = np.arange(1, n + 1)
        with np.errstate(over="ignore"):
            return np.where(k % 2 == 0, self.rate * self.reach ** k.astype(float), 0.0)


def _pole_share(f: Any, place: float, weight: float) -> tuple[Array, Array]:
    size = (np.real(f) - place) ** 2 + np.imag(f) ** 2
    with np.errstate(divide="ignore", over="ignore"):
        return weight / size, -weight / size**2


def _times(c: float, g: Complex) -> NDArray[np.complex128]:
    """C g without the imaginary part of c, whose zero would turn the sign of another."""
    return _complex(c * g.real, c * g.imag)


def _log1p(t: Any) -> Complex:
    """log(1 + t) with arg in [-pi, pi], the sign of a zero imaginary part kept."""
    re, im = 1.0 + np.real(t), np.imag(t)
    with np.errstate(divide="ignore"):
        return np.asarray(_complex(np.log(np.hypot(re, im)), np.arctan2(im, re)))


def _log_less_linear(t: Complex) -> Complex:
    """log(1 + t) - t."""
    small = np.where(abs(t) < _SERIES, t, 0.0)
    n = _TERMS
    series = _horner(small, np.where(n % 2 == 1.0, 1.0, -1.0) / n)
    return np.asarray(np.where(abs(t) < _SERIES, series, _log1p(t) - t))


def _horner(t: Complex, c: Any) -> Complex:
    """Sum of c_n t^n from n = 2."""
    out = np.zeros_like(t)
    for x in c[::-1]:
        out = out * t + x
    return np.asarray(out * t * t)


def _complex(re: Any, im: Any) -> NDArray[np.complex128]:
    """Re + i im without the sum, which would lose the sign of a zero."""
    out = np.empty(np.broadcast(re, im).shape, dtype=complex)
    out.real, out.imag = re, im
    return out
