r"""Pools over windows of k positions.

.. math:: \text{average: } K' = A K A^T, \quad m' = A m, \quad P = A^T P' A, \qquad
   \text{maximum of two Gaussians: } \max(u_1, u_2) = \tfrac12 (S + |\Delta|)

with :math:`S = u_1 + u_2` and :math:`\Delta = u_1 - u_2`, which are not independent in pairs of
windows, but enter apart:

.. math:: 4 K' = E\,S S' + E\,|\Delta||\Delta'|, \qquad
   P_{ij} = P'\,\tfrac14 \bigl(1 \pm E\,\mathrm{sgn} \Delta\,\mathrm{sgn} \Delta'\bigr)
"""

from __future__ import annotations

import math

import numpy as np

from chione.networks import Pooling, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import by_parts, settled
from chione.theory.layers.convolution import outer
from chione.theory.layers.largest import largest_of_two
from chione.theory.layers.moved import Averaged, Largest
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import averaged, crowd_of, drawn_home, following, singly_before
from chione.theory.layers.stream import Gradient, Stream
from chione.theory.layers.windows import Mixed, Windows


@forward.register
def pooling(layer: Pooling, stream: Stream, walk: Walker) -> Passed:
    """Over the windows."""
    kernel, stride = layer.windows(stream.shape, walk.place)
    shape = layer.after(stream.shape, walk.place)
    grid, edges = stream.shape.grid, layer.edges(stream.shape, walk.place)
    axes = [_reads(*size) for size in zip(grid, kernel, stride, edges, strict=True)]
    key = (layer.word, grid, kernel, stride, edges)
    windows = Windows(key, outer(axes, grid), math.prod(grid))
    if layer.reduce == "average" or windows.taps == 1:
        if stream.parts:
            return by_parts(stream, lambda part: _average(part, shape, windows))
        return _average(stream, shape, windows)
    if stream.parts:
        return by_parts(stream, lambda part: _largest(part, shape, windows, walk))
    return _largest(stream, shape, windows, walk)


def _largest(stream: Stream, shape: Shape, windows: Windows, walk: Walker) -> Passed:
    shape = Shape(stream.shape.width, shape.grid)
    settled(stream, walk)
    recipe = None if stream.recipe is None else Largest(stream.recipe, windows, stream.inputs)
    if windows.taps == 2 and stream.law.gaussian:
        after, pullback = largest_of_two(stream, shape, windows, walk)
        return after.with_(recipe=recipe), following(pullback, recipe, singly_before(stream))
    why = f"the maximum of {windows.taps} Gaussians has no closed form"
    if not stream.law.gaussian:
        why = f"the channels that enter are {stream.law.reason}"
    crowd = crowd_of(stream, walk, "this pool", why)
    assert recipe is not None  # or there were no population
    orbits = Orbits.apart_all(stream.inputs * shape.positions)
    after = averaged(stream, recipe, crowd, "not Gaussian after a maximum", orbits, shape)
    return after, drawn_home(recipe, crowd, singly_before(stream))


def _reads(n: int, k: int, stride: int, padding: int) -> Index:
    """Beyond the edge a window reads its outermost position again: the maximum stays the same."""
    outputs = np.arange((n + 2 * padding - k) // stride + 1)[:, None]
    reads = outputs * stride - padding + np.arange(k)
    return np.asarray(np.clip(reads, 0, n - 1), dtype=np.intp)


def _average(stream: Stream, shape: Shape, windows: Windows) -> Passed:
    inputs, share = stream.inputs, 1.0 / windows.taps
    pool = Mixed.of(stream.orbits, windows, inputs)
    reads = windows.sites(inputs)
    mean = Bounded(*(v[reads].mean(axis=1) for v in stream.mean))
    after = stream.with_(
        shape=Shape(stream.shape.width, shape.grid),
        orbits=pool.orbits,
        k=pool.covariance(stream.k).scaled(share**2),
        d=pool.distance(stream.k, stream.d).scaled(share**2),
        theta=pool.covariance(stream.theta).scaled(share**2),
        mean=mean,
        recipe=None if stream.recipe is None else Averaged(stream.recipe, windows, inputs),
    )

    def pullback(g: Gradient) -> Gradient:
        home = Mixed.of(g.orbits, windows.adjoint, inputs)
        return Gradient(home.orbits, home.covariance(g.p).scaled(share**2))

    return after, following(pullback, after.recipe)
