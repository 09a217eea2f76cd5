r"""Batch norm over a large batch of which the sites are a sample.

With weights :math:`\omega_{ij}`, of sum 1, that say how many pairs of the whole batch of n sites
each pair stands for, :math:`r_i = \sum_j \omega_{ij} K_{ij} / \sum_j \omega_{ij}`,
:math:`\kappa = \sum \omega K` and :math:`v = \bar q - \kappa`,

.. math:: K' = g^2\,\frac{K_{ij} - r_i - r_j + \kappa}{v + \epsilon} + b^2,

.. math:: P = \frac{g^2}{(1 - 2 \bar{\rho^2}) (v + \epsilon)}
   \Bigl(1 - \sum \omega\,\rho\,P_c / \bar p\Bigr)\,P_c

where :math:`P_c` is P' centred alike, :math:`\rho` the correlation after the norm. Mean and
variance over the batch are then nearly the same in every channel, so that channels stay Gaussian.
The variance fluctuates from channel to channel, by :math:`2 \bar{\rho^2}` of its square, the mean
over all pairs; the mean of its inverse is exact for n independent sites, (n - 1) / (n - 3).
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array
from chione.networks import Norm
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.rule import Passed, Walker, unclosed
from chione.theory.layers.stream import Gradient, Stream, from_moments

_LARGEST = 0.2  # mean square correlation up to which the inverse of a variance has a mean


def batch_of_sites(layer: Norm, stream: Stream, weights: Array, walk: Walker) -> Passed:
    """Through the norm.

    Parameters
    ----------
    layer : Norm
        Of the form "batch".
    stream : Stream
        What enters, at the sampled sites.
    weights : ndarray, shape (n, n)
        Share of each pair of sites, of sum 1.
    walk : Walker
        Who asks.
    """
    gram = stream.second_moments().value
    centred, middle = _centred(gram, weights)
    length = float(np.mean(np.diagonal(gram)))
    variance = length - middle
    if not variance > 1e-9 * length:
        raise unclosed(walk, "this norm", "nothing differs within the batch")
    factor = layer.gain**2 / (variance + layer.eps)
    rho = centred / variance
    fluctuation = 1.0 / (1.0 - 2.0 * min(float(np.sum(weights * rho**2)), _LARGEST))
    m = stream.mean.value
    mean = (m - m.mean()) * np.sqrt(factor)
    after = from_moments(factor * centred, stream.shape, Bounded.exact(mean))
    error = np.full(after.orbits.count, 8.0 * EPS * factor * length)
    at = after.orbits.rows, after.orbits.columns
    distance = factor * stream.d.at(stream.orbits.index).value[at]
    after = after.with_(
        k=Bounded(after.k.value, error).shifted(layer.bias**2),
        d=Bounded(distance, np.where(after.orbits.apart, 4.0 * error, 0.0)),
        law=stream.law,
        sources=after.sources if stream.law.gaussian else stream.sources,
        uneven=stream.uneven,
        met=stream.met,
        recipe=after.recipe if stream.law.gaussian else _recipe(stream, factor),
    )

    def pullback(g: Gradient) -> Gradient:
        p, _ = _centred(g.second_moments().value, weights)
        size = float(np.mean(np.diagonal(p)))
        along = float(np.sum(weights * rho * p)) / size if size > 0.0 else 0.0
        return Gradient.of(factor * fluctuation * max(1.0 - along, 0.0) * p)

    return after, pullback


def _recipe(stream: Stream, factor: float) -> Recipe | None:
    return None if stream.recipe is None else Centred(stream.recipe, np.sqrt(factor))


class Centred(Recipe):
    """Channels less their means over the sites, times a number.

    Parameters
    ----------
    parent : Recipe
        What is centred.
    factor : float
        The number.
    """

    def __init__(self, parent: Recipe, factor: float) -> None:
        super().__init__(parent)
        self._factor = factor

    def value(self, crowd: Population, *x: Array) -> Array:
        """Centred."""
        return np.asarray(self._factor * (x[0] - x[0].mean(axis=1, keepdims=True)))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Centred alike."""
        return None if dx[0] is None else self.value(crowd, dx[0])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """The map is symmetric."""
        return (self.value(crowd, g),)


def _centred(matrix: Array, weights: Array) -> tuple[Array, float]:
    """Less the means over the whole batch, and the mean of all."""
    rows = (weights * matrix).sum(axis=1) / weights.sum(axis=1)
    middle = float(np.sum(weights * matrix))
    out = matrix - rows[:, None] - rows[None, :] + middle
    return np.asarray(0.5 * (out + out.T)), middle
