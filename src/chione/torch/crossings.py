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
    Scale,
    Shape,
)
from chione.theory.layers.channels import joined, multiplied, product
from chione.theory.layers.parallel import factors_home
from chione.theory.layers.projected_attention import Scores, attend
from chione.theory.layers.recipe import Affine, Leaf
from chione.theory.layers.residual import added, handed_down
from chione.theory.layers.rule import Walker, forward
from chione.theory.layers.stream import Gradient, Stream
from chione.torch.layers.entering import Attention
from chione.torch.layers.joins import Concat, Pick, Product, Sum, View
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.norm import Frozen
from chione.torch.layers.tensors import Heads, Weighing, Weight
from chione.torch.nodes import Node
from chione.torch.samples import arranged
from chione.torch.states import State, averaged, picked

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
        raise unsupported(node, "its statistics run over inputs that are no sites")
    stream, home = forward(layer, state.stream, walk.rules)
    return _behind(node, state, stream, walk, home)


@cross.register
def _dense(layer: Dense, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    given = walk.given(node)
    wanted = layer if given is None else _affine(*given, node.shape[-1])
    stream, home = forward(wanted, state.stream, walk.rules)
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
    if weight.centred and state.taken == "all" and state.grid:
        exact = replace(layer, sigma_w=math.sqrt(w2 / weight.coverage), sigma_b=math.sqrt(b2))
        stream, tapwise = forward(exact, state.stream, walk.rules)
        if stream.shape.grid == node.shape[2:]:
            return _behind(node, state, stream, walk, tapwise)
    mean, back = averaged(state, walk.rules)
    stream, through = forward(_affine(w2, b2, node.shape[1]), mean.stream, walk.rules)
    at = arranged(node.shape, "first", walk.batch)
    if at is None:
        raise unsupported(node, "its first axis is not the batch")
    ratio = at.positions / state.positions

    def home(g: Gradient) -> Gradient:
        return back(_scaled(through(g), ratio))

    taken = "mean" if at.positions > 1 else "all"
    behind = State(stream, at.grid, taken, "first")  # type: ignore[arg-type]  # one of the two
    return Crossing(behind, {node.parents[0]: home})


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
        stream = stream if sources is None else _other_channels(stream, sources)
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
    stream, homes, noise = attend(*streams, scores_of(weighing), walk.rules)
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


def _projected(detail: Heads, which: int, stream: Stream, walk: Asked) -> tuple[Stream, Home]:
    """Queries, keys or values of an attention with projections of its own."""
    matrix = detail.projections[which]
    bias = None if detail.bias is None else detail.bias.chunk(3)[which]
    weight = Weight(matrix, bias, float(matrix.shape[1]))
    dense = Dense(weight.sigma_w, weight.sigma_b, int(matrix.shape[0]))
    return forward(dense, stream, walk.rules)


def scores_of(weighing: Weighing) -> Scores:
    """The same for theory."""
    one, two = (None if t is None else t.cpu().numpy() for t in weighing.turned)
    return Scores(
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
    met, homes = _met(states, node, walk)
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


def _numel(state: State, batch: int) -> int:
    return batch * state.positions * state.stream.shape.width


@cross.register
def _concat(layer: Concat, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    if not layer.channels or len(set(node.parents)) < len(node.parents):
        raise unsupported(node, "its terms are no separate groups of channels")
    met, homes = _met(states, node, walk)
    stream = joined(tuple(s.stream for s in met))

    def towards(home: Home, i: int) -> Home:
        return lambda g: home(g.parts[i] if g.parts else g)

    back = {
        p: towards(home, i) for i, (p, home) in enumerate(zip(node.parents, homes, strict=True))
    }
    return Crossing(replace(met[0], stream=stream), back)


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
    return 1.0 / layer.keep if isinstance(layer, Dropout) else None
