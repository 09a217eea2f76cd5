"""The record of one forward pass: a graph of what was computed, in order of execution.

Nodes are written by the tracer while the model runs and read afterwards, so they are mutable and
private to this room; what users see is in `report.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from chione.activations import AbstractActivation
from chione.networks import AbstractLayer, Convolution, Dense, Dropout, Norm, Scale
from chione.torch.capture.cuts import Cuts
from chione.torch.capture.samples import Sample
from chione.torch.layers.entering import Attention, Held
from chione.torch.layers.joins import Sum, View
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.norm import Frozen, InstanceNorm
from chione.torch.layers.tensors import Affine, Heads, Table, Weighing, Weight

Tensors: TypeAlias = Weight | Affine | Heads | Weighing | Table | None


@dataclass
class Node:
    """One step of the forward pass.

    Parameters
    ----------
    index : int
        Its place in the graph.
    layer : AbstractLayer or None
        What it does to its parents; None where nothing is known of it.
    name : str
        Where in the model it happens.
    parents : tuple of int
        Nodes that it reads.
    shape : tuple of int
        Shape of its output, batch included.
    tensors : Weight, Affine, Heads, Weighing, Table or None
        What the layer was made of.
    operation : str
        What was executed, for the reader.
    axes : {"last", "first", "split", "heads", ""}
        Where the channels stand: on the last axis, on the second, on two axes as heads (behind or
        before the positions), or not known.
    """

    index: int
    layer: AbstractLayer | None
    name: str
    parents: tuple[int, ...]
    shape: tuple[int, ...]
    tensors: Tensors = None
    operation: str = ""
    axes: str = ""
    known: bool = False  # whether the theory can follow from the input to here
    gaussian: bool = False  # whether its entries are Gaussian in a wide network
    ancestors: int = 0  # bit set of indices
    row: bool = False
    numbers: torch.Tensor | None = None  # lazy_moments of the output
    sample: Sample | None = None  # second moments of the output, where theory starts (again)
    arriving: Sample | None = None  # those of the input, likewise
    patches: Sample | None = None  # of the input as a convolution reads it, likewise
    wide: tuple[int, Sample | None] | None = None  # a parent that is the same for all inputs
    open: torch.Tensor | None = None  # of a pool behind an activation: entries that are not zero
    edge: Any = None  # gradient edge of the output
    saturation: torch.Tensor | None = None  # (saturated fraction, dead fraction)
    origin: int | None = None  # the row an activation acts on

    @property
    def numel(self) -> int:
        """Number of entries, all inputs together."""
        return math.prod(self.shape)

    @property
    def looked_through(self) -> bool:
        """Whether who asks for a neighbour means the one behind: it changes no entry by itself."""
        return isinstance(self.layer, (View, Dropout, Scale))

    @property
    def weight(self) -> Weight | None:
        """The tensors of an affine map; None for anything else."""
        return self.tensors if isinstance(self.tensors, Weight) else None

    @property
    def is_affine(self) -> bool:
        """Whether it is a map by weights of its own."""
        return isinstance(self.layer, (Dense, Convolution))

    @property
    def is_norm(self) -> bool:
        """Whether it is a normalisation."""
        return isinstance(self.layer, (Norm, Frozen, InstanceNorm))

    @property
    def is_residual(self) -> bool:
        """Whether it is the sum of a tensor and what was made from it."""
        return isinstance(self.layer, Sum) and self.layer.residual

    @property
    def kind(self) -> str:
        """The word of the report for what it is."""
        if self.layer is None:
            return "unknown"
        if self.is_affine:
            return "affine"
        return "norm" if self.is_norm else self.layer.word

    @property
    def held(self) -> Held | None:
        """The parameter that it is, or None."""
        return self.layer if isinstance(self.layer, Held) else None

    @property
    def applied(self) -> Applied | None:
        """The activation that it is, or None."""
        return self.layer if isinstance(self.layer, Applied) else None

    @property
    def activation(self) -> AbstractActivation | None:
        """The activation that it applies, if theory can take it."""
        found = None if self.applied is None else self.applied.layer
        return None if found is None else found.activation

    @property
    def joins_weights(self) -> bool:
        """Whether it has weights that make a branch of it."""
        return self.is_affine or isinstance(self.layer, Attention)


@dataclass
class Graph:
    """All nodes of one forward pass."""

    batch: int
    nodes: list[Node] = field(default_factory=list)
    output: int | None = None
    hidden: dict[str, str] = field(default_factory=dict)  # path -> what runs there unseen
    cuts: Cuts = field(default_factory=Cuts)

    def add(
        self,
        layer: AbstractLayer | None,
        name: str,
        parents: tuple[int, ...],
        shape: Any,
        **kw: Any,
    ) -> Node:
        """Append a node; parents come before their children, so the list is in order."""
        ancestors = 0
        for p in parents:
            ancestors |= self.nodes[p].ancestors | (1 << p)
        node = Node(len(self.nodes), layer, name, parents, tuple(shape), ancestors=ancestors, **kw)
        self.nodes.append(node)
        return node

    def rows(self) -> Iterator[Node]:
        """The nodes that are reported, in order of execution."""
        return (node for node in self.nodes if node.row)

    def reused(self) -> dict[int, str]:
        """Affine nodes whose weight an earlier one has used, and its name."""
        seen: set[str] = set()
        out: dict[int, str] = {}
        for node in self.nodes:
            name = None if node.weight is None else node.weight.parameter
            if name is None:
                continue
            if name in seen:
                out[node.index] = name
            seen.add(name)
        return out

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

    def seen_through(self, node: Node) -> Node:
        """The node itself, or the first behind it that is not looked through."""
        while node.looked_through and node.parents:
            node = self.nodes[node.parents[0]]
        return node
