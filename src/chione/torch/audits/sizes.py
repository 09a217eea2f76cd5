"""Sizes that declarations may speak of, read off the configuration and the shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from chione.torch.audits.entries import Entry

_SAME = {
    "n_layer": ("n_layer", "num_hidden_layers", "num_layers", "n_layers", "depth", "L"),
    "n_head": ("n_head", "num_attention_heads", "num_heads", "n_heads", "nhead",
               "encoder_attention_heads"),
    "n_embd": ("n_embd", "hidden_size", "d_model", "dim", "embed_dim", "d", "width", "hidden_dim"),
    "vocab": ("vocab_size", "vocab", "n_vocab", "padded_vocab_size"),
    "d_ff": ("n_inner", "intermediate_size", "d_ff", "ffn_dim", "hidden_dim_ff", "ffn_hidden_size"),
}  # fmt: skip
_DEFAULTS = {"initializer_range": 0.02}
_INDEX = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")


def model_sizes(
    model: torch.nn.Module | None, entries: list[Entry], given: Mapping[str, float] | None
) -> dict[str, float]:
    """n_layer, n_head, n_embd, vocab, ..., and every number of the model's configuration."""
    out: dict[str, float] = dict(_DEFAULTS)
    config = _config(model)
    out |= config
    out |= {k: v for k, v in _from_shapes(entries).items() if k not in out}
    for name, others in _SAME.items():
        value = next((config[o] for o in others if o in config), out.get(name))
        if value is not None:
            for other in (name, *others):
                out.setdefault(other, value)
    if given:
        out |= {str(k): float(v) for k, v in given.items()}
    return out


def _config(model: torch.nn.Module | None) -> dict[str, float]:
    config: Any = None
    if model is not None:
        config = next((getattr(model, n) for n in ("config", "cfg", "args", "params")
                       if n in vars(model)), None)  # fmt: skip
    if config is None:
        return {}
    items = dict(config) if isinstance(config, Mapping) else _attributes(config)
    nested = items.get("text_config")
    if nested is not None and not isinstance(nested, Mapping):
        items = {**_attributes(nested), **items}
    return {
        str(k): float(v) for k, v in items.items()
        if isinstance(v, int | float) and not isinstance(v, bool) and str(k).isidentifier()
    }  # fmt: skip


def _attributes(config: Any) -> dict[str, Any]:
    slots = {n: getattr(config, n) for n in getattr(type(config), "__dataclass_fields__", {})}
    return {**slots, **getattr(config, "__dict__", {})}


def _from_shapes(entries: list[Entry]) -> dict[str, float]:
    out: dict[str, float] = {}
    stacks: Counter[str] = Counter()
    for entry in entries:
        found = _INDEX.search(entry.name)
        if found:
            stem = entry.name[: found.start(1)]
            stacks[stem] = max(stacks[stem], int(found.group(1)) + 1)
    if stacks:
        out["n_layer"] = float(max(stacks.values()))
    table = next((e for e in entries if e.role == "embedding" and e.tensor.dim() == 2), None)
    if table is not None:
        out["vocab"], out["n_embd"] = (float(s) for s in table.tensor.shape)
    return out


def tensor_sizes(entry: Entry) -> dict[str, float]:
    """Sizes of one tensor: fans, rows, columns, and the number of its layer, from 0."""
    shape = entry.tensor.shape
    found = _INDEX.search(entry.name)
    return {
        "fan_in": entry.fan_in or float(shape[0] if shape else 1),
        "fan_out": entry.fan_out or float(shape[0] if shape else 1),
        "rows": float(shape[0]) if shape else 1.0,
        "columns": float(shape[1]) if len(shape) > 1 else 1.0,
        "layer": float(found.group(1)) if found else 0.0,
    }
