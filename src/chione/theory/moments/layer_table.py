r"""All that one layer does to lengths, gradients and pairs, compiled in log q for fast walks.

With :math:`h = \sqrt q\,z`, and :math:`h, h'` a pair of correlation c:

.. math:: \log E\,\phi^2, \quad \log E\,\phi'^2, \quad \frac{d \log E\,\phi^2}{d \log q}, \quad
   \log \frac{E\,\phi^4}{(E\,\phi^2)^2}, \quad \log \frac{E\,\phi'^4}{(E\,\phi'^2)^2}, \quad
   R(q, c) = \frac{E\,(\phi(h) - \phi(h'))^2}{2\,q\,(1 - c)\,E\,\phi'^2}

These figures weigh initialisations against each other, in decades; what is printed as a result is
computed by the moments themselves. Between nodes the splines are off by less than 1e-3.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, RectBivariateSpline

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.moments.growth_profile import own_unit

_LOWEST, _HIGHEST, _PER_DECADE = 1e-4, 1e4, 8  # of q in units of the activation
_REACH = 9.0  # Gaussian mass beyond: 2e-19
_PANELS, _NEAR = 24, 48  # of z; and of h within twelve of zero, where activations bend
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)
# Trapezoids for pairs: exact where phi is smooth on their step, and at kinks too, since the
# difference of the pair blurs them by sqrt((1 - c) / 2), which is 0.07 or more.
_STEP_SUM, _STEP_DIFFERENCE, _PAIR_REACH = 0.125, 0.25, 5.5
_PAIR_EVERY = 2  # nodes in q, of those of the moments: R changes slowly
_ROOTS = np.array([0.0, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0])  # of 1 - c
_INTEGRATED = 3  # from this one on; those below follow from the law at a kink
_FAINT = 1e-290


class LayerTable:
    """Moments of one activation as splines in log q.

    Parameters
    ----------
    phi : AbstractActivation
        A continuous activation.
    """

    def __init__(self, phi: AbstractActivation) -> None:
        self.phi, unit = phi, own_unit(phi)
        n = round(math.log10(_HIGHEST / _LOWEST) * _PER_DECADE) + 1
        q = np.geomspace(_LOWEST * unit, _HIGHEST * unit, n)
        with np.errstate(all="ignore"):
            columns = _moments(phi, q)
        known = _longest(np.isfinite(columns).all(axis=1))
        self.usable = known.size >= 8
        if not self.usable:
            return
        self._log_q = np.log(q[known])
        self._moments = CubicSpline(self._log_q, columns[known])
        self._steep = self._moments.derivative()
        ends = self._log_q[[0, -1]]
        self._ends = self._steep(ends)[:, :2]

    @cached_property
    def _ratio(self) -> RectBivariateSpline:
        """Logarithm of R over log q and the root of 1 - c."""
        log_q = self._log_q[:: _PAIR_EVERY if self._log_q.size > 4 * _PAIR_EVERY else 1]
        with np.errstate(all="ignore"):
            ratio = _pair_ratios(self.phi, np.exp(log_q), np.exp(self._moments(log_q)[:, 1]))
        good = np.isfinite(ratio).all(axis=1)
        return RectBivariateSpline(log_q[good], _ROOTS, ratio[good], s=0.0)

    @staticmethod
    @lru_cache(maxsize=128)
    def of(phi: AbstractActivation) -> LayerTable:
        """The table of an activation, kept for the next call."""
        return LayerTable(phi)

    def moments(self, log_q: Array) -> Array:
        """Columns as in the head of this file; beyond the table E phi^2 goes on as a power of q."""
        inside = np.clip(log_q, self._log_q[0], self._log_q[-1])
        out = np.asarray(self._moments(inside))
        beyond = log_q - inside
        slopes = np.where((beyond < 0.0)[..., None], self._ends[0], self._ends[1])
        out[..., :2] += beyond[..., None] * slopes
        return out

    def bend(self, log_q: Array) -> Array:
        r"""Slope of :math:`\log E\,\phi'^2` in log q."""
        return np.asarray(self._steep(np.clip(log_q, self._log_q[0], self._log_q[-1]))[..., 1])

    def log_pair_ratio(self, log_q: Array, gap: Array) -> Array:
        """Logarithm of R, the distance of images over what the slope alone makes of it."""
        inside = np.clip(log_q, self._log_q[0], self._log_q[-1])
        return np.asarray(self._ratio.ev(inside, np.sqrt(np.clip(gap, 0.0, 1.0))))


def _moments(phi: AbstractActivation, q: Array) -> Array:
    root = np.sqrt(q)[:, None]
    near = np.linspace(-12.0, 12.0, _NEAR + 1) / root
    kinks = np.asarray(phi.kinks, dtype=np.float64) / root
    far = np.broadcast_to(np.linspace(-_REACH, _REACH, _PANELS + 1), (q.size, _PANELS + 1))
    edges = np.sort(np.clip(np.concatenate([far, near, kinks], axis=1), -_REACH, _REACH), axis=1)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    z = (edges[:, :-1, None] + half * (_POINTS + 1.0)).reshape(q.size, -1)
    weight = (half * _WEIGHTS).reshape(q.size, -1) * np.exp(-0.5 * z * z) / math.sqrt(2.0 * np.pi)
    h = root * z
    value, slope = phi.value(h), phi.derivative(h)

    def mean(f: Array) -> Array:
        return np.asarray(np.einsum("ij,ij->i", weight, f))

    square, steep = mean(value**2), mean(slope**2)
    faint = (square < _FAINT) | (steep < _FAINT)
    columns = np.stack(
        [
            np.log(square),
            np.log(steep),
            mean(h * value * slope) / square,
            np.log(mean(value**4) / square**2),
            np.log(mean(slope**4) / steep**2),
        ],
        axis=1,
    )
    columns[faint] = np.nan
    return columns


def _pair_ratios(phi: AbstractActivation, q: Array, steep: Array) -> Array:
    r"""Logarithm of R at the roots of 1 - c; next to c = 1 from :math:`1 - \kappa x - \mu x^2`."""
    u = np.arange(-_PAIR_REACH, _PAIR_REACH + 0.5 * _STEP_SUM, _STEP_SUM)
    v = np.arange(0.5 * _STEP_DIFFERENCE, _PAIR_REACH, _STEP_DIFFERENCE)  # both signs are alike
    both = np.exp(-0.5 * (u[:, None] ** 2 + v**2)).ravel()
    both /= both.sum()
    out = np.empty((q.size, _ROOTS.size))
    out[:, 0] = 1.0
    root = np.sqrt(q)[:, None]
    for i in range(_INTEGRATED, _ROOTS.size):
        gap = _ROOTS[i] ** 2
        along = math.sqrt(1.0 - 0.5 * gap) * u[:, None] + 0.0 * v
        across = math.sqrt(0.5 * gap) * v + 0.0 * u[:, None]
        ends = [phi.value(root * (along + s * across).ravel()) for s in (1.0, -1.0)]
        out[:, i] = 0.5 * ((ends[0] - ends[1]) ** 2 @ both) / (q * gap * steep)
    first = _ROOTS[_INTEGRATED]
    kappa = np.minimum(_kink_term(phi, q) / steep, 0.5 / first)
    mu = (1.0 - kappa * first - out[:, _INTEGRATED]) / first**2
    for i in range(1, _INTEGRATED):
        x = _ROOTS[i]
        out[:, i] = 1.0 - kappa * x - mu * x**2
    return np.log(np.maximum(out, 1e-12))


def _kink_term(phi: AbstractActivation, q: Array) -> Array:
    r"""Coefficient of :math:`\epsilon^{3/2}` relative to q; see ``meanfield/close_pair.py``."""
    out = np.zeros_like(q)
    for k in phi.kinks:
        out += (
            (2.0 / 3.0) * phi.jump(1, k) ** 2 * np.exp(-0.5 * k * k / q) / (np.pi * math.sqrt(2.0))
        )
    return out


def _longest(good: Any) -> NDArray[np.intp]:
    """Indices of the longest stretch of True."""
    best, start = np.empty(0, dtype=np.intp), -1
    for i, ok in enumerate([*good, False]):
        if ok and start < 0:
            start = i
        elif not ok and start >= 0:
            if i - start > best.size:
                best = np.arange(start, i)
            start = -1
    return best
