"""Views: what becomes of the channels when a tensor is seen in another shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from chione.networks import AbstractLayer, Flatten
from chione.torch.capture.operations import SWAPS
from chione.torch.layers.heads import heads_view
from chione.torch.layers.joins import Pick, View

Shape = tuple[int, ...]


def view_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], axes: str, out: torch.Tensor
) -> tuple[AbstractLayer | None, str]:
    """The layer and where the channels stand after it.

    None for a part that need not look like the whole: one position picked from a sequence (a class
    token) need not be like the others.
    """
    x = args[0]
    seen = heads_view(name, args, kwargs, axes, out)
    if seen is not None:
        return seen
    axes = axes if axes in ("last", "first") else ""
    whole, part = tuple(x.shape), tuple(out.shape)
    if not is_fair(part, whole):
        picked = _picked(name, args, kwargs)
        if axes == "last" and picked is not None and len(whole) == 3 and part == whole[::2]:
            return Pick(picked % whole[1]), "last"
        return None, ""
    if name in SWAPS:
        return View(), _swapped(name, args, kwargs, whole, axes)
    if part == whole:
        return View(), "" if name in ("flip", "roll") else axes
    if math.prod(part) < math.prod(whole):
        return _share(x, out, axes)
    if axes == "first" and len(whole) > 2:
        if part[:2] == whole[:2]:
            return View(), "first" if len(part) > 2 else "last"
        if part == (whole[0], math.prod(whole[1:])):
            return Flatten(), "last"
        return View(), ""
    if axes == "last":
        if part[-1] == whole[-1]:
            return View(), "last"  # positions counted in another way
        if part == (whole[0], math.prod(whole[1:])):
            return Flatten(), "last"
    return View(), ""


def _picked(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """The position in ``x[:, i]`` or ``x.select(1, i)``."""
    if name == "select":
        dim, index = [*args[1:], *kwargs.values()][:2]
        return index if dim in (1, -2) and isinstance(index, int) else None
    key = args[1] if name == "__getitem__" and isinstance(args[1], tuple) else ()
    whole = [k for i, k in enumerate(key) if i != 1 and k is not Ellipsis]
    if len(key) < 2 or isinstance(key[1], bool) or any(k != slice(None) for k in whole):
        return None
    return key[1] if isinstance(key[1], int) else None


def is_fair(part: Shape, whole: Shape) -> bool:
    """Whether a view has the statistics of the whole: all of it, or a share of its channels."""
    if math.prod(part) == math.prod(whole):
        return True
    channels_first = len(whole) >= 4 and part[:1] + part[2:] == whole[:1] + whole[2:]
    return part[:-1] == whole[:-1] or channels_first


def _share(x: torch.Tensor, out: torch.Tensor, axes: str) -> tuple[AbstractLayer, str]:
    """A share of the channels, which are those that a matrix made together."""
    axis = x.dim() - 1 if axes == "last" else 1
    others = tuple(x.shape[:axis]) + tuple(x.shape[axis + 1 :])
    if (
        not axes
        or out.dim() != x.dim()
        or tuple(out.shape[:axis] + out.shape[axis + 1 :]) != others
    ):
        return View(), ""
    step = x.stride(axis)
    if step == 0 or out.stride(axis) != step:
        return View(), ""
    first = (out.storage_offset() - x.storage_offset()) // step
    return View((int(first), int(out.shape[axis]))), axes


def _swapped(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], whole: Shape, axes: str
) -> str:
    """Where the channels stand after axes were swapped; empty where that cannot be said."""
    n = len(whole)
    if n == 2 or not axes:
        return ""
    dims = [*args[1:], *kwargs.values()]
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = list(dims[0])
    if not all(isinstance(d, int) for d in dims):
        return ""
    dims = [d % n for d in dims]
    order = list(range(n))
    if name == "permute" and sorted(dims) == order:
        order = dims
    elif len(dims) == 2 and name != "permute":
        order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    else:
        return ""
    channels = order.index(n - 1 if axes == "last" else 1)
    rest = [d for d in order if d != order[channels]]
    if order[0] != 0 or rest != sorted(rest):
        return ""
    return {n - 1: "last", 1: "first"}.get(channels, "")
