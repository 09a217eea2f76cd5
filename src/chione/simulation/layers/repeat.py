"""Blocks that stand several times in a row, with fresh weights each time."""

from __future__ import annotations

from chione.networks import Repeat, Shape
from chione.networks.layer import pass_through
from chione.simulation.layers.sampler import Chain, Draws, Row, Step, chain, draw


@draw.register
def _(layer: Repeat, shape: Shape, draws: Draws) -> Step:
    """Repetitions count from 0, like layers: ``layers[2]#0`` is what leaves the first one."""
    blocks: list[Step] = []
    places = [f"{draws.place}#{r}" for r in range(layer.times)]
    for place in places:
        after = pass_through(layer.layers, shape, f"{draws.place}.layers")
        draws.rows.append(Row(place, layer.word, after))
        blocks.append(chain(layer.layers, shape, draws.at(place), "layers"))
        shape = after
    return Chain(blocks, places, draws.watch)
