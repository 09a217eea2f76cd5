"""A few steps ahead: which parameters with no gradient now get one once the others have moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.gradients import Gradients
from chione.torch.inspection.parameter_report import root_mean_square

# A step of 1 % of a weight's size, or of 1 % of 1/sqrt(fan_in) where it is zero: small, so that
# no unit changes its state by it, and far above the rounding of float32.
_STEP = 0.01
_PATIENCE = 2  # steps in which nothing wakes before the rest is given up
_MOST = 8

Loss = Callable[[Any], torch.Tensor]


@dataclass(frozen=True)
class Ahead:
    """What some steps show.

    Parameters
    ----------
    woken : dict
        Name -> number of steps after which the parameter gets a gradient.
    steps : int
        Steps that were looked ahead.
    """

    woken: dict[str, int]
    steps: int


def look_ahead(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None,
    parameters: Mapping[str, torch.nn.Parameter],
    now: Gradients,
    *,
    generator: torch.Generator,
    then: Callable[[Gradients], None] = lambda now: None,
) -> Ahead:
    """Let the parameters that get a gradient move, and see whether the others then get one.

    Parameters
    ----------
    model, batch, loss
        As for ``inspect``; the model is afterwards as before.
    parameters : mapping
        The trainable parameters by name.
    now : mapping
        Their gradients at the start.
    generator : Generator
        For the random projections that stand for a loss.
    then : callable
        Called with the gradients after the last step, while the parameters have moved.
    """
    asleep = {name for name in parameters if not _alive(now.get(name))}
    woken: dict[str, int] = {}
    quiet, step = 0, 0
    with moved(parameters.values()):
        while asleep and quiet < _PATIENCE and step < _MOST:
            step += 1
            _move(parameters, now)
            now = gradients_of(model, batch, loss, parameters, generator)
            fresh = {name for name in asleep if _alive(now[name])}
            woken |= dict.fromkeys(fresh, step)
            asleep -= fresh
            quiet = 0 if fresh else quiet + 1
        then(now)
    return Ahead(woken, step)


@contextmanager
def moved(parameters: Iterable[torch.nn.Parameter]) -> Iterator[None]:
    """Allow parameters to get other values, and give them theirs back.

    Values are swapped and not overwritten, so that no version counter moves.
    """
    kept = [(p, p.data) for p in parameters]
    try:
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data


def start_size(parameter: torch.Tensor) -> float:
    """The size of a weight that is zero once it has learned: 1/sqrt(fan_in); 1 of a vector."""
    if parameter.dim() < 2:
        return 1.0
    return 1.0 / math.sqrt(parameter.numel() / parameter.shape[0])


def fill(parameters: Iterable[torch.nn.Parameter], generator: torch.Generator) -> None:
    """Give weights that are zero the random entries of a layer that has learned."""
    for parameter in parameters:
        parameter.data = drawn(parameter, start_size(parameter), generator)


def drawn(parameter: torch.Tensor, size: float, generator: torch.Generator) -> torch.Tensor:
    """Normal entries of that size, in the shape of a parameter."""
    entries = torch.randn(parameter.shape, generator=generator, device=generator.device) * size
    return entries.to(device=parameter.device, dtype=parameter.dtype)


def _move(parameters: Mapping[str, torch.nn.Parameter], now: Gradients) -> None:
    for name, parameter in parameters.items():
        gradient = now.get(name)
        if gradient is None or not _alive(gradient):
            continue
        size = root_mean_square(parameter) or start_size(parameter)
        dense = gradient.to_dense() if gradient.is_sparse else gradient
        length = _STEP * size / root_mean_square(dense)
        change = (dense.to(_wide(dense)) * length).to(parameter.dtype)
        parameter.data = parameter.data - change


def _wide(tensor: torch.Tensor) -> torch.dtype:
    if tensor.is_complex():
        return torch.complex128
    return torch.float64 if tensor.device.type in ("cpu", "cuda") else torch.float32


def gradients_of(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None,
    parameters: Mapping[str, torch.nn.Parameter],
    generator: torch.Generator,
) -> Gradients:
    """Gradients of one plain pass, taken as training takes them."""
    out = batches.call(model, batch)
    y = batches.output_tensor(out) if loss is None else loss(out)
    v = None
    if loss is None:
        v = torch.randn(y.shape, generator=generator, device=generator.device)
        v = v.to(device=y.device, dtype=y.dtype)
    for parameter in parameters.values():
        parameter.grad = None
    if not y.requires_grad:
        return dict.fromkeys(parameters)
    torch.autograd.backward(y, v)
    return {name: parameter.grad for name, parameter in parameters.items()}


def _alive(gradient: torch.Tensor | None) -> bool:
    return gradient is not None and bool(torch.any(gradient.to_dense() != 0))
