"""Networks, forward and backward, layer by layer; observables look on.

Signals have shape (B, N) in one network, and (R, B, N) in R networks side by side: small matrices
cost more in calls than in arithmetic. Each of the R has the numbers that it would have alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from chione.activations import AbstractActivation
from chione.networks import MLP, Matrix
from chione.simulation.normals import FloatArray
from chione.simulation.seeding import Streams
from chione.simulation.streams import Draw, Purpose


class Weights(Protocol):
    """What a pass asks of a network's weights, explicit or not."""

    def start(self, seed: int, network: int) -> None:
        """Turn to another network."""

    def start_together(self, streams: Streams) -> None:
        """Turn to other networks side by side: from here on signals are (R, B, N)."""

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

    Notes
    -----
    Of networks side by side the signals have a leading axis for the R networks.
    """

    activation: AbstractActivation
    matrix: Matrix
    outputs: int
    layer: int
    x_in: FloatArray
    h: FloatArray
    x: FloatArray
    delta: FloatArray | None = None

    def of(self, r: int) -> Snapshot:
        """The layer in network r of those side by side."""
        delta = None if self.delta is None else self.delta[r]
        return replace(self, x_in=self.x_in[r], h=self.h[r], x=self.x[r], delta=delta)


class Pass:
    """Forward and backward pass of one network after another, or of some side by side.

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
        self._streams = Streams((), 0)
        self._alone = True
        self._signals: dict[int, tuple[FloatArray, FloatArray]] = {}  # layer -> (h, x)

    def forward(self, seed: int, index: int, inputs: FloatArray) -> Iterator[Snapshot]:
        """Layers 1 to L of network number `index`."""
        self._streams, self._alone = Streams((Draw(seed, index),), self._network.depth), True
        self._weights.start(seed, index)
        return self._forward(inputs)

    def together(self, streams: Streams, inputs: FloatArray) -> Iterator[Snapshot]:
        """Layers 1 to L of several networks side by side, with the same inputs (B, N_0)."""
        self._streams, self._alone = streams, False
        self._weights.start_together(streams)
        return self._forward(np.broadcast_to(inputs, (len(streams), *inputs.shape)))

    def _forward(self, inputs: FloatArray) -> Iterator[Snapshot]:
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
        """Layers L to 1 of what has just run forward, with error signals.

        The error at the output is one Gaussian vector for all inputs, scaled to a mean square
        of exactly 1.
        """
        h, x = self._signals[self._network.depth]
        delta = self._output_error(h.shape[-2])
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
            b = self._normals(l, Purpose.BIASES)  # (R, N_l)
            b *= self._network.sigma_b
            b = b.astype(self._dtype, copy=False)
            h += b[0] if self._alone else b[:, None, :]
        return h

    def _output_error(self, rows: int) -> FloatArray:
        e = self._normals(self._network.depth, Purpose.ERROR)  # (R, N_L)
        e /= np.sqrt(np.mean(e**2, axis=1))[:, None]
        e = e.astype(self._dtype, copy=False)
        return np.tile(e[0], (rows, 1)) if self._alone else np.repeat(e[:, None, :], rows, axis=1)

    def _normals(self, l: int, purpose: Purpose) -> FloatArray:
        """A standard normal vector of layer l for each network: (R, N_l)."""
        out = np.empty((len(self._streams), self._widths[l]))
        for r, row in enumerate(out):
            self._streams.of(r, l, purpose).standard_normal(out=row)
        return out

    def _value(self, h: FloatArray) -> FloatArray:
        return self._network.activation.value(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )

    def _derivative(self, h: FloatArray) -> FloatArray:
        return self._network.activation.derivative(h.astype(np.float64, copy=False)).astype(
            self._dtype, copy=False
        )
