r"""Rectangular cumulants: power series of the law of squared singular values.

.. math::
    m_n = \sum_{s=1}^{n} c_s\, [u^{n-s}]\, T(M(u))^s, \qquad T(x) = (1 + x)(1 + c x), \qquad
    M(u) = \sum_{k \ge 1} m_k u^k

They add when free rectangular matrices are added; those of free cumulants are the case c = 0.
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.series import multiply


def cumulants(m: Array, ratio: float) -> Array:
    """The rectangular cumulants c_1 .. c_n of the moments of a law of squared singular values."""
    return cumulants_with_error(np.asarray(m, dtype=np.float64), np.zeros(len(m)), ratio)[0]


def cumulants_with_error(m: Array, error: Array, ratio: float) -> tuple[Array, Array]:
    """Rectangular cumulants, and bounds on their errors from those of the moments and rounding."""
    n = m.size
    t = _t_series(m, ratio)
    wide = _t_series(abs(m) + error, ratio)
    powers, wider = [t], [wide]
    sizes = [_t_series(abs(m), ratio)]
    for _ in range(1, n):
        powers.append(multiply(powers[-1], t))
        sizes.append(multiply(sizes[-1], sizes[0]))
        wider.append(multiply(wider[-1], wide))
    c, bound = np.zeros(n), np.zeros(n)
    for k in range(1, n + 1):
        terms = [(s, k - s) for s in range(1, k)]
        c[k - 1] = m[k - 1] - sum(c[s - 1] * powers[s - 1][j] for s, j in terms)
        size = abs(m[k - 1]) + sum(abs(c[s - 1]) * sizes[s - 1][j] for s, j in terms)
        moved = sum(
            abs(c[s - 1]) * (wider[s - 1][j] - sizes[s - 1][j]) + bound[s - 1] * wider[s - 1][j]
            for s, j in terms
        )
        bound[k - 1] = error[k - 1] + moved + 8.0 * k * EPS * size
    return c, bound


def moments(c: Array, ratio: float) -> Array:
    """The moments from the rectangular cumulants; one more of them is right in each step."""
    c = np.asarray(c, dtype=np.float64)
    n = c.size
    m = np.zeros(n)
    for k in range(1, n + 1):
        t = _t_series(m, ratio)
        power = np.zeros(n + 1)
        power[0] = 1.0
        total = 0.0
        for s in range(1, k + 1):
            power = multiply(power, t)
            total += c[s - 1] * power[k - s]
        m[k - 1] = total
    return m


def _t_series(m: Array, ratio: float) -> Array:
    """T(M(u)), n + 1 coefficients from the power 0."""
    one = np.concatenate([[1.0], m])
    other = np.concatenate([[1.0], ratio * m])
    return multiply(one, other)
