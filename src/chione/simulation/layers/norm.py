"""Normalisation: layer, rms, group, and batch norm in training mode."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Norm, Shape
from chione.simulation.layers.affine import bias_gradient, draw_bias
from chione.simulation.layers.sampler import Draws, Step, draw

# the axes of x[..., a, t, group, channel in it] that the mean runs over
_AXES = {"layer": (-2, -1), "rms": (-2, -1), "group": (-3, -1), "batch": (-4, -3)}


class _Normalised(Step):
    r"""y = gain (x - mean) s + b, s = (var + eps)^{-1/2}.

    Backward, with z = (x - mean) s and averages over what the statistics run over,
    dx = s (g - <g> - z <g z>); RMS norm subtracts no mean and has no <g>.
    """

    def __init__(self, layer: Norm, bias: Array) -> None:
        self._layer, self._bias = layer, bias
        self._axes = _AXES[layer.form]
        self._centred = layer.form != "rms"

    def forward(self, x: Array) -> Array:
        """The normalised signal."""
        y = self._grouped(x)
        if self._centred:
            y = y - self._mean(y)
        self._inverse = 1.0 / np.sqrt(self._mean(y * y) + self._layer.eps)
        self._z = y * self._inverse
        return self._layer.gain * self._z.reshape(x.shape) + self._bias

    def backward(self, g: Array) -> Array:
        """The gradient through mean and variance."""
        self._g = g
        h = self._layer.gain * self._grouped(g)
        centred = h - self._mean(h) if self._centred else h
        gx = self._inverse * (centred - self._z * self._mean(h * self._z))
        return np.asarray(gx).reshape(g.shape)

    def parameter_gradients(self) -> list[Array]:
        """Those of the biases; the gain is no random parameter."""
        return bias_gradient(self._g, self._layer.bias)

    def _grouped(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self._layer.groups, -1)

    def _mean(self, x: Array) -> Array:
        return np.asarray(np.mean(x, axis=self._axes, keepdims=True))


@draw.register
def _(layer: Norm, shape: Shape, draws: Draws) -> Step:
    return _Normalised(layer, draw_bias(shape.width, layer.bias, draws))
