"""Dense layers: ``linear``, ``addmm``, products and contractions with a matrix of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from chione.networks import Dense
from chione.torch.capture.operations import MATMULS
from chione.torch.layers.tensors import Weight

# A parameter as seen by an operation: its full name, and whether its two axes were swapped.
Seen: TypeAlias = tuple[str, bool]
Look: TypeAlias = Callable[[torch.Tensor], "Seen | None"]


def dense_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], seen: Look
) -> tuple[torch.Tensor, Dense, Weight] | None:
    """The input, the layer and its tensors, or None if the call is no dense layer.

    Parameters
    ----------
    name : str
        Name of the operation.
    args, kwargs
        As it was called.
    seen : callable
        From a tensor to the parameter it is (:data:`Seen`), or None if it is none.
    """
    if name == "linear":
        x, w, b = taken(args, kwargs, ("input", "weight", "bias"))
        return _made(x, w, b, seen, swapped=False, operation="linear")
    if name == "addmm":
        b, x, w = taken(args, kwargs, ("input", "mat1", "mat2"))
        return None if seen(w) is None else _made(x, w, b, seen, swapped=True, operation="linear")
    if name in MATMULS:
        x, w = args[0], args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
        if not isinstance(w, torch.Tensor) or w.dim() != 2 or seen(w) is None:
            return None
        return _made(x, w, None, seen, swapped=True, operation="matmul")
    if name == "einsum":
        return _contraction(args, seen)
    return None


def _contraction(args: tuple[Any, ...], seen: Look) -> tuple[torch.Tensor, Dense, Weight] | None:
    """``einsum`` of a matrix that is a parameter with the last axis of a signal."""
    operands = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
    if not isinstance(args[0], str) or len(operands) != 2 or "->" not in args[0]:
        return None
    before, out = args[0].replace(" ", "").replace("...", ".").split("->")
    pairs = list(zip(before.split(","), operands, strict=False))
    for (x, signal), (w, weight) in (pairs, pairs[::-1]):
        if weight.dim() != 2 or seen(weight) is None or seen(signal) is not None:
            continue
        # one letter of the weight is the signal's last, the other is new and comes out last
        for swapped, (summed, made) in ((True, (w[0], w[1:])), (False, (w[-1], w[:1]))):
            plain = x[-1:] == summed and out == x[:-1] + made and len(set(x)) == len(x)
            if len(w) == 2 and plain and made not in x and made != "." != summed:
                return _made(signal, weight, None, seen, swapped=swapped, operation="einsum")
    return None


def _made(
    x: torch.Tensor, w: torch.Tensor, b: Any, seen: Look, *, swapped: bool, operation: str
) -> tuple[torch.Tensor, Dense, Weight]:
    """`swapped` if the operation reads the weight as (in, out)."""
    fan_in, fan_out = (w.shape[0], w.shape[-1]) if swapped else (w.shape[-1], w.shape[0])
    parameter = seen(w)
    transposed = swapped != (parameter is not None and parameter[1])
    tensors = Weight(
        w, b, float(fan_in), 1.0, *names(w, b, seen), transposed=transposed, operation=operation
    )
    return x, Dense(tensors.sigma_w, tensors.sigma_b, max(int(fan_out), 1)), tensors


def taken(args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: tuple[str, ...]) -> list[Any]:
    """Arguments by position or name."""
    return [args[i] if i < len(args) else kwargs.get(n) for i, n in enumerate(wanted)]


def names(w: torch.Tensor, b: torch.Tensor | None, seen: Look) -> tuple[str | None, str | None]:
    """Names of the parameters behind weight and bias."""
    weight, bias = seen(w), None if b is None else seen(b)
    return weight and weight[0], bias and bias[0]
