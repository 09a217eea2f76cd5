"""Power series of the transforms: moments, free cumulants, coefficients of S."""

from __future__ import annotations

import numpy as np

from chione.base import Array


def multiply(a: Array, b: Array) -> Array:
    """Product of two power series of the same number n of terms."""
    return np.convolve(a, b)[: len(a)]


def reciprocal(a: Array) -> Array:
    """1/a for a power series with a[0] != 0."""
    out = np.zeros_like(a)
    out[0] = 1.0 / a[0]
    for k in range(1, len(a)):
        out[k] = -np.dot(a[1 : k + 1], out[k - 1 :: -1]) / a[0]
    return out


def power(a: Array, exponent: float) -> Array:
    """a**exponent for a power series with a[0] > 0 (the recurrence of J. C. P. Miller)."""
    out = np.zeros_like(a)
    out[0] = a[0] ** exponent
    for n in range(1, len(a)):
        k = np.arange(1, n + 1)
        out[n] = np.sum((exponent * k - (n - k)) * a[1 : n + 1] * out[n - 1 :: -1]) / (n * a[0])
    return out


def revert(a: Array) -> Array:
    r"""Inverse under composition, by Lagrange's formula.

    For :math:`y = a_1 u + a_2 u^2 + \dots` the result holds :math:`b_1, b_2, \dots` with
    :math:`u = b_1 y + b_2 y^2 + \dots`; both arrays begin at the first power.
    """
    n = len(a)
    inner = reciprocal(a)  # u / y as a series in u
    out, p = np.zeros_like(a), np.ones(1)
    p = np.concatenate([np.ones(1), np.zeros(n - 1)])
    for k in range(1, n + 1):
        p = multiply(p, inner)
        out[k - 1] = p[k - 1] / k
    return out


def s_coefficients(moments: Array) -> Array:
    r"""Coefficients of S from the moments: :math:`S = \frac{1+x}{x} u(x)`, u the inverse of M.

    With u = 1/z, :math:`x = M = m_1 u + m_2 u^2 + \dots`.
    """
    m = np.asarray(moments, dtype=np.float64)
    u = revert(m)  # u / x as a series in x
    return np.asarray(u + np.concatenate([[0.0], u[:-1]]))


def moments_from_s(s: Array) -> Array:
    """The moments from the coefficients of S."""
    s = np.asarray(s, dtype=np.float64)
    one_plus_x = np.zeros_like(s)
    one_plus_x[:2] = 1.0
    u = multiply(s, reciprocal(one_plus_x))
    return revert(u)


def free_cumulants(moments: Array) -> Array:
    r"""Free cumulants from the moments: with :math:`g = u + m_1 u^2 + \dots`, :math:`z = 1/u`.

    Then :math:`g\,z(g) = 1 + \kappa_1 g + \kappa_2 g^2 + \dots`.
    """
    m = np.asarray(moments, dtype=np.float64)
    u = revert(np.concatenate([[1.0], m]))  # u / g
    return np.asarray(reciprocal(u)[1:])


def moments_from_free_cumulants(kappa: Array) -> Array:
    """The moments from the free cumulants."""
    k = np.asarray(kappa, dtype=np.float64)
    u = reciprocal(np.concatenate([[1.0], k]))
    return revert(u)[1:]
