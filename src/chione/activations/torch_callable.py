"""A torch function or module as a NumPy function with derivatives; torch is imported only here."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from chione.activations.protocol import Derivatives
from chione.base import Array


def is_module(f: Any) -> bool:
    """Whether `f` is a torch module; never imports torch itself."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(f, torch.nn.Module)


def returns_tensor(y: Any) -> bool:
    """Whether `y` is a torch tensor; never imports torch itself."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(y, torch.Tensor)


def fingerprint(module: Any) -> tuple[Any, ...]:
    """The numbers inside a module, so that a changed module is not mistaken for the old one."""
    state = module.state_dict()
    numbers = tuple((k, v.detach().cpu().double().numpy().tobytes()) for k, v in state.items())
    return (*numbers, repr(module), module.training)


def as_double(f: Any) -> Callable[[Any], Any]:
    """A module as its own copy in double precision and evaluation mode; a function as it is."""
    if not is_module(f):
        return f  # type: ignore[no-any-return]
    twin = copy.deepcopy(f).cpu().double().eval()
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin  # type: ignore[no-any-return]


def numpy_function(f: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """`f` from float64 array to array, without gradients."""
    import torch

    def values(z: Array) -> Array:
        with torch.no_grad():
            y = f(torch.from_numpy(np.array(z, dtype=np.float64)))
        return np.asarray(y.detach().cpu().numpy())

    return values


def autograd(f: Callable[[Any], Any]) -> Derivatives:
    """First and second derivative of `f` by reverse mode, twice, in double precision."""
    import torch

    def derivatives(z: Array, order: int) -> Array:
        with torch.enable_grad():
            x = torch.from_numpy(np.array(z, dtype=np.float64)).requires_grad_(True)
            y = f(x.clone())  # a leaf cannot be overwritten, as nn.ReLU(inplace=True) does
            zero = torch.zeros_like(x)
            if not y.requires_grad:
                return np.asarray(zero.detach().numpy())
            again = order == 2
            found = torch.autograd.grad(y.sum(), x, create_graph=again, allow_unused=True)
            slope: torch.Tensor | None = found[0]
            if again and slope is not None:
                flat = not slope.requires_grad or slope.grad_fn is None
                slope = None if flat else torch.autograd.grad(slope.sum(), x, allow_unused=True)[0]
        return np.asarray((zero if slope is None else slope).detach().numpy())

    return derivatives
