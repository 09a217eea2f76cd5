"""Maxout units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chione.base import Array
from chione.networks import Matrix, Maxout, Shape
from chione.simulation.layers.affine import Affine, draw_affine
from chione.simulation.layers.sampler import Draws, Memories, Step, Work, draw, work


class _Largest(Step):
    """All pieces as one affine map of k n_out rows; the largest of k passes on."""

    def __init__(self, pieces: int, affine: Affine) -> None:
        self._pieces, self._affine = pieces, affine

    def inner(self) -> Iterator[Step]:
        """The affine map of all pieces."""
        yield self._affine

    def forward(self, x: Array) -> Array:
        """The largest piece, unit by unit."""
        y = self._affine.forward(x)
        y = y.reshape(*y.shape[:-1], self._pieces, -1)
        winner = np.argmax(y, axis=-2)[..., None, :]
        self._won = winner == np.arange(self._pieces)[:, None]
        return np.take_along_axis(y, winner, axis=-2)[..., 0, :]

    def backward(self, g: Array) -> Array:
        """Only the winner gets the gradient."""
        through = g[..., None, :] * self._won
        return self._affine.backward(through.reshape(*g.shape[:-1], -1))


@draw.register
def _(layer: Maxout, shape: Shape, draws: Draws) -> Step:
    rows = layer.pieces * (layer.out or shape.width)
    matrix = Matrix(shape.width, rows, layer.sigma_w, layer.sigma_b)
    return _Largest(layer.pieces, draw_affine(matrix, draws))


@work.register
def _(layer: Maxout, shape: Shape, memories: Memories) -> Work:
    weights = float(shape.width) * layer.pieces * (layer.out or shape.width)
    return Work(weights, weights * shape.positions)
