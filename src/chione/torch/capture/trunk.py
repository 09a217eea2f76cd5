"""The trunk of a network: the rows that every path from input to output passes.

Branches of a residual network may start at zero on purpose; only where no other way exists does a
lost signal or gradient mean that the network cannot train.
"""

from __future__ import annotations

from chione.torch.capture.nodes import Graph


def trunk(graph: Graph) -> frozenset[int]:
    """Indices of the rows that lie on every path from the inputs to the output."""
    if graph.output is None:
        return frozenset(node.index for node in graph.rows())
    reach = graph.nodes[graph.output].ancestors | (1 << graph.output)
    children = graph.children()
    cut, furthest = set(), -1
    for node in graph.nodes:
        if not reach >> node.index & 1 or node.held:
            continue
        # In order of execution nothing may jump over a cut from before it to behind it.
        if node.row and furthest <= node.index:
            cut.add(node.index)
        later = [c for c in children[node.index] if reach >> c & 1]
        furthest = max([furthest, *later])
    return frozenset(cut)


def behind_norm(graph: Graph) -> frozenset[int]:
    """Nodes from which every path to the output passes a normalisation.

    There the scale of the signal does not matter, and the gradient is judged relative to it.
    """
    children = graph.children()
    reach = -1 if graph.output is None else graph.nodes[graph.output].ancestors
    out: set[int] = set()
    for node in reversed(graph.nodes):
        readers = [c for c in children[node.index] if reach >> c & 1 or c == graph.output]
        if (
            node.index != graph.output
            and readers
            and all(graph.nodes[c].is_norm or c in out for c in readers)
        ):
            out.add(node.index)
    return frozenset(out)
