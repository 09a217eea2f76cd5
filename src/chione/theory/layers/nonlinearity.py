r"""Activations.

.. math:: K' = E\,\phi(u)\phi(v), \quad m' = E\,\phi(u), \quad
   P = P' \odot E\,\phi'(u)\phi'(v), \quad \Theta' = \Theta \odot E\,\phi'(u)\phi'(v)

over Gaussian channels; nothing else determines them.
"""

from __future__ import annotations

from chione.activations import AbstractActivation, Linear
from chione.networks import Nonlinearity
from chione.theory.layers.channels import apply, by_parts, gaussian
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def nonlinearity(layer: Nonlinearity, stream: Stream, walk: Walker) -> Passed:
    """Through an activation, on each group of channels alone."""
    if isinstance(layer.activation, Linear):
        return stream, lambda g: g
    if stream.parts:
        return by_parts(stream, lambda part: activated(layer.activation, part, walk))
    return activated(layer.activation, stream, walk)


def activated(act: AbstractActivation, stream: Stream, walk: Walker) -> Passed:
    """An activation on Gaussian channels."""
    gaussian(stream, walk)
    after, slope = apply(stream, act, walk)

    def pullback(g: Gradient) -> Gradient:
        return g.times(stream.orbits, slope)

    return after, pullback
