r"""How a channel came about: recipes that a population of sampled channels is made by.

A recipe is a small tree, shared where streams share their past: leaves are Gaussian channels
behind fresh weights, nodes are what layers do to one channel. Nothing is computed before a rule
needs the law of a channel; then :class:`~chione.theory.layers.population.Population` draws it,
row by row the same channels for all streams of one walk, so that dependent streams are sampled
jointly.

Each node knows three maps, with J its Jacobian at a sampled channel:

.. math:: x \mapsto y, \qquad \dot x \mapsto J \dot x, \qquad g \mapsto J^T g

The second carries random tangents with :math:`E\,\dot x \dot x^T = \Theta`, so that
:math:`E\,\dot y \dot y^T = E\,J \Theta J^T` is the tangent kernel after the node; what the node
trains itself it adds as tangents of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.population import Population


class Recipe(ABC):
    """One node; rows of all arrays are channels, columns sites.

    Parameters
    ----------
    *parents : Recipe
        What it is made from.

    Attributes
    ----------
    whole : int
        Number of rows that hold all channels there are; 0 where rows are a sample.
    alike : bool
        Whether sites of equal second moments have one law; not where channels are given.
    """

    def __init__(self, *parents: Recipe) -> None:
        self.parents = parents
        known: set[int] = {parent.whole for parent in parents}
        self.alike: bool = all(parent.alike for parent in parents)
        self.whole: int = known.pop() if len(known) == 1 else 0

    @property
    def moments_error(self) -> float | None:
        """Largest relative error of the moments that it is drawn with; None if it is made."""
        return None

    @abstractmethod
    def value(self, crowd: Population, *x: Array) -> Array:
        """Channels from those of the parents."""

    @abstractmethod
    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Tangents from those of the parents; None are zeros."""

    @abstractmethod
    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """Gradients at the parents from the one here."""


class Leaf(Recipe):
    """Gaussian channels, behind fresh weights.

    Parameters
    ----------
    orbits : Orbits
        Classes of pairs.
    k, d, theta : Bounded
        Second moments, squared distances and tangent kernel of each class.
    """

    def __init__(self, orbits: Orbits, k: Bounded, d: Bounded, theta: Bounded) -> None:
        super().__init__()
        self.orbits, self.k, self.d, self.theta = orbits, k, d, theta

    @property
    def moments_error(self) -> float:
        """Of the mean squares."""
        at = self.orbits.diagonal
        size = np.maximum(np.abs(self.k.value[at]), 1e-300)
        return float(np.max(self.k.error[at] / size))

    def value(self, crowd: Population, *x: Array) -> Array:
        """Drawn from N(0, K)."""
        index = self.orbits.index
        return crowd.normal(self.k.value[index], self.d.value[index])

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Signs with the covariance Theta."""
        if not np.any(self.theta.value):
            return None
        rows = len(crowd.values(self))
        return crowd.signs(("tangent", self), self.theta.value[self.orbits.index], rows)

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """It has no parents."""
        return ()


class Given(Recipe):
    """Channels that are given, each as often as the others.

    Parameters
    ----------
    x : ndarray, shape (sites, channels)
        All of them.
    """

    def __init__(self, x: Array) -> None:
        super().__init__()
        self._rows = np.ascontiguousarray(x.T)
        self.whole, self.alike = len(self._rows), False

    def value(self, crowd: Population, *x: Array) -> Array:
        """All channels, again and again."""
        n, sites = self._rows.shape
        return np.tile(self._rows, (-(-crowd.rows(sites) // n), 1))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Nothing is trained."""
        return None

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """It has no parents."""
        return ()


class Mapped(Recipe):
    """A function of each entry.

    Parameters
    ----------
    act : AbstractActivation
        The function.
    parent : Recipe
        Of what.
    """

    def __init__(self, act: AbstractActivation, parent: Recipe) -> None:
        super().__init__(parent)
        self._act = act

    def value(self, crowd: Population, *x: Array) -> Array:
        """phi(x)."""
        return self._act.value(x[0])

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """phi'(x) dx."""
        return None if dx[0] is None else times(self._slope(crowd), dx[0])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """phi'(x) g."""
        return (times(self._slope(crowd), g),)

    def _slope(self, crowd: Population) -> Array:
        slope: Array = crowd.kept(
            ("slope", self), lambda: self._act.derivative(crowd.values(self.parents[0]))
        )
        return slope


class Sum(Recipe):
    """A linear combination.

    Parameters
    ----------
    *terms : (float, Recipe)
        Factors and what they multiply.
    """

    def __init__(self, *terms: tuple[float, Recipe]) -> None:
        super().__init__(*(recipe for _, recipe in terms))
        self._factors = [factor for factor, _ in terms]

    def value(self, crowd: Population, *x: Array) -> Array:
        """The sum."""
        return self._summed(x)

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """The sum of tangents."""
        return None if all(t is None for t in dx) else self._summed(dx)

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """A multiple to each."""
        return tuple(factor * g for factor in self._factors)

    def _summed(self, x: tuple[Array | None, ...]) -> Array:
        pairs = zip(self._factors, x, strict=True)
        return added(*(term if a == 1.0 else a * term for a, term in pairs if term is not None))


class Product(Recipe):
    """A product of streams, entry by entry."""

    def value(self, crowd: Population, *x: Array) -> Array:
        """The product."""
        out = x[0]
        for factor in x[1:]:
            out = times(out, factor)
        return out

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """By the product rule."""
        parts = [times(self.others(crowd, i), t) for i, t in enumerate(dx) if t is not None]
        return added(*parts) if parts else None

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """To each factor times all others."""
        return tuple(times(self.others(crowd, i), g) for i in range(len(self.parents)))

    def others(self, crowd: Population, i: int) -> Array:
        """The product of all factors but one."""
        rest = [crowd.values(p) for j, p in enumerate(self.parents) if j != i]
        return self.value(crowd, *rest)


class Affine(Recipe):
    r""":math:`(x - c) f + b \eta`, with one :math:`\eta \sim N(0, 1)` for each channel.

    Parameters
    ----------
    parent : Recipe
        x.
    centre, factor : ndarray, shape (sites,)
        c and f.
    bias : float
        b, which is trained.
    """

    def __init__(self, parent: Recipe, centre: Array, factor: Array, bias: float = 0.0) -> None:
        super().__init__(parent)
        self._centre, self._factor, self._bias = centre, factor, bias
        if bias:
            self.whole = 0

    def value(self, crowd: Population, *x: Array) -> Array:
        """Shifted and scaled."""
        out = (x[0] - self._centre) * self._factor
        return out + self._bias * crowd.column(self, len(out)) if self._bias else out

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Scaled, and the tangent of the bias."""
        out = None if dx[0] is None else dx[0] * self._factor
        if not self._bias:
            return out
        rows = len(crowd.values(self)) if out is None else len(out)
        own = self._bias * crowd.column(("tangent", self), rows)
        return np.broadcast_to(own, (rows, len(self._factor))) if out is None else out + own

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """Scaled."""
        return (g * self._factor,)


def added(*x: Array) -> Array:
    """The sum over the rows that all have."""
    rows = min(len(one) for one in x)
    out = x[0][:rows]
    for other in x[1:]:
        out = out + other[:rows]
    return out


def times(x: Array, y: Array) -> Array:
    """The product over the rows that both have."""
    rows = min(len(x), len(y))
    return x[:rows] * y[:rows]
