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
_SWING, _CREEP = (
    0.9,
    1.5,
)  # how far an oscillation falls back, and how little its largest value rises
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
    bends = _bending(f)
    here = _OCTAVES[bends]
    if not here.size or np.any(np.abs(here) <= _NEAR):
        return 1.0
    runs = np.split(here, np.flatnonzero(np.diff(here) > 1) + 1)
    run = min(runs, key=lambda r: int(np.min(np.abs(r))))
    return float(2.0 ** int(run[min(_INSIDE, len(run) // 2)]))


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
        # the largest value of an oscillation creeps up from sample to sample: that is no new scale
        swings = np.maximum.accumulate(y < _SWING * size)[:-2]
        creeps = swings & (size[2:] < _CREEP * size[:-2])
        found[1:] |= seen[:-2] & (np.abs(np.diff(power)) > _BENDS) & ~creeps
        found |= (size[:-1] == 0.0) & (size[1:] > 1e-3 * abs(at_zero))
    return found
