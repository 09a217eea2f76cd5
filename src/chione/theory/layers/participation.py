r"""How many tokens a row of attention looks at: :math:`E \sum_s w_{ts}^2`, from 1 / T to 1.

Its inverse is the number of tokens that count. It is 1 / T where all weights are alike, and 1 where
attention has condensed on one token.
"""

from __future__ import annotations

import numpy as np

from chione.networks import Attention
from chione.theory.layers.attention import Maps, all_apart, heads_of, shift_of
from chione.theory.layers.attention_exchangeable import Gains, scores_of
from chione.theory.layers.attention_fixed import vanishing
from chione.theory.layers.attention_tokens import Tokens
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Stream
from chione.theory.moments.attention_weights import row_moments


def participation(layer: Attention, stream: Stream, walk: Walker) -> float:
    r"""Mean over queries of :math:`E \sum_s w_{ts}^2`, for what enters a layer.

    By integrals where tokens are exchangeable, with heads infinitely large; by sampled heads
    otherwise.
    """
    memory = stream if layer.memory is None else walk.memory(layer.memory)
    shift = shift_of(layer, stream, memory)
    if vanishing(layer):
        with np.errstate(invalid="ignore"):
            weights = np.exp(shift - shift.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return float(np.mean(np.sum(weights**2, axis=-1)))
    if layer.mask == "none" and layer.rope is None and not layer.alibi:
        tokens = Tokens.of(stream, memory, layer.visible)
        if tokens is not None:
            return _of_exchangeable(layer, stream, memory, tokens)
    maps = Maps.of(layer, stream, memory)
    heads = heads_of(
        layer, stream, memory, maps, (all_apart(stream.orbits), all_apart(memory.orbits)), walk
    )
    one = np.eye(memory.orbits.sites)
    found = heads.forward(one, [], np.zeros_like(one), np.zeros_like(one)).values
    return float(np.mean(found.value[all_apart(stream.orbits).diagonal]))


def _of_exchangeable(layer: Attention, stream: Stream, memory: Stream, tokens: Tokens) -> float:
    norm = layer.qk_norm
    q, k = (1.0, 1.0) if norm else (layer.sigma_q, layer.sigma_k)
    gains = Gains(*(x**2 for x in (q, k, layer.sigma_v, layer.sigma_o, layer.sigma_b)))
    s = stream.refined(*tokens.classes(stream.orbits))
    at = s.orbits.diagonal
    divisor = float(layer.size(stream.shape, "attention")) if layer.scale == "linear" else 1.0
    variances = scores_of(layer, gains, s, memory, tokens, divisor).variances[0].at(at).value
    seen = tokens.seen_by(s.orbits)[0][at]
    pairs = zip(variances, seen, strict=True)
    return float(np.mean([row_moments(float(v), int(t)).square for v, t in pairs]))
