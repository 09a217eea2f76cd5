r"""Moments of truncated pairs of Gaussians: what the kinks of an activation make of two inputs.

.. math:: M_{mn} = E\,(z_1 - a)_+^m (z_2 - b)_+^n, \qquad
   M_{00} = P(z_1 > a, z_2 > b), \qquad M_{m,-1} = \varphi(b)\,E[(z_1 - a)_+^m \mid z_2 = b]

for standard normals of correlation r: the first by Owen's T function [1], the rest by Stein's
lemma, :math:`E z_1 g = E\,\partial_1 g + r\,E\,\partial_2 g`. Exact also where the two nearly
agree.

References
----------
1. D. B. Owen, Tables for computing bivariate normal probabilities, Ann. Math. Stat. 27 (1956).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, owens_t

from chione.base import Array

_ROOT = float(np.sqrt(2.0 * np.pi))


def density(x: Array) -> Array:
    """Of the standard normal."""
    return np.asarray(np.exp(-0.5 * x * x) / _ROOT)


def truncated(a: Array, b: Array, gap: Array, sign: Array, order: int) -> list[list[Array]]:
    """Moments M[m + 1][n + 1] for -1 <= m, n <= order.

    Parameters
    ----------
    a, b : ndarray
        Where the two are cut.
    gap, sign : ndarray
        1 - |r| and the sign of r. All have one shape; `gap` is above zero.
    order : int
        Largest power.
    """
    r = sign * (1.0 - gap)
    s = np.sqrt(gap * (2.0 - gap))
    # means of one given the other, less where it is cut; nothing cancels where they nearly agree
    up, down = b - r * a, a - r * b
    near = gap < 0.5
    up = np.where(near, (b - sign * a) + sign * a * gap, up)
    down = np.where(near, (a - sign * b) + sign * b * gap, down)
    fa, fb = density(a), density(b)
    given_a, given_b = _powers(-up, s, order), _powers(-down, s, order)
    first = _both_above(a, b, up / s, down / s, r)
    m: list[list[Array]] = [[np.empty(0)] * (order + 2) for _ in range(order + 2)]
    m[0][0] = fa * density(up / s) / s
    for n in range(order + 1):
        m[0][n + 1], m[n + 1][0] = fa * given_a[n], fb * given_b[n]
    m[1][1] = first
    for n in range(order):  # M_{0,n+1}
        below = m[1][n] * n if n else m[1][0]
        m[1][n + 2] = below + r * m[0][n + 1] - b * m[1][n + 1]
    for i in range(order):  # M_{i+1,n}
        for n in range(order + 1):
            below = m[i][n + 1] * i if i else m[0][n + 1]
            other = m[i + 1][n] * n if n else m[i + 1][0]
            m[i + 2][n + 1] = below + r * other - a * m[i + 1][n + 1]
    return m


def _powers(mean: Array, s: Array, order: int) -> list[Array]:
    """E (mean + s z)_+^n for n up to `order`."""
    t = mean / s
    out = [np.asarray(ndtr(t))]
    if order > 0:
        out.append(np.maximum(mean * out[0] + s * density(t), 0.0))
    for n in range(1, order):
        out.append(mean * out[n] + n * s * s * out[n - 1])
    return out


def _both_above(a: Array, b: Array, up: Array, down: Array, r: Array) -> Array:
    """P(z1 > a, z2 > b); `up` and `down` are (b - r a) / s and (a - r b) / s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = owens_t(a, up / a), owens_t(b, down / b)
    # zero counts as a small positive number: the second argument is infinite then
    one = np.where(a == 0.0, 0.25 * np.sign(up), one)
    two = np.where(b == 0.0, 0.25 * np.sign(down), two)
    half = np.where((a < 0.0) != (b < 0.0), 0.5, 0.0)
    value = 0.5 * (ndtr(-a) + ndtr(-b)) - one - two - half
    both = (a == 0.0) & (b == 0.0)
    value = np.where(both, 0.25 + np.arcsin(np.clip(r, -1.0, 1.0)) / (2.0 * np.pi), value)
    return np.asarray(np.maximum(value, 0.0))
