"""Optimisers as users have them: an object, a way to make one, or a name; used without a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from chione.base import checks

Optimizer: TypeAlias = torch.optim.Optimizer
Parameters: TypeAlias = list[torch.nn.Parameter]
OptimizerLike: TypeAlias = str | Optimizer | Callable[[Parameters], Optimizer]

_NAMES = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "adamax", "nadam", "radam", "adadelta",
          "asgd", "rprop", "adafactor")  # fmt: skip


def made(model: torch.nn.Module, optimizer: OptimizerLike, lr: float | None) -> Optimizer:
    """The optimiser that is meant, on parameters of the model that require gradients.

    Raises
    ------
    ValueError
        If nothing is trainable, a name is unknown or lacks its learning rate, or an optimiser
        holds no parameter of this model.
    TypeError
        If it is none of the three.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError(
            "no parameter of the model requires a gradient, so no step changes it; call "
            "requires_grad_() on what is to be trained."
        )
    if isinstance(optimizer, str):
        return _named(optimizer, trainable, lr)
    if lr is not None:
        raise ValueError(
            "lr is for an optimizer that is given by its name; yours has learning rates of its "
            "own, so leave lr out."
        )
    if not isinstance(optimizer, Optimizer):
        if not callable(optimizer):
            raise TypeError(_accepted(type(optimizer).__name__))
        optimizer = optimizer(trainable)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(_accepted(f"a function that returned {type(optimizer).__name__}"))
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for p in held(optimizer)):
        raise ValueError(
            f"the {type(optimizer).__name__} holds no parameter of this model: it was made for "
            "another one or a copy. Make it from this model's parameters()."
        )
    return optimizer


def _named(name: str, trainable: Parameters, lr: float | None) -> Optimizer:
    wanted = checks.one_of("optimizer", name.lower(), _NAMES)
    if lr is None:
        raise ValueError(
            f"the optimizer {name!r} needs its learning rate, as in lr=1e-3; or pass an optimizer."
        )
    kinds = {key.lower(): kind for key, kind in vars(torch.optim).items()}
    found: Optimizer = kinds[wanted](trainable, lr=checks.positive("lr", lr))
    return found


def _accepted(received: str) -> str:
    return (
        f"optimizer must be an optimizer of torch.optim, a function that makes one from a list of "
        f"parameters, or a name ({', '.join(_NAMES)}) with lr, but it is {received}."
    )


def held(optimizer: Optimizer) -> Iterable[torch.nn.Parameter]:
    """The parameters that an optimiser changes."""
    return (p for group in optimizer.param_groups for p in group["params"])


def stepped(optimizer: Optimizer) -> bool:
    """Whether it has taken a step: some kinds fill their state before the first one."""
    for state in optimizer.state.values():
        step = state.get("step") if isinstance(state, dict) else None
        if step is not None and float(step) > 0.0:
            return True
        if step is None and state:
            return True
    return False


def label(optimizer: Optimizer) -> str:
    """A word for the reader: ``SGD(lr=0.1, momentum=0.9)``."""
    groups = optimizer.param_groups
    rates = list(dict.fromkeys(f"{float(g['lr']):.4g}" for g in groups if "lr" in g))
    parts = [f"lr={', '.join(rates[:3])}{', ...' if len(rates) > 3 else ''}"] if rates else []
    for key in ("momentum", "nesterov", "weight_decay"):
        value = groups[0].get(key)
        if value:
            parts.append(f"{key}={value:g}" if not isinstance(value, bool) else key)
    return f"{type(optimizer).__name__}({', '.join(parts)})"


@contextmanager
def untouched(optimizer: Optimizer, model: torch.nn.Module) -> Iterator[None]:
    """On leaving, put back the state, groups and attributes of an optimiser, whatever was done.

    Parameters that it holds are put back as well where they are no part of the model.
    """
    kept, parameters = optimizer.__dict__, list(held(optimizer))
    own = {id(p) for p in model.parameters()}
    values = [(p, p.detach().clone(), p.grad) for p in parameters if id(p) not in own]
    same = {id(p): p for p in parameters}  # a deep copy that goes on to name the same parameters
    optimizer.__dict__ = dict(kept)
    try:
        optimizer.state = copy.deepcopy(kept["state"], dict[int, Any](same))
        optimizer.param_groups = copy.deepcopy(kept["param_groups"], dict[int, Any](same))
        yield
    finally:
        optimizer.__dict__ = kept
        with torch.no_grad():
            for p, value, grad in values:
                if not torch.equal(p, value):
                    p.copy_(value)
                p.grad = grad
