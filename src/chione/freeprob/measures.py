"""Probability measures on the line, and the transforms that free probability reads from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, ConvergenceError, Status, checks
from chione.freeprob import series

Complex = NDArray[np.complex128]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]


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

    __array_ufunc__: ClassVar[None] = None  # array + law is ours to answer

    @property
    def is_determined(self) -> bool:
        """Whether the law is known, and not only some of its moments."""
        return True

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

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        """G and dG/dz together: what a step of Newton's method needs, at the price of one pass."""
        return self.stieltjes(z), self.stieltjes_derivative(z)

    def stieltjes_error(self, z: Any) -> Array:
        r"""Bound on the absolute error of :meth:`stieltjes` at z.

        .. math:: 16 \epsilon\, (|G(z)| + |z\, G'(z)|)

        This is the rounding of G and of its argument; laws that are integrated or solved for add
        what they miss besides.
        """
        z = np.asarray(z, dtype=complex)
        return rounding(self.stieltjes_with_derivative, z, abs(z))

    def mean_log(self, z: Any) -> Complex:
        r"""The logarithmic potential, on the principal branch.

        .. math:: U(z) = \int \log(z - t)\, d\mu(t), \qquad U' = G, \qquad
           1 - F(x) = \frac1\pi\, \mathrm{Im}\, U(x + i0)

        Parameters
        ----------
        z : array_like of complex
            Points of the closed upper half plane; a real z stands for the limit from above. Below
            the axis the conjugate value is returned.

        Notes
        -----
        Laws with a closed form have their own. Here G is integrated straight upwards from z,
        :math:`U(z) = \log(z + is) - i \int_0^\infty [G(z + iu) - 1/(z + iu + is)]\, du`, by an
        exponential rule: right to about 1e-9.
        """
        return by_halves(self._integrated_log, z)

    def cdf(self, x: Any) -> Array:
        r"""P(t <= x), :math:`1 - \mathrm{Im}\, U(x + i0) / \pi`; atoms at x belong to it."""
        x = checks.real_array("x", x)
        return np.asarray(np.clip(1.0 - self.mean_log(x + 0j).imag / np.pi, 0.0, 1.0))

    def density(self, x: Any) -> Array:
        r"""Density of the continuous part, :math:`-\mathrm{Im}\, G(x + i0) / \pi`."""
        x = checks.real_array("x", x)
        return np.asarray(np.maximum(-self.stieltjes(x.astype(complex)).imag / np.pi, 0.0))

    def density_error(self, x: Any) -> Array:
        """Bound on the absolute error of :meth:`density`."""
        x = checks.real_array("x", x)
        return np.asarray(self.stieltjes_error(x + 0j) / np.pi)

    def cdf_error(self, x: Any) -> Array:
        """Bound on the absolute error of :meth:`cdf`: rounding, and that of the argument."""
        x = checks.real_array("x", x)
        return rounding_of_cdf(self, x, 4.0 * EPS * abs(x))

    def moments_error(self, n: int) -> Array:
        r"""Bounds on the errors of :meth:`moments`: rounding, :math:`16 n \epsilon E|t|^n`."""
        size = absolute_moments(self.moments(n + 1))[:n]
        return np.asarray(16.0 * EPS * np.arange(1, n + 1) * size)

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

    def moment_function_error(self, z: Any) -> Array:
        """Bound on the absolute error of :meth:`moment_function`."""
        z = np.asarray(z, dtype=complex)
        return np.asarray(abs(z) * self.stieltjes_error(z) + 2.0 * EPS)

    def inverse_stieltjes(self, g: Any) -> Complex:
        """The z outside the support with G(z) = g, on the branch with z ~ 1/g at small g.

        Raises
        ------
        ConvergenceError
            Where g is outside the range of G on that branch.
        """
        return _asked("inverse_stieltjes", "the inverse of G", self, g)

    def inverse_moment_function(self, x: Any) -> Complex:
        """The z with M(z) = x, on the branch with z ~ m_1/x at small x.

        Raises
        ------
        ConvergenceError
            Where x is outside the range of M on that branch.
        """
        return _asked("inverse_moment_function", "the inverse of M", self, x)

    def r_transform(self, g: Any) -> Complex:
        """R(g) = G^{-1}(g) - 1/g."""
        return _asked("r_transform", "R", self, g)

    def s_transform(self, x: Any) -> Complex:
        """S(x) = (1 + x) / (x M^{-1}(x)); needs a mean that is not zero."""
        return _asked("s_transform", "S", self, x)

    def free_cumulants(self, n: int) -> Array:
        """Coefficients kappa_1 .. kappa_n of R(g) = sum kappa_k g^(k-1), shape (n,)."""
        return series.free_cumulants(self.moments(n))

    def s_coefficients(self, n: int) -> Array:
        """Coefficients of 1, x, .. x^(n-1) of the S-transform, shape (n,)."""
        return series.s_coefficients(self.moments(n))

    # ---- operators: the public face of a law answers -----------------------------------------

    def to_measure(self) -> Any:
        """The law as a :class:`~chione.freeprob.Measure`, whose numbers carry their errors."""
        # Measure stands on the laws; they know it by its name alone
        return import_module("chione.freeprob.measure").Measure(self)

    def __add__(self, other: Any) -> Any:
        """Free sum with a law or an array of eigenvalues; shift by a number."""
        return self.to_measure() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.to_measure()

    def __mul__(self, other: Any) -> Any:
        """Free product with a law or an array of eigenvalues; dilation by a number."""
        return self.to_measure() * other

    def __rmul__(self, other: Any) -> Any:
        return other * self.to_measure()

    # ---- inside ------------------------------------------------------------------------------

    def _integrated_log(self, z: Complex) -> Complex:
        size = max(abs(x) for piece in self.support for x in piece if np.isfinite(x)) + 1e-300
        s = size + abs(z)
        u, du = _rays()
        at = z[..., None] + 1j * s[..., None] * u
        gap = self.stieltjes(at) - 1.0 / (at + 1j * s[..., None])
        return np.asarray(np.log(z + 1j * s) - 1j * s * np.sum(gap * du, axis=-1))


