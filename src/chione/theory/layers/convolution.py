r"""Convolutions.

.. math:: K'_{ts} = \frac{\sigma_w^2}{k^D} \sum_b K_{t_b s_b} + \sigma_b^2, \qquad
   P_{ts} = \frac{n_{out}}{n_{in}} \frac{\sigma_w^2}{k^D} \sum_{b:\,t = o_b,\,s = o'_b} P'_{o o'}

over the taps :math:`t_b = s t + d b` of each output (Xiao et al. 2018, Novak et al. 2019,
Garriga-Alonso et al. 2019); groups of many channels change nothing. Delta-orthogonal weights have
the centre tap alone. After a depthwise convolution every channel has its own taps: a mixture.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from chione.networks import Convolution, Shape
from chione.theory.layers.affine import fresh
from chione.theory.layers.channels import by_parts
from chione.theory.layers.moved import Taps
from chione.theory.layers.orbits import Index
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import following, singly_before
from chione.theory.layers.stream import Law, Stream
from chione.theory.layers.windows import Windows


@forward.register
def convolution(layer: Convolution, stream: Stream, walk: Walker) -> Passed:
    """Through the taps."""
    shape = layer.after(stream.shape, walk.place)
    kernel, stride, dilation = layer.geometry(stream.shape, walk.place)
    grid = stream.shape.grid
    key: tuple[Any, ...] = (
        layer.word,
        layer.transposed,
        layer.padding,
        grid,
        kernel,
        stride,
        dilation,
    )
    taps, gain = math.prod(kernel), layer.sigma_w**2
    if layer.transposed:
        gain *= math.prod(stride) / taps
        axes = [_transposed(n, k, s) for n, k, s in zip(grid, kernel, stride, strict=True)]
    elif layer.weights == "delta_orthogonal":
        axes = [(np.arange(0, n, s)[:, None]) for n, s in zip(grid, stride, strict=True)]
        key = "delta_orthogonal", grid, stride
    else:
        gain /= taps
        circular = layer.padding == "circular"
        parts = zip(grid, kernel, stride, dilation, strict=True)
        axes = [_taps(n, k, s, d, circular) for n, k, s, d in parts]
    windows = Windows(key, outer(axes, grid), math.prod(grid))
    if layer.depthwise:
        if stream.parts:
            return by_parts(stream, lambda part: _depthwise(layer, part, shape, gain, windows))
        return _depthwise(layer, stream, shape, gain, windows)
    after, pullback = fresh(stream, shape, gain, layer.sigma_b, windows)
    if layer.groups > 1 and stream.uneven:
        reason = "groups that read different channels, of moments of their own"
        law = Law(False, reason, stream.law.random)
        after = replace(after, law=law, recipe=None, uneven=stream.uneven)
    return after, pullback


def _depthwise(
    layer: Convolution, stream: Stream, shape: Shape, gain: float, windows: Windows
) -> Passed:
    """Every channel by taps of its own."""
    shape = Shape(stream.shape.width, shape.grid)
    after, pullback = fresh(stream, shape, gain, layer.sigma_b, windows)
    recipe = None
    if stream.recipe is not None:
        sigmas = math.sqrt(gain), layer.sigma_b
        recipe = Taps(stream.recipe, windows, stream.inputs, *sigmas)
    after = replace(
        after,
        law=Law(False, "a mixture, since every channel has taps of its own", stream.law.random),
        recipe=recipe,
        uneven=stream.uneven,
        met=stream.sources | stream.met,
    )
    return after, following(pullback, recipe, singly_before(stream))


def _taps(n: int, k: int, stride: int, dilation: int, circular: bool) -> Index:
    """Positions read along one axis, the centre tap at stride times the output: (outputs, k)."""
    outputs = np.arange(-(-n // stride))[:, None]
    reads = outputs * stride + dilation * (np.arange(k) - (k - 1) // 2)
    if circular:
        return np.asarray(reads % n)
    return np.asarray(np.where((reads >= 0) & (reads < n), reads, -1))


def _transposed(n: int, k: int, stride: int) -> Index:
    """Positions read by the outputs of a transposed convolution: (stride (n - 1) + k, k)."""
    outputs = np.arange((n - 1) * stride + k)[:, None]
    behind = outputs - np.arange(k)
    reads = behind // stride
    return np.asarray(np.where((behind % stride == 0) & (reads >= 0) & (reads < n), reads, -1))


def outer(axes: list[Index], grid: tuple[int, ...]) -> Index:
    """Reads of a grid from those of its axes, positions counted row by row."""
    out = np.zeros((1, 1), dtype=np.intp)
    for reads, n in zip(axes, grid, strict=True):
        inside = (out[:, None, :, None] >= 0) & (reads[None, :, None, :] >= 0)
        joint = np.where(inside, out[:, None, :, None] * n + reads[None, :, None, :], -1)
        out = joint.reshape(out.shape[0] * reads.shape[0], out.shape[1] * reads.shape[1])
    return out
