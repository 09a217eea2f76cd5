"""Convolutions, plain and transposed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from chione.networks import Convolution, Dense
from chione.torch.capture.operations import CONVOLUTIONS, TRANSPOSED
from chione.torch.layers.dense import Look, names, taken
from chione.torch.layers.joins import Padded
from chione.torch.layers.tensors import Weight

_PLAIN = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (
    "input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation",
)  # fmt: skip


def convolution_call(
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    seen: Look,
    padded: Padded | None = None,
) -> tuple[torch.Tensor, Convolution, Weight] | None:
    """The input, the layer and its tensors, or None; arguments as for dense layers.

    `padded` is what was put around the input before.
    """
    if name in CONVOLUTIONS:
        return _plain(padded, seen, *taken(args, kwargs, _PLAIN))
    if name in TRANSPOSED:
        return _transposed(seen, *taken(args, kwargs, _TRANSPOSED))
    return None


def _plain(
    padded: Padded | None, seen: Look, x: torch.Tensor, w: torch.Tensor, b: Any, stride: Any,
    padding: Any, dilation: Any, groups: Any,
) -> tuple[torch.Tensor, Convolution, Weight]:  # fmt: skip
    n, groups = w.dim() - 2, groups or 1
    kernel = tuple(int(k) for k in w.shape[2:])
    strides, dilations = (_axes(1 if v is None else v, n) for v in (stride, dilation))
    coverage, centred, before_all = 1.0, True, []
    for axis in range(n):
        size, k, step, wide = (
            int(x.shape[x.dim() - n + axis]),
            kernel[axis],
            strides[axis],
            dilations[axis],
        )
        left, right = _padding(padding, axis, n, k, wide)
        before_all.append(left)
        if padded is not None:
            before, after = padded.widths[2 * (n - 1 - axis) :][:2]
            size, left, right = size - before - after, left + before, right + after
        outputs = (size + left + right - wide * (k - 1) - 1) // step + 1
        coverage *= _axis_coverage(size, outputs, k, step, wide, left)
        centred &= left == wide * ((k - 1) // 2) and outputs == -(-size // step)
    around = padded is not None and padded.circular
    coverage = 1.0 if around else coverage
    channels = int(w.shape[1]) * groups
    depthwise = groups == channels == int(w.shape[0]) and groups > 1
    tensors = Weight(
        w, b, float(math.prod(w.shape[1:])), coverage, *names(w, b, seen), False, groups,
        strides, "convolution", centred, () if around else tuple(before_all),
    )  # fmt: skip
    layer = Convolution(
        kernel,
        tensors.sigma_w,
        tensors.sigma_b,
        int(w.shape[0]),
        strides,
        dilations,
        padding="circular" if around else "zero",
        groups=1 if depthwise else groups,
        depthwise=depthwise,
    )
    return x, layer, tensors


def _transposed(
    seen: Look, x: torch.Tensor, w: torch.Tensor, b: Any, stride: Any, padding: Any,
    output_padding: Any, groups: Any, dilation: Any,
) -> tuple[torch.Tensor, Convolution, Weight]:  # fmt: skip
    n, groups = w.dim() - 2, groups or 1
    steps, wide, cut, more = (
        _axes(default if v is None else v, n)
        for v, default in ((stride, 1), (dilation, 1), (padding, 0), (output_padding, 0))
    )
    fan_in = w.shape[0] / groups * math.prod(w.shape[2:]) / math.prod(steps)
    centred = not any(cut) and not any(more) and set(wide) <= {1}
    tensors = Weight(
        w, b, float(fan_in), 1.0, *names(w, b, seen), True, groups, steps,
        "transposed convolution", centred,
    )  # fmt: skip
    kernel = tuple(int(k) for k in w.shape[2:])
    layer = Convolution(  # groups of many channels change nothing
        kernel, tensors.sigma_w, tensors.sigma_b, int(w.shape[1]) * groups, steps, transposed=True
    )
    return x, layer, tensors


def padding_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Padded | None:
    """What ``pad`` puts around a tensor: zeros, or what stands at the other side."""
    x, widths, mode, value = taken(args, kwargs, ("input", "pad", "mode", "value"))
    axes = x.dim() - 2
    zeros = mode in (None, "constant") and not value and min(widths, default=-1) >= 0
    if not (zeros or mode == "circular") or axes < 1 or len(widths) != 2 * axes:
        return None
    return Padded(tuple(int(w) for w in widths), not zeros)


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
    size: int, outputs: int, kernel: int, stride: int, dilation: int, left: int
) -> float:
    """Fraction of the kernel positions that fall on the input and not on the padding."""
    inside = sum(
        0 <= i * stride + k * dilation - left < size for i in range(outputs) for k in range(kernel)
    )
    return inside / (outputs * kernel)


def registered(module: torch.nn.Module, path: str) -> tuple[Convolution | Dense, Weight] | None:
    """Layer and tensors of a module that has not run, so that padding is not known."""
    if not isinstance(module, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)):
        return None
    w, b = module.weight, module.bias
    named = f"{path}.weight".lstrip("."), None if b is None else f"{path}.bias".lstrip(".")
    if isinstance(module, torch.nn.Linear):
        weight = Weight(w, b, float(w.shape[1]), 1.0, *named)
        return Dense(weight.sigma_w, weight.sigma_b, module.out_features), weight
    transposed = isinstance(module, torch.nn.modules.conv._ConvTransposeNd)
    fan_in = float(w.numel() / w.shape[1 if transposed else 0])
    operation = "transposed convolution" if transposed else "convolution"
    weight = Weight(
        w, b, fan_in, 1.0, *named, transposed=transposed, operation=operation,
        groups=module.groups, stride=tuple(module.stride), centred=False,
    )  # fmt: skip
    layer = Convolution(
        tuple(module.kernel_size), weight.sigma_w, weight.sigma_b, module.out_channels,
        tuple(module.stride), transposed=transposed,
    )  # fmt: skip
    return layer, weight
