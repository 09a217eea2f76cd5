r"""How sharply the rows of an attention look: from its weights, or from queries and keys.

.. math:: H = -\sum_s w_s \log w_s / \log n
"""

from __future__ import annotations

import torch

_SHARP = 0.99  # a row is saturated where one weight is larger: gradients of its scores are 1e-4
_INPUTS = 4


def of_weights(weights: torch.Tensor) -> torch.Tensor | None:
    """Share of saturated rows and mean entropy (1 where weights are even), as a tensor of two.

    Rows that see one key only are left out; NaN where there are no others.
    """
    w = weights.detach()[:_INPUTS].double()
    if w.dim() < 2 or w.shape[-1] < 2:
        return None
    seen = (w > 0.0).sum(dim=-1)
    rows = w[seen > 1]
    if len(rows) == 0:
        return None
    largest = rows.amax(dim=-1)
    entropy = torch.special.entr(rows).sum(dim=-1) / seen[seen > 1].double().log()
    return torch.stack([(largest > _SHARP).double().mean(), entropy.mean()])


def of_scores(
    query: torch.Tensor, key: torch.Tensor, scale: float, bias: torch.Tensor
) -> torch.Tensor | None:
    """The same from queries and keys (..., heads, positions, channels) of the first inputs.

    Masks are those of all inputs alike; where they differ between inputs nothing is told.
    """
    q, k = (x.detach()[:_INPUTS].double() for x in (query, key))
    if q.dim() > 3 and k.shape[1] != q.shape[1]:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    scores = q @ k.transpose(-1, -2) * scale
    try:
        scores = scores + bias.to(scores.device)
    except RuntimeError:  # a mask for each of other inputs than these
        return None
    return of_weights(torch.softmax(scores, dim=-1).nan_to_num(0.0))
