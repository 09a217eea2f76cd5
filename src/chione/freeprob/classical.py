"""Measures with closed-form transforms: semicircle, free Poisson, arcsine."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.measures import (
    AbstractMeasure,
    Complex,
    by_halves,
    rounding,
    rounding_of_cdf,
    upper_log,
)
from chione.freeprob.series import moments_from_free_cumulants


@dataclass(frozen=True)
class Semicircle(AbstractMeasure):
    r"""Wigner's semicircle.

    .. math:: G(z) = \frac{2}{z - \mu + \sqrt{(z-\mu)^2 - 4 v}}, \qquad R(g) = \mu + v g

    Parameters
    ----------
    variance_ : float
        Variance v, above 0.
    center : float
        Mean mu.
    """

    variance_: float = 1.0
    center: float = 0.0

    def __post_init__(self) -> None:
        checks.positive("variance", self.variance_)
        checks.finite("center", self.center)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ()

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        r = 2.0 * float(np.sqrt(self.variance_))
        return ((self.center - r, self.center + r),)

    def stieltjes(self, z: Any) -> Complex:
        y, root = self._root(z)
        return np.asarray(2.0 / (y + root))

    def stieltjes_derivative(self, z: Any) -> Complex:
        y, root = self._root(z)
        with np.errstate(all="ignore"):
            return np.asarray(-2.0 / ((y + root) * root))

    def stieltjes_error(self, z: Any) -> Array:
        f = self.stieltjes_with_derivative
        return rounding(f, np.asarray(z, dtype=complex), self._size(z))

    def moment_function(self, z: Any) -> Complex:
        g = self.stieltjes(z)  # y G - 1 = v G^2
        return np.asarray(g * (self.center + self.variance_ * g))

    def moment_function_derivative(self, z: Any) -> Complex:
        g, slope = self.stieltjes_with_derivative(z)
        with np.errstate(all="ignore"):
            return np.asarray(slope * (self.center + 2.0 * self.variance_ * g))

    def moment_function_error(self, z: Any) -> Array:
        def f(z: Complex) -> tuple[Complex, Complex]:
            g = self.stieltjes(z)  # with the sum of the sizes of the terms in place of M
            terms = abs(g) * (abs(self.center) + self.variance_ * abs(g))
            return terms + 0j, self.moment_function_derivative(z)

        return rounding(f, np.asarray(z, dtype=complex), self._size(z))

    def cdf_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return rounding_of_cdf(self, x, 4.0 * EPS * self._size(x))

    def mean_log(self, z: Any) -> Complex:
        # z G - int z dG with z = mu + v G + 1/G
        def upper(z: Complex) -> Complex:
            y, root = self._root(z)
            w = 0.5 * (y + root)  # 1 / G
            return np.asarray(upper_log(w) + 0.5 * self.variance_ / w**2)

        return by_halves(upper, z)

    def moments(self, n: int) -> Array:
        kappa = np.zeros(n)
        kappa[:2] = (self.center, self.variance_)[:n]
        return moments_from_free_cumulants(kappa)

    def _size(self, z: Any) -> Array:
        """Numbers that are rounded when z is compared with the ends of the support."""
        return np.asarray(abs(np.asarray(z) - self.center) + 2.0 * np.sqrt(self.variance_))

    def _root(self, z: Any) -> tuple[Complex, Complex]:
        y = np.asarray(z, dtype=complex) - self.center
        r = 2.0 * np.sqrt(self.variance_)
        return np.asarray(y), np.asarray(np.sqrt(y - r + 0j) * np.sqrt(y + r + 0j))


@dataclass(frozen=True)
class FreePoisson(AbstractMeasure):
    r"""Free Poisson law: the limit of a sum of many small free projections.

    .. math:: R(g) = \frac{c\, a}{1 - a g}, \qquad S(x) = \frac{1}{a (c + x)}

    Parameters
    ----------
    rate : float
        Rate c, above 0; below 1 there is an atom 1 - c at zero.
    jump : float
        Size a of the jumps, above 0.
    """

    rate: float = 1.0
    jump: float = 1.0

    def __post_init__(self) -> None:
        checks.positive("rate", self.rate)
        checks.positive("jump", self.jump)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0 - self.rate),) if self.rate < 1.0 else ()

    @property
    def edges(self) -> tuple[float, float]:
        """Ends of the continuous part, a (1 -+ sqrt c)^2."""
        root = 1.0 + np.sqrt(self.rate)
        return float(self.jump * ((1.0 - self.rate) / root) ** 2), float(self.jump * root**2)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 0.0), self.edges) if self.rate < 1.0 else (self.edges,)

    def stieltjes(self, z: Any) -> Complex:
        return self._transform(z)[0]

    def stieltjes_derivative(self, z: Any) -> Complex:
        # Differentiate a z g^2 - (z + a - c a) g + 1 = 0.
        return self.stieltjes_with_derivative(z)[1]

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        g, root = self._transform(z)
        with np.errstate(all="ignore"):
            return g, np.asarray(g * (self.jump * g - 1.0) / root)

    def stieltjes_error(self, z: Any) -> Array:
        # the rate is rounded, too: dG/dc = a G / root, by so much more than slope moves the ends
        z = np.asarray(z, dtype=complex)
        lo, hi = self.edges
        nearer = np.where(abs(z - lo) < abs(z - hi), np.sqrt(lo), np.sqrt(hi))
        ends = 0.25 * np.sqrt(self.jump * self.rate) * nearer
        return rounding(self.stieltjes_with_derivative, z, abs(z) + ends)

    def moment_function(self, z: Any) -> Complex:
        with np.errstate(all="ignore"):  # G R(G)
            ag = self.jump * self.stieltjes(z)
            return np.asarray(self.rate * ag / (1.0 - ag))

    def moment_function_derivative(self, z: Any) -> Complex:
        g, slope = self.stieltjes_with_derivative(z)
        with np.errstate(all="ignore"):
            return np.asarray(self.rate * self.jump * slope / (1.0 - self.jump * g) ** 2)

    def moment_function_error(self, z: Any) -> Array:
        with np.errstate(all="ignore"):
            w = 1.0 - self.jump * self.stieltjes(z)
            error = self.rate * self.jump * self.stieltjes_error(z) / abs(w) ** 2
            return np.asarray(error + 8.0 * EPS * abs(self.moment_function(z)))

    def cdf_error(self, x: Any) -> Array:
        # dU/dc = log(1 - a G), of imaginary part at most pi
        x = checks.real_array("x", x)
        return rounding_of_cdf(self, x, 4.0 * EPS * abs(x)) + 4.0 * EPS * self.rate

    def mean_log(self, z: Any) -> Complex:
        # g R(g) - int_0^g R + log(1/g) with R = c a / (1 - a g)
        def upper(z: Complex) -> Complex:
            with np.errstate(all="ignore"):
                g, _ = self._transform(z)
                w = 1.0 - self.jump * g
                value = self.rate * (self.jump * g / w + upper_log(w)) - upper_log(g.conj()).conj()
            value = np.array(value)
            at = ~np.isfinite(value)
            if self.rate > 1.0 or not at.any():
                return value
            # at the atom, and at the hard edge of rate 1, where g is infinite
            log = np.log(self.jump) - 1.0 if self.rate == 1.0 else -np.inf
            angle = np.where(z.real < 0.0, 1.0, self.rate)
            value[at] = log + 1j * np.pi * angle[at]
            return value

        return by_halves(upper, z)

    def moments(self, n: int) -> Array:
        with np.errstate(over="ignore"):
            kappa = self.rate * self.jump ** np.arange(1.0, n + 1)
        return moments_from_free_cumulants(kappa)

    def _transform(self, z: Any) -> tuple[Complex, Complex]:
        """G, and the root it is made of: 2 / (half + root) = (half - root) / (2 a z)."""
        z = np.asarray(z, dtype=complex) + 0j
        lo, hi = self.edges
        half = z + self.jump * (1.0 - self.rate)
        root = np.sqrt(z - lo) * np.sqrt(z - hi)
        with np.errstate(all="ignore"):
            plus, minus = half + root, half - root
            g = np.where(
                abs(plus) >= abs(minus), 2.0 / plus, minus / (2.0 * self.jump * z)
            )  # of the two the one in which nothing cancels
        return np.asarray(g), np.asarray(root)


@dataclass(frozen=True)
class Arcsine(AbstractMeasure):
    r"""Law of :math:`(O + O^T) r / 2` for a Haar orthogonal O, and of two free signs added.

    .. math:: G(z) = \frac{1}{\sqrt{z^2 - r^2}}, \qquad R(g) = \frac{\sqrt{1 + r^2 g^2} - 1}{g}

    Parameters
    ----------
    radius : float
        Half length r of the support, above 0.
    """

    radius: float = 2.0

    def __post_init__(self) -> None:
        checks.positive("radius", self.radius)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ()

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return ((-self.radius, self.radius),)

    def stieltjes(self, z: Any) -> Complex:
        with np.errstate(all="ignore"):
            return np.asarray(1.0 / self._root(z))

    def stieltjes_derivative(self, z: Any) -> Complex:
        with np.errstate(all="ignore"):
            root = self._root(z)
            return np.asarray(-(np.asarray(z, dtype=complex) / root) / root**2)

    def moment_function(self, z: Any) -> Complex:
        root = self._root(z)
        with np.errstate(all="ignore"):
            return np.asarray(self.radius**2 / ((np.asarray(z) + root) * root))

    def moment_function_derivative(self, z: Any) -> Complex:
        with np.errstate(all="ignore"):
            return np.asarray(-(self.radius**2) / self._root(z) ** 3)

    def moment_function_error(self, z: Any) -> Array:
        def f(z: Complex) -> tuple[Complex, Complex]:
            return self.moment_function(z), self.moment_function_derivative(z)

        z = np.asarray(z, dtype=complex)
        return rounding(f, z, abs(z))

    def mean_log(self, z: Any) -> Complex:
        return by_halves(lambda z: upper_log(0.5 * (z + self._root(z))), z)

    def moments(self, n: int) -> Array:
        m = np.zeros(n)
        even = 1.0
        for k in range(2, n + 1, 2):
            even *= (k - 1) / k * self.radius * self.radius
            m[k - 1] = even
        return m

    def _root(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        return np.asarray(np.sqrt(z - self.radius + 0j) * np.sqrt(z + self.radius + 0j))
