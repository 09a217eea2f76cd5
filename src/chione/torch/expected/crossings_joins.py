"""Crossings of nodes at which several tensors meet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chione.base import Array
from chione.theory.layers.channels import joined, multiplied, product
from chione.theory.layers.parallel import factors_home, sliced
from chione.theory.layers.residual import added, handed_down
from chione.torch.capture import lattice
from chione.torch.capture.nodes import Node
from chione.torch.expected.crossings import (
    Asked,
    Crossing,
    Home,
    cross,
    same,
    then,
    unsupported,
    with_width,
)
from chione.torch.expected.crossings_sequence import sequence
from chione.torch.expected.states import (
    State,
    averaged,
)
from chione.torch.layers.joins import Concat, Product, Sum


@cross.register
def _sum(layer: Sum, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    one, two = node.parents
    if one == two:
        (state, _) = states
        if layer.minus:
            raise unsupported(node, "it is zero")
        doubled = replace(state, stream=multiplied(state.stream, 2.0))
        return Crossing(doubled, {one: lambda g: g.by(2.0)})
    met, homes = meeting(states, node, walk)
    first, second = (s.stream for s in met)
    sign = -1.0 if layer.minus else 1.0
    terms = first, multiplied(second, sign)
    stream = added(terms, walk.rules)

    def towards(home: Home, factor: float) -> Home:
        return lambda g: home(handed_down(g, terms, stream, walk.rules).by(factor))

    back = towards(homes[0], 1.0), towards(homes[1], sign)
    behind = replace(met[0], stream=stream, profile=_mixed_profile(met))
    return Crossing(behind, dict(zip(node.parents, back, strict=True)))


def _mixed_profile(states: tuple[State, ...]) -> Array | None:
    """The profile of a sum, or of channels side by side."""
    if all(s.profile is None for s in states):
        return None
    sizes = np.array([s.length * s.stream.shape.width for s in states])
    parts = [np.ones(s.grid) if s.profile is None else s.profile for s in states]
    return np.asarray(sum(a * p for a, p in zip(sizes / sizes.sum(), parts, strict=True)))


@cross.register
def _product(layer: Product, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    counts = [s.positions for s in states]
    if min(counts) == 1 < max(counts):
        states, wide = _broadcast(states)
    else:
        wide = (same, same)
    met, homes = meeting(states, node, walk)
    homes = tuple(then(home, back, 1.0) for home, back in zip(homes, wide, strict=True))
    one, two = (s.stream for s in met)
    if not one.sources.isdisjoint(two.sources):
        raise unsupported(node, "its factors depend on the same weights")
    stream = product(one, two)
    if math.prod(node.shape) > max(_numel(s, walk.batch) for s in met):  # all pairs of channels
        stream = with_width(stream, one.shape.width * two.shape.width)

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
            homes.append(same)
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
        return sequence(node, states, walk)
    if not layer.channels or len(set(node.parents)) < len(node.parents):
        raise unsupported(node, "its terms are no separate groups of channels")
    met, homes = meeting(states, node, walk)
    streams = tuple(s.stream for s in met)
    stream = joined(streams)

    def towards(home: Home, i: int) -> Home:
        return lambda g: home(sliced(g, streams)[i])

    back = {
        p: towards(home, i) for i, (p, home) in enumerate(zip(node.parents, homes, strict=True))
    }
    return Crossing(replace(met[0], stream=stream, profile=_mixed_profile(met)), back)


def meeting(
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
    return states, (same,) * len(states)
