"""Where each weight of a model stands: what its output goes through, and what it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from chione.networks import Scale
from chione.theory.depth.advice_rule import USUAL_WIDTH
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.structure import Place, branch_ends, places, residual_sums
from chione.torch.layers.entering import Attention, Embedding
from chione.torch.layers.joins import Product
from chione.torch.layers.tensors import Heads


@dataclass(frozen=True)
class Branch:
    """A residual branch that a node ends.

    Parameters
    ----------
    stream : int
        The node that the branch is added to.
    factor : float
        By which the end is multiplied before it is added.
    through : tuple of int
        Activation that ends the branch behind the weights, or what gates them, if any.
    normed : bool
        Whether a normalisation stands in the branch, so that it does not grow with its stream.
    gated : bool
        Whether a product of signals stands in it.
    """

    stream: int
    factor: float = 1.0
    through: tuple[int, ...] = ()
    normed: bool = False
    gated: bool = False


@dataclass(frozen=True)
class Use:
    """One run of an affine map.

    Parameters
    ----------
    node : Node
        Where it ran.
    place : Place
        What stands before and behind it.
    scale : float
        Factor between the weights and the activation that follows.
    before : float
        Factor between the activation before it and the weights.
    branch : Branch or None
        The residual branch that it ends.
    product : {"", "gate", "value", "gate and value"}
        Its part in a gated product.
    attention : {"", "scores", "value", "output"}
        Its part in an attention.
    output : bool
        Whether its output is one of the model.
    first : bool
        Whether no weights come before it.
    """

    node: Node
    place: Place
    scale: float = 1.0
    before: float = 1.0
    branch: Branch | None = None
    product: str = ""
    attention: str = ""
    output: bool = False
    first: bool = False


@dataclass
class Surroundings:
    """The uses of all weights of a graph, by node; and what else an initialisation must know."""

    graph: Graph
    uses: dict[int, Use] = field(default_factory=dict)
    branches: dict[int, Branch] = field(default_factory=dict)
    sums: int = 0

    @classmethod
    def of(cls, graph: Graph) -> Surroundings:
        """Read them off a graph."""
        found = cls(graph)
        found._read()
        return found

    def aspect(self) -> float:
        """Depth over width: weights in a row on the longest way, over their median fan-in."""
        depth: list[int] = []
        for node in self.graph.nodes:
            own = int(node.index in self.uses)
            depth.append(own + max((depth[p] for p in node.parents), default=0))
        return max(depth, default=0) / self.width() if self.uses else 0.0

    def width(self) -> int:
        """Median fan-in; 512 where there are no weights."""
        fans = sorted(u.node.weight.fan_in for u in self.uses.values() if u.node.weight)
        return max(int(fans[len(fans) // 2]), 1) if fans else USUAL_WIDTH

    def _read(self) -> None:
        graph = self.graph
        standing, children = places(graph), graph.children()
        self.branches = _branches(graph)
        self.sums = len([t for t in residual_sums(graph) if not _beside_weights(graph, t)])
        parts = _attention_parts(graph)
        for node in graph.nodes:
            if not node.is_affine:
                continue
            place = standing[node.index]
            readers = _readers(graph, children, node)
            gated = place.activation is not None and any(
                is_product(r) for r in _readers(graph, children, place.activation)
            )
            value = any(is_product(r) for r in readers)
            gated |= any(r.operation == "glu" for r in readers)
            self.uses[node.index] = Use(
                node,
                place,
                scale=1.0 if place.activation is None else _factor(graph, place.activation, node),
                before=1.0 if place.before is None else _factor(graph, node, place.before),
                branch=self.branches.get(node.index),
                product=" and ".join(w for w, on in (("gate", gated), ("value", value)) if on),
                attention=parts.get(node.index, ""),
                output=not readers or _is_output(graph, readers, node),
                first=not any(
                    graph.nodes[i].is_affine or isinstance(graph.nodes[i].layer, Embedding)
                    for i in _bits(node.ancestors)
                ),
            )


def is_product(node: Node) -> bool:
    """Whether it multiplies signals: two tensors, or the halves of one."""
    return isinstance(node.layer, Product) or node.operation == "glu"


def _bits(ancestors: int) -> list[int]:
    return [i for i in range(ancestors.bit_length()) if ancestors >> i & 1]


def _readers(graph: Graph, children: list[list[int]], node: Node) -> list[Node]:
    """Who reads a node, views, scales and dropout looked through."""
    todo, out = list(children[node.index]), []
    while todo:
        child = graph.nodes[todo.pop()]
        if child.looked_through:
            todo += children[child.index]
        else:
            out.append(child)
    return out


def _is_output(graph: Graph, readers: list[Node], node: Node) -> bool:
    """Whether the model returns a node, as it is or as probabilities."""
    last = {r.index for r in readers} | {node.index}
    return graph.output in last and all(r.operation in ("softmax", "log_softmax") for r in readers)


def _factor(graph: Graph, later: Node, earlier: Node) -> float:
    """Product of the scales on the way from an earlier node to a later one."""
    factor, node = 1.0, graph.nodes[later.parents[0]]
    while node.index != earlier.index and node.parents:
        if isinstance(node.layer, Scale):
            factor *= node.layer.factor
        node = graph.nodes[node.parents[0]]
    return factor


def _beside_weights(graph: Graph, total: Node) -> bool:
    """Whether a sum adds a correction of few directions to a map of its own (LoRA)."""
    a, b = (graph.seen_through(graph.nodes[p]) for p in total.parents)
    if total.is_residual or not (a.is_affine and b.is_affine):
        return False
    for base, end in ((a, b), (b, a)):
        inner = graph.seen_through(graph.nodes[end.parents[0]])
        source = graph.seen_through(graph.nodes[base.parents[0]])
        if (
            inner.is_affine
            and source.index == graph.seen_through(graph.nodes[inner.parents[0]]).index
        ):
            return True
    return False


def _branches(graph: Graph) -> dict[int, Branch]:
    """The affine maps, norms and attentions with which residual branches end."""
    ends, out = branch_ends(graph), dict[int, Branch]()
    for total in residual_sums(graph):
        parents = [graph.nodes[p] for p in total.parents]
        for branch, stream in (parents, parents[::-1]):
            end = graph.seen_through(branch)
            if end.index not in ends or _beside_weights(graph, total):
                continue
            factor = _scales(graph, branch, end)
            inside = [end, *graph.between(end, graph.seen_through(stream))]
            normed = any(n.is_norm for n in inside)
            gated = any(is_product(n) for n in inside)
            if end.applied is not None:  # x + tanh(W x)
                inner = graph.seen_through(graph.nodes[end.parents[0]])
                out.setdefault(
                    inner.index, Branch(stream.index, factor, (end.index,), normed, gated)
                )
            elif isinstance(end.layer, Product):  # x + gate * (W x)
                for p, other in (end.parents, end.parents[::-1]):
                    inner = graph.seen_through(graph.nodes[p])
                    if inner.is_affine:
                        out.setdefault(
                            inner.index, Branch(stream.index, factor, (other,), normed, gated)
                        )
                        break
            else:
                out.setdefault(end.index, Branch(stream.index, factor, (), normed, gated))
            break
    return out


def _scales(graph: Graph, branch: Node, end: Node) -> float:
    """Product of the scales from the end of a branch to the sum."""
    factor, node = 1.0, branch
    while node.index != end.index:
        if isinstance(node.layer, Scale):
            factor *= node.layer.factor
        node = graph.nodes[node.parents[0]]
    return factor


def _attention_parts(graph: Graph) -> dict[int, str]:
    """Affine maps that queries, keys and values come from, and those that read an attention."""
    out: dict[int, str] = {}
    for node in graph.nodes:
        if isinstance(node.layer, Attention) and not isinstance(node.tensors, Heads):
            for i, p in enumerate(node.parents):
                source = graph.seen_through(graph.nodes[p])
                if source.is_affine:
                    out.setdefault(
                        source.index, "scores" if i < 2 and len(node.parents) > 2 else ("value")
                    )
                    if i == 2 and out[source.index] == "scores":
                        out[source.index] = "joint"
        elif node.is_affine and node.parents:
            source = graph.seen_through(graph.nodes[node.parents[0]])
            if isinstance(source.layer, Attention):
                out[node.index] = "output"
    return out
