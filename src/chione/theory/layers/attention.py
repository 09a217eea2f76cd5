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

from chione.base import Array, ConvergenceError
from chione.networks import Attention, Shape
from chione.theory.layers.attention_exchangeable import exchangeable
from chione.theory.layers.attention_fixed import fixed, vanishing
from chione.theory.layers.attention_heads import SAMPLED_HEADS, Heads, Passage, Scores
from chione.theory.layers.attention_linear import linear, small_scores
from chione.theory.layers.attention_tokens import Tokens
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between, settled
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Stream, gaussian_stream

_RATE = 4e10  # operations a second of one core, in single precision
_NORMAL = 1e-8  # s a Gaussian number; with 22 products a pair 2 s a layer of 2 x 64, measured
_FEW = 64  # sites up to which heads cost little
_SPREAD = 1e4  # of scores; lines of nodes grow with it
_LARGE = 256  # head size from which a head counts as infinitely large


@forward.register
def attention(layer: Attention, stream: Stream, walk: Walker) -> Passed:
    """Through the heads."""
    memory = stream if layer.memory is None else walk.memory(layer.memory)
    if vanishing(layer):
        walk.told(1.0)
        return fixed(layer, stream, memory, shift_of(layer, stream, memory), walk)
    settled(stream, walk)
    settled(memory, walk)
    _check_scores(layer, stream, memory, walk.place)
    tokens = None
    if layer.mask == "none" and layer.rope is None and not layer.alibi:
        tokens = Tokens.of(stream, memory, layer.visible)
    if tokens is not None:
        size = layer.size(stream.shape, walk.place)
        large = max(stream.orbits.sites, memory.orbits.sites) > _FEW or size > _LARGE
        passed = exchangeable(layer, stream, memory, tokens, walk, None if large else size)
        if passed is not None:
            walk.told(1.0)
            return passed
    elif layer.scale == "linear":
        size = layer.size(stream.shape, walk.place)
        v = small_scores(layer, stream, memory, size)
        if v is not None:
            walk.told(1.0)
            given = shift_of(layer, stream, memory), v
            classes = all_apart(stream.orbits), all_apart(memory.orbits)
            return linear(layer, stream, memory, given, classes, walk)
    return _sampled(layer, stream, memory, tokens, walk)


def _check_scores(layer: Attention, stream: Stream, memory: Stream, place: str) -> None:
    """Refuse scores so large that a row looks at one token whatever else happens."""
    if layer.qk_norm:
        lengths = [s.k.value[s.orbits.diagonal] + layer.sigma_b for s in (stream, memory)]
        if not all(np.all(x > 0.0) for x in lengths):
            raise ConvergenceError(
                f"{place}: queries or keys are zero, so that they have no direction to normalise; "
                f"set qk_norm=False or give inputs that are not zero."
            )
        spread = layer.sigma_q * layer.sigma_k
    else:
        with np.errstate(over="ignore"):
            queries = layer.sigma_q**2 * _largest(stream.k.value) + layer.sigma_b**2
            spread = float(np.sqrt(queries) * layer.sigma_k * np.sqrt(_largest(memory.d.value)))
    if not spread <= _SPREAD:
        raise ConvergenceError(
            f"{place}: scores differ by a standard deviation of {spread:.3g}, beyond the "
            f"{_SPREAD:g} that theory integrates; a row looks at one token then. Make sigma_q, "
            f"sigma_k or what enters smaller, or normalise it."
        )


@dataclass(frozen=True)
class Maps:
    """Covariances of queries, keys and values over all sites, and what their matrices are."""

    queries: Array
    keys: Array
    values: Array
    gains: tuple[float, float, float]  # n_in Var W of the three

    @staticmethod
    def of(layer: Attention, stream: Stream, memory: Stream) -> Maps:
        """Of a layer; normalised queries and keys have matrices of variance one."""
        sigmas = (1.0, 1.0) if layer.qk_norm else (layer.sigma_q, layer.sigma_k)
        gains = sigmas[0] ** 2, sigmas[1] ** 2, layer.sigma_v**2
        k, m = stream.second_moments().value, memory.second_moments().value
        queries, keys, values = (
            gain * x + layer.sigma_b**2 for gain, x in zip(gains, (k, m, m), strict=True)
        )
        return Maps(queries, keys, values, gains)


