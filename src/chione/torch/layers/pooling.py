"""Pools over windows of positions, and means over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch

from chione.networks import Pooling
from chione.torch.layers.dense import taken
from chione.torch.layers.entering import AbstractLeaf

_WINDOWS = {
    "avg_pool": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "max_pool": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
}


@final
@dataclass(frozen=True)
class Windows(AbstractLeaf, word="pooling"):
    """A pool that theory has no rule for; what comes back through it is shared out all the same.

    Parameters
    ----------
    reduce : {"average", "max"}
        What it takes.
    taps : int
        Positions of a window.
    """

    reduce: str
    taps: int


def other_pool(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[torch.Tensor, Windows] | None:
    """A pool with padding, or of any other form."""
    for kind, wanted in _WINDOWS.items():
        if name.startswith(kind) and name[len(kind) :] in ("1d", "2d", "3d"):
            x, kernel = taken(args, kwargs, wanted)[:2]
            axes = int(name[len(kind) :][0])
            taps = kernel**axes if isinstance(kernel, int) else math.prod(kernel)
            return x, Windows("average" if kind == "avg_pool" else "max", int(taps))
    return None


def pooling_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: torch.Tensor
) -> tuple[torch.Tensor, Pooling] | None:
    """The input and the layer, or None for a pool that ``networks`` has no form for."""
    if name.startswith("adaptive_avg_pool"):
        x = args[0]
        return (x, Pooling()) if all(n == 1 for n in out.shape[2:]) else None
    if name == "mean":
        return _mean(args, kwargs)
    if name.startswith("avg_pool") and all(n == 1 for n in out.shape[2:]):
        given = taken(args, kwargs, _WINDOWS["avg_pool"])
        if not _some(given[3]):
            return given[0], Pooling()  # one window, however large it is said to be
    for kind, wanted in _WINDOWS.items():
        if name.startswith(kind) and name[len(kind) :] in ("1d", "2d", "3d"):
            values = dict(zip(wanted, taken(args, kwargs, wanted), strict=True))
            plain = not _some(values.get("padding")) and not values.get("ceil_mode")
            if not plain or _some(values.get("dilation"), 1):
                return None
            kernel, stride = values["kernel_size"], values.get("stride")
            reduce: Any = "average" if kind == "avg_pool" else "max"
            step = None if not _some(stride) else _extents(stride)
            return values["input"], Pooling(reduce, _extents(kernel), step)
    return None


def _mean(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[torch.Tensor, Pooling] | None:
    """A mean over all axes of positions of a tensor with channels second, or over tokens."""
    x, axes = taken(args, kwargs, ("input", "dim"))
    if not isinstance(x, torch.Tensor) or axes is None or x.dim() < 3:
        return None
    over = {int(a) % x.dim() for a in ([axes] if isinstance(axes, int) else axes)}
    first, last = set(range(2, x.dim())), set(range(1, x.dim() - 1))
    return (x, Pooling()) if over in (first, last) else None


def pools_first(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a mean runs over the axes behind the second."""
    x, axes = taken(args, kwargs, ("input", "dim"))
    over = {int(a) % x.dim() for a in ([axes] if isinstance(axes, int) else axes)}
    return over == set(range(2, x.dim()))


def _extents(value: Any) -> int | tuple[int, ...]:
    return int(value) if isinstance(value, int) else tuple(int(v) for v in value)


def _some(value: Any, nothing: int = 0) -> bool:
    """Whether an argument asks for anything."""
    if value is None or isinstance(value, int):
        return value not in (None, nothing)
    return any(int(v) != nothing for v in value)
