"""One rule for each kind of operation: what a call adds to the graph."""

from __future__ import annotations

from typing import Any

import torch

from chione.networks import AbstractLayer, Convolution, Dense, Dropout, Scale
from chione.torch.capture import operations as ops
from chione.torch.capture import wholes
from chione.torch.capture.attending import Attending
from chione.torch.capture.batches import tensors
from chione.torch.capture.book import Book
from chione.torch.capture.nodes import Node
from chione.torch.capture.padding import pad, padded
from chione.torch.capture.patches import patches
from chione.torch.capture.pointwise import Before, Formulas, before
from chione.torch.capture.samples import Sample, is_sampled
from chione.torch.capture.statistics import lazy_moments
from chione.torch.layers.convolution import convolution_call
from chione.torch.layers.dense import dense_call
from chione.torch.layers.dropout import dropout_call
from chione.torch.layers.entering import Embedding, Entering, Held
from chione.torch.layers.heads import HEADS
from chione.torch.layers.joins import Concat, Pick, Product, Sum, along_channels, along_positions
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.norm import norm_call, uses_batch
from chione.torch.layers.pooling import Windows, other_pool, pooling_call, pools_first
from chione.torch.layers.recurrent import CALLS
from chione.torch.layers.scale import scale_of
from chione.torch.layers.tensors import Affine, Table, root_mean_square
from chione.torch.layers.views import view_call


class Rules:
    """Turn calls of torch into nodes of the graph.

    Parameters
    ----------
    book : Book
        Where they are written.
    on_affine : callable or None
        See :class:`chione.torch.capture.tracer.Tracer`.
    """

    def __init__(self, book: Book, on_affine: Any) -> None:
        self.book = book
        self.on_affine = on_affine
        self.attending = Attending(book)
        self.formulas = Formulas(book)

    def prepare(self, func: Any, name: str, args: Any, kwargs: Any) -> Before:
        """What must be read of the input before an in-place operation overwrites it."""
        return before(self.book, self.formulas, func, name, args, kwargs)

    def record(self, name: str, args: Any, kwargs: Any, out: Any, read: Before) -> Any:
        """Write down a call that has run; returns the output that goes on."""
        out = self._record(name, args, kwargs, out, read)
        index = None if read.formula is None else self.book.find(out)
        if read.formula is not None and index is not None and index != read.formula.root:
            self.formulas.note(index, read.formula)
        return out

    def _record(self, name: str, args: Any, kwargs: Any, out: Any, read: Before) -> Any:
        if isinstance(out, torch.Tensor):
            if not out.is_floating_point():
                return out
        elif not isinstance(out, (tuple, list)):
            if name == "__setitem__" and isinstance(args[0], torch.Tensor):
                self.unknown(args, kwargs, args[0], name)
            return out
        if name in ops.VIEWS:
            return self._view(name, args, kwargs, out)
        if read.call is not None:
            self.formulas.forget(args, read)
            self.activation(read.call, read.source, out, read.saturation)
            return out
        if name == "multi_head_attention_forward":
            self.attending.multi_head(args, kwargs, out)
            return out
        if name == "scaled_dot_product_attention":
            self.attending.scaled(args, kwargs, out)
            return out
        if name in CALLS and self._recurrent(name, args, out):
            return out
        rule = self._rule(name)
        if rule is not None and isinstance(out, torch.Tensor):
            done, out = rule(name, args, kwargs, out)
            if done:
                return out
        floating = [t for t in tensors(out) if t.is_floating_point()]
        for i, tensor in enumerate(floating):
            self.unknown(args, kwargs, tensor, name, main=i == 0)
        if name in ops.MATMULS:
            self.attending.scores(args, kwargs, out)
        elif name == "softmax":
            self.attending.softmax(args, kwargs, out)
        return out

    def _rule(self, name: str) -> Any:
        if name in ops.ADDS:
            return self._add
        if name in ops.PRODUCTS or name in ops.QUOTIENTS:
            return self._product
        if name in ops.DROPOUTS:
            return self._dropout
        if name in ops.NORMS:
            return self._norm
        if name in ops.EMBEDDINGS:
            return self._embedding
        if name in ops.CONCATS:
            return self._concat
        if name in ops.POOLS:
            return self._pool
        if name == "pad":
            return self._pad
        if name == "bilinear":
            return self._bilinear
        dense = name in ("linear", "addmm", "einsum") or name in ops.MATMULS
        if dense or "conv" in name:
            return self._affine
        return None

    # ---- one rule for each kind -----------------------------------------------------------

    def _affine(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        seen = self.book.seen
        around = padded(self.book, args[0]) if args and name != "einsum" else None
        call = dense_call(name, args, kwargs, seen) or convolution_call(
            name, args, kwargs, seen, around and around[0]
        )
        if call is None:
            return name in ops.MATMULS and self.attending.product(args, kwargs, out), out
        x, layer, weight = call
        axes = "last" if isinstance(layer, Dense) else "first"
        if axes == "first" and x.dim() != weight.weight.dim():
            axes = ""  # no batch axis
        source, x = (self.book.source(x), x) if around is None else around[1:]
        if axes == "last" and self.book.graph.nodes[source].axes == "time":
            axes = "time"
        node = self.book.new(
            layer, (source,), out, weight.parameter, tensors=weight, axes=axes,
            operation=weight.operation,
        )  # fmt: skip
        node.known = node.gaussian = True
        self.book.arrives(node, x, axes)
        if isinstance(layer, Convolution) and weight.padding and self.book.reads(node, axes):
            node.patches = patches(x, layer, out, weight.padding, self.book.graph.batch)
        if self.on_affine is not None:
            out = self.on_affine(node, out, x)
            self.book.tag(out, node)
        self.book.row(node, out)
        return True, out

    def _pad(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        return pad(self.book, args, kwargs, out), out

    def _norm(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        x, layer, affine, operation = norm_call(name, args, kwargs, self.book.seen)
        self.normalised(layer, affine, operation, x, out)
        return True, out

    def normalised(
        self,
        layer: AbstractLayer,
        affine: Affine,
        operation: str,
        x: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        """A normalisation, of torch or made at home."""
        source = self.book.source(x)
        owner = affine.parameter
        if owner is not None and owner.rpartition(".")[0] == self.book.path:
            owner = None  # whatever the parameter is called, the module gives the name
        node = self.book.new(layer, (source,), out, owner, tensors=affine, operation=operation)
        parent = self.book.graph.nodes[source]
        last = operation in ("layer_norm", "rms_norm")
        node.axes = "last" if last or x.dim() == 2 else "first"
        if parent.axes in (*HEADS, "time"):
            node.axes = parent.axes
        if node.axes in HEADS:
            self.book.kept[node.index] = out
        node.known = not uses_batch(layer)
        node.gaussian = parent.gaussian
        if node.known:
            self.book.arrives(node, x, node.axes)
        self.book.row(node, out)

    def _embedding(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        seen = self.book.seen(weight)
        layer = Embedding(root_mean_square(weight, 0.0))
        node = self.book.new(layer, (), out, seen and seen[0], tensors=Table(weight), axes="last")
        node.gaussian = True
        self.book.row(node, out)
        return True, out

    def _recurrent(self, name: str, args: Any, out: Any) -> bool:
        return wholes.recurrent(self.book, name, args, out)

    def _bilinear(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        return wholes.bilinear(self.book, args, kwargs, out)

    def _add(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        found = [self.book.find(a) for a in args[:2]]
        if len(found) < 2 or None in found or kwargs.get("alpha", 1) != 1:
            return False, out
        a, b = (self.book.graph.nodes[i] for i in found if i is not None)
        if (a.held is None) != (b.held is None):
            signal, parameter = (b, a) if a.held else (a, b)
            if len(parameter.shape) <= 1:  # a bias added by hand
                return False, out
            a, b = signal, parameter
        residual = bool(b.ancestors >> a.index & 1 or a.ancestors >> b.index & 1)
        node = self.book.new(Sum(residual, "sub" in name), (a.index, b.index), out, None)
        node.operation = "residual sum" if residual else "sum"
        node.known = a.known and b.known
        node.gaussian = a.gaussian and b.gaussian
        node.axes = a.axes if b.held or a.axes == b.axes else ""
        self._broadcast(node, (a, b), args)
        signals = all(
            n.layer is not None and not isinstance(n.layer, (Product, Entering, Scale))
            for n in (a, b)
        )
        if signals or (residual and self._between_has_weights(a, b)):
            self.book.row(node, out)
        return True, out

    def _broadcast(self, node: Node, terms: tuple[Node, Node], args: Any) -> None:
        """Measure a term that is the same for all inputs as it meets the others."""
        for term, x in zip(terms, args, strict=False):
            missing = term.held is None and term.shape != node.shape and self.book.measure
            if missing and node.axes and self.book.find(x) == term.index:
                node.wide = (
                    term.index,
                    Sample.of(x.expand(node.shape), node.axes, self.book.graph.batch),
                )

    def _between_has_weights(self, a: Node, b: Node) -> bool:
        later, earlier = (b, a) if b.index > a.index else (a, b)
        inside = [later, *self.book.graph.between(later, earlier)]
        return any(n.joins_weights for n in inside)

    def _product(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        a, b = args[0], args[1] if len(args) > 1 else kwargs.get("other")
        if not isinstance(a, torch.Tensor):
            a, b = b, a
        factor = self._constant(b)
        if factor is None and self._constant(a) is not None and name not in ops.QUOTIENTS:
            a, factor = b, self._constant(a)
        source = self.book.find(a)
        if source is None:
            return False, out
        if factor is not None:
            value = 1.0 / factor if name in ops.QUOTIENTS and factor else factor
            node = self.book.new(scale_of(value), (source,), out, None)
            self.book.follow(node, source)
            if node.axes in HEADS:
                self.book.kept[node.index] = out
            return True, out
        other = self.book.find(b)
        if other is None or name in ops.QUOTIENTS:
            return False, out
        node = self.book.new(Product(), (source, other), out, None)
        one, two = (self.book.graph.nodes[i] for i in (source, other))
        node.known = one.known and two.known
        node.axes = one.axes if one.axes == two.axes else ""
        return True, out

    def _constant(self, x: Any) -> float | None:
        """Mean square of a factor that is no signal: a number or a parameter."""
        if isinstance(x, (int, float)):
            return float(x) ** 2
        if isinstance(x, torch.Tensor):
            node = self.book.find(x)
            if node is not None and self.book.graph.nodes[node].held:
                return float(x.detach().float().square().mean())
            if node is None and x.dim() == 0 and not x.is_complex():
                return float(x) ** 2
        return None

    def _dropout(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        source = self.book.find(args[0])
        if source is None:
            return False, out
        node = self.book.new(dropout_call(name, args, kwargs)[1], (source,), out, None)
        self.book.follow(node, source)
        node.gaussian &= isinstance(node.layer, Dropout) and node.layer.keep == 1.0
        return True, out

    def _pool(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        """A pool; what theory cannot follow through it starts again behind."""
        call = pooling_call(name, args, kwargs, out) or other_pool(name, args, kwargs)
        source = None if call is None else self.book.find(call[0])
        if call is None or source is None:
            return False, out
        parent = self.book.graph.nodes[source]
        first = name != "mean" or pools_first(args, kwargs)
        node = self.book.new(call[1], (source,), out, None)
        if parent.axes == ("first" if first else "last"):
            node.axes = parent.axes if out.dim() > 2 else "last"
        windows = isinstance(call[1], Windows) or call[1].kernel is not None
        if windows and node.axes and self.book.measure:
            node.numbers = lazy_moments(out, self.book.graph.batch)
            node.sample = Sample.of(out, node.axes, self.book.graph.batch, node.numbers)
            if parent.applied is not None:
                node.open = (out != 0).double().mean()
        return True, out

    def _concat(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        parts = args[0] if args else kwargs.get("tensors", ())
        parents = tuple(self.book.source(t) for t in parts)
        nodes = [self.book.graph.nodes[i] for i in parents]
        told = {n.axes for n in nodes if n.axes}
        axes = told.pop() if len(told) == 1 else ""
        channels = along_channels(tuple(out.shape), [n.shape for n in nodes], axes)
        channels = channels and all(n.axes for n in nodes)
        positions = along_positions(tuple(out.shape), [n.shape for n in nodes], axes)
        node = self.book.new(Concat(channels, positions), parents, out, None)
        node.known = (channels or positions) and all(n.known or n.held for n in nodes)
        node.gaussian = all(n.gaussian for n in nodes)
        node.axes = axes if out.dim() == len(nodes[0].shape) else ""
        return True, out

    def activation(self, call: Applied, source: int | None, out: torch.Tensor, sat: Any) -> None:
        """An activation, and the row that it acts on."""
        if source is None:
            return
        node = self.book.new(call, (source,), out, None)
        parent = self.book.graph.nodes[source]
        node.axes = parent.axes if node.shape == parent.shape else ""
        node.known = parent.known and parent.gaussian
        node.saturation = sat
        self.formulas.note(node.index, self.formulas.of(source).then(call))
        origin = parent
        while not origin.row and origin.looked_through:
            origin = self.book.graph.nodes[origin.parents[0]]
        node.origin = origin.index if origin.row else None

    def _view(self, name: str, args: Any, kwargs: Any, out: Any) -> Any:
        source = self.book.find(args[0]) if args else None
        if source is None:
            for tensor in tensors(out):
                if tensor.is_floating_point():
                    self.unknown(args, kwargs, tensor, name)
            return out
        parent = self.book.graph.nodes[source]
        for tensor in tensors(out):
            if tensor is args[0] or not tensor.is_floating_point():
                continue
            layer, axes = view_call(name, args, kwargs, parent.axes, tensor)
            node = self.book.new(layer, (source,), tensor, None)
            self.book.follow(node, source)
            node.axes = axes
            if name in ops.COPIES and node.shape == parent.shape:
                self.formulas.note(node.index, self.formulas.of(source))
            if axes in HEADS:
                self.book.kept[node.index] = tensor
            picked = layer.position if isinstance(layer, Pick) else None
            seen = is_sampled(picked, parent.shape, parent.axes, self.book.graph.batch)
            node.known &= layer is not None and seen
            held = parent.held
            if held is not None and held.name:
                flat = tensor.dim() == 2 and len(parent.shape) == 2
                swapped = held.swapped != (name in ops.SWAPS)
                node.layer = Held(held.name if flat else "", swapped, held.mean_square)
                node.tensors = Table(tensor)
        return out

    def unknown(
        self, args: Any, kwargs: Any, tensor: torch.Tensor, name: str, *, main: bool = False
    ) -> None:
        """Anything without a rule; a row of its own if it has weights."""
        found = (self.book.find(t) for t in tensors([*args, *kwargs.values()]))
        parents = tuple(dict.fromkeys(i for i in found if i is not None))
        if not parents:
            return
        owners = [self.book.graph.nodes[i] for i in parents]
        owner = next((n for n in owners if n.held and len(n.shape) > 1), None)
        node = self.book.new(
            None, parents, tensor, None if owner is None else owner.name, operation=name
        )
        signal = any(n.held is None for n in owners)
        leaf = self.book.leaves.get(self.book.path, False)  # its own hook will make the row
        if main and owner is not None and signal and not leaf and not self.book.computes_weights():
            self.book.row(node, tensor)
