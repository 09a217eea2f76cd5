"""Mean or maximum over windows of positions."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Pooling, Shape
from chione.simulation.layers.grid import OUTSIDE, Taps, combine, gather, scatter
from chione.simulation.layers.sampler import Draws, Step, draw


class _Average(Step):
    def __init__(self, windows: Taps, positions: int) -> None:
        self._windows, self._positions = windows, positions

    def forward(self, x: Array) -> Array:
        """Mean over each window."""
        return np.asarray(gather(x, self._windows).mean(axis=-2))

    def backward(self, g: Array) -> Array:
        """An equal share for each position of the window."""
        size = self._windows.shape[1]
        shares = np.repeat(g[..., None, :] / size, size, axis=-2)
        return scatter(shares, self._windows, self._positions)


class _Maximum(Step):
    def __init__(self, windows: Taps, positions: int) -> None:
        self._windows, self._positions = windows, positions

    def forward(self, x: Array) -> Array:
        """Largest of each window."""
        seen = gather(x, self._windows)
        seen[..., self._windows == OUTSIDE, :] = -np.inf
        winner = np.argmax(seen, axis=-2)[..., None, :]
        self._won = winner == np.arange(seen.shape[-2])[:, None]
        return np.take_along_axis(seen, winner, axis=-2)[..., 0, :]

    def backward(self, g: Array) -> Array:
        """Only the largest gets the gradient."""
        return scatter(g[..., None, :] * self._won, self._windows, self._positions)


@draw.register
def _(layer: Pooling, shape: Shape, draws: Draws) -> Step:
    kernel, stride = layer.windows(shape, draws.place)
    sizes = zip(shape.grid, kernel, stride, layer.edges(shape, draws.place), strict=True)
    axes = [_reads(*size) for size in sizes]
    pool = _Average if layer.reduce == "average" else _Maximum
    return pool(combine(axes, shape.grid), shape.positions)


def _reads(n: int, k: int, stride: int, padding: int) -> Taps:
    """Positions that each window reads along one axis."""
    first = stride * np.arange((n + 2 * padding - k) // stride + 1) - padding
    at = first[:, None] + np.arange(k)
    return np.where((at >= 0) & (at < n), at, OUTSIDE)
