"""The network that a captured graph is, written in chione's own layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from chione.base import ChioneError
from chione.networks import (
    AbstractLayer,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layers,
    Network,
    Norm,
    Residual,
    Scale,
)
from chione.torch.capture.nodes import Graph, Node
from chione.torch.layers.entering import Entering
from chione.torch.layers.joins import Sum, View
from chione.torch.layers.tensors import is_isometry

_FEW = 4  # rows that are orthogonal by chance, as a single one always is
_LEARNT = 1e-150  # of a bias that starts at zero: theory trains biases whose sigma_b is above it


class NoDescriptionError(ChioneError):
    """The words behind "no theory:" for a graph that theory cannot take."""


@dataclass(frozen=True)
class Description:
    """A network of vectors, and the row of the model that each of its places is.

    Parameters
    ----------
    network : Network
        One input, whose mean square is that given.
    places : dict of str to str
        Name of the row, by place.
    """

    network: Network
    places: dict[str, str]


def describe(graph: Graph, width: int, mean_square: float) -> Description:
    """The network of dense layers, activations, norms, scales and residual blocks in a graph.

    Raises
    ------
    NoDescriptionError
        If there is something else in it; the message says what.
    """
    if graph.output is None:
        raise NoDescriptionError("its output was not followed.")
    if graph.reused():
        raise NoDescriptionError("a weight is used more than once.")
    found = _chain(graph, graph.nodes[graph.output], None)
    places: dict[str, str] = {}
    layers = _layers(found, "layers", places)
    try:
        network = Network(layers, Input(width, inputs=((mean_square,),)))
    except (ChioneError, ValueError) as err:
        raise NoDescriptionError(str(err)) from err
    return Description(network, places)


def vectors(graph: Graph, batch: Any) -> torch.Tensor:
    """The inputs as vectors (B, n), as the network reads them.

    Raises
    ------
    NoDescriptionError
        If the batch is no tensor of vectors, nor of what is flattened at once.
    """
    if not isinstance(batch, torch.Tensor) or not batch.is_floating_point() or batch.dim() < 2:
        raise NoDescriptionError("the input is no batch of vectors.")
    flat = batch.detach().reshape(len(batch), -1)
    if batch.dim() > 2:
        entering = [node.index for node in graph.nodes if isinstance(node.layer, Entering)]
        readers = [node for node in graph.nodes if set(entering) & set(node.parents)]
        if not readers or any(node.shape != tuple(flat.shape) for node in readers):
            raise NoDescriptionError("the input has positions, which are not flattened at once.")
    return flat


@dataclass(frozen=True)
class _Item:
    """A layer and its node; the items of its branch for a residual block."""

    node: Node
    layer: AbstractLayer
    branch: tuple[_Item, ...] = ()


def _layers(items: tuple[_Item, ...], place: str, places: dict[str, str]) -> Layers:
    out: list[AbstractLayer] = []
    for i, item in enumerate(items):
        here = f"{place}[{i}]"
        if item.node.row:
            places[here] = item.node.name
        if item.branch:
            inner = _layers(item.branch, f"{here}.branch", places)
            minus = isinstance(item.node.layer, Sum) and item.node.layer.minus
            out.append(Residual(inner, scale=-1.0 if minus else 1.0))
            continue
        out.append(item.layer)
    return tuple(out)


def _chain(graph: Graph, node: Node, stop: int | None) -> tuple[_Item, ...]:
    """From the input, or the node where a residual block begins, to a node."""
    items: list[_Item] = []
    while node.index != stop and not isinstance(node.layer, Entering):
        if isinstance(node.layer, Sum):
            start, end = _sides(graph, node)
            items.append(_Item(node, node.layer, _chain(graph, end, start.index)))
            node = start
            continue
        layer = _plain(node)
        if layer is not None:
            items.append(_Item(node, layer))
        if len(node.parents) != 1:
            raise NoDescriptionError(f"{_named(node)} reads {len(node.parents)} tensors.")
        node = graph.nodes[node.parents[0]]
    return tuple(reversed(items))


def _sides(graph: Graph, node: Node) -> tuple[Node, Node]:
    """Where a residual block begins, and the end of its branch."""
    if len(node.parents) == 2:
        a, b = (_behind_views(graph, graph.nodes[i]) for i in node.parents)
        minus = isinstance(node.layer, Sum) and node.layer.minus
        if b.ancestors >> a.index & 1:
            return a, b
        if a.ancestors >> b.index & 1 and not minus:
            return b, a
    raise NoDescriptionError(f"the sum {node.name!r} is no block with the identity beside it.")


def _behind_views(graph: Graph, node: Node) -> Node:
    while isinstance(node.layer, View) and node.layer.part is None and len(node.parents) == 1:
        node = graph.nodes[node.parents[0]]
    return node


def _plain(node: Node) -> AbstractLayer | None:
    """The layer of a node with one input; None where it changes nothing."""
    layer = node.layer
    if isinstance(layer, Flatten) or (isinstance(layer, View) and layer.part is None):
        return None
    if isinstance(layer, Dropout) and layer.keep == 1.0:
        return None
    if node.applied is not None:
        if node.applied.layer is None:
            raise NoDescriptionError(f"the activation {node.applied.name} is not known.")
        return node.applied.layer
    if isinstance(layer, Dense) and node.weight is not None:
        if node.weight.parameter is None:
            raise NoDescriptionError(f"the weight of {node.name!r} is computed.")
        if min(node.weight.weight.shape) >= _FEW and is_isometry(node.weight.weight):
            raise NoDescriptionError(f"the weight of {node.name!r} is orthogonal.")
        bias = layer.sigma_b if layer.sigma_b > 0.0 or node.weight.bias is None else _LEARNT
        return replace(layer, sigma_b=bias)
    if isinstance(layer, Scale) or (isinstance(layer, Norm) and layer.form in ("layer", "rms")):
        return layer
    raise NoDescriptionError(f"{_named(node)} is no layer of a plain or residual network.")


def _named(node: Node) -> str:
    word = node.operation or node.kind
    return f"{node.name!r} ({word})" if node.name else word
