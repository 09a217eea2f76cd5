r"""The Tracy-Widom laws: what the largest eigenvalue does around a soft edge.

.. math::
    D_\pm(s) = \det(1 \pm B_s)_{L^2(0, \infty)}, \qquad B_s(x, y) = \mathrm{Ai}(x + y + s), \qquad
    F_1 = D_-, \quad F_2 = D_- D_+, \quad F_4(2^{-2/3} s) = \tfrac12 (D_- + D_+)

The determinants are those of matrices over Gauss-Legendre nodes, which converge as fast as the
quadrature of an entire function does [1]_; no table and no differential equation is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import airy, roots_legendre

from chione.base import EPS, Array, Estimate, Status, checks

_NODES = 56
_FAR = 14.0  # Ai is 5e-16 there
_LOWEST, _HIGHEST = -16.0, 30.0  # beyond, F is 0 or 1 to 1e-40; the matrices stay regular
_LOW, _HIGH = -11.0, 17.0  # F is 1e-24 at _LOW, 1 - F below 1e-20 at _HIGH, for all beta
_ERROR = 1024.0 * EPS  # of a determinant: 56 nodes against 160 differ by 1.2e-13 on [-16, 5]
_POOR = Status.INEXACT
_PANEL = 64  # nodes for the moments; 120 change nothing above 1e-13
_MIDDLE = -1.5
_CHUNK = 64  # arguments at a time: the matrices of a chunk take 2 MB


@dataclass(frozen=True)
class TracyWidom:
    r"""Limit law of the largest eigenvalue at a soft edge, centred and scaled.

    With :math:`\rho(x) \approx \frac{c}{\pi} \sqrt{a - x}` below the edge a, the largest of n
    eigenvalues is :math:`a + (c n)^{-2/3}\, TW_\beta`, as :math:`n \to \infty`.

    Parameters
    ----------
    beta : int
        1 for real symmetric matrices, 2 for complex Hermitian, 4 for quaternion self-dual ones.

    Notes
    -----
    The scale is that of the stochastic Airy operator: the same (c n)^(-2/3) for each beta [2]_.
    Tables of beta = 4 that go by another scale differ by a factor of 2^(2/3) or 2^(1/6).

    References
    ----------
    .. [1] F. Bornemann, On the numerical evaluation of distributions in random matrix theory,
       Markov Processes Relat. Fields 16, 2010, arXiv:0904.1581.
    .. [2] J. Ramirez, B. Rider, B. Virag, Beta ensembles, stochastic Airy spectrum, and a
       diffusion, J. Amer. Math. Soc. 24, 2011.
    .. [3] P. L. Ferrari, H. Spohn, A determinantal formula for the GOE Tracy-Widom distribution,
       J. Phys. A 38, 2005.

    Examples
    --------
    >>> from chione.freeprob import TracyWidom
    >>> print(TracyWidom(2).mean)
    -1.771086807412 +- 1e-12
    """

    beta: int = 1

    def __post_init__(self) -> None:
        if self.beta not in (1, 2, 4):
            raise ValueError(
                f"beta must be 1 (real), 2 (complex) or 4 (quaternion), but it is {self.beta!r}."
            )

    def cdf(self, s: Any) -> Estimate:
        """P(TW <= s); any shape."""
        s = checks.real_array("s", s)
        value = np.clip(self._distribution(s.ravel())[0].reshape(s.shape), 0.0, 1.0)
        return _estimate(value, np.full(s.shape, _ERROR))

    def density(self, s: Any) -> Estimate:
        """The derivative of :meth:`cdf`."""
        s = checks.real_array("s", s)
        value = np.maximum(self._distribution(s.ravel())[1].reshape(s.shape), 0.0)
        return _estimate(value, np.full(s.shape, 4.0 * _ERROR))

    def quantile(self, p: float) -> Estimate:
        """The s with cdf(s) = p, for 0 < p < 1."""
        p = checks.finite("p", p)
        if not 0.0 < p < 1.0:
            raise ValueError(f"p must lie strictly between 0 and 1, but it is {p!r}.")
        s = brentq(lambda u: float(self.cdf(u)) - p, _LOW, _HIGH, xtol=1e-14)
        slope = float(self.density(s).value)
        error = 2.0 * _ERROR / slope if slope > 0.0 else np.inf
        return Estimate(float(s), float(1e-13 + error), Status.OK if error < 1.0 else _POOR)

    @property
    def mean(self) -> Estimate:
        """First moment."""
        return Estimate(_moments(self.beta)[0], 1e-12)

    @property
    def variance(self) -> Estimate:
        """Second central moment."""
        return Estimate(_moments(self.beta)[1], 1e-12)

    def _distribution(self, s: Array) -> tuple[Array, Array]:
        """F and its derivative."""
        stretch = 2.0 ** (2.0 / 3.0) if self.beta == 4 else 1.0
        inside = np.clip(stretch * s, _LOWEST, _HIGHEST)
        minus, plus, d_minus, d_plus = _determinants(inside)
        if self.beta == 1:
            f, slope = minus, d_minus
        elif self.beta == 2:
            f, slope = minus * plus, minus * d_plus + plus * d_minus
        else:
            f, slope = 0.5 * (minus + plus), 0.5 * (d_minus + d_plus)
        beyond = inside != stretch * s
        f = np.where(beyond, np.where(s < 0.0, 0.0, 1.0), f)
        return f, np.where(beyond, 0.0, stretch * slope)


def _determinants(s: Array) -> tuple[Array, Array, Array, Array]:
    r"""D_-, D_+ and their derivatives, :math:`D_\pm' = \pm D_\pm\, tr[(1 \pm B)^{-1} B']`."""
    t, w = _legendre(_NODES)
    one = np.eye(_NODES)
    out = np.empty((4, s.size))
    for i in range(0, s.size, _CHUNK):
        part = s[i : i + _CHUNK]
        half = 0.5 * (_FAR + np.maximum(-part, 0.0))[:, None]
        x, root = half * (1.0 + t), np.sqrt(half * w)
        value, slope = airy(x[:, :, None] + x[:, None, :] + part[:, None, None])[:2]
        weight = root[:, :, None] * root[:, None, :]
        for row, sign in enumerate((-1.0, 1.0)):
            matrix = one + sign * weight * value
            d = np.linalg.det(matrix)
            share = np.linalg.solve(matrix, weight * slope)
            out[row, i : i + _CHUNK] = d
            out[row + 2, i : i + _CHUNK] = sign * d * np.trace(share, axis1=1, axis2=2)
    return out[0], out[1], out[2], out[3]


@cache
def _legendre(n: int) -> tuple[Array, Array]:
    t, w = roots_legendre(n)
    return np.asarray(t), np.asarray(w)


@cache
def _moments(beta: int) -> tuple[float, float]:
    """Mean and variance: E s = b - int F, E s^2 = b^2 - 2 int s F over (-inf, b)."""
    t, w = _legendre(_PANEL)
    stretch = 2.0 ** (2.0 / 3.0) if beta == 4 else 1.0
    half = 0.5 * (_HIGH - _LOW)
    s = _LOW + half * (1.0 + t)
    f = TracyWidom(beta).cdf(s / stretch).value
    u, b = s - _MIDDLE, _HIGH - _MIDDLE  # near the mean, so that the variance does not cancel
    first = b - half * float(np.sum(w * f))
    second = b * b - 2.0 * half * float(np.sum(w * u * f))
    return (first + _MIDDLE) / stretch, (second - first**2) / stretch**2


def _estimate(value: Array, error: Array) -> Estimate:
    if value.ndim:
        return Estimate(value, error, np.zeros(value.shape, dtype=np.int8))
    return Estimate(float(value), float(error), Status.OK)
