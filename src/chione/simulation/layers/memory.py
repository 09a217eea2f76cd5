"""What a memory hands to the layers that read it, and gets back from them."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Shape


class Memory:
    """The output of a network that others read, and the sum of the gradients that they send.

    Parameters
    ----------
    shape : Shape
        Channels and grid of the output.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._signal: Array | None = None
        self._gradient: Array | None = None

    @property
    def signal(self) -> Array:
        """The output of the forward pass, (..., input, position, channel)."""
        assert self._signal is not None  # a memory runs before what reads it
        return self._signal

    def hold(self, signal: Array) -> None:
        """Keep the output of a forward pass."""
        self._signal = signal

    def add(self, g: Array) -> None:
        """One reader's gradient."""
        self._gradient = g if self._gradient is None else self._gradient + g

    def collected(self, like: Array) -> Array:
        """The sum of all that was added, which begins anew; zeros for cotangents as in `like`."""
        g, self._gradient = self._gradient, None
        if g is not None:
            return g
        front = like.shape[: like.ndim - self.signal.ndim]
        return np.zeros((*front, *self.signal.shape))
