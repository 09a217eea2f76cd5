r"""Where correlations settle while lengths fade to zero faster than in a linear network.

Next to zero an activation is a power, with a coefficient on each side,

.. math:: \phi(h) \to a_+ h^p \ (h > 0), \quad a_- |h|^p \ (h < 0), \qquad p > 1

so that the normalised kernel of small lengths no longer depends on them. With the even and the
odd part of the power, of weights :math:`e \propto (a_+ + a_-)^2` and
:math:`o \propto (a_+ - a_-)^2`, e + o = 1, it is

.. math:: C(c) = e\,\frac{F_e(c^2)}{F_e(1)} + o\,c\,\frac{F_o(c^2)}{F_o(1)}, \quad
   F_e(x) = {}_2F_1(-\tfrac p2, -\tfrac p2; \tfrac12; x), \quad
   F_o(x) = {}_2F_1(\tfrac{1-p}2, \tfrac{1-p}2; \tfrac32; x)

with the slope :math:`C'(1) = p^2 / (2p - 1) > 1`: equal inputs part, and the correlation settles
at the one c* < 1 with C(c*) = c*. An odd activation has c* = 0, the square 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import hyp2f1

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, Status, missing

_NEAR = 10.0 ** np.arange(-120.0, -2.0, 2.0)  # arguments, rising
_FLAT = 50  # of these, up to 1e-22
_SMALLEST = 1e-280  # value of an activation that has all its digits
_AGREE = 1e-8  # of two powers found between neighbours of these
_LINEAR = 1e-6  # of the power: nearer to 1 the activation has a slope at zero
_SAME = 1e-10  # relative difference of two slopes that counts as rounding of a formula
_ROUNDED = 64.0 * EPS  # of a kernel: hyp2f1 is good to some ten roundings


@dataclass(frozen=True)
class CorrelationAtZero:
    """c*, 1 - c*, and the slope of the limiting correlation map there."""

    c: Estimate
    one_minus_c: Estimate
    slope: Estimate


@lru_cache(maxsize=64)
def correlation_at_zero(phi: AbstractActivation) -> CorrelationAtZero:
    """Where the correlation of two inputs settles at q* = 0, in a network without biases.

    Parameters
    ----------
    phi : AbstractActivation
        An activation with phi(0) = 0.

    Returns
    -------
    CorrelationAtZero
        With one slope at zero, deep layers are linear and keep every correlation (``CONTINUUM``).
        With two they are a leaky ReLU, whose map touches c = 1. With none, c* of the leading
        power; 0 where the activation is zero all around zero, as a large value of one input
        then hardly ever meets one of the other. ``NOT_COMPUTED`` where no power leads.
    """
    sides = [_power(phi, sign) for sign in (1.0, -1.0)]
    lowest = min(p for p, _ in sides)
    if np.isnan([p for p, _ in sides]).any() or lowest < 1.0 + _LINEAR:
        return _with_slopes(phi)
    if np.isinf(lowest):
        return _exactly(0.0, Estimate.exact(0.0))
    right, left = (a if p - lowest < _LINEAR else 0.0 for p, a in sides)
    even = (right + left) ** 2 / (2.0 * (right**2 + left**2))
    return _of_power(lowest, even if even > _ROUNDED else 0.0)


def _power(phi: AbstractActivation, sign: float) -> tuple[float, float]:
    """Power and coefficient on one side; inf if zero there, NaN if no power is seen."""
    with np.errstate(all="ignore"):
        value = phi.value(sign * _NEAR)
        size = np.where(np.abs(value) > _SMALLEST, np.abs(value), 0.0)
        local = np.diff(np.log(size)) / np.diff(np.log(_NEAR))
        steady = np.flatnonzero(np.abs(np.diff(local)) <= _AGREE)
    if steady.size == 0:
        flat = not np.any(value[:_FLAT])  # zero around zero; a power is seen before it underflows
        return (np.inf if flat else np.nan), 0.0
    at = int(steady[0])  # next to zero, where the next power is below rounding
    half = round(2.0 * local[at]) / 2.0  # what a power series or a root leads to
    p = half if abs(half - local[at]) <= _AGREE else float(local[at])
    return p, float(value[at] / _NEAR[at] ** p)


def _with_slopes(phi: AbstractActivation) -> CorrelationAtZero:
    left, right = phi.derivative(np.array([-1e-300, 1e-300]))
    size = max(abs(left), abs(right))
    if abs(left - right) > (_SAME + 4.0 * phi.derivative_error) * size:
        return _exactly(1.0, Estimate.exact(1.0))
    kept = missing(Status.CONTINUUM if left != 0.0 else Status.NOT_COMPUTED)
    return CorrelationAtZero(kept, kept, Estimate.exact(1.0))


def _of_power(p: float, even: float) -> CorrelationAtZero:
    """c* of the power p, `even` being the weight of its even part."""

    def excess(c: float) -> float:
        return float(_kernel(p, even, c)) - c

    if even == 0.0:
        return _exactly(0.0, Estimate(float(_slope(p, 0.0, 0.0)), _ROUNDED))
    high = 0.5
    while excess(high) > 0.0 and 1.0 - high > 64.0 * EPS:
        high = 0.5 * (1.0 + high)  # the map is convex, and below the diagonal next to 1
    c = float(brentq(excess, 0.0, high, xtol=EPS)) if excess(high) < 0.0 else high
    slope = float(_slope(p, even, c))
    error = _ROUNDED / max(1.0 - slope, _ROUNDED)
    bend = abs(float(_slope(p, even, c)) - float(_slope(p, even, 0.99 * c))) / (0.01 * c)
    return CorrelationAtZero(
        Estimate(c, error), Estimate(1.0 - c, error), Estimate(slope, _ROUNDED + bend * error)
    )


def _kernel(p: float, even: float, c: Any) -> Array:
    """The normalised kernel C of the file's head."""
    x = np.square(c)
    one, other = -0.5 * p, 0.5 * (1.0 - p)
    part = hyp2f1(one, one, 0.5, x) / hyp2f1(one, one, 0.5, 1.0)
    rest = c * hyp2f1(other, other, 1.5, x) / hyp2f1(other, other, 1.5, 1.0)
    return np.asarray(even * part + (1.0 - even) * rest)


def _slope(p: float, even: float, c: Any) -> Array:
    r"""C', by Price's theorem: the kernel of the power p - 1 with its parts exchanged.

    It is p^2 / (2p - 1) = E phi'^2 / E phi^2 times that kernel.
    """
    return p * p / (2.0 * p - 1.0) * _kernel(p - 1.0, 1.0 - even, c)


def _exactly(c: float, slope: Estimate) -> CorrelationAtZero:
    return CorrelationAtZero(Estimate.exact(c), Estimate.exact(1.0 - c), slope)
