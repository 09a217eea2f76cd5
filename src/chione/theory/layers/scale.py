r"""Multiplication by a number a: :math:`K' = a^2 K`, :math:`P = a^2 P'`."""

from __future__ import annotations

from chione.networks import Scale
from chione.theory.layers.channels import multiplied
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Stream


@forward.register
def scale(layer: Scale, stream: Stream, walk: Walker) -> Passed:
    """Times the factor."""
    return multiplied(stream, layer.factor), lambda g: g.by(layer.factor)
