"""Residual connections."""

from __future__ import annotations

from collections.abc import Iterator

from chione.base import Array
from chione.networks import Residual, Shape
from chione.simulation.layers.sampler import Chain, Draws, Step, chain, draw


class _Joined(Step):
    """y = skip s(x) + scale f(x)."""

    def __init__(self, layer: Residual, branch: Chain, shortcut: Chain) -> None:
        self._skip, self._scale = layer.skip, layer.scale
        self._branch, self._shortcut = branch, shortcut

    def inner(self) -> Iterator[Step]:
        """Branch and shortcut."""
        yield self._branch
        yield self._shortcut

    def forward(self, x: Array) -> Array:
        """The sum."""
        return self._skip * self._shortcut.forward(x) + self._scale * self._branch.forward(x)

    def backward(self, g: Array) -> Array:
        """The sum of both ways back."""
        through = self._branch.backward(self._scale * g)
        return self._shortcut.backward(self._skip * g) + through


@draw.register
def _(layer: Residual, shape: Shape, draws: Draws) -> Step:
    branch = chain(layer.branch, shape, draws, "branch")
    return _Joined(layer, branch, chain(layer.shortcut, shape, draws, "shortcut"))
