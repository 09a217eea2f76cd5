"""Blocks that stand several times in a row: one after the other."""

from __future__ import annotations

from chione.networks import Repeat
from chione.theory.layers.rule import Passed, Pullback, Walker, forward
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def repeat(layer: Repeat, stream: Stream, walk: Walker) -> Passed:
    """Through all repetitions."""
    back: list[Pullback] = []
    for number in range(layer.times):
        stream, pullback = walk.through(layer.layers, stream, f"#{number}.layers")
        back.append(walk.noted(f"#{number}", stream, pullback))

    def pullback_all(g: Gradient) -> Gradient:
        for pullback in reversed(back):
            g = pullback(g)
        return g

    return stream, pullback_all
