"""A sampler for every kind of layer, one file a kind, of the same name as in ``networks``."""

from chione.simulation.layers import (  # noqa: F401  each registers its kind
    convolution,
    dense,
    dropout,
    flatten,
    gate,
    maxout,
    noise,
    nonlinearity,
    norm,
    parallel,
    pooling,
    position,
    repeat,
    residual,
    scale,
)
from chione.simulation.layers.sampler import (
    Chain,
    Draws,
    Row,
    Step,
    Watch,
    chain,
    draw,
    leaves,
    work,
)

__all__ = ["Chain", "Draws", "Row", "Step", "Watch", "chain", "draw", "leaves", "work"]
