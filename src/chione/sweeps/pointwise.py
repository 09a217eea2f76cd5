r"""Activations applied to whole layers in training: value and derivative, in place.

Training in float64 uses the formulas of the activation itself. In float32 they are too slow where
they keep digits that float32 has not; :mod:`chione.sweeps.float32_forms` has the common ones in a
few vectorised passes, and others are computed in float32 where that was found to be accurate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation

FloatArray = NDArray[np.floating[Any]]

TOLERANCE = 16.0 * float(np.finfo(np.float32).eps)
"""Largest error of a float32 form, relative to the largest value nearer to zero."""


class Pointwise(ABC):
    """An activation for arrays of any size; an object belongs to one training at a time."""

    def __init__(self) -> None:
        self._kept: dict[int, FloatArray] = {}

    @abstractmethod
    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        r"""Write :math:`\phi(h)` into `out`, apart from `h`, which may be overwritten.

        With `slope` it becomes :math:`\phi'(h)`.
        """

    def scratch(self, h: FloatArray, number: int = 0) -> FloatArray:
        """An array like `h` that is reused."""
        found = self._kept.get(number)
        if found is None or found.shape != h.shape or found.dtype != h.dtype:
            found = self._kept[number] = np.empty(h.shape, h.dtype)
        return found


class Formula(Pointwise):
    """Any activation by its own formulas, in `dtype`."""

    def __init__(self, act: AbstractActivation, dtype: Any) -> None:
        super().__init__()
        self._act, self._dtype = act, np.dtype(dtype)

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        """See :meth:`Pointwise.apply`."""
        z: Any = h.astype(self._dtype, copy=False)
        out[...] = self._act.value(z)
        if slope:
            h[...] = self._act.derivative(z)


class Affine(Pointwise):
    r""":math:`a\,\phi(x + s) + b` of a form of :math:`\phi`."""

    def __init__(self, inner: Pointwise, scale: float, shift: float, offset: float) -> None:
        super().__init__()
        self._inner, self._scale, self._shift, self._offset = inner, scale, shift, offset

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        """See :meth:`Pointwise.apply`."""
        h += h.dtype.type(self._shift)
        self._inner.apply(h, out, slope)
        out *= out.dtype.type(self._scale)
        out += out.dtype.type(self._offset)
        if slope:
            h *= h.dtype.type(self._scale)


@lru_cache(maxsize=64)
def formula_dtype(act: AbstractActivation) -> str:
    """The dtype that the formulas of an activation need to keep the digits of float32.

    Tried at points of every size: the error of value and derivative has to stay below `TOLERANCE`
    times the largest value found nearer to zero, so that tails may be lost but not small signals.
    """
    sizes = np.concatenate([10.0 ** np.arange(-30.0, -1.0), np.linspace(0.01, 30.0, 3001), [300.0]])
    near = [k + d for k in act.kinks for d in (-1e-3, 0.0, 1e-3)]
    for sign in (-1.0, 1.0):
        z32 = (sign * np.sort(np.concatenate([sizes, np.abs(near)]))).astype(np.float32)
        z = z32.astype(np.float64)
        with np.errstate(all="ignore"):
            for f in (act.value, act.derivative):
                exact = f(z)
                try:
                    given: Any = z32.copy()
                    got = np.asarray(f(given))
                except (TypeError, ValueError, ArithmeticError):
                    return "float64"
                fits = np.abs(exact) < float(np.finfo(np.float32).max)
                scale = np.maximum.accumulate(np.where(fits, np.abs(exact), 0.0))
                # an ulp of the argument is within the tolerance too: it may be what moved the value
                wrong = np.abs(got - exact) > TOLERANCE * scale
                if got.shape != z.shape or np.any(wrong & fits):
                    return "float64"
    return "float32"
