"""Padding around the edge before a convolution, which the two together are one layer."""

from __future__ import annotations

from typing import Any

import torch

from chione.torch.capture.book import Book
from chione.torch.layers.convolution import padding_call
from chione.torch.layers.joins import Padded


def pad(book: Book, args: Any, kwargs: Any, out: torch.Tensor) -> bool:
    """Note a call of ``pad`` in front of convolutions; whether it was one."""
    layer, source = padding_call(args, kwargs), book.find(args[0])
    if layer is None or source is None:
        return False
    book.new(layer, (source,), out, None)
    return True


def padded(book: Book, x: Any) -> tuple[Padded, int, torch.Tensor] | None:
    """If a tensor was padded so: how, the node it was before, and the tensor before."""
    found = book.find(x)
    node = None if found is None else book.graph.nodes[found]
    if node is None or not isinstance(node.layer, Padded):
        return None
    inner = x
    for axis in range(x.dim() - 2):
        before, after = node.layer.widths[2 * (x.dim() - 3 - axis) :][:2]
        inner = inner.narrow(2 + axis, before, x.shape[2 + axis] - before - after)
    return node.layer, node.parents[0], inner
