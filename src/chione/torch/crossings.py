"""How a stream crosses a node of a traced graph: the rules of theory on the sites that are there.

``cross(layer, node, states, walk)`` is found by the type of the layer. It gives the state behind
the node, and for each parent the map that takes a gradient home to the parent's sites.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Protocol, TypeAlias

import numpy as np

from chione.base import UnsupportedLayerError
from chione.networks import (
    AbstractLayer,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Norm,
    Pooling,
    Recurrent,
    Scale,
    Shape,
)
from chione.theory.layers.batch_of_sites import batch_of_sites
from chione.theory.layers.channels import by_parts, joined, multiplied, product
from chione.theory.layers.parallel import factors_home, sliced
from chione.theory.layers.projected_attention import Weights, attend
from chione.theory.layers.recipe import Affine, Leaf
from chione.theory.layers.residual import added, handed_down
from chione.theory.layers.rule import Walker, forward
from chione.theory.layers.stream import Gradient, Stream
from chione.torch import lattice
from chione.torch.lattice import pair_weights
from chione.torch.layers.entering import Attention
from chione.torch.layers.joins import Concat, Pick, Product, Sum, View
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.norm import Frozen
from chione.torch.layers.pooling import Windows
from chione.torch.layers.recurrent import Cells
from chione.torch.layers.tensors import Heads, Weighing, Weight
from chione.torch.nodes import Node
from chione.torch.samples import Taken, arranged
from chione.torch.states import (
    State,
    averaged,
    gradient_reversed,
    in_sequence,
    leafed,
    picked,
    reversed_in_time,
)

Home: TypeAlias = Callable[[Gradient], Gradient]


def _none() -> float:
    """No error of sampling."""
    return 0.0


class Asked(Protocol):
    """What a crossing may ask of the walk."""

    @property
    def rules(self) -> Walker:
        """The walk of theory that keeps what was prepared."""

    @property
    def batch(self) -> int:
        """Number of inputs of the whole batch."""

    def given(self, node: Node) -> tuple[float, float] | None:
        """sigma_w^2, padding counted, and sigma_b^2 of an affine map that is to be set."""

    def part(self, node: Node, first: int, count: int) -> frozenset[int] | None:
        """Sources of a share of the channels; None if it overlaps with another one."""


@dataclass(frozen=True)
class Crossing:
    """The state behind a node, the way home to each parent, and what sampling has left so far.

    `noise` gives a relative standard error.
    """

    state: State
    home: dict[int, Home]
    noise: Callable[[], float] = _none


def unsupported(node: Node, why: str) -> UnsupportedLayerError:
    """The error after which the walk starts again from what was measured."""
    return UnsupportedLayerError(f"{node.name}: theory cannot follow {node.kind}: {why}.")


@singledispatch
def cross(
    layer: AbstractLayer | None, node: Node, states: tuple[State, ...], walk: Asked
) -> Crossing:
    """The state behind a node.

    Parameters
    ----------
    layer : AbstractLayer or None
        That of the node.
    node : Node
        The node.
    states : tuple of State
        What enters, one for each parent.
    walk : Asked
        Who asks.

    Raises
    ------
    UnsupportedLayerError
        If there is no rule, or the sites do not suffice for it.
    """
    raise unsupported(node, "it has no rule")


def _behind(node: Node, state: State, stream: Stream, walk: Asked, home: Home) -> Crossing:
    """The stream at a node with one parent, positions read off its shape."""
    at = arranged(node.shape, node.axes, walk.batch)
    if at is None:
        raise unsupported(node, "its axes are not known")
    taken = state.taken if at.positions > 1 else "all"
    stream = stream if stream.shape.width == at.width else _wide(stream, at.width)
    return Crossing(State(stream, at.grid, taken, node.axes), {node.parents[0]: home})


def _wide(stream: Stream, width: int) -> Stream:
    return replace(stream, shape=Shape(width, stream.shape.grid))


@cross.register(Norm)
@cross.register(Dropout)
@cross.register(Scale)
def _plain(layer: AbstractLayer, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """A rule of theory, position by position."""
    (state,) = states
    if isinstance(layer, Norm) and layer.form == "batch":
        return _batch_norm(layer, node, state, walk)
    stream, home = forward(layer, state.stream, walk.rules)
    return _behind(node, state, stream, walk, home)


def _batch_norm(layer: Norm, node: Node, state: State, walk: Asked) -> Crossing:
    """Statistics of a batch of which the sites are a sample."""
    whole = state.stream
    weights = pair_weights(whole.inputs, whole.positions, walk.batch, state.positions)
    if whole.parts:
        stream, home = by_parts(
            whole, lambda part: batch_of_sites(layer, part, weights, walk.rules)
        )
    else:
        stream, home = batch_of_sites(layer, whole, weights, walk.rules)
    return _behind(node, state, stream, walk, home)


@cross.register
def _dense(layer: Dense, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    given = walk.given(node)
    wanted = layer if given is None else _affine(*given, node.shape[-1])
    stream, home = forward(wanted, state.stream, walk.rules)
    stream = leafed(stream)
    return _behind(node, state, stream, walk, home)


def _affine(w2: float, b2: float, out: int) -> Dense:
    return Dense(math.sqrt(max(w2, 0.0)), math.sqrt(max(b2, 0.0)), max(out, 1))


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
            _affine(w2 / weight.coverage, b2, node.shape[1]), state.stream, walk.rules
        )
        return _behind(node, state, leafed(stream), walk, through)
    if weight.centred and state.taken == "all" and state.grid:
        exact = replace(layer, sigma_w=math.sqrt(w2 / weight.coverage), sigma_b=math.sqrt(b2))
        stream, tapwise = forward(exact, state.stream, walk.rules)
        if stream.shape.grid == node.shape[2:]:
            return _behind(node, state, leafed(stream), walk, tapwise)
    at = arranged(node.shape, "first", walk.batch)
    if at is None:
        raise unsupported(node, "its first axis is not the batch")
    if state.taken == "mean":
        first, back = state.stream, _same
        taken: Taken = "mean" if at.positions > 1 else "all"
    else:
        taken = at.taken("first")
        grid = tuple(min(n, m) for n, m in zip(at.grid, lattice.counts(at.grid), strict=True))
        first, back = lattice.chosen(state.stream, lattice.nearest(state.grid, at.grid), grid)
    sites, ratio = first.positions, at.positions / state.positions
    steps = lattice.per_axis(layer.stride, len(layer.kernel))
    if layer.transposed and sites > 1:  # outputs of different phases share no weights
        first = lattice.spread_out(first, sites, 1.0 / steps)
    stream, through = forward(_affine(w2, b2, node.shape[1]), first, walk.rules)

    def home(g: Gradient) -> Gradient:
        g = _scaled(through(g), ratio)
        if not layer.transposed and sites > 1 and steps > 1:  # nor do inputs
            g = lattice.thinned(g, sites, 1.0 / steps)
        return back(g)

    return Crossing(State(leafed(stream), at.grid, taken, "first"), {node.parents[0]: home})


def _scaled(g: Gradient, factor: float) -> Gradient:
    return g if factor == 1.0 else g.scaled(factor)


@cross.register
def _frozen(layer: Frozen, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    r"""Batch norm in evaluation: :math:`K' = a^2 K + b^2`, a and b constants."""
    (state,) = states
    stream = multiplied(state.stream, layer.factor)
    recipe = stream.recipe
    if recipe is not None and layer.bias:  # as a channel's own constant, of mean zero
        one = np.ones(stream.orbits.sites)
        recipe = Affine(recipe, 0.0 * one, one, layer.bias)
    stream = replace(stream, k=stream.k.shifted(layer.bias**2), recipe=recipe)
    return _behind(node, state, stream, walk, lambda g: _scaled(g, layer.factor**2))


@cross.register
def _applied(layer: Applied, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if layer.layer is None:
        raise unsupported(node, "the function is not one of a single entry")
    stream, home = forward(layer.layer, state.stream, walk.rules)
    return _behind(node, state, stream, walk, home)


@cross.register
def _view(layer: View, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    at = arranged(node.shape, node.axes, walk.batch)
    if at is None or at.positions != state.positions:
        raise unsupported(node, "its axes are not known")
    stream, share = state.stream, 1.0
    if layer.part is not None:
        sources = walk.part(node, *layer.part)
        if stream.parts:
            raise unsupported(node, "a share of several groups of channels")
        share = at.width / stream.shape.width
        stream = _wide(stream, at.width)
        if sources is not None:
            stream = _other_channels(stream, sources)
    elif at.width != stream.shape.width:
        raise unsupported(node, "channels were mixed with positions")
    return _behind(node, state, stream, walk, lambda g: _scaled(g, share))


def _other_channels(stream: Stream, sources: frozenset[int]) -> Stream:
    """Channels of the same law that share none with the other parts."""
    recipe = None
    if stream.law.gaussian:
        recipe = Leaf(stream.orbits, stream.k, stream.d, stream.theta)
    return replace(stream, sources=sources, recipe=recipe)


@cross.register
def _pick(layer: Pick, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """One position: its rows of K, and nothing comes back to the others."""
    (state,) = states
    at = arranged((walk.batch, state.positions, 1), "last", walk.batch)
    place = None if at is None else at.place(layer.position)
    if place is None or state.taken == "mean" or not state.grid:
        raise unsupported(node, "the position is none of its sites")
    stream, home = picked(state.stream, place)
    return _behind(node, state, stream, walk, home)


@cross.register
def _attention(layer: Attention, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Heads that are sampled; with matrices before and behind them where they are part of it."""
    detail = node.tensors
    weighing = detail.weighing if isinstance(detail, Heads) else detail
    if not isinstance(weighing, Weighing):
        raise unsupported(node, "queries, keys and values were not found")
    if any(s.taken != "all" or len(s.grid) > 1 for s in states):
        raise unsupported(node, "not all positions are sites")
    streams, back = [s.stream for s in states], [_same] * 3
    if isinstance(detail, Heads):
        made = [_projected(detail, i, s, walk) for i, s in enumerate(streams)]
        streams, back = [s for s, _ in made], [home for _, home in made]
    stream, homes, noise = attend(
        streams[0], streams[1], streams[2], weights_of(weighing), walk.rules
    )
    stream = _wide(stream, stream.shape.width * weighing.value_groups)
    groups = 1, weighing.key_groups, weighing.value_groups
    ways = [_then(h, b, float(n)) for h, b, n in zip(homes, back, groups, strict=True)]
    if isinstance(detail, Heads) and detail.out_weight is not None:
        last = Weight(detail.out_weight, detail.out_bias, float(detail.out_weight.shape[1]))
        dense = Dense(last.sigma_w, last.sigma_b, int(detail.out_weight.shape[0]))
        stream, through = forward(dense, stream, walk.rules)
        ways = [_then(through, way, 1.0) for way in ways]
    home: dict[int, Home] = {}
    for parent, way in zip(node.parents, ways, strict=True):
        home[parent] = way if parent not in home else _both(home[parent], way)
    crossing = _behind(node, states[0], stream, walk, _same)
    return Crossing(crossing.state, home, noise)


