"""Follow one forward pass, whatever the Python of the model does.

A ``TorchFunctionMode`` sees every operation, hooks on the modules say where it happens. Nothing is
patched; the hooks are removed when the tracer is left.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from chione.torch import operations as ops
from chione.torch.affine import Seen, affine_call
from chione.torch.batches import tensors
from chione.torch.elementwise import is_elementwise, is_norm, saturation
from chione.torch.nodes import Applied, Graph, Kind, Node, Norm, Weight
from chione.torch.statistics import lazy_moments, mean_square


class Tracer(TorchFunctionMode):  # type: ignore[misc]  # torch is untyped for the checker
    """Record the graph of a forward pass and measure its rows.

    Parameters
    ----------
    model : Module
        The model that will run.
    batch : int
        Number of inputs.
    measure : bool
        Whether to measure rows; False records the structure only.
    on_affine : callable, optional
        Called as ``on_affine(node, output)`` after each affine map; what it returns replaces the
        output. The data-driven initialisation rescales weights there.
    """

    def __init__(
        self, model: torch.nn.Module, batch: int, *, measure: bool = True, on_affine: Any = None
    ) -> None:
        super().__init__()
        self.graph = Graph(batch)
        self.measure = measure
        self.on_affine = on_affine
        self._modules = [(path, module) for path, module in model.named_modules()]
        # (path, taken as one step?, saturation read before an in-place module overwrites it)
        self._stack: list[tuple[str, bool, Any]] = [("", False, None)]
        self._opaque = 0
        self._active = False
        self._busy = False
        self._node_of: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._names: dict[int, str] = {}
        for path, module in self._modules:
            for leaf, p in module._parameters.items():
                if p is not None:
                    self._names.setdefault(id(p), f"{path}.{leaf}" if path else leaf)
        # Tied weights have one name but run in several modules: the running one gives the name.
        self._direct = {
            path: {leaf: self._names.get(id(p)) for leaf, p in module._parameters.items()}
            for path, module in self._modules
        }
        self._leaves = {path: not any(m.children()) for path, m in self._modules}
        self._calls: Counter[str] = Counter()
        self._elementwise: dict[int, bool] = {}
        self._handles: list[Any] = []

    # ---- entering and leaving -------------------------------------------------------------

    def __enter__(self) -> Tracer:
        for path, module in self._modules:
            if isinstance(module, torch.jit.ScriptModule):
                continue  # compiled modules take no hooks
            self._handles.append(
                module.register_forward_pre_hook(self._before(path), with_kwargs=True)
            )
            self._handles.append(module.register_forward_hook(self._after(path), with_kwargs=True))
        self._active = True
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._active = False
        try:
            super().__exit__(kind, error, traceback)
        finally:
            for handle in self._handles:
                handle.remove()
            self._handles.clear()

    @property
    def path(self) -> str:
        """The innermost module that is running."""
        return self._stack[-1][0]

    def feed(self, batch: Any) -> None:
        """Make the floating tensors of the batch the inputs of the graph."""
        for tensor in tensors(batch):
            if tensor.is_floating_point():
                node = self.graph.add(Kind.INPUT, "input", (), tensor.shape, known=True)
                node.numbers = lazy_moments(tensor, self.graph.batch)
                self._tag(tensor, node)

    # ---- what torch shows us --------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._active or self._busy or self._opaque:
            return func(*args, **kwargs)
        name = ops.base_name(func)
        if name in ops.IGNORED:
            return func(*args, **kwargs)
        # In-place operations overwrite their input, so what is read of it is read first.
        self._busy = True
        try:
            before = self._prepare(func, name, args, kwargs)
            out = func(*args, **kwargs)
            return self._record(name, args, kwargs, out, before)
        finally:
            self._busy = False

    def _prepare(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        if name not in ops.ACTIVATIONS:
            return None
        call = ops.applied(func, name, args, kwargs)
        if call is None or self._find(args[0]) is None:
            return None
        return call, self._saturation(call, args[0])

    def _record(self, name: str, args: Any, kwargs: Any, out: Any, before: Any) -> Any:
        if isinstance(out, torch.Tensor):
            if not out.is_floating_point():
                return out
        elif not isinstance(out, (tuple, list)):
            if name == "__setitem__" and isinstance(args[0], torch.Tensor):
                self._unknown(args, kwargs, args[0], name)
            return out
        if name in ops.VIEWS:
            return self._view(name, args, kwargs, out)
        if before is not None:
            self._activation(before[0], self._find(args[0]), out, before[1])
            return out
        if name in ops.ATTENTIONS:
            self._attention(args, out)
            return out
        rule = self._rule(name)
        if rule is not None and isinstance(out, torch.Tensor):
            done, out = rule(name, args, kwargs, out)
            if done:
                return out
        floating = [t for t in tensors(out) if t.is_floating_point()]
        for i, tensor in enumerate(floating):
            self._unknown(args, kwargs, tensor, name, main=i == 0)
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
        call = affine_call(name, args, kwargs, self._seen)
        if call is None:
            return False, out
        x, weight = call
        source = self._source(x)
        node = self._new(Kind.AFFINE, (source,), out, weight.parameter, detail=weight)
        node.known = node.gaussian = True
        if self.measure and not self.graph.nodes[source].known:
            node.arriving = lazy_moments(x, self.graph.batch)
        if self.on_affine is not None:
            out = self.on_affine(node, out, x)
        self._row(node, out)
        return True, out

    def _norm(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        keys = _NORM_ARGUMENTS[name]
        values = {k: args[i] if i < len(args) else kwargs.get(k) for i, k in enumerate(keys)}
        eps = 1e-5 if values.get("eps") is None else float(values["eps"])
        gain, shift = values.get("weight"), values.get("bias")
        seen = None if gain is None else self._seen(gain)
        uses_batch, frozen = name == "batch_norm" and bool(values.get("training")), 1.0
        if name == "batch_norm" and not uses_batch:
            name = "frozen batch_norm"
            frozen = float((1.0 / (values["running_var"] + eps)).mean())
        detail = Norm(name, gain, shift, eps, uses_batch, seen and seen[0], frozen)
        self._normalised(detail, self._source(args[0]), args[0], out, seen and seen[0])
        return True, out

    def _normalised(
        self, detail: Norm, source: int, x: torch.Tensor, out: torch.Tensor, owner: str | None
    ) -> None:
        node = self._new(Kind.NORM, (source,), out, owner, detail=detail)
        parent = self.graph.nodes[source]
        node.known = not detail.uses_batch
        node.gaussian = parent.gaussian
        if self.measure and node.known and not parent.known:
            node.arriving = lazy_moments(x, self.graph.batch)
        self._row(node, out)

    def _embedding(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        seen = self._seen(weight)
        node = self._new(Kind.EMBEDDING, (), out, seen and seen[0], detail=weight)
        node.gaussian = True
        self._row(node, out)
        return True, out

    def _attention(self, args: Any, out: Any) -> None:
        parents = tuple(dict.fromkeys(self._source(t) for t in args[:3]))
        first = next(tensors(out))  # the second, if any, are the attention weights
        self._row(self._new(Kind.ATTENTION, parents, first, None), first)

    def _bilinear(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        """An affine map of all products of two inputs."""
        a, b, w, bias = (*args, *kwargs.values(), None)[:4]
        sources = tuple(self._source(x) for x in (a, b))
        pair = self.graph.add(Kind.PRODUCT, self.path, sources, (*a.shape, b.shape[-1]))
        pair.known = all(self.graph.nodes[i].known for i in sources)
        weight_seen, bias_seen = self._seen(w), None if bias is None else self._seen(bias)
        weight = Weight(
            w,
            bias,
            float(w[0].numel()),
            parameter=weight_seen and weight_seen[0],
            bias_parameter=bias_seen and bias_seen[0],
            operation="bilinear",
        )
        node = self._new(Kind.AFFINE, (pair.index,), out, weight.parameter, detail=weight)
        node.known, node.gaussian = pair.known, True
        self._row(node, out)
        return True, out

    def _add(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        found = [self._find(a) for a in args[:2]]
        if len(found) < 2 or None in found or kwargs.get("alpha", 1) != 1:
            return False, out
        a, b = (self.graph.nodes[i] for i in found if i is not None)
        if Kind.PARAMETER in (a.kind, b.kind) and a.kind is not b.kind:
            signal, parameter = (b, a) if a.kind is Kind.PARAMETER else (a, b)
            if len(parameter.shape) <= 1:  # a bias added by hand
                return False, out
            a, b = signal, parameter
        node = self._new(Kind.ADD, (a.index, b.index), out, None)
        node.known = a.known and b.known
        node.gaussian = a.gaussian and b.gaussian
        residual = bool(b.ancestors >> a.index & 1 or a.ancestors >> b.index & 1)
        signals = all(
            n.kind not in (Kind.UNKNOWN, Kind.PRODUCT, Kind.INPUT, Kind.SCALE) for n in (a, b)
        )
        node.detail = residual
        if signals or (residual and self._between_has_weights(a, b)):
            self._row(node, out)
        return True, out

    def _between_has_weights(self, a: Node, b: Node) -> bool:
        later, earlier = (b, a) if b.index > a.index else (a, b)
        inside = [later, *self.graph.between(later, earlier)]
        return any(n.kind in (Kind.AFFINE, Kind.ATTENTION) for n in inside)

    def _product(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        a, b = args[0], args[1] if len(args) > 1 else kwargs.get("other")
        if not isinstance(a, torch.Tensor):
            a, b = b, a
        factor = self._constant(b)
        if factor is None and self._constant(a) is not None and name not in ops.QUOTIENTS:
            a, factor = b, self._constant(a)
        source = self._find(a)
        if source is None:
            return False, out
        if factor is not None:
            value = 1.0 / factor if name in ops.QUOTIENTS and factor else factor
            node = self._new(Kind.SCALE, (source,), out, None, factor=value)
            self._follow(node, source)
            return True, out
        other = self._find(b)
        if other is None or name in ops.QUOTIENTS or self._self_gate(source, other, out):
            return other is not None and name not in ops.QUOTIENTS, out
        node = self._new(Kind.PRODUCT, (source, other), out, None)
        node.known = all(self.graph.nodes[i].known for i in (source, other))
        return True, out

    def _self_gate(self, a: int, b: int, out: torch.Tensor) -> bool:
        """``x * f(x)`` is one activation (SiLU written by hand), not a product of two signals."""
        for gate, signal in ((a, b), (b, a)):
            node = self.graph.nodes[gate]
            if node.kind is Kind.ACTIVATION and node.parents == (signal,):
                inner = node.detail

                def function(h: torch.Tensor, f: Any = inner.function) -> torch.Tensor:
                    return h * f(h)

                call = Applied(function, f"x * {inner.label}", False)
                node.origin = None
                self._activation(call, signal, out, None)
                return True
        return False

    def _constant(self, x: Any) -> float | None:
        """Mean square of a factor that is no signal: a number or a parameter."""
        if isinstance(x, (int, float)):
            return float(x) ** 2
        if isinstance(x, torch.Tensor):
            node = self._find(x)
            if node is not None and self.graph.nodes[node].kind is Kind.PARAMETER:
                return float(x.detach().float().square().mean())
            if node is None and x.dim() == 0 and not x.is_complex():
                return float(x) ** 2
        return None

    def _dropout(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        source = self._find(args[0])
        if source is None:
            return False, out
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        training = args[2] if len(args) > 2 else kwargs.get("training", True)
        node = self._new(Kind.DROPOUT, (source,), out, None, factor=float(p) if training else 0.0)
        self._follow(node, source)
        node.gaussian = node.gaussian and node.factor == 0.0
        return True, out

    def _concat(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> tuple[bool, Any]:
        parts = args[0] if args else kwargs.get("tensors", ())
        parents = tuple(self._source(t) for t in parts)
        node = self._new(Kind.CONCAT, parents, out, None)
        node.known = all(self.graph.nodes[i].known for i in parents)
        node.gaussian = all(self.graph.nodes[i].gaussian for i in parents)
        return True, out

    def _activation(self, call: Applied, source: int | None, out: torch.Tensor, sat: Any) -> None:
        if source is None:
            return
        node = self._new(Kind.ACTIVATION, (source,), out, None, detail=call)
        parent = self.graph.nodes[source]
        node.known = parent.known and parent.gaussian
        node.saturation = sat
        origin = parent
        while not origin.row and origin.kind in (Kind.VIEW, Kind.DROPOUT, Kind.SCALE):
            origin = self.graph.nodes[origin.parents[0]]
        node.origin = origin.index if origin.row else None

    def _view(self, name: str, args: Any, kwargs: Any, out: Any) -> Any:
        source = self._find(args[0]) if args else None
        if source is None:
            for tensor in tensors(out):
                if tensor.is_floating_point():
                    self._unknown(args, kwargs, tensor, name)
            return out
        parent = self.graph.nodes[source]
        for tensor in tensors(out):
            if tensor is args[0] or not tensor.is_floating_point():
                continue
            node = self._new(Kind.VIEW, (source,), tensor, None)
            self._follow(node, source)
            if not _is_fair(tuple(tensor.shape), parent.shape):
                node.kind, node.known = Kind.UNKNOWN, False
            if parent.detail is not None and parent.kind is Kind.PARAMETER:
                swapped = parent.detail[1] != (name in ops.SWAPS)
                node.kind, node.detail = Kind.PARAMETER, (parent.detail[0], swapped)
                if tensor.dim() != 2 or len(parent.shape) != 2:
                    node.detail = None
        return out

    def _unknown(
        self, args: Any, kwargs: Any, tensor: torch.Tensor, name: str, *, main: bool = False
    ) -> None:
        found = (self._find(t) for t in tensors([*args, *kwargs.values()]))
        parents = tuple(dict.fromkeys(i for i in found if i is not None))
        if not parents:
            return
        owners = [self.graph.nodes[i] for i in parents]
        owner = next((n for n in owners if n.kind is Kind.PARAMETER and len(n.shape) > 1), None)
        node = self._new(
            Kind.UNKNOWN, parents, tensor, None if owner is None else owner.name, detail=name
        )
        signal = any(n.kind is not Kind.PARAMETER for n in owners)
        leaf = self._leaves.get(self.path, False)  # its own hook will make the row
        if main and owner is not None and signal and not leaf and not self._computes_weights():
            self._row(node, tensor)

    # ---- hooks ----------------------------------------------------------------------------

    def _before(self, path: str) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: Any) -> None:
            if not self._active:
                return
            opaque, sat = False, None
            if not self._opaque and not self._busy and len(args) == 1 and not kwargs:
                opaque = self._is_one_step(module, args[0])
                if opaque and is_norm(module) is None:
                    sat = self._quietly(self._saturation, _as_applied(module), args[0])
            self._stack.append((path, opaque, sat))
            self._opaque += opaque

        return hook

    def _is_one_step(self, module: torch.nn.Module, x: Any) -> bool:
        """Whether a module is taken as a whole: a pointwise function or a home-made norm."""
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return False
        key = id(module)
        if key not in self._elementwise:
            one = is_norm(module) is not None or self._quietly(is_elementwise, module)
            self._elementwise[key] = one
        return self._elementwise[key]

    def _quietly(self, function: Any, *args: Any) -> Any:
        """Call something of our own without recording what it computes."""
        was, self._busy = self._busy, True
        try:
            return function(*args)
        finally:
            self._busy = was

    def _after(self, path: str) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            if not self._active:
                return
            opaque, sat = False, None
            while len(self._stack) > 1:  # modules left by an exception are still on the stack
                name, was_opaque, sat = self._stack.pop()
                self._opaque -= was_opaque
                if name == path:
                    opaque = was_opaque
                    break
            if self._opaque or self._busy:
                return
            self._stack.append((path, False, None))
            try:
                self._quietly(self._module, module, args, out, opaque, sat)
            finally:
                self._stack.pop()

        return hook

    def _module(self, module: torch.nn.Module, args: Any, out: Any, opaque: bool, sat: Any) -> None:
        if opaque:
            norm = is_norm(module)
            if norm is not None:
                self._normalised(norm, self._source(args[0]), args[0], out, None)
            else:
                self._activation(_as_applied(module), self._find(args[0]), out, sat)
            return
        if not any(p is not None for p in module._parameters.values()):
            return
        if self._computes_weights():
            return
        leaf = self._leaves[self.path]
        for tensor in tensors(out):
            if tensor.is_floating_point():
                found = self._find(tensor)
                unseen = found is None or (leaf and self.graph.nodes[found].kind is Kind.UNKNOWN)
                if unseen:
                    parents = () if found is None else (found,)
                    kind = type(module).__name__
                    node = self._new(Kind.UNKNOWN, parents, tensor, None, detail=kind)
                    self._row(node, tensor)
                return

    def _computes_weights(self) -> bool:
        """Whether what runs is a parametrisation, which makes a weight and is no layer."""
        return "parametrizations" in self.path.split(".")

    # ---- book-keeping ---------------------------------------------------------------------

    def _new(
        self, kind: Kind, parents: tuple[int, ...], out: torch.Tensor, owner: str | None, **kw: Any
    ) -> Node:
        name = self.path
        if owner is not None:
            module, _, leaf = owner.rpartition(".")
            if leaf != "weight":
                name = owner
            elif self._direct.get(name, {}).get("weight") != owner:
                name = module
        node = self.graph.add(kind, name, parents, out.shape, **kw)
        self._tag(out, node)
        return node

    def _follow(self, node: Node, source: int) -> None:
        parent = self.graph.nodes[source]
        node.known, node.gaussian = parent.known, parent.gaussian

    def _row(self, node: Node, out: torch.Tensor) -> None:
        """Make the node a row of the report and measure it."""
        base = node.name or (str(node.detail) if node.kind is Kind.UNKNOWN else node.kind.value)
        if node.kind in (Kind.ADD, Kind.ATTENTION):
            base = f"{node.name}.{node.kind.value}".lstrip(".")
        self._calls[base] += 1
        count = self._calls[base]
        node.name = base if count == 1 else f"{base} ({count})"
        node.row = True
        if self.measure:
            node.numbers = lazy_moments(out, self.graph.batch)
            if out.requires_grad:
                node.edge = torch.autograd.graph.get_gradient_edge(out)

    def _saturation(self, call: Applied, h: torch.Tensor) -> torch.Tensor | None:
        if not self.measure:
            return None
        found = self._find(h)
        node = None if found is None else self.graph.nodes[found]
        while node is not None and node.kind in (Kind.VIEW, Kind.NORM, Kind.DROPOUT):
            node = self.graph.nodes[node.parents[0]]
        spatial = (
            node is not None and node.kind is Kind.AFFINE and "convolution" in node.detail.operation
        )
        return saturation(call.function, h, channels_first=spatial)

    def _seen(self, tensor: torch.Tensor) -> Seen | None:
        name = self._names.get(id(tensor))
        if name is not None:
            return name, False
        found = self._find(tensor)
        if found is None:
            return None
        node = self.graph.nodes[found]
        return node.detail if node.kind is Kind.PARAMETER else None

    def _source(self, tensor: Any) -> int:
        found = self._find(tensor)
        if found is not None:
            return found
        shape = tensor.shape if isinstance(tensor, torch.Tensor) else ()
        node = self.graph.add(Kind.UNKNOWN, self.path, (), shape)
        if isinstance(tensor, torch.Tensor):
            self._tag(tensor, node)
        return node.index

    def _find(self, tensor: Any) -> int | None:
        if not isinstance(tensor, torch.Tensor):
            return None
        entry = self._node_of.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        name = self._names.get(id(tensor))
        if name is None:
            return None
        square = float(mean_square(tensor)) if tensor.dim() > 1 else 0.0
        node = self.graph.add(
            Kind.PARAMETER, name, (), tensor.shape, detail=(name, False), factor=square
        )
        self._tag(tensor, node)
        return node.index

    def _tag(self, tensor: torch.Tensor, node: Node) -> None:
        # A weak reference tells whether the id still belongs to the tensor it was noted for.
        self._node_of[id(tensor)] = (weakref.ref(tensor), node.index)

    def finish(self, out: torch.Tensor) -> Graph:
        """Note which node is the output, and return the graph."""
        self.graph.output = self._find(out)
        if self.graph.output is None:  # it came from where nothing can be seen (TorchScript)
            node = self._new(Kind.UNKNOWN, (), out, None, detail="unseen")
            self._row(node, out)
            self.graph.output = node.index
        return self.graph


def _is_fair(part: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a view has the statistics of the whole: all of it, or a share of its channels.

    One position picked from a sequence (a class token) need not look like the others.
    """
    if math.prod(part) == math.prod(whole):
        return True
    channels_first = len(whole) >= 4 and part[:1] + part[2:] == whole[:1] + whole[2:]
    return part[:-1] == whole[:-1] or channels_first


def _as_applied(module: torch.nn.Module) -> Applied:
    # `forward` and not the module itself: a trial run must not call anybody's hooks.
    return Applied(module.forward, type(module).__name__, False)


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
