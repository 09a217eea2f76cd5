r"""Chebyshev series on [-1, 1]: where to sample, how to fit, how to sum, what is left out.

.. math:: f(x) \approx \sum_{k<n} c_k T_k(x), \qquad x_j = \cos\frac{\pi (j + 1/2)}{n}
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from chione.base.estimate import Array


def nodes(n: int) -> Array:
    """The n roots of T_n, falling."""
    return np.asarray(np.cos(np.pi * (np.arange(n) + 0.5) / n))


@cache
def fit_matrix(n: int) -> Array:
    """Matrix (n, n) from values at :func:`nodes` to the coefficients of T_0 .. T_(n-1)."""
    out = np.asarray(np.linalg.inv(chebyshev.chebvander(nodes(n), n - 1)), dtype=np.float64)
    out.setflags(write=False)  # one for all callers
    return out


@cache
def monomial_matrix(n: int) -> Array:
    """Matrix (n, n) from coefficients of T_k to those of powers.

    The entries grow like 2^n. Applied after :func:`fit_matrix`, as a second step, they amplify
    nothing as long as high coefficients are tiny.
    """
    out = np.zeros((n, n))
    out[0, 0] = 1.0
    out[1:2, 1:2] = 1.0
    for k in range(2, n):  # T_k = 2 x T_(k-1) - T_(k-2)
        out[1:, k] = 2.0 * out[:-1, k - 1]
        out[:, k] -= out[:, k - 2]
    out.setflags(write=False)
    return out


def left_out(coefficients: Array) -> Array:
    """Largest of the last two coefficients (n, ...): the size of what a series has not resolved.

    Two, since every other one vanishes where a function is even or odd.
    """
    return np.asarray(np.abs(coefficients[-2:]).max(axis=0))


def series(coefficients: Array, x: Array) -> Array:
    """Sum of series (n, ...) at points of their own (...), by Clenshaw's recurrence."""
    b1, b2 = np.zeros_like(x), np.zeros_like(x)
    twice = 2.0 * x
    for c in coefficients[:0:-1]:
        b1, b2 = twice * b1 - b2 + c, b1
    return np.asarray(x * b1 - b2 + coefficients[0])


def series_and_slope(coefficients: Array, x: Array) -> tuple[Array, Array]:
    """Sum of series (n, ...) at points of their own, and its derivative in x."""
    b1, b2, d1, d2 = (np.zeros_like(x) for _ in range(4))
    twice = 2.0 * x
    for c in coefficients[:0:-1]:
        d1, d2 = twice * d1 - d2 + 2.0 * b1, d1
        b1, b2 = twice * b1 - b2 + c, b1
    return np.asarray(x * b1 - b2 + coefficients[0]), np.asarray(x * d1 - d2 + b1)