def _sampled(
    layer: Attention, stream: Stream, memory: Stream, tokens: Tokens | None, walk: Walker
) -> Passed:
    """By heads of the layer's own size; classes of pairs stay where tokens are exchangeable."""
    maps = Maps.of(layer, stream, memory)
    if tokens is None:
        orbits, columns = all_apart(stream.orbits), all_apart(memory.orbits)
        s = stream.refined(orbits, stream.orbits.index[orbits.rows, orbits.columns])
    else:
        s, columns = stream.refined(*tokens.classes(stream.orbits)), tokens.target.orbits
        orbits = s.orbits
    heads = heads_of(layer, stream, memory, maps, (orbits, columns), walk)
    gq, gk, gv = maps.gains
    so2, theta = layer.sigma_o**2, memory.theta.value[memory.orbits.index]
    found = heads.forward(
        maps.values,
        [maps.values + gv * theta],
        gv * memory.d.value[memory.orbits.index],
        maps.keys + gk * theta,
    )
    k = found.values.scaled(so2)
    k = _loosened(k, so2 * gv * _largest(memory.k.error)).shifted(layer.sigma_b**2)
    d = _loosened(found.gaps.scaled(so2), 2.0 * so2 * gv * _largest(memory.d.error))
    by_queries = s.k.scaled(gq).shifted(layer.sigma_b**2).plus(s.theta.scaled(gq))
    through = found.moments[0].plus(found.queries.times(by_queries)).plus(found.keys)
    loose = so2 * _theta_error(found, gv, memory.theta)
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    theta_after = k.plus(_loosened(through.scaled(so2), loose))
    after = gaussian_stream(shape, orbits, k, between(d, orbits), theta_after)
    ratio = so2 * shape.width
    asked = found.queries.scaled(ratio * gq / stream.shape.width)

    def pullback(g: Gradient) -> Gradient:
        p = g.second_moments()
        home, to_keys = heads.backward(maps.values, 0.5 * (p.value + p.value.T))
        read = home.scaled(gv).plus(to_keys.scaled(gk))
        relative = _largest(p.error) / max(_largest(p.value), 1e-300)
        read = _loosened(read, relative * _largest(read.value))
        back, sent = (
            g.times(orbits, asked),
            Gradient(columns, read.scaled(ratio / memory.shape.width)),
        )
        if layer.memory is None:
            return back.plus(sent)
        walk.to_memory(layer.memory, sent)
        return back

    return after, pullback


def heads_of(
    layer: Attention,
    stream: Stream,
    memory: Stream,
    maps: Maps,
    classes: tuple[Orbits, Orbits],
    walk: Walker,
) -> Heads:
    """The heads that are drawn, after a look at what they cost."""
    size = layer.size(stream.shape, walk.place)
    sites = max(stream.orbits.sites, memory.orbits.sites)
    heads = walk.heads * max(1, min(4, 2 * _FEW // sites))
    products = 22.0 * sites**2 * max(size, sites / stream.inputs)
    walk.charge(
        f"{walk.place}: {heads} sampled heads over {sites} positions of all inputs",
        heads * (products / _RATE + 4.0 * sites * size * _NORMAL),
        1e-9 * 200.0 * sites**2,
        "fewer positions, layers or heads (of the walk) fit",
    )
    walk.sampled[walk.place] = SAMPLED_HEADS
    turns = None
    if layer.rope is not None:
        speed = layer.rope ** (-2.0 * np.arange(size // 2) / size)
        one, two = (np.arange(s.positions)[:, None] * speed for s in (stream, memory))
        turns = one, two
    scores = Scores(
        maps.queries,
        maps.keys,
        maps.gains[1] * memory.d.value[memory.orbits.index],
        stream.inputs,
        size,
        shift_of(layer, stream, memory),
        turns,
        (layer.sigma_q, layer.sigma_k) if layer.qk_norm else None,
        float(size) ** 0.5 if layer.scale == "linear" else 1.0,
    )
    seed = [walk.seed, zlib.crc32(walk.place.encode())]
    return Heads(scores, heads, seed, walk.told, classes, walk.stated)


def shift_of(layer: Attention, stream: Stream, memory: Stream) -> Array:
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


def _theta_error(found: Passage, gv: float, theta: Bounded) -> float:
    """What errors of Theta leave behind; weights of one row sum to one."""
    error = _largest(theta.error)
    share = error / max(_largest(theta.value), 1e-300)
    return gv * error + share * _largest(found.keys.value)


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _loosened(x: Bounded, by: float) -> Bounded:
    return Bounded(x.value, x.error + by)


def all_apart(like: Orbits) -> Orbits:
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
