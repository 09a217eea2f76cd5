r"""Hermite expansions of a function of one Gaussian variable.

.. math:: f(\sqrt q\,z) = \sum_k c_k\,he_k(z), \qquad he_k = He_k / \sqrt{k!}, \qquad
   c_k = E\,f(\sqrt q\,z)\,he_k(z)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, cost, result
from chione.gaussian.expectation import Integrator
from chione.gaussian.features import features_of
from chione.gaussian.kept import is_unchanging
from chione.gaussian.panels import build_rule


def hermite_functions(z: Array, n: int) -> Array:
    r"""The first n orthonormal polynomials times a quarter Gaussian, :math:`he_k(z) e^{-z^2/4}`.

    The factor keeps them bounded, so that the recurrence neither overflows nor loses digits:
    :math:`he_{k+1} = (z\,he_k - \sqrt k\,he_{k-1}) / \sqrt{k+1}`.

    Returns
    -------
    ndarray, shape (n, len(z))
    """
    psi = np.empty((n, len(z)))
    psi[0] = np.exp(-0.25 * z**2)
    if n > 1:
        psi[1] = z * psi[0]
    for k in range(1, n - 1):
        psi[k + 1] = (z * psi[k] - np.sqrt(k) * psi[k - 1]) / np.sqrt(k + 1.0)
    return psi


@result
class HermiteExpansion(AbstractResult):
    r"""The first coefficients of a function in orthonormal Hermite polynomials.

    Parameters
    ----------
    q : float
        Variance: the function is expanded as :math:`f(\sqrt q z)` in z.
    coefficients : ndarray, shape (n,)
        :math:`c_0, \dots, c_{n-1}`.
    error : ndarray, shape (n,)
        Absolute error of each coefficient.
    tail : Estimate
        :math:`\sum_{k \ge n} c_k^2 = E f^2 - \sum_{k<n} c_k^2`, the part of the mean square that
        is left out. It decays slowly where f has a kink (like :math:`n^{-3/2}`) or a jump
        (like :math:`n^{-1/2}`), and exponentially in :math:`\sqrt n` where f is analytic.
    """

    axes = along("order", "coefficients", "error")

    q: float
    coefficients: Array
    error: Array
    tail: Estimate

    def __len__(self) -> int:
        return len(self.coefficients)

    def __call__(self, z: Any) -> Array:
        r"""The truncated series :math:`\sum_{k<n} c_k he_k(z)` at standardised z."""
        z = checks.real_array("z", z)
        psi = hermite_functions(z.ravel(), len(self))
        return np.asarray(
            (self.coefficients @ psi * np.exp(0.25 * z.ravel() ** 2)).reshape(z.shape)
        )

    def derivative(self) -> HermiteExpansion:
        r"""Expansion of :math:`f'(\sqrt q z)`: coefficient :math:`\sqrt{k / q}\,c_k` at he_{k-1}.

        The tail of the derivative is not known from the coefficients alone; it has no value here.
        """
        root = np.sqrt(np.arange(1.0, len(self)) / self.q)
        unknown = Estimate(float("nan"), float("nan"), Status.NOT_COMPUTED)
        return HermiteExpansion(
            self.q, root * self.coefficients[1:], root * self.error[1:], unknown
        )

    def shift(self, mu: float) -> HermiteExpansion:
        r"""Expansion of :math:`f(\sqrt q (z + \mu))` by the addition theorem.

        .. math:: he_n(z + \mu) = \sum_k \binom{n}{k} \sqrt{k! / n!}\; \mu^{n-k}\, he_k(z)

        Coefficients that were truncated are missing in the result; its tail has no value.
        """
        mu = checks.finite("mu", mu)
        return self._transform(lambda n: _shift_row(n, mu))

    def rescale(self, gamma: float) -> HermiteExpansion:
        r"""Expansion of :math:`f(\sqrt q\,\gamma z)` by the multiplication theorem.

        .. math:: He_n(\gamma z) = \sum_i \frac{n!\,\gamma^{n-2i} (\gamma^2 - 1)^i}
           {2^i\, i!\, (n-2i)!} He_{n-2i}(z)
        """
        gamma = checks.finite("gamma", gamma)
        return self._transform(lambda n: _rescale_row(n, gamma))

    def _transform(self, row: Callable[[int], Array]) -> HermiteExpansion:
        n = len(self)
        out, error = np.zeros(n), np.zeros(n)
        for k in range(n):
            r = row(k)  # (k + 1,) images of he_k
            out[: k + 1] += self.coefficients[k] * r
            error[: k + 1] += (self.error[k] + 4.0 * EPS * abs(self.coefficients[k])) * np.abs(r)
        unknown = Estimate(float("nan"), float("nan"), Status.NOT_COMPUTED)
        return HermiteExpansion(self.q, out, error, unknown)

    def kernel(self, c: Any) -> Estimate:
        r"""Kernel at equal variance, :math:`E f(u_1) f(u_2) = \sum_k c_k^2 c^k`.

        The error holds the truncated part, at most :math:`|c|^n` times the tail.

        Parameters
        ----------
        c : float or array_like
            Correlations in [-1, 1].
        """
        c = checks.correlation("c", c)
        squares = self.coefficients**2
        value = np.polynomial.polynomial.polyval(c, squares)
        bound = 2.0 * np.abs(self.coefficients) * self.error + 4.0 * EPS * squares
        tail = max(self.tail.value, 0.0) + self.tail.error
        error = np.polynomial.polynomial.polyval(np.abs(c), bound) + np.abs(c) ** len(self) * tail
        if np.ndim(c) == 0:
            return Estimate(float(value), float(error), Status.OK)
        return Estimate(value, error, np.zeros(np.shape(c), dtype=np.int8))


def hermite_expansion(
    f: Callable[[Array], Array],
    q: float,
    n: int,
    *,
    breakpoints: tuple[float, ...] = (),
) -> HermiteExpansion:
    r"""The first n Hermite coefficients of :math:`f(\sqrt q z)`.

    Parameters
    ----------
    f : callable
        Vectorised function, (K,) -> (K,).
    q : float
        Variance, above zero.
    n : int
        Number of coefficients, at least 1.
    breakpoints : tuple of float
        Where f or a derivative of it jumps.

    Returns
    -------
    HermiteExpansion

    Notes
    -----
    Quadrature on panels that resolve f he_{n-1}; cost of order n times the number of nodes.

    Examples
    --------
    >>> import numpy as np
    >>> e = hermite_expansion(lambda h: np.maximum(h, 0.0), 1.0, 4, breakpoints=(0.0,))
    >>> np.round(e.coefficients, 6)
    array([0.398942, 0.5     , 0.282095, 0.      ])
    """
    q, n = checks.positive("q", q), checks.integer("n", n)
    breakpoints = checks.places("breakpoints", breakpoints)
    cost.check(
        f"{n:.6g} Hermite coefficients" if n < 10**300 else "so many Hermite coefficients",
        seconds=1e-9 * float(min(n, 10**150)) ** 2,
        gigabytes=2e-6 * float(min(n, 10**150)),
        fits="some ten thousand fit",
    )
    if not is_unchanging(f):
        checks.real_function("f", f)
    root = float(np.sqrt(q))

    def first_and_last(h: Array) -> Array:
        psi = _last_function(h / root, n)
        return np.asarray(f(h) * np.stack([np.exp(-0.25 * h**2 / q), psi]))

    features = features_of(f, breakpoints)
    square = Integrator(f, breakpoints, power=2, features=features)(q)
    if not np.isfinite(square.value):  # no expansion, or none that float64 can hold
        nothing = np.full(n, np.nan)
        return HermiteExpansion(q, nothing, nothing, square)
    edges = None if features is None else features.at(root * np.sqrt(2.0)).edges
    # half of the Gaussian weight sits in the Hermite functions, so the rule sees variance 2 q
    rule = build_rule(first_and_last, breakpoints, 1, np.array([2.0 * q]), extra_edges=edges)
    cost.check(
        f"{n} Hermite functions at {rule.h.size} nodes",
        gigabytes=1.6e-8 * n * rule.h.size,
        fits=f"{int(2.5e8 // max(rule.h.size, 1)):,} coefficients fit",
    )
    psi = hermite_functions(rule.h / root, n)
    p = rule.w * np.exp(-0.25 * rule.h**2 / q) * f(rule.h) / np.sqrt(2.0 * np.pi * q)
    coefficients = psi @ p
    size = np.abs(psi) @ np.abs(p)
    rounding = EPS * 0.5 * np.sqrt(np.arange(n))  # of the recurrence
    error = (rule.truncation.max() + rule.rounding.max() + rounding) * size
    coefficients[np.abs(coefficients) < 0.1 * error] = 0.0  # exact zeros of even and odd functions
    if square.status == Status.RESOLUTION:  # by Cauchy and Schwarz
        error += np.sqrt(square.error)
    tail = square.value - float(coefficients @ coefficients)
    tail_error = square.error + float(2.0 * np.abs(coefficients) @ error) + 4.0 * EPS * square.value
    status = Status.RESOLUTION if square.status == Status.RESOLUTION else Status.OK
    return HermiteExpansion(q, coefficients, error, Estimate(tail, tail_error, status))


def _last_function(z: Array, n: int) -> Array:
    """The n-th Hermite function alone, in three rows of memory."""
    before, psi, after = np.zeros_like(z), np.asarray(np.exp(-0.25 * z**2)), np.empty_like(z)
    roots = np.sqrt(np.arange(float(n))).tolist()
    for k in range(n - 1):
        np.multiply(z, psi, out=after)  # after = (z psi - sqrt(k) before) / sqrt(k + 1)
        before *= roots[k]
        after -= before
        after /= roots[k + 1]
        before, psi, after = psi, after, before
    return psi


def _shift_row(n: int, mu: float) -> Array:
    """Coefficients of he_n(z + mu) in he_0 .. he_n."""
    row = np.zeros(n + 1)
    row[n] = 1.0
    for k in range(n, 0, -1):  # ratio of neighbouring terms
        row[k - 1] = row[k] * mu * np.sqrt(k) / (n - k + 1.0)
    return row


def _rescale_row(n: int, gamma: float) -> Array:
    """Coefficients of he_n(gamma z) in he_0 .. he_n."""
    row = np.zeros(n + 1)
    for i in range(n // 2 + 1):
        k = n - 2 * i
        # sqrt(n! k!) / (2^i i! k!) gamma^k (gamma^2 - 1)^i, as a product that cannot overflow
        factor = gamma**k
        for j in range(i):
            factor *= (
                (gamma**2 - 1.0) / 2.0 * np.sqrt((k + 2 * j + 1.0) * (k + 2 * j + 2.0)) / (j + 1.0)
            )
        row[k] = factor
    return row
