"""Activations."""

from __future__ import annotations

from chione.base import Array
from chione.networks import Nonlinearity, Shape
from chione.simulation.layers.sampler import Draws, Step, draw


class _Applied(Step):
    def __init__(self, layer: Nonlinearity) -> None:
        self._phi = layer.activation

    def forward(self, x: Array) -> Array:
        """phi(x)."""
        self._x = x
        return self._phi.value(x)

    def backward(self, g: Array) -> Array:
        """The product g phi'(x)."""
        return g * self._phi.derivative(self._x)


@draw.register
def _(layer: Nonlinearity, shape: Shape, draws: Draws) -> Step:
    return _Applied(layer)
