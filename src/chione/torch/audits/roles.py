"""Roles of parameters: from the graph where the model can be run, else from module and name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from chione.networks import Convolution, Scale
from chione.torch.audits.entries import Entry
from chione.torch.audits.role_names import role_of_name
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.structure import branch_ends, structure
from chione.torch.layers.entering import Attention, Embedding, Entering
from chione.torch.layers.joins import Product, Sum
from chione.torch.layers.tensors import Affine, Heads

Told = dict[str, tuple[str, dict[str, Any]]]
_NORMS = (
    torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.modules.batchnorm._BatchNorm, torch.nn.RMSNorm,
)  # fmt: skip


def with_roles(
    entries: list[Entry], model: torch.nn.Module | None, batch: Any, *, run: bool = True
) -> tuple[list[Entry], str, Graph | None]:
    """Entries with roles and fans, a note on how they were found, and the graph if there is one."""
    graph, note = None, ""
    if model is not None and run:
        graph, note = _graph(model, batch)
    ran = graph is not None and not note
    told = of_graph(graph) if ran and graph is not None else {}
    out = [_fans(_role(entry, told)) for entry in entries]
    fans = {
        e.module.removesuffix(".parametrizations.weight"): (e.fan_in, e.fan_out)
        for e in out if e.fan_in and e.leaf in ("weight", "weight_v", "original", "original1")
    }  # fmt: skip
    for k, entry in enumerate(out):
        if entry.role == "bias" and entry.module in fans:  # drawn by the fan of its weight
            out[k] = replace(entry, fan_in=fans[entry.module][0], fan_out=fans[entry.module][1])
    return out, note, graph if ran else None


def _graph(model: torch.nn.Module, batch: Any) -> tuple[Graph | None, str]:
    """The graph of the model, by a batch, one that is made up, or not at all; and a note."""
    trials = (batch,) if batch is not None else (_pictures(model), None)
    name = ""
    for trial in trials:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the user's model on a batch that is made up
                return structure(model, trial, 1)
        except Exception as err:  # made-up inputs may break a model in any way: names are left
            if batch is not None:
                raise
            name = type(err).__name__
    return None, (
        f"The model could not be run on a made-up batch ({name}), so roles come from modules and "
        "names; pass a batch to be sure."
    )


def _role(entry: Entry, told: Told) -> Entry:
    shape = tuple(entry.tensor.shape)
    by_name = Entry.told(entry, *role_of_name(entry.name, shape))
    for name in (entry.name, *entry.aliases):
        if name in told:
            role, detail = told[name]
            # a table that is tied to the head is an embedding: that is what was drawn
            tied = role == "head" and any(
                told.get(a, ("",))[0] == "embedding" for a in _names(entry)
            )
            role = "embedding" if tied else role
            if role == "hidden" and by_name.role in ("conv", "router", "lora a", "lora b"):
                role = by_name.role
            return entry.told(role, "graph", **detail)
    found = _of_module(entry)
    return by_name if found is None else entry.told(found, "module")


def _names(entry: Entry) -> Iterable[str]:
    return (entry.name, *entry.aliases)


def _of_module(entry: Entry) -> str | None:
    """Role by the class of the module that owns the parameter."""
    owner, leaf = entry.owner, entry.leaf
    if owner is None:
        return None
    vector = entry.tensor.dim() <= 1
    if isinstance(owner, _NORMS) or "norm" in type(owner).__name__.lower():
        return "norm shift" if leaf == "bias" else "norm gain" if vector else None
    if isinstance(owner, torch.nn.Embedding):
        by_name = role_of_name(entry.name, tuple(entry.tensor.shape))[0]
        return "position" if by_name == "position" else "embedding"
    if isinstance(owner, torch.nn.RNNBase | torch.nn.RNNCellBase):
        if leaf.startswith("bias"):
            return "bias"
        return "recurrent input" if leaf.startswith("weight_ih") else "recurrent"
    if isinstance(owner, torch.nn.PReLU):
        return "scale"
    if leaf == "bias":
        return "bias"
    if isinstance(owner, torch.nn.modules.conv._ConvNd):
        return "conv"
    return None


def _fans(entry: Entry) -> Entry:
    """Fan-in and fan-out by the layout that the module or the graph tells."""
    shape = tuple(int(s) for s in entry.tensor.shape)
    if len(shape) < 2:
        return entry
    swapped = bool(entry.detail.get("transposed"))
    if entry.owner is not None and type(entry.owner).__name__ == "Conv1D":
        swapped = len(shape) == 2  # of transformers: a Linear with its axes swapped
    if isinstance(entry.owner, torch.nn.modules.conv._ConvTransposeNd):
        swapped = False  # fans as torch.nn.init counts them, which is how they were drawn
    field = math.prod(shape[2:])
    fan_in, fan_out = float(shape[1] * field), float(shape[0] * field)
    if len(shape) == 3 and entry.role in ("gate", "up", "down", "gate up", "hidden"):
        fan_in, fan_out = float(shape[2]), float(shape[1])  # one matrix for each expert
    if swapped:
        fan_in, fan_out = fan_out, fan_in
    return replace(entry, fan_in=fan_in, fan_out=fan_out)


# ---- from the graph --------------------------------------------------------------------------


def of_graph(graph: Graph) -> Told:
    """Role and details of each parameter that the graph knows, by name."""
    told: Told = {}
    children = graph.children()
    ends = branch_ends(graph)
    for node in graph.nodes:
        _norms_and_tables(graph, node, children, ends, told)
    roles = _attention(graph, children) | _gates(graph, children)
    affine = [n for n in graph.nodes if n.is_affine and n.weight and n.weight.parameter]
    last = _last(graph)
    for node in affine:
        weight = node.weight
        if weight is None or weight.parameter is None:
            continue
        role = roles.get(node.index) or _plain(graph, node, ends, children)
        if node.index in last and role in ("hidden", "up", "down", "input"):
            role = "head"
        detail = {
            "transposed": weight.transposed,
            "branch end": node.index in ends,
            "scaled": _scaled(graph, node),
            "order": node.index,
        }
        if weight.parameter not in told or told[weight.parameter][0] == "hidden":
            told[weight.parameter] = (role, detail)
        if weight.bias_parameter is not None:
            told.setdefault(weight.bias_parameter, ("bias", {"of": weight.parameter, "by": role}))
    return told


def _norms_and_tables(
    graph: Graph, node: Node, children: list[list[int]], ends: set[int], told: Told
) -> None:
    tensors = node.tensors
    if isinstance(tensors, Affine) and tensors.parameter is not None:
        end = node.is_norm and node.index in ends
        told.setdefault(
            tensors.parameter, ("norm gain", {"offset": tensors.offset, "branch end": end})
        )
    if isinstance(tensors, Heads):
        names = tensors.inputs
        for role, name in zip(
            ("qkv",) if len(names) == 1 else ("q", "k", "v"), names, strict=False
        ):
            told.setdefault(name, (role, {"joint": len(names) == 1}))
        told.setdefault(tensors.output, ("o", {"branch end": True}))
        for name in tensors.biases:
            told.setdefault(name, ("bias", {}))
    if isinstance(node.layer, Embedding) and node.name:
        name = node.name if node.name.endswith("weight") else f"{node.name}.weight"
        relative = "relative" in name.lower() or "bias" in name.lower()  # added to scores
        position = relative or _adds_positions(graph, node, children)
        role = "position" if position else "embedding"
        told.setdefault(name, (role, {}))


def _adds_positions(graph: Graph, node: Node, children: list[list[int]]) -> bool:
    """Whether its rows are the same for all inputs and are added to another signal."""
    wide = len(node.shape) > 2 and node.shape[0] == 1 and graph.batch > 1
    flat = len(node.shape) == 2 and graph.batch > 1 and node.shape[0] != graph.batch
    return (wide or flat) and any(
        isinstance(graph.nodes[c].layer, Sum) for c in children[node.index]
    )


def _back(graph: Graph, start: int, most: int = 60) -> Node | None:
    """The nearest affine map behind a node, through everything that has no weights."""
    todo, seen = [start], {start}
    while todo and len(seen) < most:
        node = graph.nodes[todo.pop(0)]
        if node.is_affine:
            return node
        if isinstance(node.layer, (Attention, Embedding, Entering)):
            continue
        for p in node.parents:
            if p not in seen:
                seen.add(p)
                todo.append(p)
    return None


def _ahead(graph: Graph, start: int, children: list[list[int]], most: int = 60) -> Node | None:
    """The nearest affine map ahead of a node, not past a sum with a stream."""
    todo, seen = list(children[start]), {start}
    while todo and len(seen) < most:
        index = todo.pop(0)
        if index in seen:
            continue
        seen.add(index)
        node = graph.nodes[index]
        if node.is_affine:
            return node
        if not node.is_residual and not isinstance(node.layer, Attention):
            todo += children[index]
    return None


def _attention(graph: Graph, children: list[list[int]]) -> dict[int, str]:
    out: dict[int, str] = {}
    for node in graph.nodes:
        if not isinstance(node.layer, Attention) or isinstance(node.tensors, Heads):
            continue
        sources = [_back(graph, p) for p in node.parents[:3]]
        for role, source in zip("qkv", sources, strict=False):
            if source is not None:
                before = out.get(source.index, "")
                out[source.index] = before if role in before else before + role
        end = _ahead(graph, node.index, children)
        if end is not None:
            out.setdefault(end.index, "o")
    return out


def _gates(graph: Graph, children: list[list[int]]) -> dict[int, str]:
    """Roles around products of a signal with an activated one."""
    out: dict[int, str] = {}
    for node in graph.nodes:
        if not isinstance(node.layer, Product) or len(node.parents) != 2:
            continue
        found = [_factor(graph, p) for p in node.parents]
        if any(f is None for f in found):
            continue
        (one, gated_one), (two, gated_two) = (f for f in found if f is not None)
        if gated_one == gated_two:
            continue
        gate, up = (one, two) if gated_one else (two, one)
        if gate.index == up.index:
            out[gate.index] = "gate up"
        else:
            out[gate.index], out[up.index] = "gate", "up"
        end = _ahead(graph, node.index, children)
        if end is not None:
            out.setdefault(end.index, "down")
    return out


def _factor(graph: Graph, index: int) -> tuple[Node, bool] | None:
    """The affine map behind a factor of a product, and whether an activation stands between."""
    activated = False
    node = graph.nodes[index]
    while not node.is_affine:
        if node.applied is not None:
            activated = True
        elif not node.looked_through:
            return None
        if len(node.parents) != 1:
            return None
        node = graph.nodes[node.parents[0]]
    return node, activated


def _plain(graph: Graph, node: Node, ends: set[int], children: list[list[int]]) -> str:
    """Role of an affine map that is part of no attention and no gate."""
    if isinstance(node.layer, Convolution):
        return "conv"
    if node.index in ends:
        return "down"
    ahead = _ahead(graph, node.index, children)
    if ahead is not None and ahead.index in ends and not _is_stream(graph, node, children):
        return "up"
    source = graph.seen_through(graph.nodes[node.parents[0]]) if node.parents else None
    if source is not None and isinstance(source.layer, Entering):
        return "input"
    return "hidden"


def _is_stream(graph: Graph, node: Node, children: list[list[int]]) -> bool:
    """Whether a residual sum or an attention reads what the map gives, or several things do."""
    readers = [graph.nodes[c] for c in children[node.index]]
    return any(r.is_residual or isinstance(r.layer, Attention) for r in readers)


def _last(graph: Graph) -> set[int]:
    """The affine map from which the output comes, if nothing with weights stands behind it."""
    if graph.output is None:
        return set()
    node = graph.nodes[graph.output]
    while not node.is_affine and len(node.parents) == 1:
        node = graph.nodes[node.parents[0]]
    return {node.index} if node.is_affine else set()


def _scaled(graph: Graph, node: Node) -> bool:
    """Whether a factor stands before or behind a map."""
    around = [graph.nodes[p] for p in node.parents]
    return any(isinstance(n.layer, Scale) for n in around)


def _pictures(model: torch.nn.Module) -> Any:
    """Pictures for a model of transformers that says it takes them; None for any other."""
    config = vars(model).get("config")
    if getattr(model, "main_input_name", None) != "pixel_values" or config is None:
        return None
    side, channels = (getattr(config, n, None) for n in ("image_size", "num_channels"))
    if isinstance(side, int) and isinstance(channels, int):
        side = (side, side)
    if not isinstance(side, tuple | list) or not isinstance(channels, int):
        return None
    p = next(model.parameters())
    shape = (2, channels, *(int(s) for s in side))
    return {"pixel_values": torch.ones(shape, dtype=p.dtype, device=p.device)}
