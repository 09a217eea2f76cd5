"""What an initialisation must know of a network: who reads what, where branches end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.elementwise import is_elementwise
from chione.torch.capture.followers import followers
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.tracing import trace
from chione.torch.layers.convolution import registered
from chione.torch.layers.entering import Entering
from chione.torch.layers.joins import Sum
from chione.torch.layers.nonlinearity import Applied


@dataclass(frozen=True)
class Place:
    """Where an affine map (or a norm at the end of a branch) stands.

    Parameters
    ----------
    activation : Node or None
        The activation that its output goes through.
    before : Node or None
        The activation that its input comes from.
    normalised : bool
        Whether a normalisation reads its output.
    branch : bool
        Whether its output is added to a residual stream.
    """

    activation: Node | None
    before: Node | None
    normalised: bool
    branch: bool


def places(graph: Graph) -> dict[int, Place]:
    """Place of each affine node and of each norm, by index."""
    follow, children = followers(graph), graph.children()
    ends = branch_ends(graph)
    out: dict[int, Place] = {}
    for node in graph.nodes:
        if not (node.is_affine or node.is_norm):
            continue
        readers = _readers(graph, children, node)
        normed = bool(readers) and all(r.is_norm for r in readers)
        activation = follow.get(node.index)
        if activation is None and normed:  # conv - norm - activation
            activation = follow.get(readers[0].index)
        before = graph.seen_through(graph.nodes[node.parents[0]]) if node.parents else None
        if before is not None and before.applied is None:
            before = None
        out[node.index] = Place(activation, before, normed, node.index in ends)
    return out


def _readers(graph: Graph, children: list[list[int]], node: Node) -> list[Node]:
    """Who reads a node, views and dropout looked through."""
    todo, out = list(children[node.index]), []
    while todo:
        child = graph.nodes[todo.pop()]
        if child.looked_through:
            todo += children[child.index]
        else:
            out.append(child)
    return out


def residual_sums(graph: Graph) -> list[Node]:
    """The additions of a branch to a stream, shortcuts with a projection or a factor included."""
    out = []
    for node in graph.nodes:
        if isinstance(node.layer, Sum) and len(set(node.parents)) == 2:
            a, b = (graph.nodes[p] for p in node.parents)
            if not node.row:
                found = _scaled_skip(graph, a, b)
            else:
                found = node.layer.residual or _has_input(graph, a.ancestors & b.ancestors)
            if found:
                out.append(node)
    return out


def _scaled_skip(graph: Graph, a: Node, b: Node) -> bool:
    """Whether one of two terms is a multiple of what the other was made from with weights."""
    a, b = (graph.seen_through(n) for n in (a, b))
    for later, earlier in ((a, b), (b, a)):
        if later.ancestors >> earlier.index & 1:
            between = [later, *graph.between(later, earlier)]
            return any(n.joins_weights for n in between)
    return False


def _has_input(graph: Graph, bits: int) -> bool:
    """Whether a set of ancestors holds a signal: two towers that meet only once share none."""
    return any(
        bits >> node.index & 1 and node.layer is not None and node.held is None
        for node in graph.nodes
    )


def branch_ends(graph: Graph) -> set[int]:
    """Affine maps, norms or attentions with which the branches end."""
    out = set()
    for total in residual_sums(graph):
        a, b = (graph.nodes[p] for p in total.parents)
        out.add(graph.seen_through(_branch(graph, a, b)).index)
    return out


def _branch(graph: Graph, a: Node, b: Node) -> Node:
    """Of two terms the one that is not the stream: it has more weights of its own."""

    def own(x: Node, other: Node) -> int:
        bits = (x.ancestors | 1 << x.index) & ~(other.ancestors | 1 << other.index)
        return sum(bits >> node.index & 1 for node in graph.nodes if node.joins_weights)

    return a if own(a, b) > own(b, a) else b


def structure(model: torch.nn.Module, batch: Any, size: int) -> tuple[Graph, str]:
    """The graph of the model and a note on how it was found.

    With a batch by running it; else by running a batch made up from the first layer; else from the
    order in which the modules are registered.
    """
    if batch is not None:
        with preserved(model), torch.no_grad():
            return trace(model, batch, size)[0], ""
    for trial in _made_up(model):
        try:
            with preserved(model), torch.no_grad():
                graph, _ = trace(model, trial, batches.batch_size(trial), measure=False)
        except ValueError:  # a trial that does not fit: the next one may
            continue
        for node in graph.nodes:
            node.numbers = node.arriving = node.sample = node.patches = (
                None  # made-up values say nothing
            )
        return graph, ""
    note = (
        "The model could not be run without a batch, so what follows what was taken from the "
        "order in which its modules are registered; pass a batch to be sure."
    )
    return _registered(model), note


def _made_up(model: torch.nn.Module) -> list[Any]:
    """Batches that a model may take, guessed from its first layer with weights."""
    own = getattr(model, "dummy_inputs", None)
    trials: list[Any] = [dict(own)] if isinstance(own, dict) else []
    for module in model.modules():
        p = next((p for p in module._parameters.values() if p is not None), None)
        if p is None:
            continue
        options: dict[str, Any] = {"device": p.device}
        if isinstance(module, torch.nn.Embedding):
            n = module.num_embeddings
            trials.append(torch.arange(8, device=p.device).reshape(2, 4) % n)
        elif isinstance(module, torch.nn.Linear):
            trials += [
                torch.ones(shape, dtype=p.dtype, **options)
                for shape in ((2, module.in_features), (2, 4, module.in_features))
            ]
        elif isinstance(module, torch.nn.modules.conv._ConvNd):
            n = len(module.kernel_size)
            sides = (32, 28, 64, 224) if n == 2 else (32, 128)
            trials += [
                torch.ones((2, module.in_channels, *(side,) * n), dtype=p.dtype, **options)
                for side in sides
            ]
        break
    return trials


def _registered(model: torch.nn.Module) -> Graph:
    """A chain in the order of registration."""
    graph = Graph(batch=1)
    last = graph.add(Entering(), "input", (), (), known=True)
    for path, module in model.named_modules():
        made = registered(module, path)
        if made is not None:
            layer, weight = made
            last = graph.add(
                layer, path, (last.index,), (), tensors=weight, operation=weight.operation,
                gaussian=True, row=True,
            )  # fmt: skip
        elif is_elementwise(module):
            origin = last.index if last.row else None
            applied = Applied(module.forward, type(module).__name__)
            last = graph.add(applied, path, (last.index,), (), origin=origin)
    graph.output = last.index
    return graph
