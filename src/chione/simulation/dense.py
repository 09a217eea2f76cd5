"""The weights of one network as explicit matrices, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.networks import MLP
from chione.simulation.explicit import ExplicitWeights
from chione.simulation.normals import FloatArray
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import draw, scale


class DenseWeights(ExplicitWeights):
    """Products with the weights of one network after another; buffers are reused.

    Matrices of the last layers stay in memory while they fit into `memory`; those of the first
    layers are drawn a second time, from the same stream, when the backward pass needs them. So a
    network of any depth runs in the memory of a few layers.

    Parameters
    ----------
    network : MLP
        The network's description.
    dtype : dtype
        float32 or float64.
    memory : int
        Bytes for weights that are kept.
    """

    def __init__(self, network: MLP, *, dtype: np.dtype[Any], memory: int) -> None:
        self._layers = network.matrices
        self._dtype = dtype
        sizes = [layer.fan_in * layer.fan_out for layer in self._layers]
        self._scratch = np.empty(max(sizes), dtype)
        self._kept: dict[int, FloatArray] = {}
        left = memory // dtype.itemsize - max(sizes)
        for index in reversed(range(len(sizes))):
            left -= sizes[index]
            if left < 0:
                break
            self._kept[index] = np.empty(sizes[index], dtype)
        self._seed = self._network = 0
        self._in_scratch = -1

    def start(self, seed: int, network: int) -> None:
        """Turn to network number `network` of this seed."""
        self._seed, self._network = seed, network
        self._in_scratch = -1

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x of inputs in rows: (B, N_{l-1}) to (B, N_l); layers count from 1."""
        w = self._draw(l)
        return np.asarray((x * self._scale(l)) @ w.T)

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """Transposed product (W^l)^T delta: (B, N_l) to (B, N_{l-1}); `x` is not needed here."""
        index = l - 1
        w = self._view(l) if index in self._kept or self._in_scratch == l else self._draw(l)
        return np.asarray((delta * self._scale(l)) @ w)

    def _scale(self, l: int) -> FloatArray:
        return np.asarray(scale(self._layers[l - 1]), self._dtype)

    def _view(self, l: int) -> FloatArray:
        layer = self._layers[l - 1]
        flat = self._kept.get(l - 1, self._scratch)[: layer.fan_in * layer.fan_out]
        return flat.reshape(layer.fan_out, layer.fan_in)

    def _draw(self, l: int) -> FloatArray:
        w = self._view(l)
        draw(self._layers[l - 1], stream(self._seed, self._network, l, Purpose.WEIGHTS), w)
        if l - 1 not in self._kept:
            self._in_scratch = l
        return w
