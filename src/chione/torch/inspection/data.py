"""Whether a batch can tell anything of a model: batches that are degenerate, and what to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture.nodes import Graph
from chione.torch.layers.entering import Embedding
from chione.torch.layers.tensors import Table

_LARGE, _SMALL = 10.0, 1e-3  # root mean squares; standardised inputs have 1
_ALIKE = 1e-3  # mean square difference of inputs, relative to their mean square
_MOSTLY = 0.8  # share of one token from which a batch is mostly that
_CONSTANT = 0.5  # share of the features that are the same for all inputs
_NO_DATA = ("mask", "type", "position", "label", "length")  # in the name of an argument


@dataclass(frozen=True)
class BatchFault:
    """One way in which a batch is degenerate.

    Parameters
    ----------
    sentence : str
        How, and what to pass.
    decisive : bool
        Whether what is measured on it may tell of the batch alone.
    """

    sentence: str
    decisive: bool = True


@dataclass(frozen=True)
class BatchData:
    """The tensor of a batch that varies from input to input, or should.

    Parameters
    ----------
    tensor : Tensor, shape (B, ...)
    tokens : int
        Size of the vocabulary if it holds indices; else 0.
    padding : int or None
        The token that an embedding leaves at zero.
    """

    tensor: torch.Tensor
    tokens: int = 0
    padding: int | None = None

    def faults(self) -> tuple[BatchFault, ...]:
        """All ways in which it is degenerate."""
        x = self.tensor.detach()
        rows = x.reshape(len(x), -1)
        if self.tokens:
            return _token_faults(rows, self.padding)
        return _number_faults(rows.double())

    def sound(self, generator: torch.Generator) -> torch.Tensor:
        """Random data in its place: standard normal numbers, or tokens without a pattern."""
        x = self.tensor
        if self.tokens:
            low = min(1, self.tokens - 1)
            drawn = torch.randint(low, self.tokens, x.shape, generator=generator)
            return drawn.to(device=x.device, dtype=x.dtype)
        return torch.randn(x.shape, generator=generator).to(device=x.device, dtype=x.dtype)


def data_of(model: torch.nn.Module, batch: Any, graph: Graph) -> BatchData | None:
    """The first tensor of a batch that is data; None if none can be told to be."""
    size = graph.batch
    for name, x in _named(batch):
        if x.dim() < 1 or x.shape[0] != size or any(word in name for word in _NO_DATA):
            continue
        if x.is_floating_point():
            return BatchData(x)
        if x.dtype in (torch.int32, torch.int64) and x.dim() > 1:
            tables = [
                len(node.tensors.weight)
                for node in graph.nodes
                if isinstance(node.layer, Embedding) and isinstance(node.tensors, Table)
            ]
            if not tables:
                continue
            inside = [n for n in tables if n > int(x.max())]
            padding = [
                m.padding_idx
                for m in model.modules()
                if isinstance(m, torch.nn.Embedding) and m.padding_idx is not None
            ]
            return BatchData(x, max(inside or tables), padding[0] if padding else None)
    return None


def replaced(batch: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """The same batch with one tensor replaced."""
    if batch is old:
        return new
    if isinstance(batch, Mapping):
        return {key: replaced(value, old, new) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(replaced(value, old, new) for value in batch)
    return batch


def _named(batch: Any, name: str = "") -> Sequence[tuple[str, torch.Tensor]]:
    if isinstance(batch, torch.Tensor):
        return [(name, batch)]
    if isinstance(batch, Mapping):
        return [x for key, value in batch.items() for x in _named(value, str(key))]
    if isinstance(batch, (tuple, list)):
        return [x for value in batch for x in _named(value, name)]
    return []


def _number_faults(x: torch.Tensor) -> tuple[BatchFault, ...]:
    size = float(x.square().mean().sqrt())
    if size == 0.0:
        return (BatchFault("All inputs of the batch are zero: pass real ones."),)
    out = []
    spread = float((x - x.mean(dim=0)).square().mean().sqrt())
    different = len(torch.unique(x, dim=0)) if len(x) > 1 else 1
    if len(x) > 1 and different == 1:
        out.append(
            BatchFault(
                f"All {len(x)} inputs of the batch are the same, so nothing is known of how the "
                "model tells inputs apart: pass different ones."
            )
        )
    elif len(x) > 1 and spread * spread < _ALIKE * size * size:
        out.append(
            BatchFault(
                f"The inputs of the batch differ by only {spread / size:.1%} of their size: "
                "subtract their mean and divide by their standard deviation."
            )
        )
    if not _SMALL < size < _LARGE:
        low, high = float(x.min()), float(x.max())
        out.append(
            BatchFault(
                f"The inputs of the batch are not scaled (from {low:.3g} to {high:.3g}, root mean "
                f"square {size:.3g}): subtract their mean and divide by their standard deviation."
            )
        )
    constant = float((x == x[0]).all(dim=0).double().mean())
    if different > 1 and constant >= _CONSTANT:
        out.append(
            BatchFault(
                f"{constant:.0%} of the features are the same for all {len(x)} inputs of the "
                "batch: pass more inputs, or leave those features out.",
                decisive=False,
            )
        )
    return tuple(out)


def _token_faults(x: torch.Tensor, padding: int | None) -> tuple[BatchFault, ...]:
    out = []
    values, counts = torch.unique(x, return_counts=True)
    token, share = int(values[counts.argmax()]), float(counts.max()) / x.numel()
    called = f"{token} (padding)" if token == padding else f"{token}"
    alone = (x == x[:, :1]).all(dim=1) if x.shape[1] > 1 else torch.zeros(len(x), dtype=torch.bool)
    if len(values) == 1:
        out.append(BatchFault(f"All tokens of the batch are {called}: pass real sequences."))
    elif len(x) > 1 and bool((x == x[0]).all()):
        out.append(
            BatchFault(f"All {len(x)} sequences of the batch are the same: pass different ones.")
        )
    elif share >= _MOSTLY:
        out.append(
            BatchFault(f"{share:.0%} of the tokens of the batch are {called}: pass real sequences.")
        )
    elif bool(alone.any()):
        first, more = int(torch.nonzero(alone)[0]), int(alone.sum()) - 1
        others = f", as {more} more do" if more else ""
        out.append(
            BatchFault(
                f"Sequence {first} of the batch holds nothing but token {int(x[first, 0])}"
                f"{others}: pass real sequences."
            )
        )
    elif padding is not None and bool((x[:, 0] == padding).all()):
        out.append(
            BatchFault(
                f"All sequences of the batch begin with token {padding}, the padding, whose "
                "embedding is zero: pass sequences that begin with a word, or pad on the right.",
                decisive=False,
            )
        )
    return tuple(out)
