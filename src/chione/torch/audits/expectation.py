"""What theory or convention expects of a parameter by its role."""

from __future__ import annotations

import math

from chione.base import SpecError
from chione.torch.audits.items import Item
from chione.torch.capture.followers import followers
from chione.torch.capture.nodes import Graph, Node
from chione.torch.recommendation.recipes import recipe

_DEPTH = 50  # for which a gain is recommended where lengths fade, as calculate_gain has it
_VECTORS = {"norm gain": "1", "norm shift": "0", "bias": "0"}
_LINEAR = ("gate", "q", "k", "v", "qkv", "kv", "gate up", "router")
_ENDS = ("o", "down", "head")


def expectations(items: list[Item], graph: Graph | None) -> list[str]:
    """A few words each: sigma_w on the edge of chaos for what follows, 1 where nothing does."""
    follow = {} if graph is None else followers(graph)
    children = [] if graph is None else graph.children()
    out = []
    for item in items:
        after = None
        if graph is not None and "order" in item.entry.detail:
            after = _after(graph, follow, children, int(item.entry.detail["order"]))
        out.append(_expected(item, after))
    return out


def _expected(item: Item, after: Node | None) -> str:
    role = item.role
    if role == "norm gain" and item.entry.detail.get("offset"):
        return "0 (gain 1 + w)"
    if role in _VECTORS:
        return _VECTORS[role]
    if role in _ENDS:
        return "sigma_w <= 1"  # a branch or an output may start small
    if role in _LINEAR:
        return "sigma_w 1"
    if role in ("hidden", "input", "conv", "up"):
        return f"sigma_w {_critical(after) or '1'}"
    return ""


def _after(
    graph: Graph, follow: dict[int, Node], children: list[list[int]], index: int
) -> Node | None:
    """The activation behind an affine map, a norm between them looked through."""
    if index in follow:
        return follow[index]
    normed = (c for c in children[index] if graph.nodes[c].is_norm)
    return next((follow[c] for c in normed if c in follow), None)


def _critical(node: Node | None) -> str | None:
    phi = None if node is None else node.activation
    if node is None or phi is None:
        return None
    try:
        best = recipe(phi, _DEPTH, scaled=False)
    except (SpecError, ValueError):
        return None
    name = node.applied.label if node.applied is not None else phi.name
    return None if math.isnan(best.sigma_w) else f"{best.sigma_w:.3g} ({name})"
