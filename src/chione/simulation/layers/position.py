"""Embeddings of positions."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Position, Shape
from chione.simulation.layers.masks import Plus
from chione.simulation.layers.sampler import Draws, Step, draw


class _Learned(Plus):
    """A vector of parameters for each position, times sigma."""

    def __init__(self, shift: Array, sigma: float) -> None:
        super().__init__(shift)
        self._sigma = sigma

    def parameter_gradients(self) -> list[Array]:
        """All inputs share a position's vector."""
        return [self._sigma * self._g.sum(axis=-3)]


@draw.register
def _(layer: Position, shape: Shape, draws: Draws) -> Step:
    if layer.form == "learned":
        vectors = draws.stream().standard_normal((shape.positions, shape.width))
        return _Learned(layer.sigma * vectors, layer.sigma)
    return Plus(layer.sigma * _waves(shape.positions, shape.width, layer.base))


def _waves(positions: int, width: int, base: float) -> Array:
    """The sines sin(t w_j), then the cosines; w_j = base^(-2j/n)."""
    sines = (width + 1) // 2  # the odd channel is a sine
    angles = np.arange(positions)[:, None] * base ** (-2.0 * np.arange(sines) / width)
    return np.concatenate([np.sin(angles), np.cos(angles[:, : width - sines])], axis=1)
