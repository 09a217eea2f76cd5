"""Blocks that stand several times in a row, with fresh weights each time."""

from __future__ import annotations

from chione.networks import Repeat, Shape
from chione.networks.layer import pass_through
from chione.simulation.layers.sampler import Chain, Draws, Row, Step, chain, draw


@draw.register
def _(layer: Repeat, shape: Shape, draws: Draws) -> Step:
    """Repetitions count from 1: ``layers[2]#3`` is what leaves the third one."""
    blocks: list[Step] = []
    places = [f"{draws.place}#{r}" for r in range(1, layer.times + 1)]
    for place in places:
        after = pass_through(layer.layers, shape, f"{draws.place}.layers")
        draws.rows.append(Row(place, layer.word, after))
        blocks.append(chain(layer.layers, shape, draws.at(place), "layers"))
        shape = after
    return Chain(blocks, places, draws.watch)
