"""Refuse parameters whose values do not stand on this process in one piece."""

from __future__ import annotations

import torch


def check_whole(model: torch.nn.Module) -> torch.nn.Module:
    """The model; ValueError in one sentence where a parameter is a shard of a larger one."""
    for name, p in model.named_parameters():
        kind = _shard(p)
        if kind:
            raise ValueError(
                f"parameter {name!r} is a {kind}, of which this process holds a part only; "
                "initialise the model before it is sharded, with one seed on all processes."
            )
    return model


def _shard(p: torch.Tensor) -> str:
    """The word for a part of a tensor; empty for a whole one."""
    names = {cls.__name__ for cls in type(p).__mro__}
    if "DTensor" in names or type(p.data).__name__ == "DTensor":
        return "DTensor"
    if "FlatParameter" in names or "_is_flat_param" in vars(p):
        return "flat parameter of FSDP"
    return "ShardedTensor" if "ShardedTensor" in names else ""
