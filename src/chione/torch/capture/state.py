"""Leave a model exactly as it was, also after an exception."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Watch(TorchDispatchMode):  # type: ignore[misc, no-untyped-call, unused-ignore]  # where torch is not installed
    """Copy a parameter when something is about to write to its memory.

    Every operation passes here, also those inside functions of torch, of scripts and of
    optimisers, and its schema tells which arguments it writes to.

    Parameters
    ----------
    parameters : list of Parameter
        Those to be kept.
    """

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._at: dict[int, list[torch.nn.Parameter]] = {}
        for p in parameters:
            self._at.setdefault(_memory(p), []).append(p)
        self.kept: dict[int, torch.Tensor] = {}  # id of a parameter -> its value before
        self._written: dict[Any, tuple[int, ...]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        places = self._written.get(func)
        if places is None:
            places = self._written[func] = _written(func)
        for i in places:
            name = func._schema.arguments[i].name
            self.keep(args[i] if i < len(args) else kwargs.get(name))
        return func(*args, **kwargs)

    def keep(self, x: Any) -> None:
        """Copy the parameters that share memory with a tensor, or with tensors of a list."""
        if isinstance(x, (list, tuple)):
            for each in x:
                self.keep(each)
        elif isinstance(x, torch.Tensor):
            for p in self._at.get(_memory(x), ()):
                if id(p) not in self.kept:
                    self.kept[id(p)] = p.detach().clone()


_WATCHING: list[_Watch] = []


def keep(x: Any) -> None:
    """Copy what a tensor shares memory with: its memory is handed to code that torch cannot see."""
    for watch in _WATCHING:
        watch.keep(x)


def _written(func: Any) -> tuple[int, ...]:
    """Which arguments an operation writes to."""
    arguments = func._schema.arguments
    return tuple(i for i, a in enumerate(arguments) if a.alias_info and a.alias_info.is_write)


def _memory(x: torch.Tensor) -> int:
    """What tells the memory of a tensor from that of others; 0 where it has none of its own."""
    try:
        return int(x.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return 0


@contextmanager
def _watched(parameters: list[torch.nn.Parameter]) -> Iterator[_Watch]:
    watch = _Watch(parameters)
    _WATCHING.append(watch)
    try:
        with watch:
            yield watch
    finally:
        _WATCHING.remove(watch)


@contextmanager
def preserved(model: torch.nn.Module, *, weights: bool = True) -> Iterator[None]:
    """On leaving, restore everything that a forward and backward pass can change.

    Parameters
    ----------
    model : Module
        The model. Its parameters, buffers (values and identity), ``.grad`` fields,
        ``requires_grad`` flags and train/eval modes are restored, and so are the random states of
        Python, NumPy and torch (CPU and the devices the model lives on).
    weights : bool
        Whether parameters are restored too; False where changing them is the purpose.

    Notes
    -----
    A tensor is written only if its values differ, so its version counter does not move and a graph
    that the caller still holds stays valid. Cost: one copy of the buffers, and of a parameter when
    an operation is about to write to it.
    """
    parameters = list(model.parameters())
    flags = [(p, p.requires_grad, p.grad) for p in parameters]
    # modules of TorchScript keep what they are made of
    modules = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    held = [(module, dict(module._parameters)) for module in modules]
    memory = [p.detach() for p in parameters] if weights else []  # the same memory, not a copy
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
    ]
    compiled = (
        [(b, b.detach().clone()) for b in model.buffers()]
        if len(modules) < len(list(model.modules()))
        else []
    )
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({p.device.index for p in parameters if p.device.type == "cuda"})
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - restored
    watch = _Watch([])
    try:
        watching = _watched(parameters) if weights else nullcontext(watch)
        with torch.random.fork_rng(devices=devices), watching as watch:
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - the global state is put back, not used
        for module, named in held:
            module._parameters.update(named)
        with torch.no_grad():
            for parameter, there in zip(parameters, memory, strict=False):
                if _memory(parameter) != _memory(there):
                    parameter.data = there
                if id(parameter) in watch.kept:
                    _restore(parameter, watch.kept[id(parameter)])
            for own, before in compiled:
                _restore(own, before)
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer
                if buffer is not None and value is not None:
                    _restore(buffer, value)
        for parameter, requires_grad, grad in flags:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, training in modes:
            module.training = training


def _restore(tensor: torch.Tensor, value: torch.Tensor) -> None:
    if not torch.equal(tensor, value):
        tensor.copy_(value)
