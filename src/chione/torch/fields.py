r"""The Gaussian field that theory carries along a network.

A field has mean square q, gap :math:`q - q_{12} = q (1 - c)` between two different inputs, and mean
over units m. The gap is carried instead of the correlation, since near c = 1 only it is accurate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from chione import theory
from chione.activations import AbstractActivation


@dataclass(frozen=True)
class Field:
    """Mean square, gap and mean of one tensor in a wide network."""

    q: float
    gap: float
    mean: float = 0.0

    @property
    def correlation(self) -> float:
        """Correlation of two inputs."""
        return 1.0 - self.one_minus_c

    @property
    def one_minus_c(self) -> float:
        """1 - c, NaN where the field is zero."""
        return self.gap / self.q if self.q > 0.0 else math.nan


def affine(field: Field, sigma_w2: float, sigma_b2: float) -> Field:
    r""":math:`q' = \sigma_w^2 q + \sigma_b^2`, and the gap without :math:`\sigma_b`."""
    return Field(sigma_w2 * field.q + sigma_b2, sigma_w2 * field.gap)


def activated(field: Field, phi: AbstractActivation) -> Field:
    r""":math:`E \phi^2`, :math:`E \phi^2 - E \phi(u_1) \phi(u_2)` and :math:`E \phi`."""
    if not (math.isfinite(field.q) and field.q > 0.0):
        return Field(math.nan, math.nan, math.nan)
    one_minus_c = field.one_minus_c
    if math.isfinite(one_minus_c):
        one_minus_c = min(max(one_minus_c, 0.0), 2.0)
    return _activated(phi, field.q, one_minus_c)


# A deep network meets the same few values again and again (layers of one kind at a fixed point).
@lru_cache(maxsize=4096)
def _activated(phi: AbstractActivation, q: float, one_minus_c: float) -> Field:
    square = float(theory.second_moment(phi, q))
    mean = float(theory.mean(phi, q))
    gap = math.nan
    if math.isfinite(one_minus_c):
        # The map with sigma_w = 1, sigma_b = 0 is E phi phi / E phi^2.
        gap = square * float(
            theory.one_minus_correlation_map(phi, one_minus_c, q=q, sigma_w=1.0, sigma_b=0.0)
        )
    return Field(square, gap, mean)


@lru_cache(maxsize=4096)
def slope_square(phi: AbstractActivation, q: float) -> float:
    r""":math:`E \phi'(\sqrt q z)^2`, NaN where q has no value."""
    if not (math.isfinite(q) and q > 0.0):
        return math.nan
    return float(theory.derivative_second_moment(phi, q))


def normalised(field: Field, gain2: float, shift2: float, eps: float, *, centred: bool) -> Field:
    """Layer norm (`centred`) or rms norm over the units, then gain and shift."""
    middle2 = field.mean**2 if centred else 0.0
    variance = field.q - middle2
    if not variance + eps > 0.0:
        return Field(math.nan, math.nan)
    factor = gain2 / (variance + eps)
    return Field(factor * variance + shift2, factor * field.gap)


def added(a: Field, b: Field) -> Field:
    """Sum of two fields that are independent but for their means over units."""
    cross = 2.0 * a.mean * b.mean
    return Field(a.q + b.q + cross, a.gap + b.gap, a.mean + b.mean)


def multiplied(a: Field, b: Field) -> Field:
    """Product of two independent fields."""
    gap = a.q * b.gap + b.q * a.gap - a.gap * b.gap
    return Field(a.q * b.q, gap, a.mean * b.mean)


def scaled(field: Field, factor2: float) -> Field:
    """Multiplied by a constant of square `factor2`."""
    return Field(factor2 * field.q, factor2 * field.gap, math.sqrt(factor2) * field.mean)


def dropped(field: Field, p: float) -> Field:
    """Dropout with probability p, independent for each input."""
    keep = 1.0 - p
    if keep <= 0.0:
        return Field(0.0, 0.0)
    q = field.q / keep
    return Field(q, q - (field.q - field.gap), field.mean)
