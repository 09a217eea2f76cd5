r"""Embeddings of positions.

.. math:: \text{learned: } K' = K + \sigma^2\,\delta_{ts}, \qquad
   \text{sinusoidal: } K' = K + \frac{\sigma^2}{n} \sum_{j < n/2} \cos(\omega_j (t - s)),
   \quad m' = m + \frac{\sigma}{n} \sum_j (\sin \omega_j t + \cos \omega_j t)

for all pairs of inputs (Vaswani et al. 2017 for the second).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chione.base import EPS, Array
from chione.networks import Position
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import by_parts, sum_of
from chione.theory.layers.orbits import Index
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Leaf, Recipe
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.stream import Gradient, Law, Stream, new_source


@forward.register
def position(layer: Position, stream: Stream, walk: Walker) -> Passed:
    """With the embedding added."""
    if layer.form == "learned" and stream.parts:
        return by_parts(stream, lambda part: _added(layer, part, walk))
    return _added(layer, stream, walk)


def _added(layer: Position, stream: Stream, walk: Walker) -> Passed:
    n, positions = stream.orbits.sites, stream.positions
    at = np.arange(n) % positions
    lag = np.abs(at[:, None] - at[None, :])
    learned = layer.form == "learned"
    if not learned and stream.uneven_mean:
        why = f"the means of the channels are those of {stream.uneven}"
        raise unclosed(walk, "the sum with waves", why)
    orbits, old = stream.orbits.split(
        (layer.form, positions),
        # waves give each position a mean of its own, so that equal lags are not enough
        lambda: lag == 0 if learned else _both(at, positions),
    )
    s = stream.refined(orbits, old)
    here = lag[orbits.rows, orbits.columns]

    def pullback(g: Gradient) -> Gradient:
        return g

    if learned:
        added = layer.sigma**2 * (here == 0)
        apart = 2.0 * layer.sigma**2 * (here != 0)
        recipe = None
        if s.recipe is not None:
            vectors = Bounded.exact(added), Bounded.exact(apart), Bounded.exact(added)
            recipe = sum_of(s.recipe, Leaf(orbits, *vectors))
        after = s.with_(
            recipe=recipe,
            k=s.k.shifted(added),
            d=s.d.shifted(apart),
            theta=s.theta.shifted(added),  # the embedding is trained
            sources=s.sources | new_source(),
        )
        return after, pullback
    after = _waves_added(layer, s, at, here)
    if s.recipe is None:
        return after, pullback
    return replace(after, recipe=sum_of(s.recipe, Waves(layer, s.shape.width, at))), pullback


class Waves(Recipe):
    """Sines and cosines of the positions, one frequency a channel.

    Parameters
    ----------
    layer : Position
        Size and base.
    width : int
        Channels, sines first.
    at : ndarray of int, shape (sites,)
        Positions.
    """

    def __init__(self, layer: Position, width: int, at: Index) -> None:
        super().__init__()
        self._layer, self._width, self._at = layer, width, at

    def value(self, crowd: Population, *x: Array) -> Array:
        """Each channel of the width as often as the others, in random order."""
        n, width = crowd.rows(len(self._at)), self._width
        channel = crowd.generator().permutation(np.arange(n) * width // n)
        angle = self._layer.base ** (-2.0 * (channel % (width // 2)) / width)[:, None] * self._at
        waves = np.where(channel[:, None] < width // 2, np.sin(angle), np.cos(angle))
        return np.asarray(self._layer.sigma * waves)

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Nothing is trained."""
        return None

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """It has no parents."""
        return ()


def _both(at: Index, positions: int) -> Index:
    """One number for each unordered pair of positions."""
    low, high = np.minimum(at[:, None], at), np.maximum(at[:, None], at)
    return np.asarray(low * positions + high)


def _waves_added(layer: Position, s: Stream, at: Index, here: Index) -> Stream:
    """With sines on one half of the channels and cosines on the other."""
    orbits, positions = s.orbits, int(at.max()) + 1
    width = s.shape.width
    frequency = layer.base ** (-2.0 * np.arange(width // 2) / width)
    mean = _mean(at, frequency) * (layer.sigma / width)
    kernel, gap = _waves(here, frequency)
    factor = layer.sigma**2 / width
    error = 4.0 * EPS * positions * factor * len(frequency)
    k = s.k.plus(Bounded(factor * kernel, np.full(kernel.shape, error)))
    d = s.d.plus(Bounded(2.0 * factor * gap, 8.0 * EPS * positions * factor * gap))
    added = Bounded(mean, np.full(mean.shape, error / max(layer.sigma, 1e-300)))
    if np.any(s.mean.value):  # channels of a mean share it with the waves
        (a, b), (u, v) = ((x.at(orbits.rows), x.at(orbits.columns)) for x in (s.mean, added))
        k = k.plus(a.times(v)).plus(u.times(b))
        d = d.plus(a.minus(b).times(u.minus(v)).scaled(2.0))
    law = Law(False, "not Gaussian after an embedding of waves", s.law.random)
    return s.with_(
        k=k, d=d, mean=s.mean.plus(added), law=law, uneven="waves", uneven_mean=layer.sigma > 0.0
    )


def _mean(at: Index, frequency: Array) -> Array:
    angle = at[:, None] * frequency
    return np.asarray((np.sin(angle) + np.cos(angle)).sum(axis=1))


def _waves(lag: Index, frequency: Array) -> tuple[Array, Array]:
    """Sums of cos and of 1 - cos over the frequencies."""
    unique, inverse = np.unique(lag, return_inverse=True)
    angle = unique[:, None] * frequency
    gap = 2.0 * np.sin(0.5 * angle) ** 2
    return np.cos(angle).sum(axis=1)[inverse], gap.sum(axis=1)[inverse]
