"""The record of one forward pass: a graph of what was computed, in order of execution.

Nodes are written by the tracer while the model runs and read afterwards, so they are mutable and
private to this room; what users see is in `report.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

import torch


class Kind(Enum):
    """What a node does to its parents; the theory has a rule for each but the last three."""

    INPUT = "input"
    AFFINE = "affine"
    EMBEDDING = "embedding"
    NORM = "norm"
    ACTIVATION = "activation"
    ADD = "sum"
    PRODUCT = "product"
    SCALE = "scale"
    DROPOUT = "dropout"
    VIEW = "view"
    CONCAT = "concat"
    ATTENTION = "attention"
    PARAMETER = "parameter"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Spread:
    """Standard deviation (population) and mean square of the entries of a tensor."""

    std: float
    mean_square: float


def spread(tensor: torch.Tensor) -> Spread:
    """Both in float64, without a copy of the tensor."""
    x = tensor.detach()
    n = max(x.numel(), 1)
    square = float(torch.linalg.vector_norm(x, dtype=torch.float64)) ** 2 / n
    mean = float(x.sum(dtype=torch.float64)) / n
    return Spread(math.sqrt(max(square - mean * mean, 0.0)), square)


@dataclass(frozen=True)
class Weight:
    """An affine map as it was executed.

    Parameters
    ----------
    weight, bias : Tensor or None
        As the operation received them.
    fan_in : float
        Products in one output.
    coverage : float
        Fraction of those products that exist: below 1 for a convolution with zero padding.
    parameter : str or None
        Full name of the parameter behind the weight; None if the weight is computed.
    bias_parameter : str or None
        Full name of the parameter behind the bias.
    transposed : bool
        Whether the input axis of the parameter comes first.
    groups, stride
        Of a convolution.
    operation : str
        Name of the operation, for the reader.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    fan_in: float
    coverage: float = 1.0
    parameter: str | None = None
    bias_parameter: str | None = None
    transposed: bool = False
    groups: int = 1
    stride: int | tuple[int, ...] = 1
    operation: str = "linear"

    @cached_property
    def spread(self) -> Spread:
        """Standard deviation and mean square of the weights."""
        return spread(self.weight)

    @cached_property
    def bias_spread(self) -> Spread:
        """The same of the biases; zero without any."""
        return Spread(0.0, 0.0) if self.bias is None else spread(self.bias)


@dataclass(frozen=True)
class Norm:
    """A normalisation: its kind and its affine part."""

    operation: str  # layer_norm, rms_norm, batch_norm, group_norm, instance_norm
    gain: torch.Tensor | None
    shift: torch.Tensor | None
    eps: float
    uses_batch: bool  # statistics over the batch, which couples the inputs
    parameter: str | None = None
    frozen: float = 1.0  # batch norm in eval mode: mean of 1 / (running variance + eps)


@dataclass(frozen=True)
class Heads:
    """Parameters of an attention with its own projections.

    Names of the weights and biases, and the projection of the inputs itself.
    """

    inputs: tuple[str, ...]
    output: str
    biases: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor | None


@dataclass(frozen=True)
class Applied:
    """An activation as it was applied: a closure on tensors and where it comes from."""

    function: Callable[[torch.Tensor], torch.Tensor]
    label: str
    arithmetic: bool  # also used inside formulas (abs, exp, pow), so not surely an activation


@dataclass
class Node:
    """One step of the forward pass."""

    index: int
    kind: Kind
    name: str
    parents: tuple[int, ...]
    shape: tuple[int, ...]
    detail: Any = None
    factor: float = 1.0  # SCALE: mean square of the factor; DROPOUT: probability of zero
    known: bool = False  # whether the theory can follow from the input to here
    gaussian: bool = False  # whether its entries are Gaussian in a wide network
    ancestors: int = 0  # bit set of indices
    row: bool = False
    numbers: torch.Tensor | None = None  # lazy_moments of the output
    arriving: torch.Tensor | None = None  # lazy_moments of the input, where theory restarts
    edge: Any = None  # gradient edge of the output
    saturation: torch.Tensor | None = None  # (saturated fraction, dead fraction)
    origin: int | None = None  # the row an activation acts on

    @property
    def numel(self) -> int:
        """Number of entries, all inputs together."""
        n = 1
        for size in self.shape:
            n *= size
        return n


@dataclass
class Graph:
    """All nodes of one forward pass."""

    batch: int
    nodes: list[Node] = field(default_factory=list)
    output: int | None = None

    def add(self, kind: Kind, name: str, parents: tuple[int, ...], shape: Any, **kw: Any) -> Node:
        """Append a node; parents come before their children, so the list is in order."""
        ancestors = 0
        for p in parents:
            ancestors |= self.nodes[p].ancestors | (1 << p)
        node = Node(len(self.nodes), kind, name, parents, tuple(shape), ancestors=ancestors, **kw)
        self.nodes.append(node)
        return node

    def rows(self) -> Iterator[Node]:
        """The nodes that are reported, in order of execution."""
        return (node for node in self.nodes if node.row)

    def children(self) -> list[list[int]]:
        """For each node the nodes that read it."""
        out: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for p in node.parents:
                out[p].append(node.index)
        return out

    def between(self, later: Node, earlier: Node) -> list[Node]:
        """Nodes that `later` rests on but `earlier` does not, `earlier` itself left out."""
        bits = later.ancestors & ~earlier.ancestors & ~(1 << earlier.index)
        return [node for node in self.nodes[: later.index] if bits >> node.index & 1]
