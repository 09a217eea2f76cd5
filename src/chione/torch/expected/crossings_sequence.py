"""Crossings of layers over the positions of a sequence: attention, recurrence, joining."""

from __future__ import annotations

from chione.networks import (
    Dense,
    Dropout,
    Recurrent,
)
from chione.theory.layers.channels import joined
from chione.theory.layers.projected_attention import Weights, attend
from chione.theory.layers.rule import forward
from chione.theory.layers.stream import Gradient, Stream
from chione.torch.capture.nodes import Node
from chione.torch.expected.crossings import (
    Asked,
    Crossing,
    Home,
    behind,
    both,
    cross,
    same,
    then,
    unsupported,
    with_width,
)
from chione.torch.expected.states import (
    State,
    gradient_reversed,
    in_sequence,
    reversed_in_time,
)
from chione.torch.layers.entering import Attention
from chione.torch.layers.recurrent import Cells
from chione.torch.layers.tensors import Heads, Weighing, Weight


@cross.register
def _attention(layer: Attention, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Heads that are sampled; with matrices before and behind them where they are part of it."""
    detail = node.tensors
    weighing = detail.weighing if isinstance(detail, Heads) else detail
    if not isinstance(weighing, Weighing):
        raise unsupported(node, "queries, keys and values were not found")
    if any(s.taken != "all" or len(s.grid) > 1 for s in states):
        raise unsupported(node, "not all positions are sites")
    streams = [s.stream for s in states]
    back: list[Home] = [same] * 3
    if isinstance(detail, Heads):
        made = [_projected(detail, i, s, walk) for i, s in enumerate(streams)]
        streams, back = [s for s, _ in made], [home for _, home in made]
    stream, homes, noise = attend(
        streams[0], streams[1], streams[2], weights_of(weighing), walk.rules
    )
    stream = with_width(stream, stream.shape.width * weighing.value_groups)
    groups = 1, weighing.key_groups, weighing.value_groups
    ways = [then(h, b, float(n)) for h, b, n in zip(homes, back, groups, strict=True)]
    if isinstance(detail, Heads) and detail.out_weight is not None:
        last = Weight(detail.out_weight, detail.out_bias, float(detail.out_weight.shape[1]))
        dense = Dense(last.sigma_w, last.sigma_b, int(detail.out_weight.shape[0]))
        stream, through = forward(dense, stream, walk.rules)
        ways = [then(through, way, 1.0) for way in ways]
    home: dict[int, Home] = {}
    for parent, way in zip(node.parents, ways, strict=True):
        home[parent] = way if parent not in home else both(home[parent], way)
    crossing = behind(node, states[0], stream, walk, same)
    return Crossing(crossing.state, home, noise)


@cross.register
def _recurrent(layer: Cells, node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Layer after layer, both directions side by side."""
    (state,) = states
    if state.taken != "all" or len(state.grid) != 1:
        raise unsupported(node, "not all steps are sites")
    stream = state.stream
    way: Home = same
    for i, directions in enumerate(layer.layers):
        if i and layer.keep < 1.0:
            stream, back = forward(Dropout(layer.keep), stream, walk.rules)
            way = then(back, way, 1.0)
        stream, back = _directions(directions, stream, walk)
        way = then(back, way, 1.0)
    return behind(node, state, stream, walk, way)


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


def sequence(node: Node, states: tuple[State, ...], walk: Asked) -> Crossing:
    """Positions of several sequences one after another."""
    streams = [s.stream for s in states]
    if any(s.taken != "all" for s in states):
        raise unsupported(node, "not all positions are sites")
    stream, homes = in_sequence(streams, walk.rules)
    home: dict[int, Home] = {}
    for parent, way in zip(node.parents, homes, strict=True):
        home[parent] = way if parent not in home else both(home[parent], way)
    return Crossing(behind(node, states[0], stream, walk, same).state, home)
