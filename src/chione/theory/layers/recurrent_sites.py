"""What a recurrent layer is given, and second moments over all pairs of its sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, ConvergenceError
from chione.networks import Recurrent, Shape, ShapeError
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import ODD, Index, Orbits, mixed, scattered
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Gradient, Law, Stream


@dataclass(frozen=True)
class Recurrence:
    r"""A recurrent layer with what enters it, as matrices over sites, (n, n), n = inputs x times.

    Parameters
    ----------
    layer : Recurrent
        The layer.
    inputs, times : int
        Number of inputs and of steps.
    k, d, theta : Bounded, shape (n, n)
        Second moments, distances and tangent kernel of what enters.
    start : ndarray, shape (inputs, inputs)
        Second moments of the initial state.
    one_step : Shape
        Shape of the state after one step.
    ratio : float
        Channels of the state, divided by those that enter.
    """

    layer: Recurrent
    inputs: int
    times: int
    k: Bounded
    d: Bounded
    theta: Bounded
    start: Array
    one_step: Shape
    ratio: float

    @staticmethod
    def of(layer: Recurrent, stream: Stream, walk: Walker) -> Recurrence:
        """That of a layer on a stream.

        Raises
        ------
        ShapeError
            If the start is of another number of inputs.
        ConvergenceError
            If what enters is not finite.
        """
        inputs, index = stream.inputs, stream.orbits.index
        start = np.zeros((inputs, inputs)) if layer.start is None else np.array(layer.start)
        if len(start) != inputs:
            raise ShapeError(
                f"{walk.place}: start has second moments of {len(start)} inputs, but {inputs} "
                f"arrive; give a {inputs} x {inputs} matrix."
            )
        if not np.all(np.isfinite(stream.k.value)):
            raise ConvergenceError(
                f"{walk.place}: the mean squares that enter have no value in float64; make the "
                f"weights before it smaller."
            )
        size = layer.size or stream.shape.width
        return Recurrence(
            layer,
            inputs,
            stream.positions,
            stream.k.at(index),
            stream.d.at(index),
            stream.theta.at(index),
            start,
            Shape(size),
            size / stream.shape.width,
        )

    @property
    def gains(self) -> tuple[float, float, float]:
        r""":math:`\sigma_w^2, \sigma_u^2, \sigma_b^2`."""
        layer = self.layer
        return layer.sigma_w**2, layer.sigma_u**2, layer.sigma_b**2

    def placed(self, g: Gradient, leaving: Index) -> Bounded:
        """P over all sites, (n, n), of a gradient at those that leave."""
        p, n = g.second_moments(), self.inputs * self.times
        out = Bounded(np.zeros((n, n)), np.zeros((n, n)))
        for whole, part in zip(out, p, strict=True):
            whole[np.ix_(leaving, leaving)] = part
        return out


@dataclass(frozen=True)
class States:
    """Second moments of all states, as matrices over sites, (n, n), and means, (n,)."""

    k: Bounded
    d: Bounded
    theta: Bounded
    mean: Bounded
    law: Law
    sources: frozenset[int]

    def stream(self, sites: Index, shape: Shape) -> Stream:
        """The stream of some sites."""
        at = np.ix_(sites, sites)
        mean = self.mean.at(sites)
        orbits = _alike([*self.k.at(at), *self.d.at(at), *self.theta.at(at)], [*mean])
        pairs = sites[orbits.rows], sites[orbits.columns]
        k, d, theta = (x.at(pairs) for x in (self.k, self.d, self.theta))
        return Stream(shape, orbits, k, d, mean, theta, self.law, self.sources)


@dataclass(frozen=True)
class Gradients:
    """Second moments P over all sites, (n, n)."""

    p: Bounded

    def gradient(self, sites: Index) -> Gradient:
        """That of some sites."""
        orbits = _alike([*self.p.at(np.ix_(sites, sites))], [])
        return Gradient(orbits, self.p.at((sites[orbits.rows], sites[orbits.columns])))


def _alike(matrices: list[Array], means: list[Array]) -> Orbits:
    """Classes of pairs that agree in all these symmetric matrices and means of sites."""
    labels: NDArray[np.uint64] = np.zeros(matrices[0].shape, np.uint64)
    for x in matrices:
        labels = labels * ODD + scattered(x.ravel()).reshape(x.shape)
    sites = np.zeros(len(labels), np.uint64)
    for m in means:
        sites = sites * ODD + scattered(m)
    return Orbits.labelled(mixed(labels + (sites[:, None] + sites[None, :]) * ODD))


class Chosen(Recipe):
    """Some of the sites.

    Parameters
    ----------
    parent : Recipe
        All of them.
    sites : ndarray of int
        Which ones.
    count : int
        How many there are.
    """

    def __init__(self, parent: Recipe, sites: Index, count: int) -> None:
        super().__init__(parent)
        self._sites, self._count = sites, count

    def value(self, crowd: Population, *x: Array) -> Array:
        """Some of the columns."""
        return np.ascontiguousarray(x[0][:, self._sites])

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Likewise."""
        return None if dx[0] is None else np.ascontiguousarray(dx[0][:, self._sites])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """Zero at the others."""
        out = np.zeros((len(g), self._count))
        out[:, self._sites] = g
        return (out,)
