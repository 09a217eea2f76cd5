r"""The largest of k independent Gaussians, alone and in two correlated copies.

With pairs :math:`(u_i, v_i)` of unit variances and correlation :math:`c = \cos\theta`,

.. math:: A(\theta) = E \max_i u_i \max_j v_j, \qquad
   W(\theta) = \Pr(\text{one } i \text{ wins both})
   = k \int \varphi_2(x, y; c)\,\Phi_2(x, y; c)^{k-1}\,dx\,dy, \qquad
   \frac{dA}{d\theta} = -\sin\theta\,W

the last by Price's theorem. W is a smooth function of the angle and is kept as a Chebyshev series.
The bivariate distribution function comes from Owen's T function (Owen 1956).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr, owens_t

from chione.base import Array

_DEGREE = 48
_REACH = 9.0
_PANELS = 18
_ERROR = 2e-13  # of W and A, by the tests


class Maximum:
    """Moments of the largest of `k` Gaussians.

    Parameters
    ----------
    k : int
        How many, at least 2.

    Attributes
    ----------
    mean, square : float
        E max and E max^2 at unit variance.
    error : float
        Bound on the absolute error of all numbers here, for E max^2 of order one.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        z, w = _line()
        density = k * w * ndtr(z) ** (k - 1)
        self.mean, self.square = float(density @ z), float(density @ z**2)
        x = np.cos(np.pi * (np.arange(_DEGREE) + 0.5) / _DEGREE)
        angles = 0.5 * np.pi * (x + 1.0)
        values = np.array([_same_winner(k, float(t)) for t in angles])
        self._series = np.polynomial.chebyshev.chebfit(x, values, _DEGREE - 1)
        tail = float(np.abs(self._series[-4:]).max())
        self.error = k * _ERROR + 10.0 * tail
        self._nodes, self._weights = np.polynomial.legendre.leggauss(40)

    def same_winner(self, theta: Array) -> Array:
        """W at angles in [0, pi]."""
        x = 2.0 * np.asarray(theta) / np.pi - 1.0
        return np.asarray(np.polynomial.chebyshev.chebval(x, self._series))

    def drop(self, theta: Array) -> Array:
        """A(0) - A(theta), with relative accuracy at small angles."""
        half = 0.5 * np.asarray(theta)[..., None]
        t = half * (self._nodes + 1.0)
        return np.asarray((half * self._weights * np.sin(t) * self.same_winner(t)).sum(axis=-1))


@lru_cache(maxsize=16)
def maximum(k: int) -> Maximum:
    """The moments for `k`, prepared once."""
    return Maximum(k)


@lru_cache(maxsize=1)
def _line() -> tuple[Array, Array]:
    """Nodes and weights for the mean over a standard normal."""
    x, w = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(-_REACH, _REACH, _PANELS + 1)
    half = 0.5 * np.diff(edges)[:, None]
    z = (edges[:-1, None] + half * (x + 1.0)).ravel()
    weights = (half * w).ravel() * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return z, weights


def _same_winner(k: int, theta: float) -> float:
    """W at one angle, over the sum and the difference of the two, which are independent."""
    z, w = _line()
    along, across = np.cos(0.5 * theta), np.sin(0.5 * theta)
    x = along * z[:, None] + across * z[None, :]
    y = along * z[:, None] - across * z[None, :]
    return float(k * w @ (_distribution(x, y, theta) ** (k - 1)) @ w)


def _distribution(x: Array, y: Array, theta: float) -> Array:
    """P(u < x, v < y) of a pair of correlation cos(theta)."""
    c, s = np.cos(theta), np.sin(theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = owens_t(x, (y - c * x) / (s * x))
        second = owens_t(y, (x - c * y) / (s * y))
    opposite = (x * y < 0.0) | ((x * y == 0.0) & (x + y < 0.0))
    out = 0.5 * (ndtr(x) + ndtr(y)) - first - second - np.where(opposite, 0.5, 0.0)
    return np.asarray(np.clip(out, 0.0, 1.0))
