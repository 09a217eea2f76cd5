"""Crossings of nodes with one parent that act position by position, and of views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chione.networks import (
    AbstractLayer,
    Dense,
    Dropout,
    Flatten,
    Norm,
    Scale,
)
from chione.theory.layers.batch_of_sites import batch_of_sites
from chione.theory.layers.channels import by_parts, multiplied
from chione.theory.layers.recipe import Affine, Leaf
from chione.theory.layers.rule import forward
from chione.theory.layers.stream import Stream
from chione.torch.capture.lattice import pair_weights
from chione.torch.capture.nodes import Node
from chione.torch.capture.samples import arranged
from chione.torch.expected.crossings import (
    Asked,
    Crossing,
    affine,
    behind,
    cross,
    times,
    unsupported,
    with_width,
)
from chione.torch.expected.states import (
    State,
    averaged,
    leafed,
    picked,
)
from chione.torch.layers.joins import Pick, View
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.norm import Frozen


@cross.register(Norm)
@cross.register(Dropout)
@cross.register(Scale)
def _plain(layer: AbstractLayer, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """A rule of theory, position by position."""
    (state,) = states
    if isinstance(layer, Norm) and layer.form == "batch":
        return _batch_norm(layer, node, state, walk)
    stream, home = forward(layer, state.stream, walk.rules)
    return behind(node, state, stream, walk, home)


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
    return behind(node, state, stream, walk, home)


@cross.register
def _dense(layer: Dense, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    given = walk.given(node)
    wanted = layer if given is None else affine(*given, node.shape[-1])
    stream, home = forward(wanted, state.stream, walk.rules)
    stream = leafed(stream)
    return behind(node, state, stream, walk, home)


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
    return behind(node, state, stream, walk, lambda g: times(g, layer.factor**2))


@cross.register
def _applied(layer: Applied, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if layer.layer is None:
        raise unsupported(node, "the function is not one of a single entry")
    stream, home = forward(layer.layer, state.stream, walk.rules)
    return behind(node, state, stream, walk, home)


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
        stream = with_width(stream, at.width)
        if sources is not None:
            stream = _other_channels(stream, sources)
    elif at.width != stream.shape.width:
        raise unsupported(node, "channels were mixed with positions")
    return behind(node, state, stream, walk, lambda g: times(g, share))


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
    return behind(node, state, stream, walk, home)


@cross.register
def _flatten(layer: Flatten, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    (state,) = states
    if state.taken == "all":
        stream, home = forward(layer, state.stream, walk.rules)
    else:
        mean, home = averaged(state, walk.rules)
        stream = mean.stream
    return behind(node, replace(state, taken="all"), with_width(stream, node.shape[-1]), walk, home)
