r"""Activations.

.. math:: K' = E\,\phi(u)\phi(v), \quad m' = E\,\phi(u), \quad
   P = P' \odot E\,\phi'(u)\phi'(v), \quad \Theta' = \Theta \odot E\,\phi'(u)\phi'(v)

over Gaussian channels; over others as averages of a population.
"""

from __future__ import annotations

from chione.activations import AbstractActivation, Linear
from chione.networks import Nonlinearity
from chione.theory.layers.channels import apply, by_parts, settled
from chione.theory.layers.recipe import Mapped
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import crowd_of, following, sampled, site_by_site
from chione.theory.layers.stream import Stream


@forward.register
def nonlinearity(layer: Nonlinearity, stream: Stream, walk: Walker) -> Passed:
    """Through an activation, on each group of channels alone."""
    if isinstance(layer.activation, Linear):
        return stream, lambda g: g
    if stream.parts:
        return by_parts(stream, lambda part: activated(layer.activation, part, walk))
    return activated(layer.activation, stream, walk)


def activated(act: AbstractActivation, stream: Stream, walk: Walker) -> Passed:
    """An activation on channels of any law that is known."""
    settled(stream, walk)
    recipe = None if stream.recipe is None else Mapped(act, stream.recipe)
    if not stream.law.gaussian:
        why = f"the channels that enter are {stream.law.reason}"
        crowd = crowd_of(stream, walk, "this layer", why)
        assert recipe is not None  # or there were no population
        return sampled(stream, recipe, crowd, f"not Gaussian after the activation {act.name}")
    after, slope = apply(stream, act, walk)
    alike = site_by_site(recipe, stream.orbits)
    pullback = following(lambda g: g.times(stream.orbits, slope), recipe, alike)
    return after.with_(recipe=recipe), pullback
