"""Dropout of units and of whole branches."""

from __future__ import annotations

from chione.networks import Dropout, Shape
from chione.simulation.layers.masks import Times
from chione.simulation.layers.sampler import Draws, Step, draw
from chione.simulation.streams import Purpose


@draw.register
def _(layer: Dropout, shape: Shape, draws: Draws) -> Step:
    """One mask for the whole pass, kept for the way back; copies have masks of their own."""
    copies, inputs = draws.batch[:-1], draws.batch[-1]
    ends = {
        "independent": (inputs, shape.positions, shape.width),
        "positions": (inputs, 1, shape.width),
        "all": (1, 1, shape.width),
        "path": (inputs, 1, 1),
    }[layer.share]
    kept = draws.stream(Purpose.MASKS).random((*copies, *ends)) < layer.keep
    return Times(kept / layer.keep)
