r"""What comes back through a network: second moments P, and samples where they are needed.

.. math:: P_{ij} = \frac1N \sum g(i) g(j)

A gradient depends on the channels that it comes back to where no matrix stands between them and a
map that is not linear; it is then sampled together with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chione.base import Array
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits, by_value
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import added


class Drawn(NamedTuple):
    """Gradients of sampled channels.

    Parameters
    ----------
    rows : ndarray, shape (channels, sites)
        Of the same channels as all rows of the population.
    crowd : Population
        Whose channels they are.
    """

    rows: Array
    crowd: Population


@dataclass(frozen=True)
class Gradient:
    """Second moments P of what comes back, in classes of its own.

    Parameters
    ----------
    orbits : Orbits
        Which pairs of sites share a value.
    p : Bounded
        P, one entry for each class.
    parts : tuple of Gradient
        One for each group of channels where a concatenation has told them apart.
    drawn : Drawn, optional
        Samples, where the gradient depends on the channels. P may be known better than by them.
    """

    orbits: Orbits
    p: Bounded
    parts: tuple[Gradient, ...] = ()
    drawn: Drawn | None = None

    @staticmethod
    def of(matrix: Array) -> Gradient:
        """From the matrix P over all sites, (n, n)."""
        orbits = by_value(matrix)
        return Gradient(orbits, Bounded.exact(matrix[orbits.rows, orbits.columns]))

    @staticmethod
    def sampled(rows: Array, crowd: Population, orbits: Orbits) -> Gradient:
        """From samples, with P averaged over them."""
        return Gradient(orbits, crowd.second_moments(rows, orbits), drawn=Drawn(rows, crowd))

    def times(self, orbits: Orbits, factor: Bounded) -> Gradient:
        """P times a factor for each class of other classes, as a channelwise map asks for."""
        both, mine, theirs = self.orbits.meet(orbits)
        return Gradient(both, self.p.at(mine).times(factor.at(theirs)))

    def by(self, number: float) -> Gradient:
        """The gradient times a number; P takes its square."""
        parts = tuple(part.by(number) for part in self.parts)
        drawn = self.drawn
        if drawn is not None and number != 1.0:
            drawn = Drawn(number * drawn.rows, drawn.crowd)
        return Gradient(self.orbits, self.p.scaled(number**2), parts, drawn)

    def scaled(self, factor: float) -> Gradient:
        """P times a number, the gradient times its root."""
        return self.by(math.sqrt(factor))

    def plus(self, other: Gradient) -> Gradient:
        """The sum of two gradients, uncorrelated unless both are samples."""
        both, mine, theirs = self.orbits.meet(other.orbits)
        parts: tuple[Gradient, ...] = ()
        if self.parts or other.parts:
            n = len(self.parts or other.parts)
            pairs = zip(self.parts or (self,) * n, other.parts or (other,) * n, strict=True)
            parts = tuple(a.plus(b) for a, b in pairs)
        p = self.p.at(mine).plus(other.p.at(theirs))
        known = self.drawn or other.drawn
        if known is None:
            return Gradient(both, p, parts)
        crowd, count = known.crowd, len(known.rows)
        if self.drawn is not None and other.drawn is not None:
            p = p.plus(crowd.cross(self.drawn.rows, other.drawn.rows, both))
        rows = added(self.rows(crowd, count), other.rows(crowd, count))
        return Gradient(both, p, parts, Drawn(rows, crowd))

    def rows(self, crowd: Population, count: int) -> Array:
        """Its samples, or fresh ones with its second moments."""
        if self.drawn is not None:
            return self.drawn.rows
        return crowd.gradients(self.p.value[self.orbits.index], count)

    def with_rows(self, rows: Array, crowd: Population) -> Gradient:
        """The same second moments, with samples."""
        return Gradient(self.orbits, self.p, self.parts, Drawn(rows, crowd))

    def plain(self) -> Gradient:
        """Without samples, for a place whose channels nothing nonlinear comes before."""
        return Gradient(self.orbits, self.p, tuple(part.plain() for part in self.parts))

    def second_moments(self) -> Bounded:
        """P of all pairs of sites, (n, n)."""
        return self.p.at(self.orbits.index)


def pooled_gradient(parts: tuple[Gradient, ...], widths: list[int]) -> Gradient:
    """Gradients of groups of channels as one that remembers them."""
    shares = [width / sum(widths) for width in widths]
    orbits, p = parts[0].orbits, parts[0].p.scaled(shares[0])
    for part, share in zip(parts[1:], shares[1:], strict=True):
        orbits, mine, theirs = orbits.meet(part.orbits)
        p = p.at(mine).plus(part.p.at(theirs).scaled(share))
    known = next((part.drawn for part in parts if part.drawn is not None), None)
    if known is None:
        return Gradient(orbits, p, parts)
    crowd = known.crowd
    rows = [part.rows(crowd, len(known.rows)) for part in parts]
    return Gradient(orbits, p, parts, Drawn(_mixed(rows, shares), crowd))


def _mixed(rows: list[Array], shares: list[float]) -> Array:
    """Channels of all groups, each group in proportion to its width."""
    count = min(len(one) for one in rows)
    at = np.arange(count) * 0.6180339887498949 % 1.0  # spread evenly by the golden ratio
    of = np.minimum(np.searchsorted(np.cumsum(shares), at, side="right"), len(rows) - 1)
    out = rows[0][:count].copy()
    for i, one in enumerate(rows[1:], 1):
        out[of == i] = one[:count][of == i]
    return out
