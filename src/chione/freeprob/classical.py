"""Measures with closed-form transforms: point masses, semicircle, free Poisson, arcsine."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array, checks
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.series import moments_from_free_cumulants

_MASS_SLACK = 1e-12  # how far the masses of a discrete law may add up from 1


@dataclass(frozen=True)
class PointMasses(AbstractMeasure):
    r"""Finitely many atoms.

    .. math:: G(z) = \sum_k \frac{m_k}{z - a_k}

    Parameters
    ----------
    places : tuple of float
        The atoms :math:`a_k`, distinct.
    masses : tuple of float
        Their masses :math:`m_k > 0`, of sum 1.
    """

    places: tuple[float, ...]
    masses: tuple[float, ...]

    def __post_init__(self) -> None:
        a = checks.real_array("places", self.places)
        m = checks.real_array("masses", self.masses)
        if a.ndim != 1 or a.shape != m.shape or a.size == 0:
            raise ValueError(
                f"places and masses must be two lists of one length, but their shapes are "
                f"{a.shape} and {m.shape}."
            )
        if np.unique(a).size != a.size or np.any(m <= 0.0) or abs(m.sum() - 1.0) > _MASS_SLACK:
            raise ValueError(
                "places must be distinct and masses above 0 with sum 1, but the masses add up to "
                f"{m.sum()!r}; merge equal places and divide the masses by their sum."
            )
        order = np.argsort(a)
        object.__setattr__(self, "places", tuple(float(x) for x in a[order]))
        object.__setattr__(self, "masses", tuple(float(x) for x in m[order]))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.places, self.masses, strict=True))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple((a, a) for a in self.places)

    def stieltjes(self, z: Any) -> Complex:
        d = np.asarray(z, dtype=complex)[..., None] - np.array(self.places)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.sum(np.array(self.masses) / d, axis=-1))

    def stieltjes_derivative(self, z: Any) -> Complex:
        d = np.asarray(z, dtype=complex)[..., None] - np.array(self.places)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-np.sum(np.array(self.masses) / d**2, axis=-1))

    def moments(self, n: int) -> Array:
        k = np.arange(1, n + 1)[:, None]
        return np.asarray(np.array(self.places) ** k @ np.array(self.masses))


def point_mass(place: float = 1.0) -> PointMasses:
    """The law of a constant; the unit of both free convolutions at 0 and 1."""
    return PointMasses((place,), (1.0,))


def haar_orthogonal(sigma_w: float = 1.0) -> PointMasses:
    r"""Law of the eigenvalues of :math:`W^T W`, W orthogonal times `sigma_w`: one atom.

    .. math:: S(x) = \sigma_w^{-2}
    """
    return point_mass(checks.positive("sigma_w", sigma_w) ** 2)


def bernoulli(p: float, *, low: float = 0.0, high: float = 1.0) -> PointMasses:
    """Two values: `high` with probability `p`, `low` with probability 1 - p."""
    p = checks.finite("p", p)
    if not 0.0 < p < 1.0:
        raise ValueError(f"p must lie strictly between 0 and 1, but it is {p!r}.")
    return PointMasses((low, high), (1.0 - p, p))


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
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-2.0 / ((y + root) * root))

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
        root = np.sqrt(self.rate)
        return float(self.jump * (1.0 - root) ** 2), float(self.jump * (1.0 + root) ** 2)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, 0.0), self.edges) if self.rate < 1.0 else (self.edges,)

    def stieltjes(self, z: Any) -> Complex:
        z, half, root = self._root(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(2.0 / (half + root))

    def stieltjes_derivative(self, z: Any) -> Complex:
        # Differentiate a z g^2 - (z + a - c a) g + 1 = 0.
        z, half, root = self._root(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            g = 2.0 / (half + root)
            return np.asarray(g * (self.jump * g - 1.0) / root)

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

    def _root(self, z: Any) -> tuple[Complex, Complex, Complex]:
        z = np.asarray(z, dtype=complex)
        lo, hi = self.edges
        half = z + self.jump * (1.0 - self.rate)
        return z, half, np.sqrt(z - lo + 0j) * np.sqrt(z - hi + 0j)


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
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(1.0 / self._root(z))

    def stieltjes_derivative(self, z: Any) -> Complex:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-np.asarray(z, dtype=complex) / self._root(z) ** 3)

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
