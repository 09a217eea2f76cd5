"""One network, forward and backward, layer by layer; observables look on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chione.activations import AbstractActivation
from chione.networks import MLP, Matrix
from chione.simulation.normals import FloatArray
from chione.simulation.streams import Purpose, stream


class Weights(Protocol):
    """What a pass asks of a network's weights, explicit or not."""

    def start(self, seed: int, network: int) -> None:
        """Turn to another network."""

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x: (B, N_{l-1}) to (B, N_l)."""

    def again(self, l: int) -> FloatArray:
        """The product of `forward` once more, without x."""

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """(W^l)^T delta, (B, N_l) to (B, N_{l-1}), after `forward` of the same layer and `x`."""


@dataclass(frozen=True)
class Snapshot:
    """One layer of one network as an observable sees it.

    Parameters
    ----------
    activation : AbstractActivation
        The activation phi.
    matrix : Matrix
        Sizes, standard deviations and law of the layer's weights.
    outputs : int
        Units of the last layer of the network.
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

    activation: AbstractActivation
    matrix: Matrix
    outputs: int
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
    keep : bool
        Whether the signals of all layers stay in memory until the backward pass. If not,
        ``weights.again`` makes them a second time.
    """

    def __init__(
        self, network: MLP, weights: Weights, *, dtype: np.dtype[Any], keep: bool = True
    ) -> None:
        self._network, self._weights, self._dtype, self._keep = network, weights, dtype, keep
        self._matrices = network.matrices
        self._widths = network.widths  # a property that makes a new tuple each time
        self._seed = self._index = 0
        self._signals: dict[int, tuple[FloatArray, FloatArray]] = {}  # layer -> (h, x)

    def forward(self, seed: int, index: int, inputs: FloatArray) -> Iterator[Snapshot]:
        """Layers 1 to L of network number `index`."""
        self._seed, self._index = seed, index
        self._weights.start(seed, index)
        self._signals = {0: (inputs, inputs)}
        x = inputs
        for l in range(1, self._network.depth + 1):
            h = self._shift(self._weights.forward(l, x), l)
            x_in, x = x, self._value(h)
            if self._keep or l == self._network.depth:
                self._signals[l] = (h, x)
            yield self._seen(l, x_in, h, x)

    def _seen(
        self,
        l: int,
        x_in: FloatArray,
        h: FloatArray,
        x: FloatArray,
        delta: FloatArray | None = None,
    ) -> Snapshot:
        outputs = self._widths[-1]
        return Snapshot(
            self._network.activation, self._matrices[l - 1], outputs, l, x_in, h, x, delta
        )

    def backward(self) -> Iterator[Snapshot]:
        """Layers L to 1 of the network that has just run forward, with error signals.

        The error at the output is one Gaussian vector for all inputs, scaled to a mean square
        of exactly 1.
        """
        h, x = self._signals[self._network.depth]
        delta = self._output_error(len(h))
        for l in range(self._network.depth, 0, -1):
            h_in, x_in = self._recall(l - 1)
            yield self._seen(l, x_in, h, x, delta)
            if l > 1:
                delta = self._weights.backward(l, delta, x_in)
                delta *= self._derivative(h_in)
                h, x = h_in, x_in

    def _recall(self, l: int) -> tuple[FloatArray, FloatArray]:
        if l in self._signals:
            return self._signals[l]
        h = self._shift(self._weights.again(l), l)
        return h, self._value(h)

    def _shift(self, h: FloatArray, l: int) -> FloatArray:
        """Add the biases, which are the same for all inputs."""
        if self._network.sigma_b > 0.0:
            rng = stream(self._seed, self._index, l, Purpose.BIASES)
            b = rng.standard_normal(self._widths[l])
            h += (self._network.sigma_b * b).astype(self._dtype)
        return h

    def _output_error(self, rows: int) -> FloatArray:
        rng = stream(self._seed, self._index, self._network.depth, Purpose.ERROR)
        e = rng.standard_normal(self._widths[-1])
        e /= np.sqrt(np.mean(e**2))
        return np.tile(e.astype(self._dtype), (rows, 1))

    def _value(self, h: FloatArray) -> FloatArray:
        return self._network.activation.value(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )

    def _derivative(self, h: FloatArray) -> FloatArray:
        return self._network.activation.derivative(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )
