"""Attention found in a trace: torch's own calls, and products, softmax and product by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from chione.networks import Dropout, Scale
from chione.torch.capture.batches import tensors
from chione.torch.capture.book import Book
from chione.torch.capture.focus import of_scores, of_weights
from chione.torch.capture.nodes import Node
from chione.torch.capture.samples import spread_over
from chione.torch.layers.entering import Attention
from chione.torch.layers.heads import HEADS, as_heads, turned_by
from chione.torch.layers.tensors import Heads, Weighing

_UNSEEN = -1e4  # scores below this are those of masked keys


@dataclass(frozen=True)
class _Products:
    """Products of queries and keys as they were computed."""

    query: torch.Tensor
    key: torch.Tensor
    out: torch.Tensor


@dataclass(frozen=True)
class _Source:
    """A node that queries, keys or values come from, and what was done to it."""

    index: int
    x: torch.Tensor
    turned: torch.Tensor | None
    groups: int


class Attending:
    """Turn calls that make up an attention into one node.

    Parameters
    ----------
    book : Book
        Where it is written.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self._products: dict[int, _Products] = {}
        self._focus: dict[int, torch.Tensor | None] = {}  # of a softmax
        self._logits: dict[int, tuple[int, torch.Tensor]] = {}  # softmax -> products, its input

    # ---- torch's own ----------------------------------------------------------------------

    def scaled(self, args: Any, kwargs: Any, out: torch.Tensor) -> None:
        """``scaled_dot_product_attention``."""
        named = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        values = dict(zip(named, args, strict=False)) | kwargs
        query, key, value = values["query"], values["key"], values["value"]
        scale = values.get("scale") or 1.0 / math.sqrt(query.shape[-1])
        bias = self._bias(values.get("attn_mask"), query, key, bool(values.get("is_causal")))
        drop = float(values.get("dropout_p") or 0.0)
        node = self._add(query, key, value, float(scale), bias, 1.0 - drop, out)
        if self.book.measure:
            node.focus = of_scores(query, key, float(scale), bias)

    def multi_head(self, args: Any, kwargs: Any, out: Any) -> None:
        """``multi_head_attention_forward``, with projections of its own."""
        query, key, value, _, heads, joint, bias_in = args[:7]
        projections = [joint, *(kwargs.get(f"{k}_proj_weight") for k in "qkv")]
        weights = [w for w in projections if w is not None]
        seen = [self.book.seen(w) for w in (*weights, args[11])]
        biases = [self.book.seen(b) for b in (bias_in, args[12]) if b is not None]
        parents = tuple(self.book.source(t) for t in (query, key, value))
        first = next(tensors(out))  # the second, if any, are the attention weights
        batch_first = query.dim() == 3 and query.shape[0] == self.book.graph.batch
        axes = self.book.graph.nodes[parents[0]].axes if first.dim() == 3 else ""
        batch_first &= axes != "time"
        found = None
        if all(seen) and all(biases):
            names = [s[0] for s in seen if s]
            if joint is not None:
                weights = list(joint.chunk(3))
            size = joint.shape[1] // heads if joint is not None else weights[0].shape[0] // heads
            training, drop = bool(kwargs.get("training", True)), float(args[10] or 0.0)
            weighing = None
            if axes and not any(x is not None for x in args[7:9]) and not args[9]:
                bias = self._joint_mask(kwargs, query, key, heads, batch_first)
                keep = 1.0 - drop if training else 1.0
                weighing = Weighing(size, size, 1.0 / math.sqrt(size), bias, keep)
            found = Heads(
                tuple(names[:-1]), names[-1], tuple(b[0] for b in biases if b), weights[0],
                bias_in, tuple(weights), args[11], args[12], weighing,
            )  # fmt: skip
        node = self.book.new(Attention(), parents, first, None, tensors=found, axes=axes)
        if found is not None and query.dim() == 3 and self.book.measure:
            node.focus = self._joint_focus(kwargs, query, key, heads, found, batch_first)
        self.book.row(node, first)

    def _joint_focus(
        self, kwargs: Any, query: torch.Tensor, key: torch.Tensor, heads: int, found: Heads,
        batch_first: bool,
    ) -> torch.Tensor | None:  # fmt: skip
        """How sharply rows look, from projections made once more."""
        biases = (None,) * 3 if found.bias is None else found.bias.chunk(3)
        both = []
        for x, w, b in zip((query, key), found.projections, biases, strict=False):
            wide = torch.nn.functional.linear(x if batch_first else x.transpose(0, 1), w, b)
            both.append(wide.reshape(*wide.shape[:-1], heads, -1).transpose(1, 2))
        bias = self._joint_mask(kwargs, query, key, heads, batch_first)
        return of_scores(both[0], both[1], both[0].shape[-1] ** -0.5, bias)

    def _joint_mask(
        self, kwargs: Any, query: torch.Tensor, key: torch.Tensor, heads: int, batch_first: bool
    ) -> torch.Tensor:
        batch = self.book.graph.batch
        t, s = (x.shape[1 if batch_first else 0] for x in (query, key))
        out = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        mask = kwargs.get("attn_mask")
        if mask is not None:
            wide = mask if mask.dim() == 2 else mask.reshape(batch, heads, t, s)
            out = out + self._floating(wide if wide.dim() == 4 else wide[None, None], inverse=True)
        padding = kwargs.get("key_padding_mask")
        if padding is not None:
            out = out + self._floating(padding[:, None, None, :], inverse=True)
        return self._inputs(out)

    # ---- by hand --------------------------------------------------------------------------

    def product(self, args: Any, kwargs: Any, out: torch.Tensor) -> bool:
        """A product of two signals: scores to be, or weights with values; whether it is those."""
        b = args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
        if not isinstance(args[0], torch.Tensor) or not isinstance(b, torch.Tensor):
            return False
        found = self.book.find(args[0])
        soft, keep = (None, 1.0) if found is None else self._softmax(found)
        if soft is None:
            return False
        products, logits = self._logits[soft]
        scores = self._products[products]
        scale = self._scale(soft, products)
        head = as_heads(scores.query, "", self.book.graph.batch)
        if head is None:
            return False
        wide = (x.reshape(*head.shape[:3], -1) for x in (logits, scores.out))
        one, two = (self._inputs(x.detach()).double() for x in wide)
        bias = torch.where(one < _UNSEEN, -math.inf, one - scale * two)
        focus = self._focus.get(soft)
        self._add(scores.query, scores.key, b, scale, bias, keep, out).focus = focus
        return True

    def scores(self, args: Any, kwargs: Any, out: torch.Tensor) -> None:
        """Note a product of signals, whose node is there already."""
        b = args[1] if len(args) > 1 else kwargs.get("other", kwargs.get("mat2"))
        node = self.book.find(out)
        if node is not None and isinstance(b, torch.Tensor) and b.dim() > 2:
            key = b.transpose(-1, -2)
            source = self.book.find(b)
            if source is not None:  # nobody sees this transposition
                self.book.tag(key, self.book.graph.nodes[source])
            self._products[node] = _Products(args[0], key, out)

    def softmax(self, args: Any, kwargs: Any, out: torch.Tensor) -> None:
        """Note a softmax over the last axis of scores."""
        x, node = args[0], self.book.find(out)
        dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
        if node is None or dim not in (-1, x.dim() - 1):
            return
        nodes = self.book.graph.nodes
        for index in reversed(list(self._products)):
            if nodes[node].ancestors >> index & 1:
                self._logits[node] = index, x
                if self.book.measure:
                    self._focus[node] = of_weights(out)
                return

    def _softmax(self, index: int) -> tuple[int | None, float]:
        """The softmax that weights come from, through dropout and views."""
        keep = 1.0
        node = self.book.graph.nodes[index]
        while node.index not in self._logits:
            if not node.looked_through or len(node.parents) != 1:
                return None, keep
            if isinstance(node.layer, Dropout):
                keep *= node.layer.keep
            node = self.book.graph.nodes[node.parents[0]]
        return node.index, keep

    def _scale(self, soft: int, products: int) -> float:
        """Factor on the products before the softmax."""
        nodes, factor = self.book.graph.nodes, 1.0
        node = nodes[soft]
        while node.index != products:
            if isinstance(node.layer, Scale):
                factor *= node.layer.factor
            node = next(
                nodes[p] for p in node.parents
                if p == products or nodes[p].ancestors >> products & 1
            )  # fmt: skip
        return factor

    # ---- the node -------------------------------------------------------------------------

    def _add(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float,
        bias: torch.Tensor, keep: float, out: torch.Tensor,
    ) -> Node:  # fmt: skip
        heads = as_heads(query, "", self.book.graph.batch)
        heads_of_out = None if heads is None else heads.shape[1]
        found = [self._source(x, heads_of_out) for x in (query, key, value)]
        sources = tuple(
            self.book.source(x) if f is None else f.index
            for x, f in zip((query, key, value), found, strict=True)
        )
        known = [f for f in found if f is not None]
        weighing = None
        if len(known) == 3 and heads is not None:
            weighing = Weighing(
                int(query.shape[-1]), int(value.shape[-1]), scale, bias, keep,
                (known[0].turned, known[1].turned), known[1].groups, known[2].groups,
            )  # fmt: skip
        axes = "heads" if out.dim() == 4 else "last"
        node = self.book.new(Attention(), sources, out, None, tensors=weighing, axes=axes)
        if axes == "heads":
            self.book.kept[node.index] = out
        if out.dim() == 3 and out.shape[0] != self.book.graph.batch:
            node.axes = "flat"
        self.book.row(node, out)
        self._products.clear()
        self._logits.clear()
        self.book.kept.clear()
        return node

    def _source(self, x: torch.Tensor, heads: int | None) -> _Source | None:
        """The nearest node with channels seen as heads whose entries stand in x."""
        batch, nodes = self.book.graph.batch, self.book.graph.nodes
        index = self.book.find(x)
        wide = as_heads(x, "", batch)
        if index is None or heads is None or wide is None:
            return None
        wide = wide if wide.shape[1] in (heads, 1) or heads % wide.shape[1] == 0 else x[:, None]
        todo, seen = [index], {index}
        while todo:
            node = nodes[todo.pop(0)]
            kept = self.book.kept.get(node.index)
            plain = node.shape == tuple(x.shape)
            if node.index == index and plain and _as_it_is(node, heads):
                return _Source(index, x, None, heads // max(wide.shape[1], 1))
            inner = None if kept is None else as_heads(kept, node.axes, batch)
            if inner is not None:
                groups = heads // max(inner.shape[1], 1)
                step = max(wide.shape[1] // inner.shape[1], 1)
                first = wide[:, ::step]
                alike, angle = turned_by(inner.detach(), first.detach())
                if alike:
                    return _Source(node.index, x, angle, groups)
            for p in node.parents:
                if p not in seen and len(seen) < 40:
                    seen.add(p)
                    todo.append(p)
        return None

    # ---- masks ----------------------------------------------------------------------------

    def _bias(
        self, mask: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor, causal: bool
    ) -> torch.Tensor:
        t, s = query.shape[-2], key.shape[-2]
        out = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        if causal:
            hidden = torch.ones(t, s, dtype=torch.bool).triu(1)
            out = torch.zeros(1, 1, t, s, dtype=torch.float64).masked_fill(hidden, -math.inf)
        if mask is not None:
            wide = self._floating(mask, inverse=False)
            while wide.dim() < 4:
                wide = wide[None]
            out = out + wide
        return self._inputs(out)

    @staticmethod
    def _floating(mask: torch.Tensor, *, inverse: bool) -> torch.Tensor:
        """As what is added to scores; `inverse` if True means a key that is not seen."""
        if mask.dtype == torch.bool:
            hidden = mask if inverse else ~mask
            return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(hidden.cpu(), -math.inf)
        wide = mask.detach().double().cpu()
        return torch.where(wide < _UNSEEN, -math.inf, wide)

    def _inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Those of the inputs that theory looks at."""
        x = x.cpu()
        batch = self.book.graph.batch
        return x if x.shape[0] != batch or batch == 1 else x[spread_over(batch)]


def _as_it_is(node: Node, heads: int) -> bool:
    """Whether theory can take the state of a node for queries, keys or values."""
    return node.axes in HEADS or (node.axes == "last" and heads == 1)
