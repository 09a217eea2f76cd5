"""Feed a batch to a model whatever its form, and find the tensor that comes out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

# Names under which the models of transformers return the tensor that a loss would look at.
_OUTPUT_NAMES = ("logits", "last_hidden_state", "prediction_logits", "sample")


def call(model: torch.nn.Module, batch: Any) -> Any:
    """Run the model: a tuple or list as positional arguments, a mapping as keyword arguments.

    Where the signature of ``forward`` does not take them so, the batch is handed over as one
    argument.
    """
    if isinstance(batch, Mapping):
        if _fits(model, (), dict(batch)):
            return model(**batch)
    elif isinstance(batch, (tuple, list)) and _fits(model, tuple(batch), {}):
        return model(*batch)
    return model(batch)


def _fits(model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not all(isinstance(key, str) for key in kwargs):
        return False
    try:
        inspect.signature(model.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True


def tensors(obj: Any) -> Iterator[torch.Tensor]:
    """All tensors in a nest of tuples, lists and mappings, in order."""
    if isinstance(obj, torch.Tensor):
        yield obj
    elif isinstance(obj, Mapping):
        for value in obj.values():
            yield from tensors(value)
    elif isinstance(obj, Sequence) and not isinstance(obj, (str, bytes)):
        for value in obj:
            yield from tensors(value)


def batch_size(batch: Any) -> int:
    """Number of inputs: the length of the first axis of the first tensor that has one.

    Raises
    ------
    ValueError
        If the batch holds no tensor, an empty one, or values that are not finite.
    """
    found = list(tensors(batch))
    if not found:
        raise ValueError(
            f"batch must hold at least one tensor, but it is {type(batch).__name__} without any; "
            "pass a tensor, a tuple of positional arguments, or a dictionary of named ones."
        )
    for tensor in found:
        if tensor.numel() == 0:
            raise ValueError(f"batch holds an empty tensor of shape {tuple(tensor.shape)}.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError("batch holds NaN or infinite values; remove or replace them.")
    return next((int(t.shape[0]) for t in found if t.dim() > 0), 1)


def output_tensor(out: Any) -> torch.Tensor:
    """The floating tensor that the gradients start from.

    The output itself; of a mapping ``logits`` or ``last_hidden_state``, else the first floating
    tensor that is not a single number.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(out, Mapping):
        for name in _OUTPUT_NAMES:
            value = out.get(name)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                return value
    floating = [t for t in tensors(out) if t.is_floating_point()]
    for tensor in floating:
        if tensor.numel() > 1:
            return tensor
    if floating:
        return floating[0]
    kinds = sorted({str(t.dtype) for t in tensors(out)}) or [type(out).__name__]
    raise ValueError(
        f"the model must return a floating-point tensor, but it returns {', '.join(kinds)}; "
        "gradients do not exist for integers, so pass the part of the model before it rounds."
    )
