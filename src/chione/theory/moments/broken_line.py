r"""The slope kernel of a broken line at one q, by one integral over the angle.

The slope of a line with kinks :math:`k_i = \sqrt q\,a_i`, where it changes by :math:`\Delta_i`, is
a sum of steps, so that its kernel changes with the angle by Gaussian densities alone (Plackett):

.. math:: \frac{dR}{d\theta} = -\frac{1}{2\pi} \sum_{ij} \Delta_i \Delta_j
   \exp\Big(-\frac{a_i^2 + a_j^2 - 2 a_i a_j \cos\theta}{2 \sin^2\theta}\Big), \qquad
   R(0) = E\,\phi'^2, \quad R(\tfrac\pi2) = (E\,\phi')^2

R runs from the nearer end, both of which are sums of probabilities; that the two runs meet is
what its error is taken from.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erf, erfc

from chione.activations import AbstractActivation
from chione.base import EPS, Array
from chione.base import chebyshev as kit

_N = 20  # coefficients of a piece
_X, _FIT = kit.nodes(_N), kit.fit_matrix(_N)
_MEETING = 0.25 * np.pi
_STARTS = (0.0, 0.1, _MEETING, 0.5 * np.pi, 3.0 * _MEETING, np.pi - 0.1, np.pi)
_MOST = 400  # pieces
_ROOT = float(np.sqrt(2.0))


class BrokenLine:
    """R of one activation at one q, at any angles.

    Parameters
    ----------
    phi : AbstractActivation
        An activation that :func:`is_broken_line`.
    q : float
        Mean square of both pre-activations, above zero.

    Attributes
    ----------
    error : float
        Absolute error of R.
    """

    def __init__(self, phi: AbstractActivation, q: float) -> None:
        kinks = np.array(phi.kinks)
        slopes = phi.derivative(_between(kinks))
        self._a, self._steps = kinks / np.sqrt(q), np.diff(slopes)
        shares = _probabilities(self._a)
        self._top = float(shares @ slopes**2)
        mean, size = float(shares @ slopes), float(shares @ np.abs(slopes))
        self._fit()
        meeting = int(np.flatnonzero(self._edges == _MEETING)[0])
        self._middle = int(np.flatnonzero(self._edges == 0.5 * np.pi)[0])
        self._run += mean**2 - self._run[self._middle]  # from the right angle, to both sides
        apart = self._top - self._sum_to(meeting) - self._run[meeting]
        self._run[:meeting] = self._top - np.r_[0.0, np.cumsum(self._parts[: meeting - 1])]
        self.error = float(abs(apart)) + 16.0 * EPS * (self._top + size * abs(mean)) + self._left

    def slope(self, theta: Array) -> Array:
        """R at angles in [0, pi]."""
        piece = np.searchsorted(self._edges, theta, side="right") - 1
        piece = np.clip(piece, 0, len(self._edges) - 2)
        low, high = self._edges[piece], self._edges[piece + 1]
        x = (2.0 * theta - low - high) / (high - low)
        return np.asarray(self._run[piece] - kit.series(self._integrals[piece].T, x))

    def _density(self, theta: Array) -> Array:
        """Minus dR / d theta."""
        a, b = self._a[:, None, None], self._a[None, :, None]
        sine, half = np.sin(theta), np.cos(0.5 * theta) ** 2
        with np.errstate(divide="ignore", over="ignore"):
            acute = ((a - b) / sine) ** 2 + a * b / half  # 1 + c = 2 cos^2
            obtuse = ((a + b) / sine) ** 2 - a * b / np.sin(0.5 * theta) ** 2
            form = np.where(theta <= 0.5 * np.pi, acute, obtuse)
        both = self._steps[:, None, None] * self._steps[None, :, None]
        whole, less = np.exp(-0.5 * form), np.expm1(-0.5 * form)
        # the products apart, whose sum is often zero, where all kinks are close to the centre
        apart = np.sum(self._steps) ** 2 + np.sum(both * less, axis=(0, 1))
        near = np.sum(np.abs(both * less), axis=(0, 1)) < np.sum(np.abs(both * whole), axis=(0, 1))
        return np.asarray(np.where(near, apart, np.sum(both * whole, axis=(0, 1))) / (2.0 * np.pi))

    def _fit(self) -> None:
        """Pieces of the density and their integrals, halved until what is left is rounding."""
        todo = list(pairwise(_STARTS))
        done: list[tuple[float, float, Array]] = []
        self._left = 0.0
        while todo:
            low, high = todo.pop()
            half = 0.5 * (high - low)
            values = self._density(0.5 * (low + high) + half * _X)
            series = _FIT @ values
            rest = float(kit.left_out(series)) * half
            rounding = 4.0 * EPS * max(float(np.abs(values).max()) * half, self._top)
            if rest > rounding and len(done) + len(todo) < _MOST:
                todo += [(low, low + half), (low + half, high)]
                continue
            self._left += max(rest - rounding, 0.0)
            integral = np.asarray(chebyshev.chebint(series, lbnd=-1.0) * half, np.float64)
            done.append((low, high, integral))
        done.sort(key=lambda piece: piece[0])
        self._edges = np.array([low for low, _, _ in done] + [np.pi])
        self._integrals = np.stack([integral for _, _, integral in done])
        self._parts = self._integrals.sum(axis=1)  # of whole pieces
        self._run = -np.r_[0.0, np.cumsum(self._parts)]

    def _sum_to(self, edge: int) -> float:
        return float(self._parts[:edge].sum())


def _between(kinks: Array) -> Array:
    """An argument in each interval of a line."""
    return np.asarray(
        np.r_[kinks[0] - 1.0, 0.5 * (kinks[1:] + kinks[:-1]), kinks[-1] + 1.0], np.float64
    )


def _probabilities(a: Array) -> Array:
    """Of a standard normal, to lie in each interval between the places `a`."""
    ends = np.r_[-np.inf, a, np.inf] / _ROOT
    low, high = ends[:-1], ends[1:]
    right = 0.5 * (erfc(low) - erfc(high))
    left = 0.5 * (erfc(-high) - erfc(-low))
    across = 0.5 * (erf(high) - erf(low))
    return np.asarray(np.where(low > 0.0, right, np.where(high < 0.0, left, across)))


@lru_cache(maxsize=256)
def is_broken_line(phi: AbstractActivation) -> bool:
    """Whether phi is continuous and straight between few kinks, which are known exactly."""
    kinks = np.array(phi.kinks)
    if not 0 < kinks.size <= 16 or any(phi.kink_error(k) > 0.0 for k in kinks):
        return False
    if any(phi.jump(0, k) != 0.0 for k in kinks):
        return False
    slopes = phi.derivative(_between(kinks))
    steps = np.geomspace(1e-9, 1e9, 721)
    at = np.concatenate([(kinks[:, None] + sign * steps).ravel() for sign in (-1.0, 1.0)])
    at = at[~np.isin(at, kinks)]
    inside = np.array_equal(phi.derivative(at), slopes[np.searchsorted(kinks, at)])
    return inside and not np.any(phi.second_derivative(at))


@lru_cache(maxsize=64)
def broken_line(phi: AbstractActivation, q: float) -> BrokenLine:
    """The kernel of one broken line at one q, kept for the next angle."""
    return BrokenLine(phi, q)
