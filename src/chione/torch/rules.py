"""One rule for each kind of operation: what a call adds to the graph."""

from __future__ import annotations

import math
from typing import Any

import torch

from chione.torch import operations as ops
from chione.torch.affine import affine_call
from chione.torch.batches import tensors
from chione.torch.book import Book
from chione.torch.nodes import Applied, Heads, Kind, Node, Norm, Weight
from chione.torch.statistics import lazy_moments


class Rules:
    """Turn calls of torch into nodes of the graph.

    Parameters
    ----------
    book : Book
        Where they are written.
    on_affine : callable or None
        See :class:`chione.torch.tracer.Tracer`.
    """

    def __init__(self, book: Book, on_affine: Any) -> None:
        self.book = book
        self.on_affine = on_affine

    def prepare(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """What must be read of the input before an in-place operation overwrites it."""
        if name not in ops.ACTIVATIONS:
            return None
        call = ops.applied(func, name, args, kwargs)
        if call is None or self.book.find(args[0]) is None:
            return None
        return call, self.book.saturation(call, args[0])

    def record(self, name: str, args: Any, kwargs: Any, out: Any, before: Any) -> Any:
        """Write down a call that has run; returns the output that goes on."""
        if isinstance(out, torch.Tensor):
            if not out.is_floating_point():
                return out
        elif not isinstance(out, (tuple, list)):
            if name == "__setitem__" and isinstance(args[0], torch.Tensor):
                self.unknown(args, kwargs, args[0], name)
            return out
        if name in ops.VIEWS:
            return self._view(name, args, kwargs, out)
        if before is not None:
            self.activation(before[0], self.book.find(args[0]), out, before[1])
            return out
        if name in ops.ATTENTIONS:
            self._attention(name, args, kwargs, out)
            return out
        rule = self._rule(name)
        if rule is not None and isinstance(out, torch.Tensor):
            done, out = rule(name, args, kwargs, out)
            if done:
                return out
        floating = [t for t in tensors(out) if t.is_floating_point()]
        for i, tensor in enumerate(floating):
            self.unknown(args, kwargs, tensor, name, main=i == 0)
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
        if name == "bilinear":
            return self._bilinear
        if name == "linear" or name == "addmm" or name in ops.MATMULS or "conv" in name:
            return self._affine
        return None

    # ---- one rule for each kind -----------------------------------------------------------

    def _affine(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        call = affine_call(name, args, kwargs, self.book.seen)
        if call is None:
            return False, out
        x, weight = call
        source = self.book.source(x)
        node = self.book.new(Kind.AFFINE, (source,), out, weight.parameter, detail=weight)
        node.known = node.gaussian = True
        if self.book.measure and not self.book.graph.nodes[source].known:
            node.arriving = lazy_moments(x, self.book.graph.batch)
        if self.on_affine is not None:
            out = self.on_affine(node, out, x)
        self.book.row(node, out)
        return True, out

    def _norm(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        keys = _NORM_ARGUMENTS[name]
        values = {k: args[i] if i < len(args) else kwargs.get(k) for i, k in enumerate(keys)}
        eps = 1e-5 if values.get("eps") is None else float(values["eps"])
        gain, shift = values.get("weight"), values.get("bias")
        seen = None if gain is None else self.book.seen(gain)
        uses_batch, frozen = name == "batch_norm" and bool(values.get("training")), 1.0
        if name == "batch_norm" and not uses_batch:
            name = "frozen batch_norm"
            frozen = float((1.0 / (values["running_var"] + eps)).mean())
        detail = Norm(name, gain, shift, eps, uses_batch, seen and seen[0], frozen)
        self.normalised(detail, self.book.source(args[0]), args[0], out, seen and seen[0])
        return True, out

    def normalised(
        self, detail: Norm, source: int, x: torch.Tensor, out: torch.Tensor, owner: str | None
    ) -> None:
        """A normalisation, of torch or made at home."""
        node = self.book.new(Kind.NORM, (source,), out, owner, detail=detail)
        parent = self.book.graph.nodes[source]
        node.known = not detail.uses_batch
        node.gaussian = parent.gaussian
        if self.book.measure and node.known and not parent.known:
            node.arriving = lazy_moments(x, self.book.graph.batch)
        self.book.row(node, out)

    def _embedding(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        seen = self.book.seen(weight)
        node = self.book.new(Kind.EMBEDDING, (), out, seen and seen[0], detail=weight)
        node.gaussian = True
        self.book.row(node, out)
        return True, out

    def _attention(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        detail = None
        if name == "multi_head_attention_forward":
            projections = [args[5], *(kwargs.get(f"{k}_proj_weight") for k in "qkv")]
            seen = [self.book.seen(w) for w in (*projections, args[11]) if w is not None]
            biases = [self.book.seen(b) for b in (args[6], args[12]) if b is not None]
            if all(seen) and all(biases):
                names = [s[0] for s in seen if s]
                weight = next(w for w in projections if w is not None)
                held = tuple(b[0] for b in biases if b)
                detail = Heads(tuple(names[:-1]), names[-1], held, weight, args[6])
        parents = tuple(dict.fromkeys(self.book.source(t) for t in args[:3]))
        first = next(tensors(out))  # the second, if any, are the attention weights
        self.book.row(self.book.new(Kind.ATTENTION, parents, first, None, detail=detail), first)

    def _bilinear(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        """An affine map of all products of two inputs."""
        a, b, w, bias = (*args, *kwargs.values(), None)[:4]
        sources = tuple(self.book.source(x) for x in (a, b))
        pair = self.book.graph.add(Kind.PRODUCT, self.book.path, sources, (*a.shape, b.shape[-1]))
        pair.known = all(self.book.graph.nodes[i].known for i in sources)
        weight_seen, bias_seen = self.book.seen(w), None if bias is None else self.book.seen(bias)
        weight = Weight(
            w,
            bias,
            float(w[0].numel()),
            parameter=weight_seen and weight_seen[0],
            bias_parameter=bias_seen and bias_seen[0],
            operation="bilinear",
        )
        node = self.book.new(Kind.AFFINE, (pair.index,), out, weight.parameter, detail=weight)
        node.known, node.gaussian = pair.known, True
        self.book.row(node, out)
        return True, out

    def _add(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        found = [self.book.find(a) for a in args[:2]]
        if len(found) < 2 or None in found or kwargs.get("alpha", 1) != 1:
            return False, out
        a, b = (self.book.graph.nodes[i] for i in found if i is not None)
        if Kind.PARAMETER in (a.kind, b.kind) and a.kind is not b.kind:
            signal, parameter = (b, a) if a.kind is Kind.PARAMETER else (a, b)
            if len(parameter.shape) <= 1:  # a bias added by hand
                return False, out
            a, b = signal, parameter
        node = self.book.new(Kind.ADD, (a.index, b.index), out, None)
        node.known = a.known and b.known
        node.gaussian = a.gaussian and b.gaussian
        residual = bool(b.ancestors >> a.index & 1 or a.ancestors >> b.index & 1)
        signals = all(
            n.kind not in (Kind.UNKNOWN, Kind.PRODUCT, Kind.INPUT, Kind.SCALE) for n in (a, b)
        )
        node.detail = residual
        if signals or (residual and self._between_has_weights(a, b)):
            self.book.row(node, out)
        return True, out

    def _between_has_weights(self, a: Node, b: Node) -> bool:
        later, earlier = (b, a) if b.index > a.index else (a, b)
        inside = [later, *self.book.graph.between(later, earlier)]
        return any(n.kind in (Kind.AFFINE, Kind.ATTENTION) for n in inside)

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
            node = self.book.new(Kind.SCALE, (source,), out, None, factor=value)
            self.book.follow(node, source)
            return True, out
        other = self.book.find(b)
        if other is None or name in ops.QUOTIENTS or self._self_gate(source, other, out):
            return other is not None and name not in ops.QUOTIENTS, out
        node = self.book.new(Kind.PRODUCT, (source, other), out, None)
        node.known = all(self.book.graph.nodes[i].known for i in (source, other))
        return True, out

    def _self_gate(self, a: int, b: int, out: torch.Tensor) -> bool:
        """``x * f(x)`` is one activation (SiLU written by hand), not a product of two signals."""
        for gate, signal in ((a, b), (b, a)):
            node = self.book.graph.nodes[gate]
            if node.kind is Kind.ACTIVATION and node.parents == (signal,):
                inner = node.detail

                def function(h: torch.Tensor, f: Any = inner.function) -> torch.Tensor:
                    gated: torch.Tensor = h * f(h)
                    return gated

                call = Applied(function, f"x * {inner.label}", False)
                node.origin = None
                self.activation(call, signal, out, None)
                return True
        return False

    def _constant(self, x: Any) -> float | None:
        """Mean square of a factor that is no signal: a number or a parameter."""
        if isinstance(x, (int, float)):
            return float(x) ** 2
        if isinstance(x, torch.Tensor):
            node = self.book.find(x)
            if node is not None and self.book.graph.nodes[node].kind is Kind.PARAMETER:
                return float(x.detach().float().square().mean())
            if node is None and x.dim() == 0 and not x.is_complex():
                return float(x) ** 2
        return None

    def _dropout(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        source = self.book.find(args[0])
        if source is None:
            return False, out
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        training = args[2] if len(args) > 2 else kwargs.get("training", True)
        node = self.book.new(
            Kind.DROPOUT, (source,), out, None, factor=float(p) if training else 0.0
        )
        self.book.follow(node, source)
        node.gaussian = node.gaussian and node.factor == 0.0
        return True, out

    def _concat(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        parts = args[0] if args else kwargs.get("tensors", ())
        parents = tuple(self.book.source(t) for t in parts)
        node = self.book.new(Kind.CONCAT, parents, out, None)
        node.known = all(self.book.graph.nodes[i].known for i in parents)
        node.gaussian = all(self.book.graph.nodes[i].gaussian for i in parents)
        return True, out

    def activation(self, call: Applied, source: int | None, out: torch.Tensor, sat: Any) -> None:
        """An activation, and the row that it acts on."""
        if source is None:
            return
        node = self.book.new(Kind.ACTIVATION, (source,), out, None, detail=call)
        parent = self.book.graph.nodes[source]
        node.known = parent.known and parent.gaussian
        node.saturation = sat
        origin = parent
        while not origin.row and origin.kind in (Kind.VIEW, Kind.DROPOUT, Kind.SCALE):
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
            node = self.book.new(Kind.VIEW, (source,), tensor, None)
            self.book.follow(node, source)
            if not _is_fair(tuple(tensor.shape), parent.shape):
                node.kind, node.known = Kind.UNKNOWN, False
            if parent.detail is not None and parent.kind is Kind.PARAMETER:
                swapped = parent.detail[1] != (name in ops.SWAPS)
                node.kind, node.detail = Kind.PARAMETER, (parent.detail[0], swapped)
                if tensor.dim() != 2 or len(parent.shape) != 2:
                    node.detail = None
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
        owner = next((n for n in owners if n.kind is Kind.PARAMETER and len(n.shape) > 1), None)
        node = self.book.new(
            Kind.UNKNOWN, parents, tensor, None if owner is None else owner.name, detail=name
        )
        signal = any(n.kind is not Kind.PARAMETER for n in owners)
        leaf = self.book.leaves.get(self.book.path, False)  # its own hook will make the row
        if main and owner is not None and signal and not leaf and not self.book.computes_weights():
            self.book.row(node, tensor)


def _is_fair(part: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a view has the statistics of the whole: all of it, or a share of its channels.

    One position picked from a sequence (a class token) need not look like the others.
    """
    if math.prod(part) == math.prod(whole):
        return True
    channels_first = len(whole) >= 4 and part[:1] + part[2:] == whole[:1] + whole[2:]
    return part[:-1] == whole[:-1] or channels_first


_NORM_ARGUMENTS = {
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "batch_norm": (
        "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
    ),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "instance_norm": (
        "input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum",
        "eps",
    ),
}  # fmt: skip
