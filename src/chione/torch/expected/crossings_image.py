"""Crossings of convolutions and pools, and what is known of gradients without a stream."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chione.networks import (
    Convolution,
    Dropout,
    Flatten,
    Pooling,
    Scale,
)
from chione.theory.layers.rule import forward
from chione.theory.layers.stream import Gradient
from chione.torch.capture import lattice
from chione.torch.capture.nodes import Node
from chione.torch.capture.samples import Arrangement, Taken, arranged
from chione.torch.expected.crossings import (
    Asked,
    Crossing,
    Home,
    affine,
    behind,
    cross,
    same,
    times,
    unsupported,
)
from chione.torch.expected.profiles import Reads
from chione.torch.expected.states import (
    State,
    leafed,
    with_profile,
)
from chione.torch.layers.joins import Concat, Sum, View
from chione.torch.layers.norm import Frozen
from chione.torch.layers.pooling import Windows
from chione.torch.layers.tensors import Weight


@cross.register
def _convolution(
    layer: Convolution, node: Node, states: tuple[State, ...], walk: Asked
) -> Crossing:
    """Tap by tap where all positions are sites, else by the mean over positions.

    In the mean each output sums the products that padding leaves it, and the outputs may be fewer
    or more than the inputs.
    """
    (state,) = states
    weight = node.weight
    assert weight is not None  # a convolution has weights
    given = walk.given(node)
    w2, b2 = given or (weight.sigma_w2 * weight.coverage, weight.sigma_b**2)
    if state.patches:
        stream, through = forward(
            affine(w2 / weight.coverage, b2, node.shape[1]), state.stream, walk.rules
        )
        found = behind(node, state, leafed(stream), walk, through)
        return replace(found, state=replace(found.state, smooth=state.smooth))
    if weight.centred and state.taken == "all" and state.grid:
        exact = replace(layer, sigma_w=math.sqrt(w2 / weight.coverage), sigma_b=math.sqrt(b2))
        stream, tapwise = forward(exact, state.stream, walk.rules)
        if stream.shape.grid == node.shape[2:]:
            return behind(node, state, leafed(stream), walk, tapwise)
    return _on_lattice(layer, node, weight, state, (w2, b2), walk)


def _on_lattice(
    layer: Convolution,
    node: Node,
    weight: Weight,
    state: State,
    variances: tuple[float, float],
    walk: Asked,
) -> Crossing:
    """What typical positions of a large image become."""
    w2, b2 = variances
    at = arranged(node.shape, "first", walk.batch)
    if at is None:
        raise unsupported(node, "its first axis is not the batch")
    back: Home = same
    if state.taken == "mean":
        first = state.stream
        taken: Taken = "mean" if at.positions > 1 else "all"
    else:
        taken = at.taken("first")
        grid = tuple(min(n, m) for n, m in zip(at.grid, lattice.counts(at.grid), strict=True))
        first, back = lattice.chosen(state.stream, lattice.nearest(state.grid, at.grid), grid)
    left, smooth = _smoothed(layer, weight, state.smooth)
    if left < 1.0 and state.taken == "lattice":
        first = lattice.evened(first, math.sqrt(left))
    sites, ratio = first.positions, at.positions / state.positions
    steps = lattice.per_axis(layer.stride, len(at.grid))
    reads = _reads(layer, weight, state, at) if taken != "mean" else None
    seen, profile = (weight.coverage, None) if reads is None else reads.forward(state.profile)
    w2 *= seen / weight.coverage
    if layer.transposed and sites > 1:  # outputs of different phases share no weights
        first = lattice.spread_out(first, sites, 1.0 / steps)
    stream, through = forward(affine(w2, b2, node.shape[1]), first, walk.rules)

    def home(g: Gradient) -> Gradient:
        g = times(through(g), ratio)
        if not layer.transposed and sites > 1 and steps > 1:  # nor do inputs
            g = lattice.thinned(g, sites, 1.0 / steps)
        return back(g)

    if taken == "all":
        stream, profile = with_profile(stream, profile), None
    after = State(leafed(stream), at.grid, taken, "first", profile=profile, smooth=smooth)
    return Crossing(after, {node.parents[0]: home}, reads=reads, seen=seen)


def _smoothed(layer: Convolution, weight: Weight, smooth: float) -> tuple[float, float]:
    """What the taps leave of the variance of second moments over pairs, and the new smoothness.

    They average over pairs that move together, whose second moments are correlated like a Gaussian
    of the distance.
    """
    n = len(layer.kernel) if isinstance(layer.kernel, tuple) else 1
    if not smooth > 0.0 or layer.transposed:
        return 1.0, smooth
    left = 1.0
    for axis in range(n):
        k, d, s = (
            v if isinstance(v, int) else v[axis % len(v)]
            for v in (layer.kernel, layer.dilation, layer.stride)
        )
        gap = d * (np.arange(k)[:, None] - np.arange(k))
        left *= float(np.exp(-(gap**2) / (2.0 * smooth)).mean())
        # each axis counts for its share of the mean square distance
        smooth = (smooth + d * d * (k * k - 1) / 6.0 / n) / s ** (2.0 / n)
    return left, smooth


def _reads(layer: Convolution, weight: Weight, state: State, at: Arrangement) -> Reads | None:
    """Which positions a convolution with zeros beyond the edge reads."""
    n = len(at.grid)
    if layer.transposed or len(weight.padding) != n or len(state.grid) != n:
        return None
    kernel, stride, dilation = (
        (v,) * n if isinstance(v, int) else tuple(v) * (n // len(v))
        for v in (layer.kernel, layer.stride, layer.dilation)
    )
    return Reads(state.grid, at.grid, kernel, stride, dilation, weight.padding)


@cross.register
def _pooling(layer: Pooling, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if layer.kernel is None and state.taken == "lattice":
        stream, home = lattice.pooled(state.stream, state.positions)
        return behind(node, replace(state, taken="all"), stream, walk, home)
    if state.taken != "all" or not state.grid:
        raise unsupported(node, "not all positions are sites")
    stream, home = forward(layer, state.stream, walk.rules)
    return behind(node, state, stream, walk, home)


def stateless(node: Node, parent: int, numel: int) -> float | None:
    """Factor on the total squared gradient where no stream is known, if the rule needs none."""
    layer, weight = node.layer, node.weight
    if weight is not None:
        return weight.sigma_w2 * weight.coverage
    if isinstance(layer, Concat):
        return numel / max(node.numel, 1) if layer.channels else None  # positions may differ
    if isinstance(layer, Sum):
        return (0.0 if layer.minus else 4.0) if node.parents[0] == node.parents[1] else 1.0
    if isinstance(layer, (View, Flatten)):
        return 1.0
    if isinstance(layer, (Scale, Frozen)):
        return layer.factor**2
    if isinstance(layer, (Pooling, Windows)):
        return _pooled(layer, node, numel)
    return 1.0 / layer.keep if isinstance(layer, Dropout) else None


def _pooled(layer: Pooling | Windows, node: Node, numel: int) -> float | None:
    """Of windows that do not overlap, or whose gradients are uncorrelated.

    A maximum hands the gradient on to one of its entries; a mean of k divides it among them.
    """
    if layer.reduce == "max":
        return 1.0
    if isinstance(layer, Windows):
        return 1.0 / layer.taps
    if layer.kernel is None:
        return node.numel / max(numel, 1)
    return 1.0 / lattice.per_axis(layer.kernel, len(node.shape) - 2)
