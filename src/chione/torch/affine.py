"""Affine maps as executed: which tensor is the weight, how many products make one output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from chione.torch.nodes import Weight
from chione.torch.operations import CONVOLUTIONS, MATMULS, TRANSPOSED

# A parameter as seen by an operation: its full name, and whether its two axes were swapped.
Seen = tuple[str, bool]


def affine_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], seen: Any
) -> tuple[torch.Tensor, Weight] | None:
    """The input and the weight of a call, or None if the call is no affine map of one input.

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
        x, w, b = _take(args, kwargs, ("input", "weight", "bias"))
        return x, _dense(w, b, seen, swapped=False, operation="linear")
    if name == "addmm":
        b, x, w = _take(args, kwargs, ("input", "mat1", "mat2"))
        if seen(w) is None:
            return None
        return x, _dense(w, b, seen, swapped=True, operation="linear")
    if name in MATMULS:
        x, w = args[0], args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
        if not isinstance(w, torch.Tensor) or w.dim() != 2 or seen(w) is None:
            return None
        return x, _dense(w, None, seen, swapped=True, operation="matmul")
    if name in CONVOLUTIONS:
        x, w, b, stride, padding, dilation, groups = _take(args, kwargs, _CONV)
        return x, _convolution(x, w, b, stride, padding, dilation, groups or 1, seen)
    if name in TRANSPOSED:
        x, w, b, stride, _, _, groups, _ = _take(args, kwargs, _CONV_TRANSPOSED)
        steps = _axes(1 if stride is None else stride, w.dim() - 2)
        groups = groups or 1
        fan_in = w.shape[0] / groups * math.prod(w.shape[2:]) / math.prod(steps)
        names = _names(w, b, seen)
        return x, Weight(
            w, b, float(fan_in), 1.0, *names, True, groups, steps, "transposed convolution"
        )
    return None


_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONV_TRANSPOSED = (
    "input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation",
)  # fmt: skip


def _take(args: tuple[Any, ...], kwargs: Mapping[str, Any], names: tuple[str, ...]) -> list[Any]:
    return [args[i] if i < len(args) else kwargs.get(n) for i, n in enumerate(names)]


def _names(w: torch.Tensor, b: torch.Tensor | None, seen: Any) -> tuple[str | None, str | None]:
    weight, bias = seen(w), None if b is None else seen(b)
    return weight and weight[0], bias and bias[0]


def _dense(
    w: torch.Tensor, b: torch.Tensor | None, seen: Any, *, swapped: bool, operation: str
) -> Weight:
    """A dense weight; `swapped` if the operation reads it as (in, out)."""
    fan_in = float(w.shape[0] if swapped else w.shape[1])
    parameter = seen(w)
    transposed = swapped != (parameter is not None and parameter[1])
    return Weight(
        w, b, fan_in, 1.0, *_names(w, b, seen), transposed=transposed, operation=operation
    )


def _convolution(
    x: torch.Tensor, w: torch.Tensor, b: Any, stride: Any, padding: Any, dilation: Any,
    groups: int, seen: Any,
) -> Weight:  # fmt: skip
    n = w.dim() - 2
    strides, dilations = (_axes(1 if v is None else v, n) for v in (stride, dilation))
    coverage = 1.0
    for axis in range(n):
        size, kernel = int(x.shape[x.dim() - n + axis]), int(w.shape[2 + axis])
        left, right = _padding(padding, axis, n, kernel, dilations[axis])
        coverage *= _axis_coverage(size, kernel, strides[axis], dilations[axis], left, right)
    fan_in = float(math.prod(w.shape[1:]))
    names = _names(w, b, seen)
    return Weight(w, b, fan_in, coverage, *names, False, groups, strides, "convolution")


def _axes(value: Any, n: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * n
    values = tuple(int(v) for v in value)
    return values * n if len(values) == 1 else values


def _padding(padding: Any, axis: int, n: int, kernel: int, dilation: int) -> tuple[int, int]:
    if padding is None or padding == "valid":
        return 0, 0
    if padding == "same":
        total = dilation * (kernel - 1)
        return total // 2, total - total // 2
    return (_axes(padding, n)[axis],) * 2


def _axis_coverage(
    size: int, kernel: int, stride: int, dilation: int, left: int, right: int
) -> float:
    """Fraction of the kernel positions that fall on the input and not on the padding."""
    outputs = (size + left + right - dilation * (kernel - 1) - 1) // stride + 1
    inside = sum(
        0 <= i * stride + k * dilation - left < size for i in range(outputs) for k in range(kernel)
    )
    return inside / (outputs * kernel)
