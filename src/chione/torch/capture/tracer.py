"""Follow one forward pass, whatever the Python of the model does.

A ``TorchFunctionMode`` sees every operation, hooks on the modules say where it happens. Nothing is
patched; the hooks are removed when the tracer is left.
"""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch._C import DisableTorchFunction
from torch.overrides import TorchFunctionMode

from chione.networks import Norm
from chione.torch.capture import operations as ops
from chione.torch.capture.batches import tensors
from chione.torch.capture.book import Book
from chione.torch.capture.eager import eager, transformed
from chione.torch.capture.elementwise import is_elementwise, is_norm, pointwise_key
from chione.torch.capture.nodes import Graph
from chione.torch.capture.rules import Rules
from chione.torch.capture.state import keep
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.tensors import Affine


class Tracer(TorchFunctionMode):  # type: ignore[misc, unused-ignore]  # where torch is not installed
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
    watch : callable, optional
        Called as ``watch(node, output)`` at each row and each scale, before anything can overwrite
        the output.
    on_tensor : callable, optional
        Called as ``on_tensor(node, tensor)`` with each step and what it made.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        batch: int,
        *,
        measure: bool = True,
        on_affine: Any = None,
        watch: Any = None,
        on_tensor: Any = None,
    ) -> None:
        super().__init__()
        self._model, self._eager = model, eager(model)
        self._modules = [(path, module) for path, module in model.named_modules()]
        self.book = Book(self._modules, batch, measure, watch, on_tensor)
        self._rules = Rules(self.book, on_affine)
        # (path, taken as one step?, saturation read before an in-place module overwrites it)
        self._stack: list[tuple[str, bool, Any]] = [("", False, None)]
        self._opaque = 0
        self._active = False
        self._busy = False
        self._follows_gradients = measure and torch.is_grad_enabled()
        self._elementwise: dict[int, bool] = {}
        self._norms: dict[int, tuple[Norm, Affine, str] | None] = {}
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
        self._eager = eager(self._model)
        self._eager.__enter__()
        self._active = True
        super().__enter__()  # type: ignore[no-untyped-call, unused-ignore]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._active = False
        try:
            super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call, unused-ignore]
        finally:
            for handle in self._handles:
                handle.remove()
            self._handles.clear()
            self._eager.__exit__(None, None, None)

    @property
    def path(self) -> str:
        """The innermost module that is running."""
        return self._stack[-1][0]

    def _push(self, entry: tuple[str, bool, Any]) -> None:
        self._stack.append(entry)
        self.book.path = entry[0]

    def _pop(self) -> tuple[str, bool, Any]:
        entry = self._stack.pop()
        self.book.path = self.path
        return entry

    def feed(self, batch: Any) -> None:
        """Make the floating tensors of the batch the inputs of the graph."""
        self._quietly(self.book.feed, batch)

    def finish(self, out: torch.Tensor) -> Graph:
        """Note which node is the output, and return the graph."""
        return self.book.finish(out)

    # ---- what torch shows us --------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._active or self._busy or self._hidden():
            return func(*args, **kwargs)
        name = ops.base_name(func)
        if name in ops.HANDED_OUT:
            keep(args[0])
        if name in ops.IGNORED:
            return func(*args, **kwargs)
        if self._opaque:
            out = func(*args, **kwargs)
            self._noted(name, args, kwargs, out)
            return out
        # In-place operations overwrite their input, so what is read of it is read first.
        self._busy = True
        try:
            before = self._rules.prepare(func, name, args, kwargs)
            out = func(*args, **kwargs)
            self._noted(name, args, kwargs, out)
            return self._rules.record(name, args, kwargs, out, before)
        finally:
            self._busy = False

    def _hidden(self) -> bool:
        """Whether what runs cannot be measured; where that is, is noted."""
        if not transformed():
            return False
        self.book.graph.hidden.setdefault(self.path, "torch.func")
        return True

    def _noted(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        """Look whether the gradient ends here, if anybody wants gradients."""
        if self._follows_gradients:
            self.book.graph.cuts.note(name, self.path, (args, kwargs), out)

    def _before(self, path: str) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: Any) -> None:
            if not self._active or self._hidden():
                return
            opaque, sat = False, None
            if not self._opaque and not self._busy and len(args) == 1 and not kwargs:
                opaque = self._is_one_step(module, args[0])
                if opaque and self._norm_of(module, args[0]) is None:
                    sat = self._quietly(self.book.saturation, _as_applied(module), args[0])
            self._push((path, opaque, sat))
            self._opaque += opaque

        return hook

    def _is_one_step(self, module: torch.nn.Module, x: Any) -> bool:
        """Whether a module is taken as a whole: a pointwise function or a home-made norm."""
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return False
        key = id(module)
        if key not in self._elementwise:
            one = self._norm_of(module, x) is not None or self._quietly(is_elementwise, module)
            self._elementwise[key] = one
        return self._elementwise[key]

    def _norm_of(self, module: torch.nn.Module, x: torch.Tensor) -> tuple[Norm, Affine, str] | None:
        """The normalisation that a module is, or None; tried once."""
        key = id(module)
        if key not in self._norms:
            found: tuple[Norm, Affine, str] | None = self._quietly(is_norm, module, x)
            if found is not None:
                layer, affine, kind = found
                name = f"{self._name_of(module)}.{affine.parameter}".lstrip(".")
                found = layer, replace(affine, parameter=name), kind
            self._norms[key] = found
        return self._norms[key]

    def _name_of(self, module: torch.nn.Module) -> str:
        return next(str(path) for path, one in self._modules if one is module)

    def _quietly(self, function: Any, *args: Any) -> Any:
        """Call something of our own without recording what it computes."""
        was, self._busy = self._busy, True
        try:
            with DisableTorchFunction():  # nothing of it has to pass through here
                return function(*args)
        finally:
            self._busy = was

    def _after(self, path: str) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            if not self._active or self._hidden():
                return
            opaque, sat = False, None
            while len(self._stack) > 1:  # modules left by an exception are still on the stack
                name, was_opaque, sat = self._pop()
                self._opaque -= was_opaque
                if name == path:
                    opaque = was_opaque
                    break
            if self._opaque or self._busy:
                return
            self._push((path, False, None))
            try:
                self._quietly(self._module, module, args, out, opaque, sat)
            finally:
                self._pop()

        return hook

    def _module(self, module: torch.nn.Module, args: Any, out: Any, opaque: bool, sat: Any) -> None:
        if opaque:
            norm = self._norm_of(module, args[0])
            if norm is not None:
                self._rules.normalised(*norm, args[0], out)
            else:
                self._rules.activation(_as_applied(module), self.book.find(args[0]), out, sat)
            return
        if not any(p is not None for p in module._parameters.values()):
            return
        if self.book.computes_weights():
            return
        leaf = self.book.leaves[self.path]
        for tensor in tensors(out):
            if tensor.is_floating_point():
                found = self.book.find(tensor)
                unseen = found is None or (leaf and self.book.graph.nodes[found].layer is None)
                if unseen:
                    parents = () if found is None else (found,)
                    kind = type(module).__name__
                    node = self.book.new(None, parents, tensor, None, operation=kind)
                    self.book.row(node, tensor)
                return


def _as_applied(module: torch.nn.Module) -> Applied:
    # `forward` and not the module itself: a trial run must not call anybody's hooks.
    return Applied(module.forward, type(module).__name__, key=pointwise_key(module))
