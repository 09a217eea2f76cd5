"""The book a tracer keeps: which tensor came from which node, and the rows of the report."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from chione.networks import AbstractLayer, Convolution, Scale
from chione.torch.capture.batches import tensors
from chione.torch.capture.elementwise import saturation
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.samples import Sample, arranged
from chione.torch.capture.statistics import lazy_moments, mean_square
from chione.torch.layers.dense import Seen
from chione.torch.layers.entering import Attention, Entering, Held
from chione.torch.layers.joins import Sum
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.tensors import Table

Modules = list[tuple[str, torch.nn.Module]]
Watch = Callable[[Node, torch.Tensor], None]
OnTensor = Callable[[Node, torch.Tensor], None]


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
    watch : callable, optional
        Shown each row and each scale, and what left it.
    on_tensor : callable, optional
        Called as ``on_tensor(node, tensor)`` with each new node and what it made.
    """

    def __init__(
        self,
        modules: Modules,
        batch: int,
        measure: bool,
        watch: Watch | None = None,
        on_tensor: OnTensor | None = None,
    ) -> None:
        self.graph = Graph(batch)
        self.on_tensor = on_tensor
        self.measure = measure
        self._watch = watch
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
        self.kept: dict[int, torch.Tensor] = {}  # channels seen as heads, until they are read

    def feed(self, batch: Any) -> None:
        """Make the floating tensors of the batch the inputs of the graph."""
        for tensor in tensors(batch):
            if tensor.is_floating_point():
                node = self.graph.add(Entering(), "input", (), tensor.shape, known=True)
                node.numbers = lazy_moments(tensor, self.graph.batch)
                if tensor.dim() == 2:
                    node.axes = "last"
                    node.sample = Sample.of(tensor, "last", self.graph.batch, node.numbers)
                self.tag(tensor, node)

    def computes_weights(self) -> bool:
        """Whether what runs is a parametrisation, which makes a weight and is no layer."""
        return "parametrizations" in self.path.split(".")

    def new(
        self,
        layer: AbstractLayer | None,
        parents: tuple[int, ...],
        out: torch.Tensor,
        owner: str | None,
        **kw: Any,
    ) -> Node:
        """Append a node for a tensor, named after its parameter or the running module."""
        name = self.path
        if owner is not None:
            module, _, leaf = owner.rpartition(".")
            if leaf != "weight":
                name = owner
            elif self._direct.get(name, {}).get("weight") != owner:
                name = module
        node = self.graph.add(layer, name, parents, out.shape, **kw)
        self.tag(out, node)
        if self._watch is not None and isinstance(layer, Scale):
            self._watch(node, out)
        if self.on_tensor is not None:
            self.on_tensor(node, out)
        return node

    def follow(self, node: Node, source: int) -> None:
        """Take over from a parent what theory can follow."""
        parent = self.graph.nodes[source]
        node.known, node.gaussian = parent.known, parent.gaussian
        if not node.axes and node.shape == parent.shape:
            node.axes = parent.axes

    def arrives(self, node: Node, x: torch.Tensor, axes: str) -> None:
        """Measure what enters a node where theory has to start there.

        The axes of an input are only known once something reads it.
        """
        source = self.graph.nodes[node.parents[0]]
        if not self.measure:
            return
        if isinstance(source.layer, Entering) and not source.axes:
            source.axes = axes
            source.sample = Sample.of(x, axes, self.graph.batch, source.numbers)
        elif not source.known or source.axes != axes:
            node.arriving = Sample.of(x, axes, self.graph.batch, source.numbers)

    def reads(self, node: Node, axes: str) -> bool:
        """Whether a convolution reads a large tensor at which theory has to start."""
        source = self.graph.nodes[node.parents[0]]
        starts = isinstance(source.layer, Entering) or not source.known or source.axes != axes
        at = arranged(source.shape, axes, self.graph.batch)
        return self.measure and starts and at is not None and at.taken(axes) == "lattice"

    def row(self, node: Node, out: torch.Tensor) -> None:
        """Make the node a row of the report and measure it."""
        base = node.name or (node.operation if node.layer is None else node.kind)
        if isinstance(node.layer, (Sum, Attention)):
            base = f"{node.name}.{node.kind}".lstrip(".")
        self._calls[base] += 1
        count = self._calls[base]
        node.name = base if count == 1 else f"{base} ({count})"
        node.row = True
        if self._watch is not None:
            self._watch(node, out)
        if self.measure:
            node.numbers = lazy_moments(out, self.graph.batch)
            if not node.known and node.axes:
                node.sample = Sample.of(out, node.axes, self.graph.batch, node.numbers)
            if out.requires_grad:
                node.edge = torch.autograd.graph.get_gradient_edge(out)

    def saturation(self, call: Applied, h: torch.Tensor) -> torch.Tensor | None:
        """Saturated and dead fractions of an activation at its input, if rows are measured."""
        if not self.measure:
            return None
        found = self.find(h)
        node = None if found is None else self.graph.nodes[found]
        while node is not None and (node.looked_through or node.is_norm):
            node = self.graph.nodes[node.parents[0]]
        spatial = node is not None and isinstance(node.layer, Convolution)
        return saturation(call.function, h, channels_first=spatial)

    def seen(self, tensor: torch.Tensor) -> Seen | None:
        """The parameter that a tensor is, directly or through a transposition; None if none."""
        name = self._names.get(id(tensor))
        if name is not None:
            return name, False
        found = self.find(tensor)
        if found is None:
            return None
        held = self.graph.nodes[found].held
        return None if held is None or not held.name else (held.name, held.swapped)

    def source(self, tensor: Any) -> int:
        """The node of a tensor; a new unknown one if it came from where nothing is seen."""
        found = self.find(tensor)
        if found is not None:
            return found
        shape = tensor.shape if isinstance(tensor, torch.Tensor) else ()
        node = self.graph.add(None, self.path, (), shape)
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
        layer = Held(name, mean_square=square)
        node = self.graph.add(layer, name, (), tensor.shape, tensors=Table(tensor))
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
            node = self.new(None, (), out, None, operation="unseen")
            self.row(node, out)
            self.graph.output = node.index
        return self.graph
