"""Streams at the nodes of a traced graph: which sites of the real tensors they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chione.base import Array, UnsupportedLayerError
from chione.networks import Flatten, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.recipe import Given, Leaf
from chione.theory.layers.rule import Pullback, Walker, forward, unclosed
from chione.theory.layers.stream import GAUSSIAN, Gradient, Law, Stream, from_moments
from chione.theory.layers.windows import Together, Windows
from chione.torch.capture.lattice import deviations, evened
from chione.torch.capture.samples import Arrangement, Sample, Taken, joined, shares_of
from chione.torch.capture.statistics import Moments

MEASURED = Law(False, "measured ones, of a law that nobody knows")


@dataclass(frozen=True)
class State:
    """What theory knows of a tensor.

    Parameters
    ----------
    stream : Stream
        Second moments over its sites.
    grid : tuple of int
        Extents of all positions of the tensor.
    taken : {"all", "some", "lattice", "mean"}
        Which of them the sites are; "lattice": a few that stand for all, "mean": one that does.
    axes : str
        Where the channels stand.
    noise : float
        Relative standard error of the mean square, from sampling on the way.
    patches : bool
        Whether its channels are all entries that one output of a convolution reads.
    profile : ndarray, optional
        How the mean square varies over the grid, of mean 1, where the sites are a lattice.
    smooth : float
        Square of the distance over which second moments of pairs change there.
    """

    stream: Stream
    grid: tuple[int, ...]
    taken: Taken
    axes: str
    noise: float = 0.0
    patches: bool = False
    profile: Array | None = None
    smooth: float = 0.0

    @property
    def shares(self) -> Array:
        """How much of all positions each site of an input stands for."""
        return shares_of(self.positions, self.taken, self.stream.positions)

    @property
    def positions(self) -> int:
        """Number of positions of the tensor."""
        return math.prod(self.grid)

    @property
    def length(self) -> float:
        """Mean square over all sites."""
        return self._over_sites(self.stream.k.value)

    @property
    def length_error(self) -> float:
        """Bound on its error, with three standard errors of what was sampled."""
        return self._over_sites(self.stream.k.error) + 3.0 * self.noise * self.length

    def _over_sites(self, x: Array) -> float:
        return weighted(x[self.stream.orbits.diagonal], self.shares)

    def one_minus_c(self) -> tuple[float, float]:
        """Mean of 1 - c between different inputs, positions joined, and its error; else NaN."""
        value, error = _between(self.stream, self.shares)
        return value, error + 3.0 * self.noise * value

    def finite(self) -> bool:
        """Whether all moments are numbers."""
        s = self.stream
        return math.isfinite(s.k.value.sum() + s.d.value.sum())


def weighted(x: Array, shares: Array) -> float:
    """Mean over sites, (sites,), positions by their shares."""
    t = len(shares)
    if t == 1 or shares[0] == shares[1]:
        return float(x.sum()) / len(x)
    return float((x.reshape(-1, t) @ shares).sum()) * t / len(x)


def _between(s: Stream, shares: Array) -> tuple[float, float]:
    """From distances, which keep their digits where inputs are alike."""
    n, t = s.inputs, s.positions
    if n < 2:
        return math.nan, math.nan
    diagonal, index = s.orbits.diagonal, s.orbits.index
    q, q_error, d, d_error = s.k.value[diagonal], s.k.error[diagonal], *s.d
    d, d_error = d[index], d_error[index]
    if t > 1:
        q, q_error = (v.reshape(n, t) @ shares for v in (q, q_error))
        d, d_error = (joined(v, shares) for v in (d, d_error))
    if not (q > 0.0).all():  # zero, or below it by less than its error
        return math.nan, math.nan
    side = np.sqrt(q)
    double = 2.0 * np.outer(side, side)
    omc = np.maximum((d - np.subtract.outer(side, side) ** 2) / double, 0.0)
    np.fill_diagonal(omc, 0.0)  # inputs with themselves
    relative = q_error / q
    error = d_error / double + omc * np.add.outer(relative, relative)
    pairs = n * (n - 1)
    return float(omc.sum()) / pairs, float(error.sum()) / pairs


def from_sample(sample: Sample, gaussian: bool) -> State | None:
    """The state of a measured tensor; None where a length is zero or no number."""
    gram, mean = sample.matrix()
    if not (np.all(np.isfinite(gram)) and np.all(np.diagonal(gram) > 0.0)):
        return None
    sites = len(gram) // sample.at.inputs
    inside = sample.at.grid if sample.taken == "all" else (sites,) if sites > 1 else ()
    stream = from_moments(gram, Shape(sample.at.width, inside), Bounded.exact(mean))
    if sample.taken == "lattice":
        stream = evened(stream, _of_limit(gram, sites, sample.width))
    if not gaussian:
        rows = sample.rows(gram)
        stream = stream.with_(law=MEASURED, recipe=None if rows is None else Given(rows))
    return State(
        stream, sample.at.grid, sample.taken, sample.axes, patches=sample.patches,
        smooth=float(sample.smooth),
    )  # fmt: skip


def _of_limit(gram: Array, sites: int, width: int) -> float:
    r"""Share of the deviations of pairs from their mean that is not noise of few channels.

    The variance of an average over N channels is :math:`(q q' + K^2) / N`.
    """
    q = np.diagonal(gram)
    rest, apart = deviations(gram, sites)
    noise = (np.outer(q, q) + gram**2)[apart] / max(width, 1)
    found = float(np.mean(rest[apart] ** 2))
    return math.sqrt(max(1.0 - float(noise.mean()) / found, 0.0)) if found > 0.0 else 1.0


def from_numbers(found: Moments, at: Arrangement, axes: str, gaussian: bool) -> State | None:
    """From mean, mean square and correlation alone: inputs and positions count as alike."""
    if not (found.finite and found.mean_square > 0.0):
        return None
    n = at.inputs
    omc = found.one_minus_c if math.isfinite(found.one_minus_c) else 0.0
    gram = found.mean_square * (1.0 - omc * (1.0 - np.eye(n)))
    stream = from_moments(gram, Shape(at.width), Bounded.exact(np.full(n, found.mean)))
    if not gaussian:
        stream = stream.with_(law=MEASURED)
    return State(stream, at.grid, "mean" if at.positions > 1 else "all", axes)


def averaged(state: State, walk: Walker) -> tuple[State, Pullback]:
    """One position that stands for the mean over all."""
    if state.stream.positions == 1:
        taken: Taken = "mean" if state.positions > 1 else "all"
        return replace(state, taken=taken), lambda g: g
    if state.taken == "some":
        raise UnsupportedLayerError(
            "four positions of a sequence do not stand for the mean over it"
        )
    after, pullback = forward(Flatten(), state.stream, walk)
    after = after.with_(shape=Shape(state.stream.shape.width))
    return replace(state, stream=after, taken="mean"), pullback


def picked(stream: Stream, place: int) -> tuple[Stream, Pullback]:
    """One of the positions; nothing comes back to the others."""
    n, inputs = stream.positions, stream.inputs
    windows = Windows(("picked", n, place), np.array([[place]]), n)
    one = Together.of(stream.orbits, windows, inputs)
    after = stream.with_(
        shape=Shape(stream.shape.width),
        orbits=one.orbits,
        k=one.covariance(stream.k),
        d=one.distance(stream.k, stream.d),
        theta=one.covariance(stream.theta),
        mean=stream.mean.at(np.arange(inputs) * n + place),
    )
    after = leafed(after)

    def pullback(g: Gradient) -> Gradient:
        home = Together.of(g.orbits, windows.adjoint, inputs)
        return Gradient(home.orbits, home.covariance(g.p))

    return after, pullback


def in_sequence(streams: list[Stream], walk: Walker) -> tuple[Stream, list[Pullback]]:
    """Independent streams, positions one after another; cross terms are those of their means."""
    inputs, width = streams[0].inputs, streams[0].shape.width
    counts = [s.positions for s in streams]
    total = sum(counts)
    starts = np.cumsum([0, *counts[:-1]])
    own = np.arange(inputs)[:, None] * total
    at = [(own + start + np.arange(n)).ravel() for start, n in zip(starts, counts, strict=True)]
    mean = np.zeros(inputs * total)
    for sites, s in zip(at, streams, strict=True):
        mean[sites] = s.mean.value
    gram, error = np.outer(mean, mean), np.zeros((inputs * total,) * 2)
    for i, (sites, s) in enumerate(zip(at, streams, strict=True)):
        if any(not s.sources.isdisjoint(other.sources) for other in streams[:i]):
            raise unclosed(walk, "the sequence", "its parts depend on the same weights")
        gram[np.ix_(sites, sites)], error[np.ix_(sites, sites)] = s.second_moments()
    after = from_moments(gram, Shape(width, (total,)), Bounded.exact(mean))
    k = Bounded(after.k.value, error[after.orbits.rows, after.orbits.columns])
    law = next((s.law for s in streams if not s.law.gaussian), GAUSSIAN)
    sources = frozenset().union(*(s.sources for s in streams))
    after = after.with_(k=k, law=law, sources=sources)

    def back(sites: Array) -> Pullback:
        return lambda g: Gradient.of(g.second_moments().value[np.ix_(sites, sites)])

    return after, [back(sites) for sites in at]


def _backwards(inputs: int, times: int) -> Index:
    return (np.arange(inputs)[:, None] * times + np.arange(times)[::-1]).ravel()


def reversed_in_time(stream: Stream) -> Stream:
    """The last position first."""
    at = _backwards(stream.inputs, stream.positions)
    orbits = Orbits(stream.orbits.index[np.ix_(at, at)])
    return stream.with_(orbits=orbits, mean=stream.mean.at(at))


def gradient_reversed(g: Gradient, stream: Stream) -> Gradient:
    """The same for a gradient on the sites of a stream."""
    at = _backwards(stream.inputs, stream.positions)
    return Gradient(Orbits(g.orbits.index[np.ix_(at, at)]), g.p)


def with_profile(stream: Stream, profile: Array | None) -> Stream:
    """Sites that are all positions, each with its share of the mean square."""
    if profile is None:
        return stream
    root = np.sqrt(np.tile(profile.ravel(), stream.inputs))
    gram = stream.second_moments().value * np.outer(root, root)
    after = from_moments(gram, stream.shape, Bounded.exact(stream.mean.value * root))
    return replace(after, law=stream.law, sources=stream.sources)


def leafed(stream: Stream) -> Stream:
    """A Gaussian stream with a recipe of its own, and no tangent kernel, which nobody asks for."""
    theta = Bounded.exact(np.zeros(stream.orbits.count))
    if not stream.law.gaussian:
        return replace(stream, theta=theta)
    return replace(stream, theta=theta, recipe=Leaf(stream.orbits, stream.k, stream.d, theta))


def uniform(state: State, total: float, numel: int) -> Gradient:
    """A gradient of this total square, independent at all sites."""
    identity = np.eye(state.stream.orbits.sites)
    orbits = Orbits.labelled(identity)
    each = total / max(numel, 1)
    return Gradient(orbits, Bounded.exact(each * identity[orbits.rows, orbits.columns]))


def total_square(g: Gradient, shares: Array, numel: int) -> tuple[float, float]:
    """Total square of a gradient over all entries of the tensor, and the error."""
    at = g.orbits.diagonal
    value, error = (weighted(v[at], shares) * numel for v in g.p)
    return value, error
