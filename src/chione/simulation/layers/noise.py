"""Additive noise."""

from __future__ import annotations

from chione.networks import Noise, Shape
from chione.simulation.layers.masks import Plus
from chione.simulation.layers.sampler import Draws, Step, draw
from chione.simulation.streams import Purpose


@draw.register
def _(layer: Noise, shape: Shape, draws: Draws) -> Step:
    size = (*draws.batch, shape.positions, shape.width)
    return Plus(layer.sigma * draws.stream(Purpose.MASKS).standard_normal(size))
