"""Multiplication by a number."""

from __future__ import annotations

from chione.networks import Scale, Shape
from chione.simulation.layers.masks import Times
from chione.simulation.layers.sampler import Draws, Step, draw


@draw.register
def _(layer: Scale, shape: Shape, draws: Draws) -> Step:
    return Times(layer.factor)
