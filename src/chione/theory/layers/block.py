r"""One block of layers as a map of length and correlation.

.. math:: q' = V(q), \qquad 1 - c' = G(q, 1 - c), \qquad
   \chi_\parallel = V'(q), \qquad \chi_\perp = P / P'

Every number is read off a walk of two inputs of equal length through the block. The factor on the
second moment of the gradients of two inputs is at the same time the slope of the covariance map,

.. math:: \frac{\partial K'_{12}}{\partial K_{12}} = \frac{P_{12}}{P'_{12}}
   \quad\text{at given lengths},

since both are :math:`E\,F'(u) F'(v)` layer by layer (Price's theorem), so no slope of the
correlation map is ever a difference of values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, UnsupportedLayerError
from chione.networks import Input, Layers, Shape
from chione.networks.layer import ShapeError, as_layers, count, pass_through
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.large_batch import has_batch_norm, with_large_batches
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.rule import Passed
from chione.theory.layers.stream import GAUSSIAN, Gradient, Law, Stream, new_source
from chione.theory.layers.walk import Walk
from chione.theory.moments.pair_moments import Prepared

_SITES = 256  # in one walk
_NODES = 17  # Chebyshev nodes in log q for the slope of the length map; one is q itself
_KEPT = 64  # lengths for which preparations are kept
_ALONE = 24  # lengths that walk one by one; twice as many lie close enough to walk together
_REACHES = (0.4, 0.1, 0.025)  # half lengths of that interval


class Through(NamedTuple):
    """What a block makes of pairs of inputs of equal length, one entry a pair.

    Parameters
    ----------
    length : Bounded
        q' of either input.
    distance : Bounded
        Mean square of the difference of the two.
    alone : Bounded
        Factor on the mean-square gradient of one input.
    shared : Bounded
        Factor on the second moment of the gradients of both.
    """

    length: Bounded
    distance: Bounded
    alone: Bounded
    shared: Bounded


class BlockMap:
    """One block of layers, which a network repeats, as a map.

    Parameters
    ----------
    layers : layers
        The block; its output has the shape of its input.
    width : int
        Channels that enter. Only ratios of widths count.
    grid : tuple of int
        Extents of the positions. All positions of an input are alike, entry by entry, which is
        the slowest mode of a convolution.
    batch : int, optional
        Inputs of a batch norm, all equally correlated; infinitely many by default.

    Attributes
    ----------
    layers : tuple
        The block, from where its stream is Gaussian with mean zero: ``[Dense, Nonlinearity]`` is
        read as ``[Nonlinearity, Dense]``, so that q is that of pre-activations.
    start : int
        How many layers went from the front to the end for that.

    Raises
    ------
    ShapeError
        If the block changes the shape.
    UnsupportedLayerError
        If second moments do not determine what the block does, wherever one begins.

    Examples
    --------
    >>> import chione as ch
    >>> from chione.networks import Dense, Nonlinearity, Norm, Residual
    >>> branch = [Norm("layer"), Dense(1.0), Nonlinearity("relu"), Dense(1.0)]
    >>> block = BlockMap([Residual(branch)])
    >>> round(block.value(3.0).value, 12), round(block.gradient(3.0).value, 12)
    (3.5, 1.166666666667)
    """

    def __init__(
        self, layers: Any, *, width: int = 512, grid: tuple[int, ...] = (), batch: int | None = None
    ) -> None:
        given = as_layers("layers", layers)
        if not given:
            raise ValueError("layers must hold at least one layer, but it is empty.")
        shape = Input(width, grid).shape  # checked
        after = pass_through(given, shape, "layers")
        if after != shape:
            raise ShapeError(
                f"layers: a block that repeats must keep its shape, but it makes {after} of "
                f"{shape}; give its last layer the width of the first."
            )
        self.batch = None if batch is None else count("batch", batch)
        self.normalises_batches = has_batch_norm(given)
        self._inputs = 1
        if self.normalises_batches:
            self._inputs = 2 if self.batch is None else self.batch
        self._memos: dict[float, dict[AbstractActivation, Prepared]] = {}
        self.layers, self.start, self.shape, self._law = self._begun(given, shape)

    def _begun(self, given: Layers, shape: Shape) -> tuple[Layers, int, Shape, Law]:
        """The block from a place where its stream has mean zero and a law that it closes on."""
        refusals: list[UnsupportedLayerError] = []
        one = np.ones(1)
        closed: list[tuple[Layers, int, Shape, Law]] = []
        for start in range(len(given)):
            layers = given[start:] + given[:start]
            here = pass_through(given[:start], shape, "layers")
            entering = self._entering(here, one, one)
            try:
                after, _ = self._walk(layers, entering)
                if np.any(after.mean.value) or after.parts:
                    continue
                if not after.law.gaussian:  # does the block take what it gives?
                    self._walk(layers, entering.with_(law=after.law))
                closed.append((layers, start, here, after.law))
            except UnsupportedLayerError as err:
                refusals.append(err)
        if closed:
            return next((found for found in closed if found[3].gaussian), closed[0])
        if refusals:
            raise refusals[0]
        raise UnsupportedLayerError(
            "layers: one length does not describe what repeats, since wherever the block is cut "
            "its channels have a mean. End the block, or its branch, with weights (Dense), or "
            "simulate the network."
        )

    # ---- the maps ------------------------------------------------------------------------------

    def value(self, q: Any, one_minus_c: Any = 1.0) -> Estimate:
        """q', the mean square after the block; 1 - c of a batch counts for a batch norm only."""
        shape, q, omc = _together(q, one_minus_c)
        both = self.normalises_batches
        return _shaped(self.through(q, omc, pairs=both, backward=False).length, shape)

    def slope(self, q: Any) -> Estimate:
        r"""chi_parallel, :math:`dV / dq`.

        V is analytic in log q around the real axis, as a Gaussian expectation; its polynomial in
        log q through Chebyshev nodes is differentiated.
        """
        shape, q, omc = _together(q, 1.0)
        best: Bounded | None = None
        for reach in _REACHES:
            found = self._slope(q, omc, reach)
            if best is None:
                best = found
            else:
                better = found.error < best.error
                best = Bounded(*(np.where(better, a, b) for a, b in zip(found, best, strict=True)))
            if np.all(best.error <= 1e-11 * np.maximum(np.abs(best.value), 1.0)):
                break
        assert best is not None
        return _shaped(best, shape)

    def gradient(self, q: Any, one_minus_c: Any = 1.0) -> Estimate:
        """chi_perp, the factor on the mean-square gradient of one input through the block."""
        shape, q, omc = _together(q, one_minus_c)
        both = self.normalises_batches
        return _shaped(self.through(q, omc, pairs=both).alone, shape)

    def gap(self, q: Any, one_minus_c: Any) -> Estimate:
        """1 - c' of two inputs of equal length, with relative accuracy where they are close."""
        shape, q, omc = _together(q, one_minus_c)
        out = self.through(q, omc, pairs=True, backward=False)
        return _shaped(out.distance.over(out.length.scaled(2.0)), shape)

    def correlation_slope(self, q: Any, one_minus_c: Any) -> Estimate:
        r""":math:`dc' / dc` at a given length."""
        shape, q, omc = _together(q, one_minus_c)
        out = self.through(q, omc, pairs=True)
        return _shaped(out.shared.times(Bounded.exact(q)).over(out.length), shape)

    def covariance_slope(self, q: Any, one_minus_c: Any) -> Estimate:
        r""":math:`\partial K'_{12} / \partial K_{12}`, the factor on gradients of both inputs."""
        shape, q, omc = _together(q, one_minus_c)
        return _shaped(self.through(q, omc, pairs=True).shared, shape)

    # ---- walking -------------------------------------------------------------------------------

    def through(self, q: Array, omc: Array, *, pairs: bool, backward: bool = True) -> Through:
        """Everything at arrays of q and 1 - c, (n,); without `pairs` of single inputs alone."""
        together = self._inputs if not pairs else max(self._inputs, 2)
        step = max(1, _SITES // (together * self.shape.positions))
        if self.normalises_batches and self.batch is not None:
            step = 1  # such a norm runs over all sites of a walk
        out = Through(*(Bounded(*np.empty((2, len(q)))) for _ in Through._fields))
        for some in self._groups(q, pairs):
            for i in range(0, len(some), step):
                at = some[i : i + step]
                found = self._one_walk(q[at], omc[at], together, backward)
                for whole, part in zip(out, found, strict=True):
                    whole.value[at], whole.error[at] = part
        return out

    def _groups(self, q: Array, pairs: bool) -> list[Index]:
        """Entries that walk together.

        Series for pairs are prepared over the whole range of lengths of a walk, so that a few
        lengths far apart walk alone.
        """
        every = np.arange(len(q))
        if not pairs:
            return [every]
        lengths, which = np.unique(q, return_inverse=True)
        if len(lengths) > _ALONE:
            return [every]
        return [np.flatnonzero(which == k) for k in range(len(lengths))]

    def _one_walk(self, q: Array, omc: Array, inputs: int, backward: bool) -> Through:
        p = self.shape.positions
        first = np.arange(len(q)) * inputs * p
        second = first + (p if inputs > 1 else 0)
        entering = self._entering(self.shape, q, omc, inputs).with_(law=self._law)
        after, home = self._walk(self.layers, entering)
        self._check_alike(after)
        length = after.k.at(after.orbits.diagonal[first])
        distance = after.d.at(after.orbits.index[first, second])
        if not backward:
            return Through(length, distance, length, length)
        alone, shared = self._factors(after, home, entering.orbits, first, second)
        return Through(length, distance, alone, shared)

    def _factors(
        self, after: Stream, home: Any, orbits: Orbits, first: Any, second: Any
    ) -> tuple[Bounded, Bounded]:
        """Factors on P of one input and of two."""
        p, n = self.shape.positions, orbits.sites
        site = np.arange(n)
        group = site // (n // len(first))
        alike = (group[:, None] == group) & (site[:, None] % p == site % p)
        # every input of a group has the same gradient, independent from position to position
        gram = np.where(alike, 1.0, 0.0)
        finite = self.normalises_batches and self.batch is not None
        if finite:  # a batch norm leaves gradients whose mean over the batch is zero
            gram = np.eye(n) - (1.0 - np.eye(n)) / (n - 1)
        labels = Orbits.labelled(gram)
        at = labels.rows, labels.columns
        back = home(Gradient(labels, Bounded.exact(gram[at])))
        index = back.orbits.index
        alone = back.p.at(index[first, first])
        # a shift of all positions alike moves K'_12 by the sum over them
        rows = first[:, None, None] + np.arange(p)[None, :, None]
        columns = second[:, None, None] + np.arange(p)[None, None, :]
        block = back.p.at(index[rows, columns])
        shared = Bounded(*(x.sum(axis=(1, 2)) / p for x in block))
        if finite:
            shared = Bounded(*np.full((2, len(first)), np.nan))
        return alone, shared

    def _walk(self, layers: Layers, stream: Stream) -> Passed:
        if self.normalises_batches and self.batch is None:
            layers = with_large_batches(layers)
        walk = Walk(sampling=False)  # a map is differentiated, which noise would spoil
        length = float(stream.k.value[0])
        if np.all(stream.k.value[stream.orbits.diagonal] == length):
            # what was prepared for pairs at this length serves again
            if len(self._memos) >= _KEPT:
                self._memos.clear()
            walk.memo = self._memos.setdefault(length, walk.memo)
        return walk.through(layers, stream, "")

    def _entering(self, shape: Shape, q: Array, omc: Array, inputs: int | None = None) -> Stream:
        """Groups of inputs, one for each entry, side by side; across groups nothing is looked at.

        All pairs of two groups share the class of a site with itself, so that they cost nothing.
        """
        inputs = self._inputs if inputs is None else inputs
        p = shape.positions
        site = np.arange(len(q) * inputs * p)
        group, which = site // (inputs * p), site // p % inputs
        same_group = group[:, None] == group[None, :]
        apart = which[:, None] != which[None, :]
        orbits = Orbits.labelled(np.where(same_group, 2 * group[:, None] + apart, 0))
        of = group[orbits.rows]
        gap = np.where(apart[orbits.rows, orbits.columns], omc[of], 0.0)
        k = q[of] * (1.0 - gap)
        d = 2.0 * q[of] * gap
        return Stream(
            shape,
            orbits,
            Bounded(k, np.where(gap > 0.0, EPS * q[of], 0.0)),
            Bounded.rounded(d),
            Bounded.exact(np.zeros(len(site))),
            Bounded.exact(np.zeros(orbits.count)),
            GAUSSIAN,
            new_source(),
        )

    def _check_alike(self, after: Stream) -> None:
        p = self.shape.positions
        alone = after.orbits.diagonal.reshape(-1, p)
        if np.any(alone != alone[:, :1]):
            raise UnsupportedLayerError(
                "layers: the positions differ after the block, so that one length does not "
                "describe it; use circular padding, or walk through the network."
            )

    def _slope(self, q: Array, omc: Array, reach: float) -> Bounded:
        """Slope of V from values within a factor e^reach of q."""
        x, weights, tail = _differentiation()
        at = q[:, None] * np.exp(reach * x)
        gap = np.broadcast_to(omc[:, None], at.shape)
        found = self.through(
            at.ravel(), gap.ravel(), pairs=self.normalises_batches, backward=False
        ).length
        value, error = (v.reshape(at.shape) for v in found)
        rate = value @ weights / reach
        cut = np.max(np.abs(value @ tail), axis=1) * _NODES**2 / reach
        noise = (error + 4.0 * EPS * np.abs(value)) @ np.abs(weights) / reach
        return Bounded(rate / q, (cut + noise) / q + EPS * np.abs(rate / q))


def _differentiation() -> tuple[Array, Array, Array]:
    """Nodes on [-1, 1], weights of the derivative at 0, and those of the last coefficients."""
    n, k = _NODES, np.arange(_NODES)
    angle = (2.0 * k + 1.0) * np.pi / (2.0 * n)
    x = np.cos(angle)
    x[n // 2] = 0.0
    # c_k = (2 / n) sum_j f(x_j) cos(k angle_j), T_k'(0) = k sin(k pi / 2)
    to_coefficients = 2.0 / n * np.cos(k[None, :] * angle[:, None])
    slopes = k * np.array([0.0, 1.0, 0.0, -1.0])[k % 4]
    return x, to_coefficients @ slopes, to_coefficients[:, -2:]


def _together(q: Any, one_minus_c: Any) -> tuple[tuple[int, ...], Array, Array]:
    """Shape of both together, and both as vectors."""
    both = np.broadcast_arrays(np.asarray(q, np.float64), np.asarray(one_minus_c, np.float64))
    for name, x, top in (("q", both[0], np.inf), ("one_minus_c", both[1], 2.0)):
        bad = x[~((x >= 0.0) & (x <= top) & np.isfinite(x))]
        if bad.size:
            allowed = "zero or above" if top == np.inf else "from 0 to 2"
            raise ValueError(f"{name} must be {allowed}, but it is {bad.flat[0]!r}.")
    return both[0].shape, both[0].ravel(), both[1].ravel()


def _shaped(x: Bounded, shape: tuple[int, ...]) -> Estimate:
    if shape == ():
        return Estimate(float(x.value[0]), float(x.error[0]))
    return Bounded(*(v.reshape(shape) for v in x)).estimate()


def chain(block: BlockMap, q: float, one_minus_c: float = 1.0) -> Iterator[tuple[float, float]]:
    """Lengths and 1 - c after 0, 1, 2, ... blocks, by plain iteration."""
    while True:
        yield q, one_minus_c
        out = block.through(np.array([q]), np.array([one_minus_c]), pairs=True, backward=False)
        q, d = float(out.length.value[0]), float(out.distance.value[0])
        one_minus_c = d / (2.0 * q)
