"""Calls that are a whole layer of more than one tensor: recurrent cells and bilinear maps."""

from __future__ import annotations

from typing import Any

import torch

from chione.networks import Dense
from chione.torch.capture.batches import tensors
from chione.torch.capture.book import Book
from chione.torch.layers.entering import Entering
from chione.torch.layers.joins import Product
from chione.torch.layers.recurrent import recurrent_call
from chione.torch.layers.tensors import Weight


def recurrent(book: Book, name: str, args: Any, out: Any) -> bool:
    """All layers of recurrent cells, whose states leave one a step."""
    call = recurrent_call(name, args)
    source = None if call is None else book.find(call[0])
    if call is None or source is None:
        return False
    parent = book.graph.nodes[source]
    first, given = next(tensors(out)), parent.axes
    if not given and isinstance(parent.layer, Entering):
        given = "last" if args[-1] is True else "time"
    axes = given if first.dim() == 3 and given in ("last", "time") else ""
    if axes and call[0].shape[0 if axes == "last" else 1] != book.graph.batch:
        axes = ""  # the steps of time were taken for the inputs
    node = book.new(
        call[1], (source,), first, None, operation=name[:4].rstrip("_").upper(), axes=axes
    )
    if axes:
        book.arrives(node, call[0], axes)
    for state in tensors(out[1:]):  # the last states
        book.tag(state, book.graph.add(None, node.name, (node.index,), state.shape))
    book.row(node, first)
    return True


def bilinear(book: Book, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
    """An affine map of all products of two inputs."""
    a, b, w, bias = (*args, *kwargs.values(), None)[:4]
    sources = tuple(book.source(x) for x in (a, b))
    parents = [book.graph.nodes[i] for i in sources]
    pair = book.graph.add(Product(), book.path, sources, (*a.shape, b.shape[-1]))
    pair.known = all(parent.known for parent in parents)
    weight_seen, bias_seen = book.seen(w), None if bias is None else book.seen(bias)
    weight = Weight(
        w,
        bias,
        float(w[0].numel()),
        parameter=weight_seen and weight_seen[0],
        bias_parameter=bias_seen and bias_seen[0],
        operation="bilinear",
    )
    layer = Dense(weight.sigma_w, weight.sigma_b, int(w.shape[0]))
    node = book.new(
        layer, (pair.index,), out, weight.parameter, tensors=weight, operation="bilinear",
        axes="last",
    )  # fmt: skip
    node.known, node.gaussian = pair.known, True
    book.row(node, out)
    return True, out
