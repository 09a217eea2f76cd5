"""Gated linear units."""

from __future__ import annotations

from collections.abc import Iterator

from chione.base import Array
from chione.networks import Gate, Matrix, Shape
from chione.simulation.layers.affine import Affine, draw_affine
from chione.simulation.layers.sampler import Draws, Memories, Step, Work, draw, work


class _Gated(Step):
    """y = phi(U x) V x."""

    def __init__(self, layer: Gate, gate: Affine, value: Affine) -> None:
        self._phi, self._gate, self._value = layer.activation, gate, value

    def inner(self) -> Iterator[Step]:
        """U and V."""
        yield self._gate
        yield self._value

    def forward(self, x: Array) -> Array:
        """The product."""
        self._u, self._v = self._gate.forward(x), self._value.forward(x)
        self._opened = self._phi.value(self._u)
        return self._opened * self._v

    def backward(self, g: Array) -> Array:
        """Both factors by the product rule."""
        through_gate = self._gate.backward(g * self._v * self._phi.derivative(self._u))
        return through_gate + self._value.backward(g * self._opened)


@draw.register
def _(layer: Gate, shape: Shape, draws: Draws) -> Step:
    hidden = layer.hidden or shape.width
    gate = draw_affine(Matrix(shape.width, hidden, layer.sigma_u, layer.sigma_b), draws)
    value = draw_affine(Matrix(shape.width, hidden, layer.sigma_v, layer.sigma_b), draws)
    return _Gated(layer, gate, value)


@work.register
def _(layer: Gate, shape: Shape, memories: Memories) -> Work:
    weights = 2.0 * shape.width * float(layer.hidden or shape.width)
    return Work(weights, weights * shape.positions)
