r"""Cumulants of laws, free and classical, with errors.

Cumulants but the first do not feel a shift: they are taken from the moments about the mean where a
law can be shifted without loss, and from the parts where it is a free sum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import numpy as np

from chione.base import EPS, Array
from chione.freeprob import series
from chione.freeprob.classical import FreePoisson, Semicircle
from chione.freeprob.dilation import Dilated, dilated
from chione.freeprob.free_power import AbstractNamedLaw
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measures import AbstractMeasure

Pair = tuple[Array, Array]


@singledispatch
def free_cumulants(law: AbstractMeasure, n: int) -> Pair:
    """Free cumulants kappa_1 .. kappa_n and bounds on their errors."""
    return _about_the_mean(law, n, series.free_cumulants_with_error)


def cumulants(law: AbstractMeasure, n: int) -> Pair:
    """Classical cumulants c_1 .. c_n and bounds on their errors."""
    return _about_the_mean(law, n, series.cumulants_with_error)


def _about_the_mean(law: AbstractMeasure, n: int, f: Callable[[Array, Array], Pair]) -> Pair:
    """The better of two: from the moments, and from those about the mean."""
    value, error = f(law.moments(n), law.moments_error(n))
    mean = float(value[0])
    if not np.isfinite(mean) or mean == 0.0:
        return value, error
    moved = dilated(law, 1.0, -mean)
    if isinstance(moved, Dilated):  # its moments are those of the law, shifted: nothing is won
        return value, error
    other, doubt = f(moved.moments(n), moved.moments_error(n))
    better = doubt < error
    better[0] = False
    return np.where(better, other, value), np.where(better, doubt, error)


def _exact(kappa: Array) -> Pair:
    return kappa, np.asarray(4.0 * EPS * np.arange(1, kappa.size + 1) * abs(kappa))


@free_cumulants.register
def _(law: Semicircle, n: int) -> Pair:
    kappa = np.zeros(n)
    kappa[:2] = (law.center, law.variance_)[:n]
    return _exact(kappa)


@free_cumulants.register
def _(law: FreePoisson, n: int) -> Pair:
    return _exact(law.rate * law.jump ** np.arange(1.0, n + 1.0))


@free_cumulants.register
def _(law: Dilated, n: int) -> Pair:
    value, error = free_cumulants(law.base, n)
    power = law.factor ** np.arange(1, n + 1)
    value, error = power * value, abs(power) * error
    rounding = 4.0 * EPS * np.arange(1, n + 1) * abs(value)
    value[0] += law.offset
    rounding[0] += 2.0 * EPS * abs(law.offset)
    return value, error + rounding


@free_cumulants.register
def _(law: FreeSum, n: int) -> Pair:
    value, error = np.zeros(n), np.zeros(n)
    value[0], error[0] = law.constant, EPS * abs(law.constant)
    for part, times in zip(law.system.laws, law.system.times, strict=True):
        one, bound = free_cumulants(part, n)
        value = value + times * one
        error = error + times * bound + 2.0 * EPS * (abs(times * one) + abs(value))
    return value, error


@free_cumulants.register
def _(law: AbstractNamedLaw, n: int) -> Pair:
    return free_cumulants(law.answer, n)
