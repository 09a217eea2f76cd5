"""Probability measures on the line, and the transforms that free probability reads from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, ConvergenceError, checks
from chione.freeprob import series

Complex = NDArray[np.complex128]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]

_NEWTON_STEPS = 60  # quadratic convergence needs about six; the rest is for damping
_HOMOTOPY = 24  # stages by which the argument of an inverse transform is brought from zero


class AbstractMeasure(ABC):
    r"""A probability measure of compact support, known by its Stieltjes transform.

    .. math::
        G(z) = \int \frac{d\mu(t)}{z - t}, \qquad M(z) = z G(z) - 1 = \sum_{k \ge 1} m_k z^{-k},

    .. math::
        R(g) = G^{-1}(g) - \frac1g, \qquad S(x) = \frac{1 + x}{x\, M^{-1}(x)}

    R adds under free additive convolution, S multiplies under free multiplicative convolution.

    References
    ----------
    .. [1] J. A. Mingo, R. Speicher, Free Probability and Random Matrices, Springer 2017.
    """

    @property
    @abstractmethod
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses as pairs (place, mass), sorted by place."""

    @property
    @abstractmethod
    def support(self) -> tuple[tuple[float, float], ...]:
        """Sorted disjoint intervals that carry the measure; an isolated atom is (a, a)."""

    @abstractmethod
    def stieltjes(self, z: Any) -> Complex:
        """G at complex arguments; on the real axis the limit from above."""

    @abstractmethod
    def stieltjes_derivative(self, z: Any) -> Complex:
        """dG/dz at complex arguments."""

    @abstractmethod
    def moments(self, n: int) -> Array:
        """The moments m_1 .. m_n, shape (n,)."""

    def density(self, x: Any) -> Array:
        r"""Density of the continuous part, :math:`-\mathrm{Im}\, G(x + i0) / \pi`."""
        x = checks.real_array("x", x)
        return np.asarray(np.maximum(-self.stieltjes(x.astype(complex)).imag / np.pi, 0.0))

    @property
    def mean(self) -> float:
        """First moment."""
        return float(self.moments(1)[0])

    @property
    def variance(self) -> float:
        """Second central moment."""
        m = self.moments(2)
        return float(m[1] - m[0] ** 2)

    def moment_function(self, z: Any) -> Complex:
        """M(z) = z G(z) - 1."""
        z = np.asarray(z, dtype=complex)
        return np.asarray(z * self.stieltjes(z) - 1.0)

    def moment_function_derivative(self, z: Any) -> Complex:
        """dM/dz."""
        z = np.asarray(z, dtype=complex)
        return np.asarray(self.stieltjes(z) + z * self.stieltjes_derivative(z))

    def inverse_stieltjes(self, g: Any) -> Complex:
        """The z outside the support with G(z) = g, on the branch with z ~ 1/g at small g.

        Raises
        ------
        ConvergenceError
            Where g is outside the range of G on that branch.
        """
        g = np.asarray(g, dtype=complex)
        return _follow(lambda z: (self.stieltjes(z), self.stieltjes_derivative(z)), g, 1.0, "G")

    def inverse_moment_function(self, x: Any) -> Complex:
        """The z with M(z) = x, on the branch with z ~ m_1/x at small x.

        Raises
        ------
        ConvergenceError
            Where x is outside the range of M on that branch.
        """
        x = np.asarray(x, dtype=complex)
        return _follow(
            lambda z: (self.moment_function(z), self.moment_function_derivative(z)),
            x,
            self.mean,
            "M",
        )

    def r_transform(self, g: Any) -> Complex:
        """R(g) = G^{-1}(g) - 1/g."""
        g = np.asarray(g, dtype=complex)
        return np.asarray(self.inverse_stieltjes(g) - 1.0 / g)

    def s_transform(self, x: Any) -> Complex:
        """S(x) = (1 + x) / (x M^{-1}(x)); needs a mean that is not zero."""
        x = np.asarray(x, dtype=complex)
        return np.asarray((1.0 + x) / (x * self.inverse_moment_function(x)))

    def free_cumulants(self, n: int) -> Array:
        """Coefficients kappa_1 .. kappa_n of R(g) = sum kappa_k g^(k-1), shape (n,)."""
        return series.free_cumulants(self.moments(n))

    def s_coefficients(self, n: int) -> Array:
        """Coefficients of 1, x, .. x^(n-1) of the S-transform, shape (n,)."""
        return series.s_coefficients(self.moments(n))


def _follow(f: Any, target: Complex, residue: float, name: str) -> Complex:
    """Newton for f(z) = target, brought in stages from small targets, where z ~ residue/target."""
    shape = target.shape
    t = np.atleast_1d(target).ravel()
    if np.any(t == 0.0):
        raise ValueError(f"the inverse of {name} at 0 is infinite; hand in values other than 0.")
    if residue == 0.0:
        raise ValueError("the S-transform needs a mean other than 0, but the mean is 0.")
    stages = 2.0 ** np.arange(-_HOMOTOPY, 1.0)
    fine = np.concatenate([stages, 1.0 - 2.0 ** -np.arange(2.0, 12.0), [1.0]])
    z = residue / (t * stages[0])
    for s in np.unique(fine):
        z = _newton(f, z, s * t)
    bad = ~np.isfinite(z) | (abs(f(z)[0] - t) > 1e-9 * (abs(t) + 1e-300))
    if bad.any():
        raise ConvergenceError(
            f"the inverse of {name} does not exist at {t[bad][0]:.6g} on the outer branch; "
            "choose a value nearer to zero."
        )
    return np.asarray(z.reshape(shape))


def _newton(f: Any, z: Complex, target: Complex) -> Complex:
    """Plain Newton with the step held below half of |z|, so that it cannot jump over a branch."""
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            value, slope = f(z)
            step = (value - target) / slope
            size = abs(step) / (0.5 * abs(z) + 1e-300)
            step = np.where(size > 1.0, step / np.maximum(size, 1e-300), step)
            z = z - step
            if not np.any(abs(step) > 1e-15 * abs(z)):
                break
    return z
