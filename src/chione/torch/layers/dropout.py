"""Dropout, of entries or of whole channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from chione.networks import AbstractLayer, Dropout, Scale
from chione.torch.layers.dense import taken

_WHOLE_CHANNELS = ("dropout1d", "dropout2d", "dropout3d", "feature_dropout")


def dropout_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[torch.Tensor, AbstractLayer]:
    """The input and the layer."""
    x, p, training = taken(args, kwargs, ("input", "p", "training"))
    drop = 0.5 if p is None else float(p)
    if training is False:
        drop = 0.0
    if drop >= 1.0:
        return x, Scale(0.0)
    return x, Dropout(1.0 - drop, "positions" if name in _WHOLE_CHANNELS else "independent")
