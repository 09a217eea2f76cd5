r"""Additive noise: :math:`K' = K + \sigma^2 I`, and nothing changes on the way back."""

from __future__ import annotations

import numpy as np

from chione.networks import Noise
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import by_parts, sum_of
from chione.theory.layers.recipe import Leaf
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import following
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def noise(layer: Noise, stream: Stream, walk: Walker) -> Passed:
    """With the noise added."""
    if stream.parts:
        return by_parts(stream, lambda part: _noisy(layer, part))
    return _noisy(layer, stream)


def _noisy(layer: Noise, stream: Stream) -> Passed:
    n = stream.orbits.sites
    orbits, old = stream.orbits.split("itself", lambda: np.eye(n, dtype=bool))
    s = stream.refined(orbits, old)
    own = np.where(orbits.apart, 0.0, layer.sigma**2)
    apart = np.where(orbits.apart, 2.0 * layer.sigma**2, 0.0)

    def pullback(g: Gradient) -> Gradient:
        return g

    recipe = None
    if s.recipe is not None:
        at = Bounded.exact(own), Bounded.exact(apart), Bounded.exact(np.zeros(orbits.count))
        recipe = sum_of(s.recipe, Leaf(orbits, *at))
    after = s.with_(k=s.k.shifted(own), d=s.d.shifted(apart), recipe=recipe)
    return after, following(pullback, recipe)
