r"""An activation in units of its own: the standard normal in, values of order one out.

.. math:: z \mapsto \frac1s\,\phi(\sqrt q\,z), \qquad z \sim N(0, 1)

Products of moments, and squares of lengths, leave float64 long before the correlations that are
made of them do. In these units nothing over- or underflows.
"""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array

_PROBES = np.geomspace(1e-12, 4.0, 120)  # standard deviations
_NATURAL = np.geomspace(1e-6, 1e6, 60)  # where activations have their features
_LARGEST, _SMALLEST = 1e145, 1e-145  # values whose square still has room in float64
_LONGEST, _SHORTEST = 1e302, 1e-270  # variances whose density is computed without underflow
_DENORMAL = 1e-300
_BEYOND = 60.0  # standard deviations: breakpoints further out are never seen


@final
@dataclass(frozen=True)
class StandardActivation(AbstractActivation):
    r"""The activation :math:`z \mapsto \phi(\sqrt q z) / s`.

    Parameters
    ----------
    activation : AbstractActivation
        The activation :math:`\phi`.
    root : float
        :math:`\sqrt q`.
    size : float
        The number s, above zero, a power of two.
    """

    activation: AbstractActivation
    root: float
    size: float

    @property
    def name(self) -> str:
        return f"{self.activation.name} in units of its own"

    @property
    def kinks(self) -> tuple[float, ...]:
        with np.errstate(over="ignore"):
            places = np.array(self.activation.kinks, dtype=np.float64) / self.root
        return tuple(float(k) for k in places if abs(k) < _BEYOND)

    @property
    def derivative_error(self) -> float:
        return self.activation.derivative_error

    def value(self, z: Array) -> Array:
        return self.activation.value(self.root * z) / self.size

    def derivative(self, z: Array) -> Array:
        return self.activation.derivative(self.root * z) * (self.root / self.size)

    def second_derivative(self, z: Array) -> Array:
        bend = self.activation.second_derivative(self.root * z)
        return bend * (self.root / self.size) * self.root

    def one_sided(self, order: int, at: float) -> tuple[float, float]:
        own = min(self.activation.kinks, key=lambda k: abs(k / self.root - at), default=0.0)
        inner = own if abs(own / self.root - at) <= 1e-12 * (1.0 + abs(at)) else at * self.root
        left, right = self.activation.one_sided(order, inner)
        factor = self.root**order / self.size
        return left * factor, right * factor


@lru_cache(maxsize=256)
def value_size(phi: AbstractActivation, q: float) -> float:
    """Largest value within four standard deviations as a power of two.

    Infinite where values leave float64: beyond its largest number, or where they are denormal
    and hold a few digits only.
    """
    with np.errstate(all="ignore"):
        sigma = float(np.sqrt(q))
        h = np.concatenate([sigma * _PROBES, _NATURAL[4.0 * sigma > _NATURAL]])
        size = float(np.abs(phi.value(np.concatenate([-h, h]))).max())
    if not np.isfinite(size) or 0.0 < size < _DENORMAL:
        return float("inf")
    exponent = int(np.frexp(size)[1])
    if exponent > 1023:
        return float("inf")
    return math.ldexp(1.0, exponent) if size > 0.0 else 1.0


def is_moderate(phi: AbstractActivation, *lengths: float) -> bool:
    """Whether moments of the activation at these lengths are computed as they stand."""
    return all(
        q == 0.0 or (_SHORTEST < q < _LONGEST and _SMALLEST < value_size(phi, q) < _LARGEST)
        for q in lengths
    )


@lru_cache(maxsize=256)
def standard(phi: AbstractActivation, q: float) -> StandardActivation:
    """The activation in its own units at one length above zero."""
    return StandardActivation(phi, float(np.sqrt(q)), value_size(phi, q))
