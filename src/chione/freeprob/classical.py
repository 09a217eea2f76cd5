"""Measures with closed-form transforms: semicircle, free Poisson, arcsine."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array, checks
from chione.freeprob.measures import AbstractMeasure, Complex, by_halves, upper_log
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
        r = 2.0 * np.sqrt(self.variance_)
        return ((self.center - r, self.center + r),)

    def stieltjes(self, z: Any) -> Complex:
        y, root = self._root(z)
        return np.asarray(2.0 / (y + root))

    def stieltjes_derivative(self, z: Any) -> Complex:
        y, root = self._root(z)
        with np.errstate(all="ignore"):
            return np.asarray(-2.0 / ((y + root) * root))

    def mean_log(self, z: Any) -> Complex:
        # z G - int z dG with z = mu + v G + 1/G
        def upper(z: Complex) -> Complex:
            y, root = self._root(z)
            w = 0.5 * (y + root)  # 1 / G
            return np.asarray(upper_log(w) + 0.5 * self.variance_ / w**2)

        return by_halves(upper, z)

    def inverse_stieltjes(self, g: Any) -> Complex:
        g = np.asarray(g, dtype=complex)
        return np.asarray(self.center + self.variance_ * g + 1.0 / g)

    def r_transform(self, g: Any) -> Complex:
        return np.asarray(self.center + self.variance_ * np.asarray(g, dtype=complex))

    def moments(self, n: int) -> Array:
        kappa = np.zeros(n)
        kappa[:2] = (self.center, self.variance_)[:n]
        return moments_from_free_cumulants(kappa)

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
        g, root = self._transform(z)
        with np.errstate(all="ignore"):
            return np.asarray(g * (self.jump * g - 1.0) / root)

    def mean_log(self, z: Any) -> Complex:
        # g R(g) - int_0^g R + log(1/g) with R = c a / (1 - a g)
        def upper(z: Complex) -> Complex:
            with np.errstate(all="ignore"):
                g, _ = self._transform(z)
                w = 1.0 - self.jump * g
                value = self.rate * (self.jump * g / w + upper_log(w)) - np.conj(
                    upper_log(g.conj())
                )
            at = ~np.isfinite(value)
            if self.rate > 1.0 or not at.any():
                return np.asarray(value)
            # at the atom, and at the hard edge of rate 1, where g is infinite
            log = np.log(self.jump) - 1.0 if self.rate == 1.0 else -np.inf
            angle = np.where(z.real < 0.0, 1.0, self.rate)
            value[at] = log + 1j * np.pi * angle[at]
            return np.asarray(value)

        return by_halves(upper, z)

    def inverse_stieltjes(self, g: Any) -> Complex:
        g = np.asarray(g, dtype=complex)
        return np.asarray(self.r_transform(g) + 1.0 / g)

    def r_transform(self, g: Any) -> Complex:
        g = np.asarray(g, dtype=complex)
        return np.asarray(self.rate * self.jump / (1.0 - self.jump * g))

    def inverse_moment_function(self, x: Any) -> Complex:
        x = np.asarray(x, dtype=complex)
        return np.asarray((1.0 + x) * self.jump * (self.rate + x) / x)

    def s_transform(self, x: Any) -> Complex:
        return np.asarray(1.0 / (self.jump * (self.rate + np.asarray(x, dtype=complex))))

    def moments(self, n: int) -> Array:
        return moments_from_free_cumulants(self.rate * self.jump ** np.arange(1.0, n + 1))

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


def marchenko_pastur(ratio: float = 1.0, *, variance: float = 1.0) -> FreePoisson:
    r"""Limit law of the eigenvalues of :math:`X X^T / n`, X of shape (p, n), `ratio` = p/n.

    .. math:: c = 1 / \mathrm{ratio}, \qquad a = \mathrm{variance} \cdot \mathrm{ratio}
    """
    ratio = checks.positive("ratio", ratio)
    return FreePoisson(1.0 / ratio, checks.positive("variance", variance) * ratio)


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
            return np.asarray(-np.asarray(z, dtype=complex) / self._root(z) ** 3)

    def mean_log(self, z: Any) -> Complex:
        return by_halves(lambda z: upper_log(0.5 * (z + self._root(z))), z)

    def inverse_stieltjes(self, g: Any) -> Complex:
        g = np.asarray(g, dtype=complex)
        return np.asarray(np.sqrt(1.0 + (self.radius * g) ** 2) / g)

    def moments(self, n: int) -> Array:
        m = np.zeros(n)
        even = 1.0
        for k in range(2, n + 1, 2):
            even *= (k - 1) / k * self.radius**2
            m[k - 1] = even
        return m

    def _root(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        return np.asarray(np.sqrt(z - self.radius + 0j) * np.sqrt(z + self.radius + 0j))
