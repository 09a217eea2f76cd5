r"""Attention over exchangeable tokens: closed in a few integrals, whatever their number.

Keys of two inputs have covariance :math:`\beta_{ab} + \delta_{ab} 1_{s = s'}`. What all tokens
share cancels in the softmax, so that scores are independent over tokens with covariance
:math:`(K_q)_{tt'} (\delta_k)_{ab}`, and

.. math:: K' = \sigma_o^2 \big[ \beta_v + \delta_v B \big] + \sigma_b^2, \qquad
   D' = \sigma_o^2 \big[ E_v + \delta_v G + (\delta_v^{aa} - \delta_v) S_a
   + (\delta_v^{bb} - \delta_v) S_b \big]

with :math:`B = E \sum w w'`, :math:`S = E \sum w^2`, :math:`G = E \sum (w - w')^2` and
:math:`E_{ab} = \beta_{aa} + \beta_{bb} - 2 \beta_{ab}`. With :math:`X = E \operatorname{tr} D D'`

.. math:: E \operatorname{tr}(D_t K_v D_{t'} K_k) = \delta_v \delta_k X, \qquad
   E (D_t K_v D_{t'})_{ss'} = \delta_v X \, \frac{T 1_{s = s'} - 1}{T (T - 1)} .
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chione.networks import Attention, Shape
from chione.theory.layers.attention_overlaps import Overlaps, overlaps
from chione.theory.layers.attention_tokens import Tokens
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.rule import Passed, Walker
from chione.theory.layers.stream import Gradient, Stream, gaussian_stream
from chione.theory.moments.attention_weights import head_size_correction

_SMALL = 0.005  # relative change of the weights by the size of a head


class Gains(NamedTuple):
    """n_in Var W of queries, keys, values and output, and the variance of biases."""

    q: float
    k: float
    v: float
    o: float
    b: float


class _Scores(NamedTuple):
    """Of each class of pairs of queries what the scores are made of.

    `queries` is the covariance of queries and `keys` the part of that of keys which a token has for
    itself; `raw` is the first before a norm, the units are what gradients are multiplied by (one,
    or the squared gain over the lengths of a norm).
    """

    raw: Bounded
    queries: Bounded
    keys: Bounded
    query_unit: Bounded
    key_unit: Bounded
    variances: tuple[Bounded, Bounded]
    gap: Bounded


def exchangeable(
    layer: Attention,
    stream: Stream,
    memory: Stream,
    tokens: Tokens,
    walk: Walker,
    size: int | None,
) -> Passed | None:
    """Through softmax weights over the tokens of a memory (the stream itself, without one).

    Heads count as infinitely large. None where a head of `size` channels differs by more than half
    a per cent, by the estimate of :func:`head_size_correction`.
    """
    norm = layer.qk_norm
    sigma_q, sigma_k = (1.0, 1.0) if norm else (layer.sigma_q, layer.sigma_k)
    of = Gains(*(x**2 for x in (sigma_q, sigma_k, layer.sigma_v, layer.sigma_o, layer.sigma_b)))
    s = stream.refined(*tokens.classes(stream.orbits))
    orbits, pair = s.orbits, tokens.pairs(s.orbits)
    divisor = float(layer.size(stream.shape, walk.place)) if layer.scale == "linear" else 1.0
    scores = scores_of(layer, of, s, memory, tokens, divisor)
    if size is not None and _is_small(size, scores.variances, tokens.seen_by(orbits)):
        return None
    found = overlaps(
        scores.variances, scores.queries.times(scores.keys), scores.gap, tokens.seen_by(orbits)
    )
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    after = _after(shape, of, s, memory, tokens, scores, found)
    ratio = of.o * shape.width
    slope = tokens.own(memory.d).at(pair).scaled(of.v * ratio).times(found.slope)
    to_queries = slope.times(scores.keys).times(scores.query_unit).scaled(of.q)
    to_keys = slope.times(scores.queries).times(scores.key_unit).scaled(of.k)

    def pullback(g: Gradient) -> Gradient:
        back = g.times(orbits, to_queries.scaled(1.0 / stream.shape.width))
        read = tokens.returned(g, orbits, found.overlap.scaled(of.v * ratio), of.v * ratio, to_keys)
        read = read.scaled(1.0 / memory.shape.width)
        if layer.memory is None:
            return back.plus(read)
        walk.to_memory(layer.memory, read)
        return back

    return after, pullback


def _is_small(size: int, variances: tuple[Bounded, Bounded], seen: tuple[Index, Index]) -> bool:
    pairs = {
        (float(v), int(t))
        for side, counts in zip(variances, seen, strict=True)
        for v, t in zip(side.value, counts, strict=True)
    }
    return any(abs(head_size_correction(v, t, size)) > _SMALL for v, t in pairs)


def scores_of(
    layer: Attention, of: Gains, s: Stream, memory: Stream, tokens: Tokens, divisor: float
) -> _Scores:
    """What the scores of each class of pairs of queries are made of."""
    orbits, pair = s.orbits, tokens.pairs(s.orbits)
    delta, more = tokens.own(memory.d).at(pair), list(tokens.excess(memory.d, orbits))
    raw = s.k.scaled(of.q).shifted(of.b)
    queries, gap = raw, s.d.scaled(of.q)
    query_unit = Bounded.exact(np.ones(orbits.count))
    key_unit = query_unit.scaled(1.0 / divisor)  # of the squared scores, beyond sqrt(d)
    if layer.qk_norm:
        gap, size = _normalised(raw, gap, orbits)
        query_unit = Bounded.exact(np.full(orbits.count, layer.sigma_q**2)).over(size)
        queries, gap = raw.times(query_unit), gap.scaled(layer.sigma_q**2)
        length = tokens.lengths(memory.k).scaled(of.k).shifted(of.b)
        both = length.at(pair[0]).times(length.at(pair[1])).sqrt()
        key_unit = key_unit.scaled(layer.sigma_k**2).over(both)
        # delta_aa / length_a - delta_ab / both, of unequal lengths
        for i, a in enumerate(pair):
            uneven = both.minus(length.at(a)).over(length.at(a))
            more[i] = more[i].plus(more[i].plus(delta).times(uneven))
    to_keys = key_unit.scaled(of.k)
    keys = delta.times(to_keys)
    more = [x.times(to_keys) for x in more]
    sides = queries.at(orbits.one), queries.at(orbits.two)
    one, two = (q.times(keys.plus(x)) for q, x in zip(sides, more, strict=True))
    gap = keys.times(gap).plus(sides[0].times(more[0])).plus(sides[1].times(more[1]))
    gap = between(gap, orbits)
    return _Scores(raw, queries, keys, query_unit, key_unit, (one, two), gap)


def _after(
    shape: Shape,
    of: Gains,
    s: Stream,
    memory: Stream,
    tokens: Tokens,
    scores: _Scores,
    found: Overlaps,
) -> Stream:
    orbits, pair = s.orbits, tokens.pairs(s.orbits)
    delta = tokens.own(memory.d).at(pair)
    one, two = tokens.excess(memory.d, orbits)
    values = tokens.shared(memory.k).at(pair).scaled(of.v).shifted(of.b)
    values = values.plus(delta.scaled(of.v).times(found.overlap))
    d = tokens.apart(memory.d).at(pair).plus(delta.times(found.distance))
    d = d.plus(one.times(found.squares[0])).plus(two.times(found.squares[1]))
    k = values.scaled(of.o).shifted(of.b)
    # values, queries and keys move by tangent kernels of dense layers
    theta = tokens.shared(memory.theta).at(pair), tokens.differing(memory.theta).at(pair)
    moved = theta[0].plus(theta[1].times(found.overlap)).scaled(of.v)
    by_queries = scores.raw.plus(s.theta.scaled(of.q)).times(scores.query_unit).times(scores.keys)
    by_keys = delta.plus(theta[1]).scaled(of.k).times(scores.key_unit).times(scores.queries)
    slope = delta.scaled(of.v).times(found.slope)
    through = values.plus(moved).plus(slope.times(by_queries.plus(by_keys)))
    d = between(d.scaled(of.o * of.v), orbits)
    return gaussian_stream(shape, orbits, k, d, k.plus(through.scaled(of.o)))


def _normalised(k: Bounded, d: Bounded, orbits: Orbits) -> tuple[Bounded, Bounded]:
    """Distances of vectors that are divided by their lengths, and products of two lengths."""
    one, two = k.at(orbits.one).sqrt(), k.at(orbits.two).sqrt()
    both = one.times(two)
    step = one.minus(two)
    rest = d.minus(step.times(step)) if np.ptp(one.value) > 0.0 else d
    return between(rest.over(both), orbits), both
