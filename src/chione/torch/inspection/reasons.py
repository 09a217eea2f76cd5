"""Why a parameter gets no gradient: found in the graph, in autograd, and by trying."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture.batches import tensors
from chione.torch.capture.cuts import Cut, Cuts, leaves
from chione.torch.capture.nodes import Graph, Node
from chione.torch.layers.tensors import Affine, Heads, Weight

Named = Mapping[str, torch.nn.Parameter]

_DEAD = 0.999


@dataclass(frozen=True)
class Reason:
    """The status of a parameter without a gradient, the reason in words, and where it lies."""

    status: str
    text: str
    cause: str = ""
    place: str | None = None
    steps: int = 0


def why_missing(
    names: Iterable[str], parameters: Named, graph: Graph, out: Any, output: Any
) -> dict[str, Reason]:
    """Reasons for parameters to which autograd knows no way from the output."""
    wanted = {name: id(parameters[name]) for name in names}
    if not wanted:
        return {}
    behind = [(cut, cut.leaves()) for cut in graph.cuts.found if cut.why != "derivative zero"]
    # Statistics are detached everywhere: the cut that explains most comes first.
    behind.sort(key=lambda entry: -len(entry[1] & set(wanted.values())))
    others = [t for t in tensors(out) if t is not output and t.requires_grad]
    elsewhere = leaves(torch.autograd.graph.get_gradient_edge(t) for t in others)
    found = {}
    for name, key in wanted.items():
        cut = next((cut for cut, reach in behind if key in reach), None)
        if key in elsewhere:
            text = "only another output of the model depends on it"
            found[name] = Reason("no effect", text)
        elif cut is not None:
            found[name] = Reason("cut", _told(cut), cut.why, cut.place or None)
        elif key in graph.cuts.used:
            found[name] = Reason("no effect", "nothing that is returned depends on it")
        else:
            found[name] = Reason("unused", "not used in this forward pass")
    return found


def _told(cut: Cut) -> str:
    place = f"in {cut.place!r}" if cut.place else "in the forward method of the model"
    if cut.why == "no_grad":
        return f"its result is computed under no_grad {place}"
    if cut.why == "detached":
        return f"its result is detached {place}"
    if cut.why == "reentrant checkpoint":
        return f"it runs inside a reentrant checkpoint {place} that no input with a gradient enters"
    return f"the gradient ends {place}: {cut.operation!r} has no derivative"


def flat_places(parameter: torch.Tensor, cuts: Cuts) -> Cut | None:
    """The first piecewise constant function that a parameter goes through."""
    flat = (cut for cut in cuts.found if cut.why == "derivative zero")
    return next((cut for cut in flat if id(parameter) in cut.leaves()), None)


def why_stuck(
    name: str,
    parameters: Named,
    graph: Graph,
    *,
    zero: Sequence[str],
    freed: bool,
) -> Reason | None:
    """The reason why a gradient is zero and stays so; None if nothing tells it.

    Parameters
    ----------
    name : str
    parameters : mapping
        All parameters by name.
    graph : Graph
    zero : sequence of str
        Names of the other parameters that are exactly zero.
    freed : bool
        Whether it gets a gradient once those are not zero any more.
    """
    if freed and zero:
        partner = max(zero, key=lambda other: _shared(name, other))
        text = f"its gradient is multiplied by {partner!r}, which is zero"
        if bool((parameters[name] == 0).all()):
            text = (
                f"it and {partner!r} are both zero, and each multiplies the gradient of the other"
            )
        return Reason("stuck", text, "zero product", partner.rpartition(".")[0] or partner)
    flat = flat_places(parameters[name], graph.cuts)
    if flat is not None:
        where = flat.place or "the forward method of the model"
        text = f"{flat.operation!r} in {where!r} is piecewise constant: its derivative is zero"
        return Reason("stuck", text, flat.why, flat.place or None)
    dead = _dead_row(name, graph)
    if dead is not None:
        text = (
            f"{dead.name!r} has 100% of its units saturated, with a slope of zero for every input "
            "of the batch (dead units)"
        )
        return Reason("stuck", text, "dead units", dead.name)
    return None


def rows_of(name: str, graph: Graph) -> list[Node]:
    """The rows that a parameter belongs to."""
    module = name.rpartition(".")[0]
    out = []
    for node in graph.rows():
        held = node.tensors
        owners: tuple[str | None, ...] = ()
        if isinstance(held, Weight):
            owners = (held.parameter, held.bias_parameter)
        elif isinstance(held, Affine):
            owners = (held.parameter,)
        elif isinstance(held, Heads):
            owners = (*held.inputs, held.output, *held.biases)
        if name in owners or node.name.split(" (")[0] == module:
            out.append(node)
    return out


def _dead_row(name: str, graph: Graph) -> Node | None:
    """A row with all units dead that the parameter stands before, or whose units it reads."""
    dead = [n for n in graph.nodes if n.origin is not None and _share_dead(n) >= _DEAD]
    for row in rows_of(name, graph):
        for node in dead:
            if node.ancestors >> row.index & 1 or node.index == _source(graph, row):
                return graph.nodes[node.origin or 0]
    return None


def _source(graph: Graph, row: Node) -> int:
    return graph.seen_through(graph.nodes[row.parents[0]]).index if row.parents else -1


def _share_dead(node: Node) -> float:
    return 0.0 if node.saturation is None else float(node.saturation[1])


def _shared(a: str, b: str) -> int:
    """Number of parts that two names begin with in common."""
    n = 0
    for x, y in zip(a.split("."), b.split("."), strict=False):
        if x != y:
            break
        n += 1
    return n
