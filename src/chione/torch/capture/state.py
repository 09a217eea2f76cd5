"""Leave a model exactly as it was, also after an exception."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


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
    that the caller still holds stays valid. Cost: one copy of parameters and buffers.
    """
    parameters = list(model.parameters())
    kept = [p.detach().clone() for p in parameters] if weights else []
    flags = [(p, p.requires_grad, p.grad) for p in parameters]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({p.device.index for p in parameters if p.device.type == "cuda"})
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - restored
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - the global state is put back, not used
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=False):
                _restore(parameter, value)
            for module, name, buffer, held in buffers:
                module._buffers[name] = buffer
                if buffer is not None and held is not None:
                    _restore(buffer, held)
        for parameter, requires_grad, grad in flags:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, training in modes:
            module.training = training


def _restore(tensor: torch.Tensor, value: torch.Tensor) -> None:
    if not torch.equal(tensor, value):
        tensor.copy_(value)
