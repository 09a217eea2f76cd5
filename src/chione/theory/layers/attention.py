r"""Attention at infinite width, with fresh weights for queries, keys, values and output.

.. math:: K' = \sigma_o^2\,E\,W K_v W^T + \sigma_b^2, \qquad
   P_{\text{values}} = r\,\sigma_o^2 \sigma_v^2\,E\,W^T P W

.. math:: P_{\text{queries}} = r\,\sigma_o^2 \sigma_q^2\,P_{tt'}
   E \operatorname{tr}(D_t K_v D_{t'} K_k), \qquad
   P_{\text{keys}} = r\,\sigma_o^2 \sigma_k^2
   \sum_{tt'} P_{tt'} (K_q)_{tt'}\,E (D_t K_v D_{t'})_{ss'}

with :math:`K_q = \sigma_q^2 K + \sigma_b^2` and so on, weights :math:`W = \operatorname{softmax}`
of Gaussian scores of covariance :math:`(K_q)_{tt'} (K_k)_{ss'}`,
:math:`D_t = \operatorname{diag}(w_t) - w_t w_t^T` and :math:`r = n_{out} / n_{in}` (Hron et al.
2020). The tangent kernel is that of four dense layers,

.. math:: \Theta' = K' + \sigma_o^2 \big[ E\,W \Theta_v W^T
   + (\Theta_q)_{tt'} E \operatorname{tr}(D_t K_v D_{t'} K_k)
   + (K_q)_{tt'} \sum_{ss'} E (D_t K_v D_{t'})_{ss'} (\Theta_k)_{ss'} \big],
   \qquad \Theta_x = K_x + \sigma_x^2 \Theta .

What comes out is Gaussian with mean zero.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from chione.base import Array, cost
from chione.networks import Attention, Shape
from chione.theory.layers.attention_exchangeable import exchangeable
from chione.theory.layers.attention_fixed import fixed, vanishing
from chione.theory.layers.attention_heads import Heads, Passage, Scores
from chione.theory.layers.attention_tokens import Tokens
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between, settled
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Stream, gaussian_stream

_RATE = 4e10  # operations a second of one core, in single precision
_NORMAL = 1e-8  # s a Gaussian number
_FEW = 64  # sites below which more heads are drawn, since they cost little


@forward.register
def attention(layer: Attention, stream: Stream, walk: Walker) -> Passed:
    """Through the heads."""
    memory = stream if layer.memory is None else walk.memory(layer.memory)
    shift = _shift(layer, stream, memory)
    if vanishing(layer):
        walk.told(1.0)
        return fixed(layer, stream, memory, shift, walk)
    settled(stream, walk)
    settled(memory, walk)
    tokens = _tokens(layer, stream, memory)
    if tokens is not None:
        walk.told(1.0)
        return exchangeable(layer, stream, memory, tokens, walk)
    return _sampled(layer, stream, memory, shift, walk)


def _tokens(layer: Attention, stream: Stream, memory: Stream) -> Tokens | None:
    """The tokens, if they are exchangeable and no position is told from another."""
    if layer.mask == "causal" or layer.rope is not None or layer.alibi:
        return None
    return Tokens.of(stream, memory, layer.visible)


@dataclass(frozen=True)
class _Maps:
    """Covariances of queries, keys and values over all sites, and what their matrices are."""

    queries: Array
    keys: Array
    values: Array
    gains: tuple[float, float, float]  # n_in Var W of the three

    @staticmethod
    def of(layer: Attention, stream: Stream, memory: Stream) -> _Maps:
        """Of a layer; normalised queries and keys have matrices of variance one."""
        sigmas = (1.0, 1.0) if layer.qk_norm else (layer.sigma_q, layer.sigma_k)
        gains = sigmas[0] ** 2, sigmas[1] ** 2, layer.sigma_v**2
        k, m = stream.second_moments().value, memory.second_moments().value
        queries, keys, values = (
            gain * x + layer.sigma_b**2 for gain, x in zip(gains, (k, m, m), strict=True)
        )
        return _Maps(queries, keys, values, gains)


def _sampled(
    layer: Attention, stream: Stream, memory: Stream, shift: Array, walk: Walker
) -> Passed:
    """By heads of the layer's own size."""
    maps = _Maps.of(layer, stream, memory)
    theta, theta_m = (s.theta.at(s.orbits.index) for s in (stream, memory))
    gaps = memory.d.at(memory.orbits.index)
    heads = _heads(layer, stream, memory, maps, (gaps.value, shift), walk)
    gq, gk, gv = maps.gains
    theta_q, theta_k, theta_v = (
        x + gain * t.value
        for x, gain, t in (
            (maps.queries, gq, theta),
            (maps.keys, gk, theta_m),
            (maps.values, gv, theta_m),
        )
    )
    found = heads.forward(maps.values, [theta_v], gv * gaps.value, theta_k)
    so2 = layer.sigma_o**2
    k = found.values.scaled(so2)
    k = _loosened(k, so2 * gv * _largest(memory.k.error)).shifted(layer.sigma_b**2)
    d = _loosened(found.gaps.scaled(so2), 2.0 * so2 * gv * _largest(memory.d.error))
    through = found.moments[0].plus(found.queries.scaled(theta_q)).plus(found.keys)
    out_theta = _loosened(through.scaled(so2), _theta_error(found, gq, gv, so2, theta, theta_m))
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    after = _stream(shape, stream.orbits, k, d, k.plus(out_theta))

    def pullback(g: Gradient) -> Gradient:
        p = g.second_moments()
        p = Bounded(0.5 * (p.value + p.value.T), p.error)
        relative = _largest(p.error) / max(_largest(p.value), 1e-300)
        home, to_keys = heads.backward(maps.values, p.value)
        read = home.scaled(gv).plus(to_keys.scaled(gk))
        read = _loosened(read, relative * _largest(read.value))
        asked = found.queries.times(p).scaled(gq)
        ratio = so2 * shape.width
        back = asked.scaled(ratio / stream.shape.width)
        read = read.scaled(ratio / memory.shape.width)
        if layer.memory is None:
            return _gradient(stream.orbits, back.plus(read))
        walk.to_memory(layer.memory, _gradient(memory.orbits, read))
        return _gradient(stream.orbits, back)

    return after, pullback


