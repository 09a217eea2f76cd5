r"""Dropout with probability p of keeping, entries divided by p.

.. math:: K' = K \odot F, \quad P = P' \odot F, \quad \Theta' = \Theta \odot F, \qquad
   F_{ij} = 1/p \text{ where both share a mask, else } 1

(Schoenholz et al. 2017 for independent masks). One mask for all channels of an input (DropPath)
does not average over channels: K is then the mean over draws alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.networks import Dropout
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import by_parts
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe, times
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import following, site_by_site
from chione.theory.layers.stream import Law, Stream


@forward.register
def dropout(layer: Dropout, stream: Stream, walk: Walker) -> Passed:
    """Through the masks."""
    if layer.keep == 1.0:
        return stream, lambda g: g
    if stream.parts:
        return by_parts(stream, lambda part: _masked(layer, part))
    return _masked(layer, stream)


def _masked(layer: Dropout, stream: Stream) -> Passed:
    shared, factor = _factor(layer, stream.orbits, stream.positions)
    orbits, old = stream.orbits.split(*_sharing(layer, stream.positions, stream.orbits))
    s = stream.refined(orbits, old)
    one, two = s.q.at(0), s.q.at(1)
    extra = one.plus(two).scaled(1.0 / layer.keep - 1.0)
    d = s.d.scaled(1.0 / layer.keep), s.d.plus(extra)
    law = Law(
        False,
        "a mixture of kept and dropped ones after dropout",
        "one mask for all channels does not average over them" if layer.share == "path" else "",
    )
    recipe = None if s.recipe is None else Masked(layer, s.recipe, s.positions)
    after = s.with_(
        recipe=recipe,
        k=s.k.times(factor),
        d=Bounded(*(np.where(shared, a, b) for a, b in zip(*d, strict=True))),
        theta=s.theta.times(factor),
        law=law,
    )

    alike = site_by_site(recipe, orbits)
    return after, following(lambda g: g.times(orbits, factor), recipe, alike)


class Masked(Recipe):
    """Entries kept with probability p and divided by it.

    Parameters
    ----------
    layer : Dropout
        The masks.
    parent : Recipe
        What they lie on.
    positions : int
        Positions of each input.
    """

    def __init__(self, layer: Dropout, parent: Recipe, positions: int) -> None:
        super().__init__(parent)
        self._layer, self._positions, self.whole = layer, positions, 0

    def value(self, crowd: Population, *x: Array) -> Array:
        """Kept or zero."""
        return times(self._mask(crowd, x[0].shape[1]), x[0])

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """By the same masks."""
        return None if dx[0] is None else times(self._mask(crowd, dx[0].shape[1]), dx[0])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """By the same masks."""
        return (times(self._mask(crowd, g.shape[1]), g),)

    def _mask(self, crowd: Population, sites: int) -> Array:
        share, keep = self._layer.share, self._layer.keep
        owner = {"independent": np.arange(sites), "all": np.zeros(sites, dtype=int)}.get(
            share, np.arange(sites) // self._positions
        )

        def make() -> Array:
            draws = crowd.generator().random((crowd.rows(sites), int(owner[-1]) + 1))
            return np.asarray(np.where(draws < keep, 1.0 / keep, 0.0)[:, owner])

        return np.asarray(crowd.kept(("mask", self), make))


def _sharing(layer: Dropout, positions: int, orbits: Orbits):  # type: ignore[no-untyped-def]
    """Key and relation of the sites that share a mask."""
    n = orbits.sites

    def relation() -> NDArray[np.bool_]:
        if layer.share == "independent":
            return np.eye(n, dtype=bool)
        if layer.share == "all":
            return np.ones((n, n), dtype=bool)
        owner = np.arange(n) // positions
        return np.asarray(owner[:, None] == owner[None, :])

    share = "positions" if layer.share == "path" else layer.share
    return ("mask", share, positions), relation


def _factor(layer: Dropout, orbits: Orbits, positions: int) -> tuple[NDArray[np.bool_], Bounded]:
    """For each class, whether its pairs share a mask, and the factor F."""
    key, relation = _sharing(layer, positions, orbits)
    new, _ = orbits.split(key, relation)
    shared = new.remembered(("shared", key), lambda: relation()[new.rows, new.columns])
    return shared, Bounded.rounded(np.where(shared, 1.0 / layer.keep, 1.0))
