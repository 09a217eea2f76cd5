"""Layers that multiply by, or add, an array that does not depend on the signal."""

from __future__ import annotations

from chione.base import Array
from chione.simulation.layers.sampler import Step


class Times(Step):
    """y = mask x, entry by entry."""

    def __init__(self, mask: Array | float) -> None:
        self._mask = mask

    def forward(self, x: Array) -> Array:
        """The product."""
        return x * self._mask

    def backward(self, g: Array) -> Array:
        """The same product: the map is diagonal."""
        return g * self._mask


class Plus(Step):
    """y = x + shift."""

    def __init__(self, shift: Array) -> None:
        self._shift = shift

    def forward(self, x: Array) -> Array:
        """The sum."""
        return x + self._shift

    def backward(self, g: Array) -> Array:
        """Unchanged."""
        self._g = g
        return g