def rounding(f: Callable[[Complex], tuple[Complex, Complex]], z: Complex, size: Array) -> Array:
    """16 eps (|f| + size |f'|), where numbers of that size are rounded on the way to f.

    Next to a singular point of f that is a square root, where the slope stands for less than the
    rounding moves, the difference of f over that distance.
    """
    with np.errstate(all="ignore"):
        value, slope = f(z)
        h = 16.0 * EPS * size
        moved = np.array(h * abs(slope))
        near = ~(moved <= 1e-9 * abs(value))
        if near.any():
            aside = 4.0 * h[near] * abs(f(z[near] + 1j * h[near])[1])
            moved[near] = np.fmin(moved[near], aside)
        error = 16.0 * EPS * abs(value) + moved
    return np.asarray(np.where(np.isfinite(error), error, np.inf))


def rounding_of_cdf(law: AbstractMeasure, x: Array, h: Array) -> Array:
    """How much of F, but for the atoms, lies within h of x, and 16 units of rounding."""
    jumps = np.zeros(x.shape)
    for a, m in law.atoms:
        jumps += np.where(abs(x - a) <= h, m, 0.0)
    return np.asarray(16.0 * EPS + np.maximum(law.cdf(x + h) - law.cdf(x - h) - jumps, 0.0))


def absolute_moments(m: Array) -> Array:
    r"""Bounds on :math:`E|t|^k`: the even moments, and between two of them their geometric mean."""
    even = np.concatenate([[1.0], m])
    k = np.arange(1, m.size + 1)
    after = even[np.minimum(k + 1, m.size)]
    return np.asarray(np.where(k % 2 == 0, even[k], np.sqrt(abs(even[k - 1] * after))))


def by_halves(f: Callable[[Complex], Complex], z: Any) -> Complex:
    """F of the closed upper half plane, carried to the lower one by conjugation."""
    z = np.asarray(z, dtype=complex) + 0.0  # -0j is the axis from above, too
    low = z.imag < 0.0
    value = f(np.where(low, np.conj(z), z))
    return np.asarray(np.where(low, np.conj(value), value))


def upper_log(w: Complex) -> Complex:
    """Principal logarithm of numbers that lie in the closed upper half plane but for rounding."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(w.real + 1j * np.maximum(w.imag, 0.0)))


@cache
def _rays() -> tuple[Array, Array]:
    """Nodes and weights on (0, inf): u = exp(pi/2 sinh k h), h = 0.05."""
    k = 0.05 * np.arange(-75, 76)
    u = np.exp(0.5 * np.pi * np.sinh(k))
    return u, 0.05 * 0.5 * np.pi * np.cosh(k) * u


def _asked(name: str, words: str, law: AbstractMeasure, t: Any) -> Complex:
    """A transform of :mod:`chione.freeprob.transforms`, where it has values everywhere."""
    t = np.asarray(t, dtype=complex)
    # closed forms are kept there, by law, above the laws
    found = getattr(import_module("chione.freeprob.transforms"), name)(law, t.ravel())
    bad = found.status != Status.OK
    if np.any(bad & (found.status == Status.UNDEFINED)):
        raise ValueError("the S-transform needs a mean other than 0, but the mean is 0.")
    if np.any(bad & (found.status == Status.DIVERGENT)):
        at = t.ravel()[found.status == Status.DIVERGENT][0]
        raise ValueError(f"{words} at {at:.6g} is infinite; hand in other values.")
    if bad.any():
        raise ConvergenceError(
            f"{words} does not exist at {t.ravel()[bad][0]:.6g} on the outer branch; choose a "
            "value nearer to zero."
        )
    return np.asarray(found.value.reshape(t.shape))
