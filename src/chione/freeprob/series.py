"""Power series of the transforms: moments, free cumulants, coefficients of S."""

from __future__ import annotations

import numpy as np
from scipy.special import comb

from chione.base import EPS, Array


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
    r"""The moments from the free cumulants; nothing cancels where no cumulant is below 0.

    .. math:: m_n = \sum_{s=1}^{n} \kappa_s\, [u^{n-s}] (1 + m_1 u + m_2 u^2 + \dots)^s
    """
    kappa = np.asarray(kappa, dtype=np.float64)
    n = kappa.size
    m = np.zeros(n + 1)
    m[0] = 1.0
    powers = np.zeros((n + 1, n + 1))  # powers[s, j] = [u^j] of the power s, as far as known
    powers[:, 0] = 1.0
    with np.errstate(over="ignore", invalid="ignore"):  # moments may lie beyond the floats
        for k in range(1, n + 1):
            m[k] = sum(kappa[s - 1] * powers[s, k - s] for s in range(1, k + 1))
            powers[1, k] = m[k]
            for s in range(2, n + 1 - k + 1):
                powers[s, k] = powers[s - 1, : k + 1] @ m[k::-1]
    return m[1:]


def free_cumulants_with_error(m: Array, error: Array) -> tuple[Array, Array]:
    r"""Free cumulants, and bounds on their errors from those of the moments and from rounding.

    .. math:: m_n = \sum_{s=1}^{n} \kappa_s \sum_{i_1 + \dots + i_s = n - s} m_{i_1} \cdots m_{i_s}

    The inner sums are the coefficients of :math:`(1 + m_1 u + \dots)^s` [1]_.

    References
    ----------
    .. [1] A. Nica, R. Speicher, Lectures on the Combinatorics of Free Probability, 2006.
    """
    n = m.size
    series: Array = np.concatenate([[1.0], m])
    wide = np.asarray(abs(series) + np.concatenate([[0.0], error]))
    powers, sizes, wider = [series], [abs(series)], [wide]
    for _ in range(1, n):
        powers.append(multiply(powers[-1], series))
        sizes.append(multiply(sizes[-1], abs(series)))
        wider.append(multiply(wider[-1], wide))
    kappa, bound = np.zeros(n), np.zeros(n)
    for k in range(1, n + 1):
        terms = [(s, k - s) for s in range(1, k)]
        kappa[k - 1] = m[k - 1] - sum(kappa[s - 1] * powers[s - 1][j] for s, j in terms)
        size = abs(m[k - 1]) + sum(abs(kappa[s - 1]) * sizes[s - 1][j] for s, j in terms)
        moved = sum(
            abs(kappa[s - 1]) * (wider[s - 1][j] - sizes[s - 1][j]) + bound[s - 1] * wider[s - 1][j]
            for s, j in terms
        )
        # a difference of nearly equal powers keeps 2 k units of their rounding at most
        bound[k - 1] = error[k - 1] + moved + 4.0 * k * EPS * size
    return kappa, bound


def cumulants_with_error(m: Array, error: Array) -> tuple[Array, Array]:
    r"""Classical cumulants, and bounds on their errors.

    .. math:: m_n = c_n + \sum_{s=1}^{n-1} \binom{n-1}{s-1} c_s\, m_{n-s}
    """
    n = m.size
    c, bound = np.zeros(n), np.zeros(n)
    for k in range(1, n + 1):
        s = np.arange(1, k)
        weight = comb(k - 1, s - 1)
        before, moved = c[: k - 1], bound[: k - 1]
        rest, doubt = m[k - 1 - s], error[k - 1 - s]
        c[k - 1] = m[k - 1] - float(np.sum(weight * before * rest))
        size = abs(m[k - 1]) + float(np.sum(weight * abs(before * rest)))
        lost = float(np.sum(weight * (abs(before) * doubt + moved * (abs(rest) + doubt))))
        bound[k - 1] = error[k - 1] + lost + 4.0 * k * EPS * size
    return c, bound


def moments_with_error(kappa: Array, error: Array) -> tuple[Array, Array]:
    """The moments from the free cumulants, and bounds on their errors."""
    size, n = moments_from_free_cumulants(abs(kappa)), np.arange(1, len(kappa) + 1)
    wide = moments_from_free_cumulants(abs(kappa) + error)
    bound = np.asarray(wide - size + 8.0 * n * EPS * wide)
    return moments_from_free_cumulants(kappa), bound
