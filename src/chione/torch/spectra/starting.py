"""Where a Jacobian starts: at a tensor of the batch, or at what integers are turned into."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from chione.torch.capture import operations as ops
from chione.torch.capture.batches import tensors

_LOOKUPS = ops.EMBEDDINGS | {"__getitem__", "index_select", "gather", "take", "take_along_dim"}
# Here the integers lend their shape only, never their values.
_SHAPES = frozenset(["expand_as", "view_as", "reshape_as", "type_as"])


def floating_input(batch: Any) -> torch.Tensor | None:
    """The first floating tensor of a batch, or None if its integers are what the model reads.

    Single numbers, and what a dictionary calls a mask, come last: they stand beside an input.
    """
    inputs = batch
    if isinstance(batch, Mapping):
        inputs = {k: v for k, v in batch.items() if "mask" not in str(k)}
    floating = [t for t in tensors(inputs) if t.is_floating_point()]
    found = next((t for t in floating if t.dim() > 0), None)
    if found is not None or any(_whole(t) for t in tensors(inputs)):
        return found
    return next((t for t in tensors(batch) if t.is_floating_point()), None)


def _whole(tensor: torch.Tensor) -> bool:
    """Whether it may hold indices."""
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def copied(batch: Any, start: torch.Tensor | None = None, leaf: torch.Tensor | None = None) -> Any:
    """A copy of a batch whose tensors the model may overwrite, with `leaf` in place of `start`."""
    # A clone of the leaf, since a leaf itself refuses to be overwritten.
    memo = {
        id(t): leaf.clone() if leaf is not None and t is start else t.detach().clone()
        for t in tensors(batch)
    }
    return copy.deepcopy(batch, memo)


def moved(x: torch.Tensor) -> torch.Tensor:
    """The tensor with each entry moved by about one unit of its rounding, at random."""
    signs = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(x)
    return x * (1.0 + torch.finfo(x.dtype).eps * signs)


class Starts(TorchFunctionMode):  # type: ignore[misc, unused-ignore]  # where torch is not installed
    """Make a leaf of the first floating tensor that is made from the integers of a batch.

    That is the first row of a table which they pick (an embedding); without any such, the first
    floating tensor that is made from them in another way (a cast, an encoding).

    Parameters
    ----------
    batch
        As the model receives it.
    nudged : bool
        Whether the leaf is moved by about one unit of rounding.
    """

    def __init__(self, batch: Any, *, nudged: bool = False) -> None:
        super().__init__()
        self._nudged = nudged
        self._whole = {id(t): t for t in tensors(batch) if _whole(t) or t.dtype == torch.bool}
        self._picked: torch.Tensor | None = None
        self._made: torch.Tensor | None = None

    @property
    def leaf(self) -> torch.Tensor | None:
        """Where the Jacobian starts, or None if there was nothing."""
        return self._made if self._picked is None else self._picked

    @property
    def words(self) -> str:
        """What the leaf is."""
        return "what the integers become" if self._picked is None else "the output of the embedding"

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self._picked is not None:
            return out
        name = ops.base_name(func)
        read = args[:1] if name in _SHAPES else (args, kwargs or {})
        shape_only = name.endswith("_like") or name.startswith("new_") or name in ops.IGNORED
        given = [] if shape_only else list(tensors(read))
        if not any(id(t) in self._whole for t in given):
            return out
        for tensor in tensors(out):
            if not tensor.is_floating_point():
                self._whole[id(tensor)] = tensor  # held, so that its id stays its own
        if not isinstance(out, torch.Tensor) or not out.is_floating_point() or out.requires_grad:
            return out
        return self._start(name, given, out)

    def _start(self, name: str, given: list[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
        picked = name in _LOOKUPS and any(t.is_floating_point() for t in given)
        if not picked and self._made is not None:
            return out
        leaf = out if any(out is t for t in given) else out.detach()
        if self._nudged:
            leaf = moved(leaf.detach())
        leaf.requires_grad_()
        if picked:
            self._picked = leaf
        else:
            self._made = leaf
        return out if leaf is out else leaf.clone()