@cross.register
def _recurrent(layer: Cells, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Layer after layer, both directions side by side."""
    (state,) = states
    if state.taken != "all" or len(state.grid) != 1:
        raise unsupported(node, "not all steps are sites")
    stream, way = state.stream, _same
    for i, directions in enumerate(layer.layers):
        if i and layer.keep < 1.0:
            stream, back = forward(Dropout(layer.keep), stream, walk.rules)
            way = _then(back, way, 1.0)
        stream, back = _directions(directions, stream, walk)
        way = _then(back, way, 1.0)
    return _behind(node, state, stream, walk, way)


def _directions(cells: tuple[Recurrent, ...], stream: Stream, walk: Asked) -> tuple[Stream, Home]:
    ahead, back = forward(cells[0], stream, walk.rules)
    if len(cells) == 1:
        return ahead, back
    turned = reversed_in_time(stream)
    behind, home = forward(cells[1], turned, walk.rules)
    after = joined((ahead, reversed_in_time(behind)))

    def pullback(g: Gradient) -> Gradient:
        one, two = g.parts or (g, g)
        return back(one).plus(gradient_reversed(home(gradient_reversed(two, stream)), stream))

    return after, pullback


def _projected(detail: Heads, which: int, stream: Stream, walk: Asked) -> tuple[Stream, Home]:
    """Queries, keys or values of an attention with projections of its own."""
    matrix = detail.projections[which]
    bias = None if detail.bias is None else detail.bias.chunk(3)[which]
    weight = Weight(matrix, bias, float(matrix.shape[1]))
    dense = Dense(weight.sigma_w, weight.sigma_b, int(matrix.shape[0]))
    return forward(dense, stream, walk.rules)


def weights_of(weighing: Weighing) -> Weights:
    """The same for theory."""
    one, two = (None if t is None else t.cpu().numpy() for t in weighing.turned)
    return Weights(
        weighing.size, weighing.value_size, weighing.scale, weighing.bias.cpu().numpy(),
        weighing.keep, (one, two),
    )  # fmt: skip


def _then(first: Home, second: Home, factor: float) -> Home:
    return lambda g: second(_scaled(first(g), factor))


def _both(one: Home, two: Home) -> Home:
    return lambda g: one(g).plus(two(g))


def _same(g: Gradient) -> Gradient:
    return g


@cross.register
def _flatten(layer: Flatten, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if state.taken == "all":
        stream, home = forward(layer, state.stream, walk.rules)
    else:
        mean, home = averaged(state, walk.rules)
        stream = mean.stream
    return _behind(node, replace(state, taken="all"), _wide(stream, node.shape[-1]), walk, home)


@cross.register
def _pooling(layer: Pooling, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if layer.kernel is None and state.taken == "lattice":
        stream, home = lattice.pooled(state.stream, state.positions)
        return _behind(node, replace(state, taken="all"), stream, walk, home)
    if state.taken != "all" or not state.grid:
        raise unsupported(node, "not all positions are sites")
    stream, home = forward(layer, state.stream, walk.rules)
    return _behind(node, state, stream, walk, home)


@cross.register
def _sum(layer: Sum, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    one, two = node.parents
    if one == two:
        (state, _) = states
        if layer.minus:
            raise unsupported(node, "it is zero")
        doubled = replace(state, stream=multiplied(state.stream, 2.0))
        return Crossing(doubled, {one: lambda g: g.by(2.0)})
    met, homes = _met(states, node, walk)
    first, second = (s.stream for s in met)
    sign = -1.0 if layer.minus else 1.0
    terms = first, multiplied(second, sign)
    stream = added(terms, walk.rules)

    def towards(home: Home, factor: float) -> Home:
        return lambda g: home(handed_down(g, terms, stream, walk.rules).by(factor))

    back = towards(homes[0], 1.0), towards(homes[1], sign)
    return Crossing(replace(met[0], stream=stream), dict(zip(node.parents, back, strict=True)))


@cross.register
def _product(layer: Product, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    counts = [s.positions for s in states]
    if min(counts) == 1 < max(counts):
        states, wide = _broadcast(states)
    else:
        wide = (_same, _same)
    met, homes = _met(states, node, walk)
    homes = tuple(_then(home, back, 1.0) for home, back in zip(homes, wide, strict=True))
    one, two = (s.stream for s in met)
    if not one.sources.isdisjoint(two.sources):
        raise unsupported(node, "its factors depend on the same weights")
    stream = product(one, two)
    if math.prod(node.shape) > max(_numel(s, walk.batch) for s in met):  # all pairs of channels
        stream = _wide(stream, one.shape.width * two.shape.width)

    def towards(home: Home, factor: Home) -> Home:
        return lambda g: home(factor(g))

    factors = factors_home((one, two), stream, walk.rules)
    back = [towards(*pair) for pair in zip(homes, factors, strict=True)]
    return Crossing(replace(met[0], stream=stream), dict(zip(node.parents, back, strict=True)))


def _broadcast(states: tuple[State, ...]) -> tuple[tuple[State, ...], tuple[Home, ...]]:
    """A factor without positions as one that is the same at all of them."""
    large = max(states, key=lambda s: s.positions)
    out: list[State] = []
    homes: list[Home] = []
    for state in states:
        if state.positions == large.positions:
            out.append(state)
            homes.append(_same)
            continue
        stream, home = lattice.repeated(state.stream, large.stream, large.positions)
        out.append(replace(large, stream=stream))
        homes.append(home)
    return tuple(out), tuple(homes)


def _numel(state: State, batch: int) -> int:
    return batch * state.positions * state.stream.shape.width


@cross.register
def _concat(layer: Concat, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    if layer.positions and not layer.channels:
        return _sequence(node, states, walk)
    if not layer.channels or len(set(node.parents)) < len(node.parents):
        raise unsupported(node, "its terms are no separate groups of channels")
    met, homes = _met(states, node, walk)
    streams = tuple(s.stream for s in met)
    stream = joined(streams)

    def towards(home: Home, i: int) -> Home:
        return lambda g: home(sliced(g, streams)[i])

    back = {
        p: towards(home, i) for i, (p, home) in enumerate(zip(node.parents, homes, strict=True))
    }
    return Crossing(replace(met[0], stream=stream), back)


def _sequence(node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Positions of several sequences one after another."""
    streams = [s.stream for s in states]
    if any(s.taken != "all" for s in states):
        raise unsupported(node, "not all positions are sites")
    stream, homes = in_sequence(streams, walk.rules)
    home: dict[int, Home] = {}
    for parent, way in zip(node.parents, homes, strict=True):
        home[parent] = way if parent not in home else _both(home[parent], way)
    return Crossing(_behind(node, states[0], stream, walk, _same).state, home)


def _met(
    states: tuple[State, ...], node: Node, walk: Asked
) -> tuple[tuple[State, ...], tuple[Home, ...]]:
    """States that meet, over the same sites, and the ways home from there."""
    first = states[0]
    for state in states[1:]:
        alike = state.axes == first.axes and state.positions == first.positions
        if not alike or state.stream.inputs != first.stream.inputs:
            raise unsupported(node, "its terms are not over the same positions")
    if len({(s.taken, s.stream.positions) for s in states}) > 1:
        pairs = [averaged(state, walk.rules) for state in states]
        return tuple(s for s, _ in pairs), tuple(home for _, home in pairs)
    return states, (_same,) * len(states)


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
    whole = isinstance(layer.kernel, int)
    axes = len(node.shape) - 2
    k = layer.kernel**axes if whole else math.prod(layer.kernel)  # type: ignore[operator]
    return 1.0 / k