def _heads(
    layer: Attention,
    stream: Stream,
    memory: Stream,
    maps: _Maps,
    given: tuple[Array, Array],
    walk: Walker,
) -> Heads:
    """The heads that are drawn, after a look at what they cost."""
    size = layer.size(stream.shape, walk.place)
    sites = max(stream.orbits.sites, memory.orbits.sites)
    heads = walk.heads * max(1, min(4, _FEW // sites))
    products = 40.0 * sites**2 * max(size, sites / stream.inputs)
    cost.check(
        f"{walk.place}: {heads} sampled heads over {sites} positions of all inputs",
        seconds=heads * (products / _RATE + 4.0 * sites * size * _NORMAL),
        gigabytes=1e-9 * 200.0 * sites**2,
        fits="fewer positions or heads (of the walk)",
    )
    walk.sampled[walk.place] = "sampled heads"
    gaps, shift = given
    turns = None
    if layer.rope is not None:
        speed = layer.rope ** (-2.0 * np.arange(size // 2) / size)
        turns = tuple(np.arange(s.positions)[:, None] * speed for s in (stream, memory))
    scores = Scores(
        maps.queries,
        maps.keys,
        maps.gains[1] * gaps,
        stream.inputs,
        size,
        shift,
        turns,  # type: ignore[arg-type]  # two of them
        (layer.sigma_q, layer.sigma_k) if layer.qk_norm else None,
    )
    seed = [walk.seed, zlib.crc32(walk.place.encode())]
    return Heads(scores, heads, seed, walk.told)


def _shift(layer: Attention, stream: Stream, memory: Stream) -> Array:
    """What is added to the scores: (kinds of heads, inputs or 1, T, S)."""
    apart = np.arange(stream.positions)[:, None] - np.arange(memory.positions)
    shift = np.zeros((1, 1, *apart.shape))
    if layer.alibi:
        slopes = 2.0 ** (-8.0 * np.arange(1, layer.heads + 1) / layer.heads)
        shift = shift - slopes[:, None, None, None] * np.abs(apart)
    if layer.mask == "causal":
        shift = np.where(apart < 0, -np.inf, shift)
    if layer.visible is not None:
        seen = np.arange(memory.positions) < np.array(layer.visible)[:, None]
        shift = np.where(seen[None, :, None, :], shift, -np.inf)
    return np.asarray(shift)


def _theta_error(
    found: Passage, gq: float, gv: float, so2: float, theta: Bounded, theta_m: Bounded
) -> float:
    """What errors of Theta leave behind; weights of one row sum to one."""
    one, two = _largest(theta.error), _largest(theta_m.error)
    share = two / max(_largest(theta_m.value), 1e-300)
    return so2 * (
        gv * two + gq * one * _largest(found.queries.value) + share * _largest(found.keys.value)
    )


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _loosened(x: Bounded, by: float) -> Bounded:
    return Bounded(x.value, x.error + by)


def _stream(shape: Shape, like: Orbits, k: Bounded, d: Bounded, theta: Bounded) -> Stream:
    """From matrices over all sites, each pair in a class of its own."""
    orbits = _apart(like)
    at = orbits.rows, orbits.columns
    return gaussian_stream(shape, orbits, k.at(at), between(d.at(at), orbits), theta.at(at))


def _gradient(like: Orbits, p: Bounded) -> Gradient:
    orbits = _apart(like)
    return Gradient(orbits, p.at((orbits.rows, orbits.columns)))


def _apart(like: Orbits) -> Orbits:
    """A class for each pair; the very object `like` where it is that already."""
    n = like.sites
    if like.count == n * (n + 1) // 2:
        return like

    def make() -> Orbits:
        rows, columns = np.triu_indices(n)
        index = np.zeros((n, n), dtype=np.intp)
        index[rows, columns] = index[columns, rows] = np.arange(len(rows))
        return Orbits(index)

    return like.remembered("all apart", make)
