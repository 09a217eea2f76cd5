"""Convolutions: each output position gathers its taps and multiplies them by one matrix."""

from __future__ import annotations

import math

import numpy as np

from chione.base import Array
from chione.networks import Convolution, Matrix, Shape
from chione.simulation.layers.affine import bias_gradient, draw_bias
from chione.simulation.layers.grid import OUTSIDE, Taps, centre, combine, gather, scatter
from chione.simulation.layers.sampler import Draws, Memories, Step, Work, draw, work
from chione.simulation.weights import dense_weights


class _Convolved(Step):
    r"""h[t, o] = sum over taps b and channels i of the group of W[g, b i, o] x[taps[t, b], i].

    Parameters
    ----------
    taps : ndarray, shape (outputs, k^D)
        Positions that are read.
    weight : ndarray, shape (groups, k^D n_in / groups, n_out / groups)
        Weights.
    scale : float
        Weights are this times their parameters.
    """

    def __init__(
        self, taps: Taps, weight: Array, scale: float, bias: Array, sigma_b: float
    ) -> None:
        self._taps, self._weight, self._scale = taps, weight, scale
        self._bias, self._sigma_b = bias, sigma_b

    def forward(self, x: Array) -> Array:
        """The convolution."""
        self._positions = x.shape[-2]
        self._columns = self._by_group(gather(x, self._taps))
        y = self._columns @ self._weight  # (..., group, input output, channel)
        y = np.moveaxis(y, -3, -2)
        return y.reshape(*x.shape[:-2], len(self._taps), -1) + self._bias

    def backward(self, g: Array) -> Array:
        """The adjoint convolution."""
        self._g = g
        h = self._outputs(g) @ np.swapaxes(self._weight, -1, -2)  # (..., group, input output, b i)
        groups, inputs = len(self._weight), g.shape[-3]
        h = h.reshape(*h.shape[:-3], groups, inputs, *self._taps.shape, -1)
        h = np.moveaxis(h, -5, -2)
        return scatter(h.reshape(*h.shape[:-2], -1), self._taps, self._positions)

    def parameter_gradients(self) -> list[Array]:
        """Those of the weights, and of the biases where there are some."""
        weights = np.swapaxes(self._columns, -1, -2) @ self._outputs(self._g)
        return [self._scale * weights, *bias_gradient(self._g, self._sigma_b)]

    def _by_group(self, x: Array) -> Array:
        """(..., a, output, tap, channel) as (..., group, a output, tap channel of the group)."""
        x = x.reshape(*x.shape[:-1], len(self._weight), -1)
        x = np.moveaxis(x, -2, -5)
        return x.reshape(*x.shape[:-4], x.shape[-4] * x.shape[-3], -1)

    def _outputs(self, g: Array) -> Array:
        """(..., a, output, channel) as (..., group, a output, channel of the group)."""
        g = g.reshape(*g.shape[:-3], g.shape[-3] * g.shape[-2], len(self._weight), -1)
        return np.moveaxis(g, -2, -3)


@draw.register
def _(layer: Convolution, shape: Shape, draws: Draws) -> Step:
    out, groups = layer.out or shape.width, _groups(layer, shape)
    kernel, stride, _ = layer.geometry(shape, draws.place)
    taps = _taps(layer, shape, draws.place)
    if layer.weights == "delta_orthogonal":
        taps = taps[:, [centre(kernel)]]
        fan_in = shape.width
        matrix = Matrix(fan_in, out, layer.sigma_w, weights="orthogonal")
        weight = dense_weights(matrix, draws.stream()).T[None]
    else:
        fan_in = shape.width // groups * math.prod(kernel)
        weight = draws.stream().standard_normal((groups, fan_in, out // groups))
    scale = layer.sigma_w / math.sqrt(fan_in)
    if layer.transposed:  # an output position is reached by k^D / s^D taps
        scale *= math.sqrt(math.prod(stride))
    if layer.weights == "gaussian":
        weight *= scale
    bias = draw_bias(out, layer.sigma_b, draws)
    return _Convolved(taps, weight, scale, bias, layer.sigma_b)


@work.register
def _(layer: Convolution, shape: Shape, memories: Memories) -> Work:
    kernel, _, _ = layer.geometry(shape, "")
    weights = float(shape.width) * (layer.out or shape.width) * math.prod(kernel)
    weights /= _groups(layer, shape)
    return Work(weights, weights * layer.after(shape, "").positions)


def _groups(layer: Convolution, shape: Shape) -> int:
    return shape.width if layer.depthwise else layer.groups


def _taps(layer: Convolution, shape: Shape, place: str) -> Taps:
    """The table of all axes together."""
    after = layer.after(shape, place).grid
    along = _written if layer.transposed else _read
    kernel, stride, dilation = layer.geometry(shape, place)
    axes = zip(shape.grid, after, kernel, stride, dilation, strict=True)
    return combine([along(*axis, layer.padding) for axis in axes], shape.grid)


def _read(n: int, outputs: int, k: int, stride: int, dilation: int, padding: str) -> Taps:
    """Output o reads stride o + dilation (b - centre) of n positions."""
    offsets = dilation * (np.arange(k) - (k - 1) // 2)
    at = stride * np.arange(outputs)[:, None] + offsets
    if padding == "circular":
        return at % n
    return np.where((at >= 0) & (at < n), at, OUTSIDE)


def _written(n: int, outputs: int, k: int, stride: int, dilation: int, padding: str) -> Taps:
    """Input p writes stride p + b; so output t reads (t - b) / stride where that is whole."""
    at, rest = np.divmod(np.arange(outputs)[:, None] - np.arange(k), stride)
    return np.where((rest == 0) & (at >= 0) & (at < n), at, OUTSIDE)
