"""What an integrator keeps of a function for one binade of the standard deviation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.base import Array, Status
from chione.gaussian.features import Found

ROOM = 64  # powers of two between values and the largest float64


@dataclass(frozen=True)
class Reduced:
    """A function times a power of two, so that sums of its values stay inside float64."""

    g: Callable[[Array], Array]

    def __call__(self, h: Array) -> Array:
        """Its values."""
        return np.ldexp(self.g(h), -ROOM)


@dataclass(frozen=True)
class Compiled:
    """A rule of one function, ready for the dot product with the Gaussian weights."""

    sigma: float
    exponent: Array  # -(h / sigma)^2 / 2
    w: Array  # of h / sigma
    g: Array
    wg: Array | None  # w g^p, where that does not overflow
    positive: bool
    relative: float  # error relative to E |g|^p
    status: Status
    unseen: float  # what may hide where g was zero at every probe
    deep: bool  # whether all nodes lie far out in the tail


def missed_features(found: Found, h: Array, size: Array, q: Array) -> float:
    """What others like the features that were met by luck may add, relative to E |g|^p."""
    worst = 0.0
    with np.errstate(all="ignore"):
        for variance in q:
            mass = size * np.exp(-0.5 * h * h / variance)
            share = 0.0
            for f in found.lucky:
                near = np.abs(h - f.at) < 4.0 * f.width
                share += float(mass[near].sum()) * max(1.0, f.gap / max(f.width, 1e-300))
            total = float(mass.sum())
            part = share / total if total > 0.0 else 0.0
            worst = max(worst, part if np.isfinite(part) else float("inf"))  # a pole among them
    return worst
