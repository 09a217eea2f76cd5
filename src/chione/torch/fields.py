r"""The Gaussian field that theory carries along a network.

A field has mean square q, gap :math:`q - q_{12} = q (1 - c)` between two different inputs, and mean
over units m. The gap is carried instead of the correlation, since near c = 1 only it is accurate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.moments.moments import derivative_second_moment, mean, second_moment


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
    square = float(second_moment(phi, q))
    middle = float(mean(phi, q))
    gap = math.nan
    if math.isfinite(one_minus_c):
        gap = kernel_gap(phi, q, one_minus_c)
    return Field(square, gap, middle)


def kernel_gap(phi: AbstractActivation, q: float, one_minus_c: float) -> float:
    r""":math:`E \phi^2 - E \phi(u_1) \phi(u_2) = \tfrac12 E (\phi(u_1) - \phi(u_2))^2`, quickly.

    Gauss-Legendre panels along :math:`u_1 + u_2`, split where either of the two meets a kink, for
    each of 40 values of :math:`u_1 - u_2`: to 2e-6 (relative) for q up to 100, with several kinks
    to 6e-5 there, in 0.2 ms. A network of width N differs from the limit by 1 / sqrt(N), so a
    report needs no more; ``theory.one_minus_correlation_map`` is exact, at up to a second a layer.
    """
    along = math.sqrt(q * (1.0 - 0.5 * one_minus_c))
    across = math.sqrt(q * 0.5 * one_minus_c) * _ACROSS[:, None]  # (40, 1)
    if along == 0.0:
        difference = phi.value(across) - phi.value(-across)
        return float(np.sum(_ACROSS_WEIGHTS * difference[:, 0] ** 2)) * 0.5
    # A panel is half a unit of z, or less where sqrt(q) z sweeps the activation faster than that.
    panels = int(min(max(34, 24 * along), 400))
    base = np.broadcast_to(np.linspace(-_REACH, _REACH, panels + 1), (_ACROSS.size, panels + 1))
    kinks = np.asarray(phi.kinks, dtype=np.float64)
    edges = np.concatenate([base, (kinks - across) / along, (kinks + across) / along], axis=1)
    edges = np.sort(np.clip(edges, -_REACH, _REACH), axis=1)  # (40, panels + 1 + 2 * kinks)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    z = edges[:, :-1, None] + half * (_NODES + 1.0)  # (40, panels + 2 * kinks, 8)
    difference = phi.value(along * z + across[:, :, None]) - phi.value(
        along * z - across[:, :, None]
    )
    weights = half * _NODE_WEIGHTS * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    inner = np.sum(weights * difference**2, axis=(1, 2))
    return 0.5 * float(np.sum(_ACROSS_WEIGHTS * inner))


_REACH = 8.5  # Gaussian mass beyond: 2e-17
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)


def _half_line() -> tuple[Array, Array]:
    """Nodes and weights for the mean over |z|, z normal: four panels of ten."""
    x, w = np.polynomial.legendre.leggauss(10)
    edges = np.array([0.0, 1.0, 2.5, 4.5, _REACH])
    half = 0.5 * np.diff(edges)[:, None]
    z = (edges[:-1, None] + half * (x + 1.0)).ravel()
    return z, (half * w).ravel() * np.exp(-0.5 * z * z) * math.sqrt(2.0 / math.pi)


_ACROSS, _ACROSS_WEIGHTS = _half_line()


@lru_cache(maxsize=4096)
def slope_square(phi: AbstractActivation, q: float) -> float:
    r""":math:`E \phi'(\sqrt q z)^2`, NaN where q has no value."""
    if not (math.isfinite(q) and q > 0.0):
        return math.nan
    return float(derivative_second_moment(phi, q))


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
