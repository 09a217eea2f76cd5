"""Kernels of inputs with different norms, through the layers one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.base import EPS, Array, ConvergenceError, Estimate, Status, cost
from chione.networks import MLP
from chione.theory.depth.pair_inputs import Block, FirstLayer, Listed, Pairs
from chione.theory.depth.pair_layers import PairLayer, Scale
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_rules import QuadratureRule

Lengths = tuple[Array, Array]  # mean squares and their relative errors, (n,) each

_UNDERFLOW = 1e-307  # what becomes of products that float64 cannot hold
_SAMPLES = 9  # lengths that show how far all of them go
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
    one, two = ((q, np.full(q.shape, first.relative)) for q in first.lengths)
    entries = len(a) * (len(a) + 1) // 2 if same else len(a) * len(b)
    layers = pair_layers(network, scale, one, one if same else two, entries)
    value, error = (np.empty((len(a), len(b))) for _ in range(2))
    step = max(1, _ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        at = Block(rows, slice(start if same else 0, None))  # one triangle of a symmetric matrix
        pairs = first.pairs(at)
        if same:
            equal_inputs(pairs, at)
        found = through((one, two), layers, pairs, at, with_ntk)[1]
        for out, part in zip((value, error), found, strict=True):
            if same:
                mirror(part)
                out[at.columns, rows] = part.T
            out[rows, at.columns] = part
    return Estimate(value, error, np.broadcast_to(np.int8(Status.OK), value.shape))


def kernel_of_pairs(
    network: MLP, q: float, relative: float, pairs: Pairs, *, with_ntk: bool
) -> tuple[Array, Array]:
    """Kernel and its error of pairs of inputs, all of one length.

    Parameters
    ----------
    network : MLP
        The network.
    q, relative : float
        Mean square of the first pre-activations, and its relative error.
    pairs : Pairs, shape (k,)
        Their angles in the first layer.
    with_ntk : bool
        Whether the tangent kernel is wanted.
    """
    side, layers = _one_length(network, q, relative)
    place = np.zeros(pairs.gap.shape, dtype=np.intp)
    return through((side, side), layers, pairs, Listed(place, place), with_ntk)[1]


@lru_cache(maxsize=8)
def _one_length(network: MLP, q: float, relative: float) -> tuple[Lengths, list[PairLayer]]:
    """The layers for one length, kept for the next block of pairs."""
    side = np.array([q]), np.array([relative])
    return side, pair_layers(network, Scale.of(network.sigma_w, network.sigma_b), side, side)


def pair_layers(
    network: MLP,
    scale: Scale,
    one: Lengths,
    two: Lengths,
    entries: int | None = None,
    *,
    quick: bool = False,
) -> list[PairLayer]:
    """All layers but the first, from the lengths in the first and their relative errors.

    `entries` are the pairs that will go through them, all of both sides by default. With
    `quick` there are no integrals of single pairs: a ConvergenceError says that they are needed.
    """
    entries = len(one[0]) * len(two[0]) if entries is None else entries
    layers: list[PairLayer] = []
    reach = _reach(network, scale, one[0], two[0])
    for layer in range(1, network.depth + 1):
        if not all(np.all(np.isfinite(q)) for q, _ in (one, two)):
            raise ConvergenceError(f"Kernels leave the range of float64 at layer {layer}.")
        if layer == network.depth:
            break
        _check_cost(layers[-1:], entries, network.depth - layer)
        layers.append(
            PairLayer(
                network.activation, scale, one, two, layers[-1] if layers else None, reach, quick
            )
        )
        last = layers[-1]
        one = last.one.next(scale)
        two = one if last.two is last.one else last.two.next(scale)
    return layers


def _reach(network: MLP, scale: Scale, one: Array, two: Array) -> tuple[float, float] | None:
    """Least and greatest length above zero in all layers, where they have a value."""
    m = moments(network.activation)
    q = np.concatenate([one, one if two is one else two])
    q = np.geomspace(q[q > 0.0].min(), q.max(), _SAMPLES) if q.max() > 0.0 else q[:1]
    low, high = math.inf, 0.0
    with np.errstate(all="ignore"):
        for _ in range(network.depth):
            if not np.all(np.isfinite(q)):
                return None
            low, high = min(low, float(q.min())), max(high, float(q.max()))
            q = scale.times(scale.w2 * np.asarray(m.square(q).value) + scale.b2)
    return (low, high) if low > 0.0 else None


@dataclass(frozen=True)
class PairLayers:
    """Two inputs layer by layer; columns are the entries 11, 12 and 22.

    Parameters
    ----------
    metric : Estimate, shape (L, 3)
        Covariance of the pre-activations.
    product : Estimate, shape (L - 1, 3)
        E phi phi behind each layer but the last.
    slope : Estimate, shape (L - 1, 3)
        sigma_w^2 E phi' phi' there; zero where slopes are not wanted.
    """

    metric: Estimate
    product: Estimate
    slope: Estimate


def two_inputs(network: MLP, q0: tuple[float, float], c0: float, *, with_slope: bool) -> PairLayers:
    """Two inputs of mean squares `q0` and correlation `c0` through all layers of a network."""
    cost.check(
        f"Two inputs through {network.depth} layers",
        seconds=5e-3 * network.depth,
        fits=f"depth {int(cost.SECONDS / 5e-3)} fits",
    )
    roots = [math.sqrt(2.0) * math.sqrt(q) for q in q0]
    x = np.array([[roots[0], 0.0], [c0 * roots[1], math.sqrt((1.0 - c0) * (1.0 + c0)) * roots[1]]])
    scale = Scale.of(network.sigma_w, network.sigma_b)
    first = FirstLayer(x, x, network.sigma_w, network.sigma_b)
    side = first.lengths[0], np.full(2, first.relative)
    if not np.all(np.isfinite(side[0])):
        raise ConvergenceError("Kernels leave the range of float64 at layer 1.")
    pairs = first.pairs(Block(slice(0, 2)))
    equal_inputs(pairs, Block(slice(0, 2)))
    root = np.sqrt(side[0])[:, None] * np.sqrt(side[0])
    value = root * pairs.correlation
    rows = [[value, root * pairs.gap_error + np.abs(value) * (first.relative + 2.0 * EPS)]]
    behind = []
    for number, layer in enumerate(pair_layers(network, scale, side, side)):
        with np.errstate(all="ignore"):
            step = layer.advance(pairs, Block(slice(0, 2)), with_slope)
        pairs = step.pairs
        rows.append([step.value, step.value_error + _UNDERFLOW])
        behind.append([step.product, step.product_error + _UNDERFLOW, step.slope, step.slope_error])
        if not np.all(np.isfinite([step.value, step.product, step.slope])):
            raise ConvergenceError(
                f"A moment of {network.activation} has no value at layer {number + 1}: "
                f"{Status.INFINITE.sentence}"
            )
    return PairLayers(_columns(rows, 0), _columns(behind, 0), _columns(behind, 2))


def _columns(rows: list[list[Array]], start: int) -> Estimate:
    """Entries 11, 12 and 22 of every layer as an estimate."""
    parts = [
        np.array([[r[k][0, 0], r[k][0, 1], r[k][1, 1]] for r in rows]).reshape(-1, 3)
        for k in (start, start + 1)
    ]
    return Estimate(parts[0], parts[1], np.zeros(parts[0].shape, dtype=np.int8))


def through(
    sides: tuple[Lengths, Lengths],
    layers: list[PairLayer],
    pairs: Pairs,
    at: Block | Listed,
    with_ntk: bool,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """NNGP and tangent kernel of the last layer with their errors.

    Without `with_ntk` the second stands for the first.
    """
    (q1, e1), (q2, e2) = ((q[k], e[k]) for (q, e), k in zip(sides, at.keys, strict=True))
    root = np.sqrt(q1) * np.sqrt(q2)
    k = root * pairs.correlation
    error = root * pairs.gap_error + np.abs(k) * (0.5 * (e1 + e2) + 2.0 * EPS)
    theta, theta_error = k, error
    for number, layer in enumerate(layers):
        with np.errstate(all="ignore"):
            step = layer.advance(pairs, at, with_ntk)
        if not np.all(np.isfinite(step.value)):
            raise ConvergenceError(f"Kernels leave the range of float64 at layer {number + 2}.")
        k, error, pairs = step.value, step.value_error, step.pairs
        if with_ntk:
            with np.errstate(over="ignore", invalid="ignore"):
                theta_error = (
                    error
                    + np.abs(step.slope) * theta_error
                    + np.abs(theta) * (step.slope_error + 4.0 * EPS * np.abs(step.slope))
                )
                theta = k + step.slope * theta
    nngp = k, error + 2.0 * EPS * np.abs(k) + _UNDERFLOW
    if not with_ntk:
        return nngp, nngp
    return nngp, (theta, theta_error + 2.0 * EPS * np.abs(theta) + _UNDERFLOW)


def _check_cost(before: list[PairLayer], entries: int, layers: int) -> None:
    """Refuse what would take too long, once the first layer has shown how it is done."""
    if before:
        rule = before[0].rule
        integrals = isinstance(rule, QuadratureRule)
        cost.check(
            f"Double integrals for {entries} entries in {layers} layers"
            if integrals
            else f"Following {entries} pairs of inputs through {layers} layers",
            seconds=rule.seconds * entries * layers,
            fits=f"{int(cost.SECONDS / (rule.seconds * layers))} entries fit",
        )


def equal_inputs(pairs: Pairs, at: Block) -> None:
    """An input and itself have no angle at all."""
    i = np.arange(pairs.gap.shape[0])
    j = i + (at.rows.start or 0) - (at.columns.start or 0)
    for part in (pairs.gap, pairs.gap_error, pairs.ratio, pairs.ratio_error):
        part[i, j] = 0.0
    pairs.sign[i, j] = 1.0


def mirror(block: Array) -> None:
    """Make the first square of a block exactly symmetric: products may round differently."""
    square = block[:, : block.shape[0]]
    square[:] = np.triu(square) + np.triu(square, 1).T
