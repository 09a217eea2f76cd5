"""Which activation is applied to each row: the first one that reads it."""

from __future__ import annotations

from chione.torch.capture.nodes import Graph, Node


def followers(graph: Graph) -> dict[int, Node]:
    """Row index -> activation node.

    A function that also occurs in formulas (exp, abs, pow, clamp) counts only if its result goes
    into a layer or is the output: inside a hand-written normalisation it is no activation.
    """
    children = graph.children()
    out: dict[int, Node] = {}
    for node in graph.nodes:
        applied = node.applied
        if applied is None or node.origin is None or node.origin in out:
            continue
        if applied.arithmetic and not _is_read(graph, children, node):
            continue
        out[node.origin] = node
    return out


def _is_read(graph: Graph, children: list[list[int]], node: Node) -> bool:
    """Whether a layer reads the node, or the model returns it."""
    todo = [node.index]
    while todo:
        index = todo.pop()
        if index == graph.output:
            return True
        for child in children[index]:
            reader = graph.nodes[child]
            if reader.is_affine:
                return True
            if reader.looked_through:
                todo.append(child)
    return False
