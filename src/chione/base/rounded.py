"""Bounds on errors in half the memory: float32, rounded away from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base.estimate import Array

_LEAST, _MOST = 1.2e-38, 3.4e38  # of the normal numbers of float32


class Bounds:
    """An array of error bounds that is filled part by part.

    It is of float32, each bound at most 1.2e-7 of itself too large, unless a bound is outside the
    range in which that is so: then all of it is of float64.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.array: NDArray[np.floating[Any]] = np.full(shape, np.nan, np.float32)

    def put(self, part: Any, bound: Array) -> None:
        """Fill in the bounds, zero or above or NaN, of some part."""
        if self.array.dtype == np.float32:
            with np.errstate(invalid="ignore"):
                outside = ((bound < _LEAST) & (bound > 0.0)) | ((bound > _MOST) & (bound < np.inf))
            if not outside.any():
                near = bound.astype(np.float32)
                self.array[part] = np.where(
                    near < bound, np.nextafter(near, np.float32(np.inf)), near
                )
                return
            self.array = self.array.astype(np.float64)
        self.array[part] = bound
