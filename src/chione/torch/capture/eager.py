"""Run a model as its Python is written, whatever has been compiled of it; and what cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def eager(model: torch.nn.Module) -> Iterator[None]:
    """Compiled modules and functions run their Python, which can be followed.

    ``Module.compile`` and ``torch.compile`` keep compiled code beside a module; it is set aside.
    Functions that were compiled are told to run as written, where torch has that
    (``torch.compiler.set_stance``, from 2.6 on).
    """
    kept = []
    for module in model.modules():
        inner = _inner(module)
        if inner is not None:
            kept.append((module, "forward", module.__dict__.get("forward")))
            module.__dict__["forward"] = inner.forward
        if module.__dict__.get("_compiled_call_impl") is not None:
            kept.append((module, "_compiled_call_impl", module.__dict__["_compiled_call_impl"]))
            module.__dict__["_compiled_call_impl"] = None
    try:
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules and "set_stance" in dir(torch.compiler):
                stack.enter_context(torch.compiler.set_stance("force_eager"))  # type: ignore[no-untyped-call, unused-ignore]
            yield
    finally:
        for module, name, value in kept:
            if value is None:
                module.__dict__.pop(name, None)
            else:
                module.__dict__[name] = value


def uncompiled(model: torch.nn.Module) -> torch.nn.Module:
    """What ``torch.compile`` has wrapped, or the module itself."""
    inner = _inner(model)
    return model if inner is None else uncompiled(inner)


def _inner(module: torch.nn.Module) -> torch.nn.Module | None:
    if isinstance(module, torch.jit.ScriptModule):
        return None
    return module._modules.get("_orig_mod")


def quantised(model: torch.nn.Module) -> str | None:
    """The first module whose weights are packed integers, or None."""
    for path, module in model.named_modules():
        where = type(module).__module__.split(".")
        if "quantized" in where or "quantization" in where:
            return path or type(module).__name__
    return None


def transformed() -> bool:
    """Whether what runs is inside a transform of ``torch.func``, whose tensors hold no values."""
    return torch._C._functorch.peek_interpreter_stack() is not None
