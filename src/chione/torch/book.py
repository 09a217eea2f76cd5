"""The book a tracer keeps: which tensor came from which node, and the rows of the report."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch

from chione.torch.affine import Seen
from chione.torch.batches import tensors
from chione.torch.elementwise import saturation
from chione.torch.nodes import Applied, Graph, Kind, Node
from chione.torch.statistics import lazy_moments, mean_square

Modules = list[tuple[str, torch.nn.Module]]


class Book:
    """Nodes by tensor, parameters by name, rows with their measurements.

    Parameters
    ----------
    modules : list of (str, Module)
        All modules of the model by path.
    batch : int
        Number of inputs.
    measure : bool
        Whether rows are measured.
    """

    def __init__(self, modules: Modules, batch: int, measure: bool) -> None:
        self.graph = Graph(batch)
        self.measure = measure
        self.path = ""  # the innermost module that is running, kept up to date by the tracer
        self._node_of: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._names: dict[int, str] = {}
        for path, module in modules:
            for leaf, p in module._parameters.items():
                if p is not None:
                    self._names.setdefault(id(p), f"{path}.{leaf}" if path else leaf)
        # Tied weights have one name but run in several modules: the running one gives the name.
        self._direct = {
            path: {leaf: self._names.get(id(p)) for leaf, p in module._parameters.items()}
            for path, module in modules
        }
        self.leaves = {path: not any(m.children()) for path, m in modules}
        self._calls: Counter[str] = Counter()

    def feed(self, batch: Any) -> None:
        """Make the floating tensors of the batch the inputs of the graph."""
        for tensor in tensors(batch):
            if tensor.is_floating_point():
                node = self.graph.add(Kind.INPUT, "input", (), tensor.shape, known=True)
                node.numbers = lazy_moments(tensor, self.graph.batch)
                self.tag(tensor, node)

    def computes_weights(self) -> bool:
        """Whether what runs is a parametrisation, which makes a weight and is no layer."""
        return "parametrizations" in self.path.split(".")

    def new(
        self, kind: Kind, parents: tuple[int, ...], out: torch.Tensor, owner: str | None, **kw: Any
    ) -> Node:
        """Append a node for a tensor, named after its parameter or the running module."""
        name = self.path
        if owner is not None:
            module, _, leaf = owner.rpartition(".")
            if leaf != "weight":
                name = owner
            elif self._direct.get(name, {}).get("weight") != owner:
                name = module
        node = self.graph.add(kind, name, parents, out.shape, **kw)
        self.tag(out, node)
        return node

    def follow(self, node: Node, source: int) -> None:
        """Take over from a parent what theory can follow."""
        parent = self.graph.nodes[source]
        node.known, node.gaussian = parent.known, parent.gaussian

    def row(self, node: Node, out: torch.Tensor) -> None:
        """Make the node a row of the report and measure it."""
        base = node.name or (str(node.detail) if node.kind is Kind.UNKNOWN else node.kind.value)
        if node.kind in (Kind.ADD, Kind.ATTENTION):
            base = f"{node.name}.{node.kind.value}".lstrip(".")
        self._calls[base] += 1
        count = self._calls[base]
        node.name = base if count == 1 else f"{base} ({count})"
        node.row = True
        if self.measure:
            node.numbers = lazy_moments(out, self.graph.batch)
            if out.requires_grad:
                node.edge = torch.autograd.graph.get_gradient_edge(out)

    def saturation(self, call: Applied, h: torch.Tensor) -> torch.Tensor | None:
        """Saturated and dead fractions of an activation at its input, if rows are measured."""
        if not self.measure:
            return None
        found = self.find(h)
        node = None if found is None else self.graph.nodes[found]
        while node is not None and node.kind in (Kind.VIEW, Kind.NORM, Kind.DROPOUT):
            node = self.graph.nodes[node.parents[0]]
        spatial = (
            node is not None and node.kind is Kind.AFFINE and "convolution" in node.detail.operation
        )
        return saturation(call.function, h, channels_first=spatial)

    def seen(self, tensor: torch.Tensor) -> Seen | None:
        """The parameter that a tensor is, directly or through a transposition; None if none."""
        name = self._names.get(id(tensor))
        if name is not None:
            return name, False
        found = self.find(tensor)
        if found is None:
            return None
        node = self.graph.nodes[found]
        return node.detail if node.kind is Kind.PARAMETER else None

    def source(self, tensor: Any) -> int:
        """The node of a tensor; a new unknown one if it came from where nothing is seen."""
        found = self.find(tensor)
        if found is not None:
            return found
        shape = tensor.shape if isinstance(tensor, torch.Tensor) else ()
        node = self.graph.add(Kind.UNKNOWN, self.path, (), shape)
        if isinstance(tensor, torch.Tensor):
            self.tag(tensor, node)
        return node.index

    def find(self, tensor: Any) -> int | None:
        """The node of a tensor, or None; parameters get theirs when first asked for."""
        if not isinstance(tensor, torch.Tensor):
            return None
        entry = self._node_of.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        name = self._names.get(id(tensor))
        if name is None:
            return None
        square = float(mean_square(tensor)) if tensor.dim() > 1 else 0.0
        node = self.graph.add(
            Kind.PARAMETER, name, (), tensor.shape, detail=(name, False), factor=square
        )
        self.tag(tensor, node)
        return node.index

    def tag(self, tensor: torch.Tensor, node: Node) -> None:
        """Note which node a tensor came from."""
        # A weak reference tells whether the id still belongs to the tensor it was noted for.
        self._node_of[id(tensor)] = (weakref.ref(tensor), node.index)

    def finish(self, out: torch.Tensor) -> Graph:
        """Note which node is the output, and return the graph."""
        self.graph.output = self.find(out)
        if self.graph.output is None:  # it came from where nothing can be seen (TorchScript)
            node = self.new(Kind.UNKNOWN, (), out, None, detail="unseen")
            self.row(node, out)
            self.graph.output = node.index
        return self.graph
