r"""What travels through a network: second moments, means, tangent kernel, law and sources.

A site is an input at a position. With channels :math:`x_i`, at infinite width,

.. math:: K_{ij} = \frac1N \sum x(i) x(j), \quad D_{ij} = \frac1N \sum (x(i) - x(j))^2, \quad
   m_i = \frac1N \sum x(i), \quad P_{ij} = \frac1N \sum g(i) g(j)

with g the gradient of the output's product with a random cotangent. D is carried beside K, since
near c = 1 only it is accurate.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from chione.base import Array
from chione.networks import Input, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.gradient import Gradient as Gradient
from chione.theory.layers.orbits import Index, Orbits, by_value
from chione.theory.layers.recipe import Leaf, Recipe

_ids = itertools.count()


def new_source() -> frozenset[int]:
    """A source that no other stream depends on: a weight matrix, a bias, an embedding."""
    return frozenset([next(_ids)])


@dataclass(frozen=True)
class Law:
    """How the value of a channel is distributed over channels.

    Parameters
    ----------
    gaussian : bool
        Whether it is N(0, K), all sites jointly.
    reason : str
        Where it is not, what made it so, as words that follow "the channels are".
    random : str
        Where the second moments themselves differ from draw to draw however wide the network is,
        why; K is then their mean.
    """

    gaussian: bool
    reason: str = ""
    random: str = ""


GAUSSIAN = Law(True)


@dataclass(frozen=True)
class Stream:
    """The state between two layers.

    Parameters
    ----------
    shape : Shape
        Channels and grid.
    orbits : Orbits
        Which pairs of sites share a value.
    k, d : Bounded
        K and D, one entry for each class of pairs.
    mean : Bounded
        m, one entry for each site; sites of one class have one mean.
    theta : Bounded
        The tangent kernel of one channel (weights and biases trained, NTK parametrisation), one
        entry for each class.
    law : Law
        The law of a channel.
    sources : frozenset of int
        The weight matrices that the channels depend on: streams with no source in common are
        independent, channel by channel.
    parts : tuple of Stream
        Groups of channels with moments of their own, after a concatenation; the stream itself
        then holds those of all channels.
    uneven : str
        Where channels of different numbers have different moments, so that k, d and the rest are
        averages over channels, what made them so, as words that follow "the channels are". Maps
        that meet such a stream channel by channel with another one need more.
    uneven_mean : bool
        Whether the means of such channels differ.
    met : frozenset of int
        Sources that a channel depends on through a weight of its own, of mean zero (a depthwise
        convolution): uncorrelated with them, but not independent.
    recipe : Recipe, optional
        How a channel came about since the last matrix, from which a population of channels can be
        drawn where second moments do not determine what comes next.
    """

    shape: Shape
    orbits: Orbits
    k: Bounded
    d: Bounded
    mean: Bounded
    theta: Bounded
    law: Law
    sources: frozenset[int]
    parts: tuple[Stream, ...] = ()
    uneven: str = ""
    uneven_mean: bool = False
    met: frozenset[int] = frozenset()
    recipe: Recipe | None = None

    @property
    def positions(self) -> int:
        """Number of positions of the grid."""
        return self.shape.positions

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.orbits.sites // self.positions

    @property
    def q(self) -> Bounded:
        """Mean squares of both sites of each class, as the rows of arrays of shape (2, classes)."""
        both = np.stack([self.orbits.one, self.orbits.two])
        return self.k.at(both)

    def second_moments(self) -> Bounded:
        """K of all pairs of sites, (n, n)."""
        return self.k.at(self.orbits.index)

    def with_(self, **changes: object) -> Stream:
        """A copy with some fields changed; groups of channels and the recipe are forgotten."""
        return replace(self, **({"parts": (), "recipe": None} | changes))  # type: ignore[arg-type]

    def refined(self, orbits: Orbits, old: Index) -> Stream:
        """The same on finer classes; `old` is the former class of each."""
        if orbits is self.orbits:
            return self
        return self.with_(
            orbits=orbits,
            k=self.k.at(old),
            d=self.d.at(old),
            theta=self.theta.at(old),
            recipe=self.recipe,
        )


def gaussian_stream(
    shape: Shape,
    orbits: Orbits,
    k: Bounded,
    d: Bounded,
    theta: Bounded,
    law: Law = GAUSSIAN,
    mean: Bounded | None = None,
) -> Stream:
    """A stream behind fresh weights: Gaussian channels of a source of their own."""
    mean = Bounded.exact(np.zeros(orbits.sites)) if mean is None else mean
    leaf = Leaf(orbits, k, d, theta)
    return Stream(shape, orbits, k, d, mean, theta, law, new_source(), recipe=leaf)


def entering(given: Input) -> Stream:
    """The stream of a network's input: Gaussian channels with the stated second moments."""
    return from_moments(given.second_moments(), given.shape)


def from_moments(gram: Array, shape: Shape, mean: Bounded | None = None) -> Stream:
    """A Gaussian stream with given moments over all sites, (n, n) and (n,).

    Pairs share a class where their covariance, lengths and channel means agree.
    """
    q = np.diagonal(gram)
    mean = Bounded.exact(np.zeros(len(q))) if mean is None else mean
    # two numbers within a factor of two of each other are subtracted without rounding
    one, two = q[:, None] - gram, q[None, :] - gram
    d, rounding = one + two, np.finfo(np.float64).eps * (np.abs(one) + np.abs(two))
    orbits = by_value(gram, mean.value)
    at = orbits.rows, orbits.columns
    distance = Bounded(np.maximum(d[at], 0.0), rounding[at])
    theta = Bounded.exact(np.zeros(orbits.count))
    k = Bounded.exact(gram[at])
    return gaussian_stream(shape, orbits, k, distance, theta, mean=mean)
