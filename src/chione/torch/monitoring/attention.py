r"""Entropy of attention weights in one pass, from a few rows of each call.

.. math:: \frac{-\sum_s w_{ts} \log w_{ts}}{\log T_t}, \qquad
   w = \operatorname{softmax}(q k^\top / \sqrt d)

averaged over the rows t looked at; :math:`T_t` of them are not masked. 1 for a uniform row, 0 for
one that looks at one position.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ROWS, _INPUTS = 16, 4  # looked at of each call


class Entropies:
    """Watches the calls of attention while the model runs."""

    def __init__(self) -> None:
        self._mode: _Mode | None = None
        self._found: dict[str, torch.Tensor] = {}

    def start(self) -> None:
        """Before the model runs."""
        if self._mode is None:
            self._mode = _Mode(self._found)
            self._mode.__enter__()  # type: ignore[no-untyped-call, unused-ignore]

    def stop(self) -> None:
        """After it, also after an error."""
        mode, self._mode = self._mode, None
        if mode is not None:
            mode.__exit__(None, None, None)  # type: ignore[no-untyped-call, unused-ignore]

    def found(self) -> tuple[tuple[str, float], ...]:
        """Mean relative entropies, calls numbered in order of execution."""
        return tuple((name, float(x)) for name, x in self._found.items())


class _Mode(TorchFunctionMode):  # type: ignore[misc, unused-ignore]  # where torch is not installed
    def __init__(self, found: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            self._note(_weights(*args, **kwargs))
        elif name == "multi_head_attention_forward":
            self._note(_of_module(*args, **kwargs))
        elif name == "softmax" and _over_last(out, args, kwargs):
            self._note(out.detach()[:_INPUTS, :, :: max(1, out.shape[2] // _ROWS)])
        return out

    def _note(self, weights: torch.Tensor | None) -> None:
        if weights is None or weights.shape[-1] < 2:
            return
        with torch.no_grad():
            w = weights.float()
            entropy = torch.special.entr(w).sum(dim=-1)
            allowed = (w > 0).sum(dim=-1).clamp_min(2).float()  # a masked weight is exactly zero
            several = (w > 0).sum(dim=-1) > 1
            relative = torch.where(several, entropy / allowed.log(), torch.zeros_like(entropy))
            self._found[f"attention {len(self._found) + 1}"] = relative.mean()


def _of_module(
    query: torch.Tensor, key: torch.Tensor, value: Any, size: int, heads: int,
    weight: torch.Tensor | None, bias: torch.Tensor | None, *rest: Any, **options: Any,
) -> torch.Tensor | None:  # fmt: skip
    """Weights of some rows of ``nn.MultiheadAttention``, (positions, inputs, channels)."""
    if weight is None or query.dim() != 3:
        return None  # keys of another size, or a single input
    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        parts = []
        for k, x in enumerate((query, key)):
            rows = slice(k * size, (k + 1) * size)
            b = None if bias is None else bias[rows].float()
            y = torch.nn.functional.linear(x.detach()[:, :_INPUTS].float(), weight[rows].float(), b)
            parts.append(y.reshape(*y.shape[:2], heads, -1).permute(1, 2, 0, 3))
        mask = _module_mask(parts[0], parts[1], heads, options)
        return _weights(parts[0], parts[1], attn_mask=mask)


def _module_mask(
    q: torch.Tensor, k: torch.Tensor, heads: int, options: dict[str, Any]
) -> torch.Tensor | None:
    """Both masks of the module as numbers that are added to the scores."""
    shape = (q.shape[0], heads, q.shape[2], k.shape[2])
    mask, padding = options.get("attn_mask"), options.get("key_padding_mask")
    if mask is None and padding is None:
        return None
    total = torch.zeros(shape, device=q.device)
    if mask is not None:  # (queries, keys), or one for each input and head
        own = mask if mask.dim() == 2 else mask.reshape(-1, heads, *mask.shape[1:])[: shape[0]]
        total = total + _numbers(own)
    if padding is not None:
        total = total + _numbers(padding)[: shape[0], None, None]
    return total


def _numbers(mask: torch.Tensor) -> torch.Tensor:
    """A mask as numbers that are added: minus infinity where it is true."""
    if mask.dtype != torch.bool:
        return mask.float()
    return torch.zeros(mask.shape, device=mask.device).masked_fill(mask, -math.inf)


def _over_last(out: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a softmax made rows of weights by input, head and position."""
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return isinstance(out, torch.Tensor) and out.dim() == 4 and axis in (-1, 3)


def _weights(
    query: Any, key: Any, value: Any = None, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> torch.Tensor | None:  # fmt: skip
    """Weights of some rows of a call; None for shapes that are not those of heads."""
    if query.dim() != 4 or key.dim() != 4 or query.shape[1] % key.shape[1]:
        return None
    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        step = max(1, query.shape[2] // _ROWS)
        q, k = query.detach()[:_INPUTS, :, ::step].float(), key.detach()[:_INPUTS].float()
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        scores = (
            q @ k.transpose(-1, -2) * (1.0 / math.sqrt(q.shape[-1]) if scale is None else scale)
        )
        if is_causal:
            rows = torch.arange(0, query.shape[2], step, device=q.device)
            beyond = torch.arange(k.shape[2], device=q.device)[None, :] > rows[:, None]
            scores = scores.masked_fill(beyond, -math.inf)
        if attn_mask is not None:
            mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], k.shape[2])
            mask = mask[:_INPUTS, :, ::step]
            off = (
                scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
            )
            scores = off
        return torch.nan_to_num(scores.softmax(dim=-1), nan=0.0)
