"""One network, forward and backward, layer by layer; observables look on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chione.networks import MLP
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import FloatArray


class Weights(Protocol):
    """What a pass asks of a network's weights, explicit or not."""

    def start(self, seed: int, network: int) -> None:
        """Turn to another network."""

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x: (B, N_{l-1}) to (B, N_l)."""

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """(W^l)^T delta, (B, N_l) to (B, N_{l-1}), after `forward` of the same layer and `x`."""


@dataclass(frozen=True)
class Snapshot:
    """One layer of one network as an observable sees it.

    Parameters
    ----------
    layer : int
        Number l of the layer, from 1 to L.
    x_in : ndarray, shape (B, N_{l-1})
        Inputs of the layer.
    h : ndarray, shape (B, N_l)
        Pre-activations.
    x : ndarray, shape (B, N_l)
        Activations phi(h).
    delta : ndarray, shape (B, N_l), or None
        Error signals, the gradients with respect to h; None during the forward pass.
    """

    layer: int
    x_in: FloatArray
    h: FloatArray
    x: FloatArray
    delta: FloatArray | None = None


class Pass:
    """Forward and backward pass of one network after another.

    Parameters
    ----------
    network : MLP
        The description.
    weights : Weights
        Products with the weights, explicit or sampled.
    dtype : dtype
        float32 or float64; activations are evaluated in float64 in both cases.
    shared_error : bool
        Whether all inputs get the same error signal at the output.
    """

    def __init__(
        self, network: MLP, weights: Weights, *, dtype: np.dtype[Any], shared_error: bool = True
    ) -> None:
        self._network, self._weights, self._dtype = network, weights, dtype
        self._shared_error = shared_error
        self._seed = self._index = 0
        self._h: list[FloatArray] = []
        self._x: list[FloatArray] = []

    def forward(self, seed: int, index: int, inputs: FloatArray) -> Iterator[Snapshot]:
        """Layers 1 to L of network number `index`."""
        self._seed, self._index = seed, index
        self._weights.start(seed, index)
        self._h, self._x = [], [inputs]
        for l in range(1, self._network.depth + 1):
            h = self._weights.forward(l, self._x[-1])
            if self._network.sigma_b > 0.0:
                h += self._bias(l)
            x = self._value(h)
            self._h.append(h)
            self._x.append(x)
            yield Snapshot(l, self._x[-2], h, x)

    def backward(self) -> Iterator[Snapshot]:
        """Layers L to 1 of the network that has just run forward, with error signals.

        The error at the output is Gaussian, scaled to a mean square of exactly 1.
        """
        delta = self._output_error()
        for l in range(self._network.depth, 0, -1):
            x_in = self._x[l - 1]
            yield Snapshot(l, x_in, self._h[l - 1], self._x[l], delta)
            if l > 1:
                delta = self._weights.backward(l, delta, x_in)
                delta *= self._derivative(self._h[l - 2])

    def _bias(self, l: int) -> FloatArray:
        rng = stream(self._seed, self._index, l, Purpose.BIASES)
        b = rng.standard_normal(self._network.widths[l])
        return (self._network.sigma_b * b).astype(self._dtype)

    def _output_error(self) -> FloatArray:
        rows = 1 if self._shared_error else len(self._x[0])
        rng = stream(self._seed, self._index, self._network.depth, Purpose.ERROR)
        e = rng.standard_normal((rows, self._network.widths[-1]))
        e /= np.sqrt(np.mean(e**2, axis=1, keepdims=True))
        full = np.broadcast_to(e, (len(self._x[0]), e.shape[1]))
        return np.array(full, self._dtype)

    def _value(self, h: FloatArray) -> FloatArray:
        return self._network.activation.value(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )

    def _derivative(self, h: FloatArray) -> FloatArray:
        return self._network.activation.derivative(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )
