r"""Positions turned into channels.

.. math:: K'_{ab} = \frac1T \sum_t K_{at, bt}, \qquad P_{at, bs} = \delta_{ts} P'_{ab}
"""

from __future__ import annotations

import numpy as np

from chione.networks import Flatten, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.moved import Flattened
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.sampled import following
from chione.theory.layers.stream import Gradient, Law, Stream
from chione.theory.layers.windows import Together, Windows


@forward.register
def flatten(layer: Flatten, stream: Stream, walk: Walker) -> Passed:
    """All positions into one vector."""
    positions = stream.positions
    if positions == 1:
        return stream.with_(shape=Shape(stream.shape.width), recipe=stream.recipe), lambda g: g
    windows = Windows(("flatten", positions), np.arange(positions)[None, :], positions)
    taps = Together.of(stream.orbits, windows, stream.inputs)
    share = 1.0 / positions
    mean = Bounded(*(v.reshape(-1, positions).mean(axis=1) for v in stream.mean))
    after = stream.with_(
        shape=Shape(stream.shape.width * positions),
        orbits=taps.orbits,
        k=taps.covariance(stream.k).scaled(share),
        d=taps.distance(stream.k, stream.d).scaled(share),
        theta=taps.covariance(stream.theta).scaled(share),
        mean=mean,
        law=Law(False, "those of several positions, flattened into one vector", stream.law.random),
        recipe=None if stream.recipe is None else Flattened(stream.recipe, positions),
        uneven="positions, flattened",
        uneven_mean=stream.uneven_mean or bool(np.any(stream.mean.value)),
    )
    inputs = stream.inputs

    def pullback(g: Gradient) -> Gradient:
        home = Together.of(g.orbits, windows.adjoint, inputs)
        return Gradient(home.orbits, home.covariance(g.p))

    return after, following(pullback, after.recipe)
