"""A sampler for every kind of layer, one file a kind, of the same name as in ``networks``."""

from chione.networks import import_files
from chione.simulation.layers.sampler import (
    Chain,
    Draws,
    Row,
    Step,
    Watch,
    Work,
    chain,
    draw,
    leaves,
    work,
)

__all__ = ["Chain", "Draws", "Row", "Step", "Watch", "Work", "chain", "draw", "leaves", "work"]

import_files("chione.simulation.layers")  # where the samplers register themselves
