"""Kernels of inputs with different norms, through the layers one by one."""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array, ConvergenceError, Estimate, Status
from chione.networks import MLP
from chione.theory.moments import moments
from chione.theory.pair_inputs import FirstLayer, Pairs
from chione.theory.pair_layers import PairLayer, Scale

_ENTRIES = 1 << 14  # of a block, which goes through all layers while it is in the cache


def mixed_kernels(network: MLP, a: Array, b: Array, *, same: bool, with_ntk: bool) -> Estimate:
    """NNGP or tangent kernel of the rows of `a` with those of `b`, of any norms.

    Each entry has an error of its own: those of all layers, sent through the layers that follow.
    """
    if with_ntk and moments(network.activation).has_jumps and network.depth > 1:
        raise ConvergenceError(
            f"{network.activation} jumps, so its tangent kernel is infinite for equal inputs."
        )
    scale = Scale.of(network.sigma_w, network.sigma_b)
    first = FirstLayer(a, b, network.sigma_w, network.sigma_b)
    layers = pair_layers(network, scale, first)
    value, error = (np.empty((len(a), len(b))) for _ in range(2))
    step = max(1, _ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        pairs = first.pairs(rows)
        if same:
            _equal_inputs(pairs, rows)
        value[rows], error[rows] = _through(first, layers, pairs, rows, with_ntk)
    return Estimate(value, error, np.broadcast_to(np.int8(Status.OK), value.shape))


def pair_layers(network: MLP, scale: Scale, first: FirstLayer) -> list[PairLayer]:
    """All layers but the first, with the lengths that reach them."""
    one, two = ((q, np.full(q.shape, first.relative)) for q in first.lengths)
    if first.lengths[0] is first.lengths[1]:
        two = one
    layers: list[PairLayer] = []
    for layer in range(1, network.depth + 1):
        if not all(np.all(np.isfinite(q)) for q, _ in (one, two)):
            raise ConvergenceError(f"Kernels leave the range of float64 at layer {layer}.")
        if layer == network.depth:
            break
        layers.append(PairLayer(network.activation, scale, one, two))
        last = layers[-1]
        one = last.one.next(scale)
        two = one if last.two is last.one else last.two.next(scale)
    return layers


def _through(
    first: FirstLayer, layers: list[PairLayer], pairs: Pairs, rows: slice, with_ntk: bool
) -> tuple[Array, Array]:
    """The kernel of the last layer and its error."""
    q1, q2 = first.lengths
    root = np.sqrt(q1)[rows, None] * np.sqrt(q2)
    k = root * pairs.correlation
    error = root * pairs.gap_error + np.abs(k) * (first.relative + 2.0 * EPS)
    theta, theta_error = k, error
    for number, layer in enumerate(layers):
        with np.errstate(all="ignore"):
            step = layer.advance(pairs, rows, with_ntk)
        if not np.all(np.isfinite(step.value)):
            raise ConvergenceError(f"Kernels leave the range of float64 at layer {number + 2}.")
        k, error, pairs = step.value, step.value_error, step.pairs
        if with_ntk:
            theta_error = (
                error
                + np.abs(step.slope) * theta_error
                + np.abs(theta) * (step.slope_error + 4.0 * EPS * np.abs(step.slope))
            )
            theta = k + step.slope * theta
    return (theta, theta_error + 2.0 * EPS * np.abs(theta)) if with_ntk else (k, error)


def _equal_inputs(pairs: Pairs, rows: slice) -> None:
    """An input and itself have no angle at all."""
    i = np.arange(rows.start, rows.stop)
    for part in (pairs.gap, pairs.gap_error, pairs.ratio, pairs.ratio_error):
        part[i - rows.start, i] = 0.0
    pairs.sign[i - rows.start, i] = 1.0
