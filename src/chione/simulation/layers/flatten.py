"""Positions turned into channels."""

from __future__ import annotations

from chione.base import Array
from chione.networks import Flatten, Shape
from chione.simulation.layers.sampler import Draws, Step, draw


class _Flattened(Step):
    """Channels of position 0, then those of position 1, and so on."""

    def __init__(self, shape: Shape) -> None:
        self._ends = (shape.positions, shape.width)

    def forward(self, x: Array) -> Array:
        """One position with all channels."""
        return x.reshape(*x.shape[:-2], 1, -1)

    def backward(self, g: Array) -> Array:
        """Taken apart again."""
        return g.reshape(*g.shape[:-2], *self._ends)


@draw.register
def _(layer: Flatten, shape: Shape, draws: Draws) -> Step:
    return _Flattened(shape)
