"""Logarithms on the branch of the lower half plane, and sums near zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.freeprob.measures import Complex

SERIES = 0.25
"""Below this size logarithms less their first terms are summed as series."""
TERMS = np.arange(2.0, 30.0)
"""Powers of those series: 0.25^28 is below the rounding."""


def pole_share(f: Any, place: float, weight: float) -> tuple[Array, Array]:
    """W / |F - a|^2 and its derivative by (Im F)^2."""
    size = (np.real(f) - place) ** 2 + np.imag(f) ** 2
    with np.errstate(divide="ignore", over="ignore"):
        return weight / size, -weight / size**2


def times(c: float, g: Complex) -> NDArray[np.complex128]:
    """C g without the imaginary part of c, whose zero would turn the sign of another."""
    return joined(c * g.real, c * g.imag)


def log1p(t: Any) -> Complex:
    """log(1 + t) with arg in [-pi, pi], the sign of a zero imaginary part kept."""
    re, im = 1.0 + np.real(t), np.imag(t)
    with np.errstate(divide="ignore"):
        return np.asarray(joined(np.log(np.hypot(re, im)), np.arctan2(im, re)))


def horner(t: Complex, c: Any) -> Complex:
    """Sum of c_n t^n from n = 2."""
    out = np.zeros_like(t)
    for x in c[::-1]:
        out = out * t + x
    return np.asarray(out * t * t)


def joined(re: Any, im: Any) -> NDArray[np.complex128]:
    """Re + i im without the sum, which would lose the sign of a zero."""
    out = np.empty(np.broadcast(re, im).shape, dtype=complex)
    out.real, out.imag = re, im
    return out
