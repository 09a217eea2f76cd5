"""Tensors whose channels are seen as heads: (batch, positions, heads, d), or heads first.

Such a tensor has the axes ``split`` or ``heads``; what several matrices made together and is taken
apart by an axis of its own, ``stack``. Inputs and heads on one axis
are ``flat``. With positions before the batch the axes are ``time``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from chione.networks import AbstractLayer
from chione.torch.capture.operations import SWAPS
from chione.torch.layers.joins import View

HEADS = ("split", "heads")
Seen = tuple[AbstractLayer, str]


def heads_view(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], axes: str, out: torch.Tensor
) -> Seen | None:
    """The layer and the new axes of a view to, of, or from heads; None for any other view."""
    x = args[0]
    whole, part = tuple(x.shape), tuple(out.shape)
    if part == whole and name not in SWAPS and name not in ("flip", "roll"):
        return (View(), axes) if axes in HEADS else None
    if axes == "last" and name not in SWAPS and part[: len(whole) - 1] == whole[:-1]:
        split = len(whole) == 3 and math.prod(part[2:]) == whole[2]
        return {4: (View(), "split"), 5: (View(), "stack")}.get(len(part)) if split else None
    if axes in HEADS and name in SWAPS:
        order = swapped(name, args, kwargs, len(whole))
        return (View(), _other(axes)) if order == [0, 2, 1, 3] else None
    sequence = axes in ("last", "time") and name in SWAPS and len(whole) == 3
    if sequence and swapped(name, args, kwargs, 3) == [1, 0, 2]:
        return View(), "time" if axes == "last" else "last"
    if axes == "flat" and len(part) == 4 and part[2:] == whole[1:]:
        return View(), "heads"
    if axes == "split" and len(part) == 3 and part[:2] == whole[:2]:
        return (View(), "last") if part[2] == whole[2] * whole[3] else None
    if axes in HEADS and part[:-1] == whole[:-1]:
        return _share(x, out, axes)
    return _of_stack(name, args, kwargs, axes, out)


def _other(axes: str) -> str:
    return "heads" if axes == "split" else "split"


def _share(x: torch.Tensor, out: torch.Tensor, axes: str) -> Seen | None:
    """A share of the channels of every head."""
    step = x.stride(-1)
    if step == 0 or out.stride(-1) != step:
        return None
    first = (out.storage_offset() - x.storage_offset()) // step
    return View((int(first), int(out.shape[-1]))), axes


_UNSTACKED = {"stack": 2, "stack heads": 0, "stack split": 0, "heads stack": 2}


def _of_stack(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], axes: str, out: torch.Tensor
) -> Seen | None:
    """From (batch, positions, n, heads, d), in any usual order, to one of the n."""
    if axes not in _UNSTACKED:
        return None
    x = args[0]
    at = _UNSTACKED[axes]
    if axes == "stack" and name in SWAPS:
        order: tuple[int, ...] = tuple(swapped(name, args, kwargs, 5))
        orders: dict[tuple[int, ...], str] = {
            (2, 0, 3, 1, 4): "stack heads",
            (2, 0, 1, 3, 4): "stack split",
        }
        named = orders.get(order)
        return None if named is None else (View(), named)
    left = (*x.shape[:at], *x.shape[at + 1 :])
    kept = (*x.shape[:at], 1, *x.shape[at + 1 :])
    if tuple(out.shape) not in (left, kept) or tuple(out.shape) == kept:
        return None
    index = (out.storage_offset() - x.storage_offset()) // max(x.stride(at), 1)
    channels = out.numel() // (out.shape[0] * positions(axes, out))
    behind = "heads" if axes == "stack heads" else "split"
    return View((int(index) * channels, channels)), behind


def positions(axes: str, out: torch.Tensor) -> int:
    """Positions of a tensor that was taken off a stack."""
    return int(out.shape[2 if axes == "stack heads" else 1])


def swapped(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], n: int) -> list[int]:
    """The order of axes after a transposition; empty where it cannot be said."""
    dims = [*args[1:], *kwargs.values()]
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = list(dims[0])
    if not dims or not all(isinstance(d, int) for d in dims):
        return []
    dims = [d % n for d in dims]
    order = list(range(n))
    if name == "permute":
        return dims if sorted(dims) == order else []
    if len(dims) != 2:
        return []
    order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    return order


def as_heads(x: torch.Tensor, axes: str, batch: int) -> torch.Tensor | None:
    """(batch, heads, positions, d), whatever the layout; None where there is none."""
    if axes == "split" and x.dim() == 4:
        return x.transpose(1, 2)
    if axes == "last" and x.dim() == 3 and x.shape[0] == batch:
        return x[:, None]
    if x.dim() == 4 and x.shape[0] == batch:
        return x
    if x.dim() == 3 and x.shape[0] % batch == 0:
        return x.reshape(batch, -1, *x.shape[1:])
    return None


def turned_by(x: torch.Tensor, y: torch.Tensor) -> tuple[bool, torch.Tensor | None]:
    """Whether y is x, or x with pairs of channels turned at each position, by which angles.

    Parameters
    ----------
    x, y : Tensor, shape (batch, heads, positions, d)
        Before and after.

    Returns
    -------
    tuple of bool and (Tensor or None)
        Whether it is; and the angles, (positions, pairs), None for none at all.
    """
    if x.shape != y.shape:
        return False, None
    scale = float(y.abs().max()) or 1.0
    if torch.allclose(x, y, rtol=1e-4, atol=1e-5 * scale):
        return True, None
    d = x.shape[-1]
    for size in (d, d // 2, d // 4):
        for paired in (_halves, _neighbours):
            angle = _angle(paired(x[..., :size]), paired(y[..., :size]))
            rest = torch.allclose(x[..., size:], y[..., size:], rtol=1e-4, atol=1e-5 * scale)
            if angle is not None and rest:
                return True, angle
    return False, None


def _halves(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return torch.complex(x[..., :half].double(), x[..., half : 2 * half].double())


def _neighbours(x: torch.Tensor) -> torch.Tensor:
    return torch.complex(x[..., 0::2].double(), x[..., 1::2].double())


def _angle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor | None:
    """The angle by which complex numbers are turned, if it is one for all inputs and heads."""
    if not x.shape[-1] or x.shape != y.shape:
        return None
    ratio = (y * x.conj()).sum(dim=(0, 1)) / (x.abs() ** 2).sum(dim=(0, 1)).clamp_min(1e-300)
    ratio = ratio / ratio.abs().clamp_min(1e-300)
    miss = (y - ratio * x).abs().max() / y.abs().max().clamp_min(1e-300)
    return None if float(miss) > 1e-3 else torch.angle(ratio)
