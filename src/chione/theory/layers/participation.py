r"""How many tokens a row of attention looks at: :math:`E \sum_s w_{ts}^2`, from 1 / T to 1.

Its inverse is the number of tokens that count. It is 1 / T where all weights are alike, and 1 where
attention has condensed on one token.
"""

from __future__ import annotations

import numpy as np

from chione.networks import Attention
from chione.theory.layers.attention import heads_of, shift_of
from chione.theory.layers.attention_exchangeable import row_variances
from chione.theory.layers.attention_fixed import vanishing
from chione.theory.layers.attention_tokens import Tokens
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Stream
from chione.theory.moments.attention_weights import row_moments


def participation(layer: Attention, stream: Stream, walk: Walker) -> float:
    """Mean over queries of :math:`E \\sum_s w_{ts}^2`, for what enters a layer.

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
            rows = row_variances(layer, stream, memory, tokens)
            return float(np.mean([row_moments(v, t).square for v, t in rows]))
    return float(np.mean(heads_of(layer, stream, memory, walk).participation().value))
