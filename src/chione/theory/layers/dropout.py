r"""Dropout with probability p of keeping, entries divided by p.

.. math:: K' = K \odot F, \quad P = P' \odot F, \quad \Theta' = \Theta \odot F, \qquad
   F_{ij} = 1/p \text{ where both share a mask, else } 1

(Schoenholz et al. 2017 for independent masks). One mask for all channels of an input (DropPath)
does not average over channels: K is then the mean over draws alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.networks import Dropout
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import by_parts
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Law, Stream


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
    after = s.with_(
        k=s.k.times(factor),
        d=Bounded(*(np.where(shared, a, b) for a, b in zip(*d, strict=True))),
        theta=s.theta.times(factor),
        law=law,
    )

    def pullback(g: Gradient) -> Gradient:
        return g.times(orbits, factor)

    return after, pullback


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
