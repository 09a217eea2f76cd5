r"""Attention over queries, keys and values that are projected already.

.. math:: s_{ts} = a\,q_t \cdot k_s + b_{ts}, \quad w_t = \operatorname{softmax} s_t, \quad
   K'_{tt'} = E \sum_{ss'} w_{ts} w_{t's'} (K_v)_{ss'}

with heads drawn as in :mod:`chione.theory.layers.attention_heads`; each of the three streams gets
a gradient of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chione.base import EPS, Array
from chione.networks import Shape
from chione.theory.layers.attention_heads import Heads, Scores
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.rule import Pullback, Walker, unclosed
from chione.theory.layers.stream import Gradient, Law, Stream, from_moments

_WORK = 1_000_000  # weights of all sampled heads together
_FEWEST, _MOST = 32, 512  # heads
_SEED = 0xA77E
_SIGMAS = 3.0  # standard errors in the errors of sampled heads


@dataclass(frozen=True, eq=False)
class Weights:
    """How queries and keys of one head give weights.

    Parameters
    ----------
    size, value_size : int
        Channels of a head, d of queries and keys, and of values.
    scale : float
        Factor a on their products.
    bias : ndarray, shape (inputs, heads, queries, keys)
        What is added to the scores, minus infinity where a key is not seen; axes of one entry hold
        for all.
    keep : float
        Probability of keeping a weight after the softmax; the rest is zero, kept ones are divided
        by it.
    turned : tuple of two ndarrays or None
        Angles of rotary positions of queries and of keys, (positions, pairs of channels).
    """

    size: int
    value_size: int
    scale: float
    bias: Array = field(default_factory=lambda: np.zeros((1, 1, 1, 1)))
    keep: float = 1.0
    turned: tuple[Array | None, Array | None] = (None, None)


Attended = tuple[Stream, tuple[Pullback, Pullback, Pullback], Callable[[], float]]


def attend(query: Stream, key: Stream, value: Stream, weights: Weights, walk: Walker) -> Attended:
    """Side by side the outputs of all heads, and the ways home to queries, keys and values.

    The last that is returned gives the largest relative standard error of a mean square that the
    sampled heads have left so far; bounds carry rounding alone, since in them it would be added up
    as if it were always against us.

    Raises
    ------
    UnsupportedLayerError
        If queries and keys depend on the same weights.
    """
    if not query.sources.isdisjoint(key.sources):
        raise unclosed(walk, "the scores", "queries and keys are made by the same weights")
    heads = _heads(query, key, weights)
    kv = value.second_moments().value
    gaps = value.d.at(value.orbits.index).value
    moves = key.second_moments().value
    found = heads.forward(kv, [], gaps, moves)
    noise = [_noise(found.values)]
    gram = _even(found.values.value)
    after = from_moments(gram, Shape(value.shape.width, query.shape.grid))
    at = after.orbits.rows, after.orbits.columns
    error = np.full(after.orbits.count, 64.0 * EPS * float(np.abs(gram).max()))
    error += float(value.k.error.max())
    apart = after.orbits.apart
    after = after.with_(
        k=Bounded(gram[at], error),
        d=Bounded(
            np.where(apart, np.maximum(found.gaps.value[at], 0.0), 0.0),
            np.where(apart, 4.0 * error, 0.0),
        ),
        theta=Bounded.exact(np.zeros(after.orbits.count)),  # that of projected streams is not kept
        law=Law(False, "means over positions with weights of their own head", value.law.random),
        sources=query.sources | key.sources | value.sources,
    )
    share = weights.value_size / weights.size  # as many products give the gradient of one weight
    unit = share * weights.scale**2 * weights.size  # queries of the heads carry the scale

    def to_query(g: Gradient) -> Gradient:
        noise.append(_noise(found.queries))
        return Gradient.of(_even(unit * found.queries.value * g.second_moments().value))

    def to_key(g: Gradient) -> Gradient:
        home = heads.backward(kv, _even(g.second_moments().value))[1]
        noise.append(_noise(home))
        return Gradient.of(_even(share * home.value))

    def to_value(g: Gradient) -> Gradient:
        home = heads.backward(kv, _even(g.second_moments().value))[0]
        noise.append(_noise(home))
        return Gradient.of(_even(home.value))

    return after, (to_query, to_key, to_value), lambda: max(noise)


def _heads(query: Stream, key: Stream, weights: Weights) -> Heads:
    """Heads whose queries carry the factor a on the scores."""
    unit = weights.scale**2 * weights.size
    bias = np.moveaxis(np.asarray(weights.bias, dtype=np.float64), 1, 0)
    work = max(query.orbits.sites * key.positions * len(bias), 1)
    many = int(np.clip(_WORK // work * len(bias), _FEWEST, _MOST))
    scores = Scores(
        unit * query.second_moments().value,
        key.second_moments().value,
        key.d.at(key.orbits.index).value,
        query.inputs,
        weights.size,
        bias,
        _turns(query, key, weights),
        keep=weights.keep,
    )
    return Heads(scores, many, [_SEED], lambda _: None)


def _turns(query: Stream, key: Stream, weights: Weights) -> tuple[Array, Array] | None:
    """Angles of all pairs of channels; those that are not turned have none."""
    if all(angle is None for angle in weights.turned):
        return None
    out = []
    for stream, angle in zip((query, key), weights.turned, strict=True):
        wide = np.zeros((stream.positions, weights.size // 2))
        if angle is not None:
            wide[:, : angle.shape[1]] = angle
        out.append(wide)
    return out[0], out[1]


def _noise(x: Bounded) -> float:
    """Relative standard error of the mean square over all sites."""
    size = float(np.trace(x.value))
    if not size > 0.0:
        return 0.0
    return float(np.trace(x.error)) / (_SIGMAS * size * math.sqrt(len(x.value)))


def _even(matrix: Array) -> Array:
    return np.asarray(0.5 * (matrix + matrix.T))
