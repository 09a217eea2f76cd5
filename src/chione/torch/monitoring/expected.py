"""What theory expects before the first step, on a few of the first inputs."""

from __future__ import annotations

import inspect as python_inspect
from collections.abc import Mapping
from typing import Any

import torch

from chione.base import ChioneError
from chione.torch.capture import batches
from chione.torch.inspection.inspection import examine
from chione.torch.monitoring.record import ExpectedSignal

_FEW = 32  # inputs


def expected_signals(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[ExpectedSignal, ...], str]:
    """Theory beside measurement at each layer, and what went wrong, in a sentence.

    The model runs once more, and everything that a pass changes is put back.
    """
    batch: Any = args
    if kwargs:
        try:
            given = python_inspect.signature(model.forward).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return (), "Theory: the arguments of the model could not be read."
        batch = dict(given.arguments)
    elif len(args) == 1:
        batch = args[0]
    device = next((p.device.type for p in model.parameters()), "cpu")
    try:
        few = _few(batch, batches.batch_size(batch))
        with torch.autocast(device, enabled=False):
            report = examine(model, few, projections=1)
    except (ChioneError, ValueError, TypeError, RuntimeError) as err:
        return (), f"Theory could not follow the model: {err}"
    return tuple(
        ExpectedSignal(x.name, x.expected.mean_square, 1.0 - x.expected.correlation, x.mean_square)
        for x in report.layers
        if x.known
    ), ""


def _few(x: Any, size: int) -> Any:
    """The first inputs of a batch, in the same nest."""
    if isinstance(x, torch.Tensor):
        cut = x[:_FEW] if x.dim() and x.shape[0] == size else x
        return cut.detach()
    if isinstance(x, Mapping):
        return {key: _few(v, size) for key, v in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(_few(v, size) for v in x) if type(x) in (tuple, list) else x
    return x
