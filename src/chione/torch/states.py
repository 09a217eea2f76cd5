"""Streams at the nodes of a traced graph: which sites of the real tensors they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chione.base import Array
from chione.networks import Flatten, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.rule import Pullback, Walker, forward
from chione.theory.layers.stream import GAUSSIAN, Gradient, Law, Stream, from_moments
from chione.torch.samples import Arrangement, Sample, Taken
from chione.torch.statistics import Moments

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
    taken : {"all", "some", "mean"}
        Which of them the sites are; "mean": one that stands for the mean over all.
    axes : str
        Where the channels stand.
    """

    stream: Stream
    grid: tuple[int, ...]
    taken: Taken
    axes: str

    @property
    def positions(self) -> int:
        """Number of positions of the tensor."""
        return math.prod(self.grid)

    @property
    def length(self) -> float:
        """Mean square over all sites."""
        return float(self.stream.k.at(self.stream.orbits.diagonal).value.mean())

    @property
    def length_error(self) -> float:
        """Bound on its error."""
        return float(self.stream.k.at(self.stream.orbits.diagonal).error.mean())

    def one_minus_c(self) -> tuple[float, float]:
        """Mean of 1 - c between different inputs, positions joined, and its error; else NaN."""
        return _between(self.stream)

    def finite(self) -> bool:
        """Whether all moments are numbers."""
        s = self.stream
        return bool(np.all(np.isfinite(s.k.value)) and np.all(np.isfinite(s.d.value)))


def _between(s: Stream) -> tuple[float, float]:
    """From distances, which keep their digits where inputs are alike."""
    n, t = s.inputs, s.positions
    if n < 2:
        return math.nan, math.nan
    diagonal = s.orbits.diagonal
    q, q_error = (v[diagonal].reshape(n, t).mean(axis=1) for v in s.k)
    d, d_error = (_joined(v[s.orbits.index], n, t) for v in s.d)
    root = np.sqrt(q[:, None] * q)
    apart = ~np.eye(n, dtype=bool)
    if not np.all(root > 0.0):
        return math.nan, math.nan
    step = (np.sqrt(q[:, None]) - np.sqrt(q)) ** 2
    omc = (d - step) / (2.0 * root)
    relative = q_error / q
    error = d_error / (2.0 * root) + omc * (relative[:, None] + relative)
    return float(np.maximum(omc, 0.0)[apart].mean()), float(error[apart].mean())


def _joined(matrix: Array, inputs: int, positions: int) -> Array:
    """Mean over equal positions, (inputs, inputs)."""
    if positions == 1:
        return matrix
    blocks = matrix.reshape(inputs, positions, inputs, positions)
    return np.asarray(np.einsum("atbt->ab", blocks) / positions)


def from_sample(sample: Sample, gaussian: bool) -> State | None:
    """The state of a measured tensor; None where a length is zero or no number."""
    gram, mean = sample.matrix()
    if not (np.all(np.isfinite(gram)) and np.all(np.diagonal(gram) > 0.0)):
        return None
    grid = {"all": sample.at.grid, "mean": ()}.get(sample.taken) if sample.taken != "some" else None
    inside = (len(gram) // sample.at.inputs,) if grid is None else grid
    stream = from_moments(gram, Shape(sample.at.width, inside))
    stream = stream.with_(mean=Bounded.exact(mean), law=GAUSSIAN if gaussian else MEASURED)
    return State(stream, sample.at.grid, sample.taken, sample.axes)


def from_numbers(found: Moments, at: Arrangement, axes: str, gaussian: bool) -> State | None:
    """From mean, mean square and correlation alone: inputs and positions count as alike."""
    if not (found.finite and found.mean_square > 0.0):
        return None
    n = at.inputs
    omc = found.one_minus_c if math.isfinite(found.one_minus_c) else 0.0
    gram = found.mean_square * (1.0 - omc * (1.0 - np.eye(n)))
    stream = from_moments(gram, Shape(at.width))
    mean = Bounded.exact(np.full(n, found.mean))
    stream = stream.with_(mean=mean, law=GAUSSIAN if gaussian else MEASURED)
    return State(stream, at.grid, "mean" if at.positions > 1 else "all", axes)


def averaged(state: State, walk: Walker) -> tuple[State, Pullback]:
    """One position that stands for the mean over all."""
    if state.stream.positions == 1:
        taken: Taken = "mean" if state.positions > 1 else "all"
        return replace(state, taken=taken), lambda g: g
    after, pullback = forward(Flatten(), state.stream, walk)
    after = after.with_(shape=Shape(state.stream.shape.width))
    return replace(state, stream=after, taken="mean"), pullback


def uniform(state: State, total: float, numel: int) -> Gradient:
    """A gradient of this total square, independent at all sites."""
    identity = np.eye(state.stream.orbits.sites)
    orbits = Orbits.labelled(identity)
    each = total / max(numel, 1)
    return Gradient(orbits, Bounded.exact(each * identity[orbits.rows, orbits.columns]))


def total_square(g: Gradient, numel: int) -> tuple[float, float]:
    """Total square of a gradient over all entries of the tensor, and the error."""
    value, error = (float(v[g.orbits.diagonal].mean()) * numel for v in g.p)
    return value, error
