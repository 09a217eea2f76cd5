"""Branches side by side: sum, mean, concatenation, product."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np

from chione.base import Array
from chione.networks import Parallel, Shape
from chione.simulation.layers.sampler import Chain, Draws, Step, chain, draw


class _Combined(Step):
    """Outputs of all branches put together, gradients of all branches added up."""

    def __init__(self, layer: Parallel, branches: list[Chain]) -> None:
        self._combine, self._branches = layer.combine, branches
        self._factor = 1.0 / len(branches) if layer.combine == "mean" else 1.0

    def inner(self) -> Iterator[Step]:
        """The branches."""
        return iter(self._branches)

    def forward(self, x: Array) -> Array:
        """All branches, combined."""
        self._out = [branch.forward(x) for branch in self._branches]
        if self._combine == "concat":
            return np.concatenate(self._out, axis=-1)
        if self._combine == "product":
            return reduce(np.multiply, self._out)
        return self._factor * reduce(np.add, self._out)

    def backward(self, g: Array) -> Array:
        """The sum over the branches."""
        parts = zip(self._branches, self._parts(g), strict=True)
        return reduce(np.add, [branch.backward(part) for branch, part in parts])

    def _parts(self, g: Array) -> list[Array]:
        """What each branch gets: its slice, or g times the other factors, or g."""
        if self._combine == "concat":
            ends = np.cumsum([y.shape[-1] for y in self._out])[:-1]
            return list(np.split(g, ends, axis=-1))
        if self._combine == "product":
            return [
                reduce(np.multiply, [y for j, y in enumerate(self._out) if j != i], g)
                for i in range(len(self._out))
            ]
        return [self._factor * g for _ in self._out]


@draw.register
def _(layer: Parallel, shape: Shape, draws: Draws) -> Step:
    return _Combined(layer, [chain(b, shape, draws, name) for name, b in layer.inner()])
