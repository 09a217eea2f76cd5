"""Positions of a large image that stand for all of them: a coarse lattice, the same at every scale.

Two different sites of it are typical different positions. A convolution of stride s keeps the
lattice: what it makes of a typical pair of positions is a typical pair again.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, UnsupportedLayerError
from chione.networks import Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.rule import Pullback
from chione.theory.layers.stream import Gradient, Stream, from_moments
from chione.theory.layers.windows import Together, Windows

_SITES = 16
_AXIS = {1: 16, 2: 4, 3: 2}  # sites along each axis


def is_whole(grid: tuple[int, ...]) -> bool:
    """Whether the lattice holds every position."""
    return all(n <= _along(len(grid)) for n in grid)


def _along(axes: int) -> int:
    return _AXIS.get(axes, 1)


@lru_cache(maxsize=256)
def places(grid: tuple[int, ...]) -> tuple[int, ...]:
    """Positions of the lattice, row by row."""
    out = np.zeros(1, dtype=np.intp)
    for n in grid:
        out = (out[:, None] * n + _axis(n, len(grid))).ravel()
    return tuple(int(i) for i in out)


def _axis(n: int, axes: int) -> Index:
    m = min(n, _along(axes))
    return np.floor((np.arange(m) + 0.5) * n / m).astype(np.intp)


@lru_cache(maxsize=256)
def nearest(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """For each site of the lattice of one grid the nearest one of another, all of them different.

    Raises
    ------
    UnsupportedLayerError
        If the new lattice has more sites along an axis.
    """
    out = np.zeros(1, dtype=np.intp)
    if len(old) != len(new):
        old, new = _padded(old, len(new)), _padded(new, len(old))
    for n_old, n_new in zip(old, new, strict=True):
        a, b = (min(n, _along(len(old))) for n in (n_old, n_new))
        if b > a:
            raise UnsupportedLayerError("there are more positions than are known")
        reads = np.floor((np.arange(b) + 0.5) * a / b).astype(np.intp)
        out = (out[:, None] * a + reads).ravel()
    return tuple(int(i) for i in out)


def _padded(grid: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """A grid of a single position has no axes."""
    return grid or (1,) * axes


def chosen(
    stream: Stream, sites: tuple[int, ...], grid: tuple[int, ...]
) -> tuple[Stream, Pullback]:
    """Some sites; what comes back to another one is what comes to the nearest that is left."""
    n, inputs = stream.positions, stream.inputs
    if sites == tuple(range(n)):
        return stream.with_(shape=Shape(stream.shape.width, grid)), lambda g: g
    reads = np.array(sites)[:, None]
    taken = Together.of(stream.orbits, Windows(("chosen", n, sites), reads, n), inputs)
    at = (np.arange(inputs)[:, None] * n + np.array(sites)).ravel()
    after = stream.with_(
        shape=Shape(stream.shape.width, grid),
        orbits=taken.orbits,
        k=taken.covariance(stream.k),
        d=taken.distance(stream.k, stream.d),
        theta=taken.covariance(stream.theta),
        mean=stream.mean.at(at),
    )
    owner = np.argmin(np.abs(np.arange(n)[:, None] - np.array(sites)), axis=1)
    back = (np.arange(inputs)[:, None] * len(sites) + owner).ravel()

    def pullback(g: Gradient) -> Gradient:
        return Gradient.of(g.second_moments().value[np.ix_(back, back)])

    return after, pullback


def pair_weights(inputs: int, sites: int, batch: int, positions: int) -> Array:
    """How many pairs of a batch each pair of sites stands for, as shares of all, (n, n)."""
    site = np.arange(inputs * sites)
    owner, place = site // sites, site % sites
    own, here = owner[:, None] == owner, place[:, None] == place
    out = np.zeros((len(site), len(site)))
    for same_input in (True, False):
        for same_place in (True, False):
            real = (batch if same_input else batch * (batch - 1)) * (
                positions if same_place else positions * (positions - 1)
            )
            pairs = (own == same_input) & (here == same_place)
            if pairs.any():
                out[pairs] = real / pairs.sum()
    return np.asarray(out / out.sum())


def counts(grid: tuple[int, ...]) -> tuple[int, ...]:
    """Sites along each axis."""
    return tuple(min(n, _along(len(grid))) for n in grid)


def thinned(g: Gradient, sites: int, share: float) -> Gradient:
    """A gradient times `share` where positions differ."""
    orbits = _told_apart(g.orbits, sites)
    factor = np.where(_differ(orbits, sites), share, 1.0)
    return g.times(orbits, Bounded.exact(factor))


def spread_out(stream: Stream, sites: int, share: float) -> Stream:
    """Covariances times `share` where positions differ."""
    orbits, old = stream.orbits.split(("positions", sites), lambda: _places_differ(stream, sites))
    s = stream.refined(orbits, old)
    differ = _differ(orbits, sites)
    gone = s.k.scaled(np.where(differ, 1.0 - share, 0.0))
    return s.with_(
        k=s.k.minus(gone),
        d=s.d.plus(gone.scaled(2.0)),
        theta=s.theta.scaled(np.where(differ, share, 1.0)),
    )


def _told_apart(orbits: Orbits, sites: int) -> Orbits:
    n = orbits.sites
    return orbits.split(("positions", sites), lambda: apart(n, sites))[0]


def _places_differ(stream: Stream, sites: int) -> NDArray[np.bool_]:
    return apart(stream.orbits.sites, sites)


def _differ(orbits: Orbits, sites: int) -> Array:
    return np.asarray(orbits.rows % sites != orbits.columns % sites)


def apart(n: int, sites: int) -> NDArray[np.bool_]:
    """Whether two sites are of different positions, (n, n)."""
    place = np.arange(n) % sites
    return np.asarray(place[:, None] != place)


def pooled(stream: Stream, positions: int) -> tuple[Stream, Pullback]:
    """The mean over all positions, of which the sites are a sample."""
    inputs, sites = stream.inputs, stream.positions
    gram = summed(stream.second_moments().value, inputs, sites, positions) / positions**2
    values, vectors = np.linalg.eigh(gram)  # a few sites may leave a mean of negative square
    gram = (vectors * np.maximum(values, 1e-12 * max(float(values[-1]), 0.0))) @ vectors.T
    mean = stream.mean.value.reshape(inputs, sites).mean(axis=1)
    after = from_moments(gram, Shape(stream.shape.width), Bounded.exact(mean))
    after = after.with_(law=stream.law, sources=stream.sources, uneven=stream.uneven)

    def pullback(g: Gradient) -> Gradient:
        p = g.second_moments().value / positions**2
        return Gradient.of(np.repeat(np.repeat(p, sites, axis=0), sites, axis=1))

    return after, pullback


def deviations(matrix: Array, sites: int) -> tuple[Array, NDArray[np.bool_]]:
    """Entries less their mean over all pairs of positions of two inputs, and which are apart.

    A site with itself is a pair of another kind.
    """
    n = len(matrix)
    blocks = matrix.reshape(n // sites, sites, n // sites, sites)
    same = np.trace(blocks, axis1=1, axis2=3)
    rest = blocks.sum(axis=(1, 3)) - same
    here = np.eye(sites, dtype=bool)[None, :, None, :]
    middle = np.where(
        here,
        (same / sites)[:, None, :, None],
        (rest / max(sites * (sites - 1), 1))[:, None, :, None],
    )
    return np.asarray((blocks - middle).reshape(n, n)), apart(n, sites)


def evened(stream: Stream, share: float) -> Stream:
    """A share of the deviations of second moments from their means over positions."""
    sites = stream.positions

    def even(matrix: Array) -> Array:
        return np.asarray(matrix - (1.0 - share) * deviations(matrix, sites)[0])

    index = stream.orbits.index
    after = from_moments(even(stream.k.at(index).value), stream.shape, stream.mean)
    at = after.orbits.rows, after.orbits.columns
    distance = np.maximum(even(stream.d.at(index).value)[at], 0.0)
    d = Bounded(np.where(after.orbits.apart, distance, 0.0), after.d.error)
    return after.with_(d=d, law=stream.law, sources=stream.sources, uneven=stream.uneven)


def repeated(one: Stream, like: Stream, positions: int) -> tuple[Stream, Pullback]:
    """A stream without positions at the sites of another; gradients are summed over positions."""
    sites, inputs = like.positions, one.inputs
    at = np.repeat(np.arange(inputs), sites)
    after = one.with_(
        shape=Shape(one.shape.width, like.shape.grid),
        orbits=Orbits(one.orbits.index[np.ix_(at, at)]),
        mean=one.mean.at(at),
    )

    def pullback(g: Gradient) -> Gradient:
        return Gradient.of(summed(g.second_moments().value, inputs, sites, positions))

    return after, pullback


def summed(p: Array, inputs: int, sites: int, positions: int) -> Array:
    """Sum over all pairs of positions, (inputs, inputs), from those of the sites."""
    blocks = p.reshape(inputs, sites, inputs, sites)
    same = np.trace(blocks, axis1=1, axis2=3)
    if sites == 1:
        return np.asarray(same * positions**2)
    rest = (blocks.sum(axis=(1, 3)) - same) / (sites * (sites - 1))
    return np.asarray(same / sites * positions + rest * (positions * (positions - 1)))


def per_axis(stride: tuple[int, ...] | int, axes: int) -> float:
    """Product of the strides."""
    steps = (stride,) * axes if isinstance(stride, int) else stride
    return float(math.prod(steps))
