"""The rule by which a model of the zoo trains or does not.

A model is trained on batches of 64, by gradient descent (momentum 0.9) and by Adam, each at three
learning rates, for 100 steps; a run that is under way then (its loss between 0.6 and 0.95 of that
of the best constant prediction) goes on to 300. A run *learns* if the mean loss of its last ten
steps is at most 0.6 of the constant's, and not more than a tenth of the trainable numbers lie in
tensors that never received a gradient (a head that learns on features nobody trains is no trained
model). The label is

* yes: gradient descent learns at one of its rates;
* doubtful: Adam does, gradient descent does not;
* no: neither does.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from zoo.tasks import Task

STEPS, LONGER, BATCH, LAST = 100, 300, 64, 10
RATES = {"sgd": (0.1, 0.01, 0.001), "adam": (0.01, 0.002, 0.0003)}
LEARNED = 0.6  # of the loss of the best constant prediction
UNDER_WAY = 0.95  # of the same loss
IDLE = 0.1  # share of the trainable numbers that may stay without any gradient
ENOUGH = 0.3  # of the same loss: a run ends early where it is this low


@dataclass(frozen=True)
class Run:
    """One training: loss at the end as a share of the constant's, and the idle share."""

    optimiser: str
    rate: float
    ratio: float  # infinite where the loss left the numbers
    idle: float

    @property
    def learns(self) -> bool:
        return self.ratio <= LEARNED and self.idle <= IDLE


def train(model: nn.Module, task: Task, optimiser: str, rate: float) -> Run:
    """Train in place; the order of the batches is the same each time."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    step: torch.optim.Optimizer
    if optimiser == "sgd":
        step = torch.optim.SGD(parameters, rate, momentum=0.9)
    else:
        step = torch.optim.Adam(parameters, rate)
    generator = torch.Generator().manual_seed(zlib.crc32(b"order of the batches"))
    touched = [False] * len(parameters)
    losses: list[float] = []
    for count in range(LONGER):
        if count == STEPS and not LEARNED < _mean(losses) / task.constant <= UNDER_WAY:
            break
        at = torch.randint(len(task.inputs), (BATCH,), generator=generator)
        loss = task.loss(model(task.inputs[at]), task.targets[at])
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            return Run(optimiser, rate, math.inf, _idle(parameters, touched))
        step.zero_grad()
        if loss.requires_grad:
            loss.backward()
        for i, p in enumerate(parameters):
            touched[i] = touched[i] or (p.grad is not None and bool(p.grad.any()))
        if len(losses) >= 2 * LAST and _mean(losses) <= ENOUGH * task.constant:
            break
        step.step()
    return Run(optimiser, rate, _mean(losses) / task.constant, _idle(parameters, touched))


def _mean(losses: list[float]) -> float:
    return sum(losses[-LAST:]) / LAST


def _idle(parameters: list[torch.Tensor], touched: list[bool]) -> float:
    whole = sum(p.numel() for p in parameters)
    return sum(p.numel() for p, t in zip(parameters, touched, strict=True) if not t) / whole


def label(runs: Iterable[Run]) -> str:
    """The word for these runs."""
    learnt = {run.optimiser for run in runs if run.learns}
    if "sgd" in learnt:
        return "yes"
    return "doubtful" if "adam" in learnt else "no"
