r"""Units in which a user's function has its features near one.

:math:`10^{-7} \tanh(10^7 x)` is tanh in other units. Fits, searches and tails all begin at some
width, so they are given the function

.. math:: t \mapsto \frac1a\,\phi(s\,t)

with s and a powers of two, which changes no digit. Away from its scales
:math:`|\phi(x) - \phi(0)|` is a power of x. Functions with a scale within a factor of 32 of
x = 1, or without any, keep their argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array

Function = Callable[[Array], Array]
_OCTAVES = np.arange(-60, 61)
_NEAR = 5  # octaves around 1 in which functions are left as they are
_BENDS = 0.05  # change of the exponent from one octave to the next
_CREEP = 0.2  # of its range: how far samples of an oscillation may lie beyond those before
_SEEN = 1e4 * EPS  # of f(0): a change below that is mostly rounding
_INSIDE = 2  # octaves from where a function begins to bend to its scale
_LARGEST = 500  # power of two
_PLAIN = 4  # powers of two that values are left with
_REACH = 4.0  # units of the argument within which the size of values is measured


@dataclass(frozen=True)
class Units:
    """Units of the argument and of the values, both powers of two.

    Parameters
    ----------
    argument, value : float
        The numbers s and a.
    """

    argument: float = 1.0
    value: float = 1.0

    def factor(self, order: int) -> float:
        """What a derivative in these units has to be multiplied with."""
        return self.value / self.argument**order

    def inside(self, f: Function) -> Function:
        """The function in these units."""
        if self == Units():
            return f
        s, a = self.argument, self.value

        def scaled(t: Array) -> Array:
            return np.asarray(f(s * t) / a, dtype=np.float64)

        return scaled

    def derivatives(self, d: Callable[[Array, int], Array]) -> Callable[[Array, int], Array]:
        """Its derivatives (points, order)."""
        if self == Units():
            return d

        def scaled(t: Array, order: int) -> Array:
            out = d(self.argument * t, order) / self.factor(order)
            return np.asarray(out, dtype=np.float64)

        return scaled


@np.errstate(all="ignore")
def natural_units(f: Function) -> Units:
    """The units of `f`, a function (n,) -> (n,) of float64."""
    s = _argument(f)
    t = s * np.linspace(-_REACH, _REACH, 81)
    size = np.abs(f(t))
    largest = float(np.max(size[np.isfinite(size)], initial=0.0))
    power = int(np.clip(np.frexp(largest)[1], -_LARGEST, _LARGEST)) if largest else 0
    return Units(s, 1.0 if abs(power) <= _PLAIN else 2.0**power)


def _argument(f: Function) -> float:
    here = _OCTAVES[_bending(f)]
    if not here.size:
        return 1.0
    runs = np.split(here, np.flatnonzero(np.diff(here) > 1) + 1)
    if _only_oscillates(f, float(2.0 ** (runs[0][0] + _INSIDE))):
        run = runs[0][: _INSIDE + 1]  # later the largest sample creeps up, which is no scale
    else:
        run = min(runs, key=lambda r: int(np.min(np.abs(r))))
    if np.any(np.abs(run) <= _NEAR):
        return 1.0
    return float(2.0 ** int(run[min(_INSIDE, len(run) // 2)]))


def _only_oscillates(f: Function, unit: float) -> bool:
    """Whether beyond a few units f swings, and never gets far beyond what it is within them."""
    inner = unit * np.linspace(-64.0, 64.0, 6401)
    x = unit * 2.0 ** np.arange(6.0, 60.0, 0.25)
    within, sides = f(inner), (f(x), f(-x))
    if not all(np.all(np.isfinite(y)) for y in (within, *sides)):
        return False
    low, high = float(within.min()), float(within.max())
    room = _CREEP * (high - low)

    def swings(y: Array) -> bool:  # samples lie in both halves of the range
        return bool(0.2 < np.mean(y > 0.5 * (low + high)) < 0.8 and np.ptp(y) > 0.5 * (high - low))

    bounded = all(y.max() <= high + room and y.min() >= low - room for y in sides)
    return bounded and all(swings(y) for y in sides)


def _bending(f: Function) -> NDArray[np.bool_]:
    """In which octaves f - f(0) leaves a power law, on either side of zero."""
    x = 2.0 ** np.append(_OCTAVES, _OCTAVES[-1] + 1.0)
    found = np.zeros(len(_OCTAVES), dtype=np.bool_)
    for side in (-1.0, 1.0):
        at_zero = float(f(np.array([side * 1e-300]))[0])
        y = np.abs(f(side * x) - at_zero)
        size = np.maximum.accumulate(np.where(np.isfinite(y), y, 0.0))
        seen = size > _SEEN * abs(at_zero)
        power = np.diff(np.log2(size))  # of the octave from x[k] to x[k + 1]
        found[1:] |= seen[:-2] & (np.abs(np.diff(power)) > _BENDS)
        found |= (size[:-1] == 0.0) & (size[1:] > 1e-3 * abs(at_zero))
    return found
