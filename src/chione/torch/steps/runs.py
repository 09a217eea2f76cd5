"""Steps that are taken and undone: on the model, on other draws of it, on one example alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch

from chione.torch.capture import batches
from chione.torch.steps.bench import Bench
from chione.torch.steps.example import Example
from chione.torch.steps.looks import Look, Moved, look, moved, rms
from chione.torch.steps.optimizers import untouched
from chione.torch.steps.redraws import redraw_

Band: TypeAlias = tuple[float, float]
NO_BAND: Band = (math.nan, math.nan)
_DEVIATIONS = 2.0  # of the logarithm
_FEWEST = 3  # draws that tell a deviation


@dataclass(frozen=True)
class Ran:
    """What some steps did; fields as in :class:`FirstStep`, and gradients by parameter.

    `rounding` is the unit of the coarsest precision of a parameter.
    """

    rows: dict[str, Moved]
    gradients: dict[str, float]
    loss: float
    loss_after: float
    predicted: float
    output_change: float
    rounding: float


@dataclass
class Drawn:
    """Changes at each row on other draws, and in steps on one example."""

    count: int = 0
    rows: dict[str, list[float]] = field(default_factory=dict)
    alone: dict[str, list[float]] = field(default_factory=dict)


@contextmanager
def once(bench: Bench, start: dict[str, torch.Tensor]) -> Iterator[None]:
    """On leaving, parameters are at their start and the optimiser has taken no step."""
    try:
        with untouched(bench.optimizer, bench.model):
            yield
    finally:
        with torch.no_grad():
            for name, p in bench.model.named_parameters():
                if not torch.equal(p, start[name]):
                    p.copy_(start[name])
        bench.clear()


def run(bench: Bench, before: Look, steps: int) -> Ran:
    """Take steps, of which the first starts from a forward pass that is there."""
    losses, predicted, gradients = [], 0.0, dict[str, float]()
    for k in range(steps):
        losses.append(float(bench.gradients(before.out if k == 0 else bench.output())))
        if k == 0:
            named = bench.model.named_parameters()
            gradients = {name: rms(p.grad) for name, p in named if p.grad is not None}
        given = [
            (p, p.detach().clone(), p.grad.clone()) for p in bench.parameters if p.grad is not None
        ]
        bench.move()
        predicted += sum(_dot(g, p.detach() - old) for p, old, g in given)
    rows, out = moved(bench, before)
    with torch.no_grad():
        after = float(bench.loss_of(out))
        y, was = batches.output_tensor(out), batches.output_tensor(before.out)
        change = rms(y - was) if y.shape == was.shape else math.nan
    rounding = max(torch.finfo(p.dtype).eps for p in bench.parameters)
    return Ran(rows, gradients, losses[0], after, predicted, change, rounding)


def alone(one: Example, start: dict[str, torch.Tensor]) -> dict[str, float]:
    """Dh at each row in one step on the example, without weight decay."""
    with once(one.bench, start):
        return _alone(one)


def _alone(one: Example) -> dict[str, float]:
    for group in one.bench.optimizer.param_groups:
        group["weight_decay"] = 0.0
    before = look(one.bench)
    one.bench.gradients(before.out)
    for p in one.bench.parameters:
        if id(p) not in one.trained:
            p.grad = None
    one.bench.move()
    rows, _ = moved(one.bench, before)
    return {name: found.change for name, found in rows.items()}


def draw(
    bench: Bench, one: Example | None, start: dict[str, torch.Tensor], steps: int, draws: int
) -> Drawn:
    """The same steps on other draws of the weights; those whose loss overflows do not count."""
    drawn, generator = Drawn(), torch.Generator().manual_seed(bench.seed)
    for _ in range(draws):
        with once(bench, start):
            for p in bench.model.parameters():
                redraw_(p, generator)
            fresh = {name: p.detach().clone() for name, p in bench.model.named_parameters()}
            try:
                with once(bench, fresh):
                    rows = run(bench, look(bench), steps).rows
                lone = {} if one is None else alone(one, fresh)
            except ValueError:
                continue
            drawn.count += 1
            for name, found in rows.items():
                drawn.rows.setdefault(name, []).append(found.change)
            for name, change in lone.items():
                drawn.alone.setdefault(name, []).append(change)
    return drawn


def band(changes: dict[str, list[float]]) -> dict[str, Band]:
    """Where a change lies, by row: geometric mean and two standard deviations of the logarithm."""
    return {name: _band(values) for name, values in changes.items()}


def _band(values: list[float]) -> Band:
    usable = [math.log(x) for x in values if 0.0 < x < math.inf]
    if len(usable) < max(_FEWEST, len(values)):
        return NO_BAND
    middle, width = float(np.mean(usable)), _DEVIATIONS * float(np.std(usable, ddof=1))
    return math.exp(middle - width), math.exp(middle + width)


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.is_sparse:
        a = a.to_dense()
    return float((a.double() * b.double()).sum())
