"""What a sweep will cost, before it begins: trainings, operations, seconds and bytes.

Seconds are those of one core of a server of 2023, fitted to measured trainings.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

import numpy as np

from chione.activations import activation
from chione.base import cost
from chione.sweeps.costs import bytes_of, flops, parameters
from chione.sweeps.float32_forms import pointwise
from chione.sweeps.plan import SweepPlan
from chione.sweeps.stacking import members_at_a_time
from chione.sweeps.tasks import Task
from chione.sweeps.training import Training

# Fitted to one thread; benchmarks/bench_sweep_price.py measures them again.
_FLOPS = {"float32": 1.0e11, "float64": 4.8e10}  # operations a second of products in the cache
_ELEMENT_SECONDS = 0.8e-9  # a unit besides its activation, forward and backward
_UPDATE_SECONDS = {"sgd": 0.4e-9, "momentum": 0.7e-9, "adam": 1.2e-9}  # a weight and step
_LAYER_SECONDS = 5e-5  # a layer and step, shared by networks side by side
_START_SECONDS = 0.5  # the first worker
_WORKER_BYTES = 1.5e8  # NumPy, SciPy, chione
_ENTRY_BYTES = 3000.0  # a training with its key and outcome, in the process that runs the sweep
_ROW_BYTES, _STEP_BYTES = 900.0, 8.0  # of the ledger: a training, and the loss of a step
_TRIES = 5
UNATTENDED = 3600.0
"""Seconds of work that a sweep with a ledger may take: an interruption loses none of it."""


@final
@dataclass(frozen=True)
class Price:
    """What a sweep costs.

    Parameters
    ----------
    trainings : int
        How many, those known from before left out.
    known : int
        How many are in the ledger.
    flops : float
        Floating-point operations of matrix products.
    seconds : float
        CPU seconds; two workers take half of them.
    gigabytes : float
        Memory of all workers.
    ledger_bytes : float
        What the ledger grows by.
    """

    trainings: int
    known: int
    flops: float
    seconds: float
    gigabytes: float
    ledger_bytes: float

    def __str__(self) -> str:
        known = f" ({self.known} more are known)" if self.known else ""
        return (
            f"{self.trainings} trainings{known}: {self.flops:.2g} FLOP, about "
            f"{cost.duration(self.seconds)} of CPU time, {cost.size(self.gigabytes)} of memory, "
            f"{cost.size(self.ledger_bytes / 1e9)} of ledger"
        )


def price_of_plan(plan: SweepPlan, task: Task, *, workers: int = 1) -> Price:
    """The price of a whole plan, found without a list of its trainings."""
    one = plan.first(plan.data)
    kinds = [
        replace(one, activation=name, depth=depth, width=width, optimizer=optimizer)
        for name in plan.activation
        for depth in plan.depth
        for width in plan.width
        for optimizer in plan.optimizer
    ]
    each = plan.count / len(kinds)
    return _price(((kind, each) for kind in kinds), plan.count, 0, task, workers)


def price_of(
    trainings: Sequence[Training], task: Task, *, known: int = 0, workers: int = 1
) -> Price:
    """The price of some trainings; `known` others are in the ledger."""
    first: dict[tuple[object, ...], Training] = {}
    counts: Counter[tuple[object, ...]] = Counter()
    for t in trainings:
        kind = (t.activation, t.depth, t.width, t.optimizer, t.steps, t.batch, t.dtype)
        first.setdefault(kind, t)
        counts[kind] += 1
    alike = ((first[kind], float(n)) for kind, n in counts.items())
    return _price(alike, len(trainings), known, task, workers)


def _price(
    alike: Iterable[tuple[Training, float]], count: int, known: int, task: Task, workers: int
) -> Price:
    size = task.inputs, task.classes
    data = 8.0 * (len(task.x_train) + len(task.x_test)) * task.inputs
    operations = seconds = rows = largest = 0.0
    for t, n in alike:
        operations += n * flops(t, *size)
        seconds += n * seconds_of(t, task)
        rows += n * (_ROW_BYTES + _STEP_BYTES * t.steps)
        largest = max(largest, bytes_of(t, *size) * members_at_a_time(t))
    memory = min(workers, max(count, 1)) * (_WORKER_BYTES + 2.0 * data + largest) / 1e9
    memory += _ENTRY_BYTES * (count + known) / 1e9
    return Price(count, known, operations, seconds + _START_SECONDS, memory, rows)


def seconds_of(training: Training, task: Task) -> float:
    """CPU time that a training is expected to take."""
    t, size = training, (task.inputs, task.classes)
    units = float(t.batch) * t.width * t.depth
    step = (
        units * (_ELEMENT_SECONDS + activation_seconds(t.activation, t.dtype))
        + parameters(t, *size) * _UPDATE_SECONDS[t.optimizer]
        + t.depth * _LAYER_SECONDS / members_at_a_time(t)
    )
    tested = 2.0 * parameters(t, *size) * (len(task.x_train) + len(task.x_test))
    return t.steps * step + (flops(t, *size) + tested) / _FLOPS[t.dtype]


@lru_cache(maxsize=256)
def activation_seconds(name: str, dtype: str) -> float:
    """CPU time of an activation with its derivative, a unit: tried out, since it varies 50-fold."""
    phi = pointwise(activation(name), np.dtype(dtype))
    h, out = np.empty((2, 1, 64, 64), dtype)
    took = []
    with np.errstate(all="ignore"):
        for _ in range(_TRIES):
            h[...] = np.linspace(-3.0, 3.0, h.size).reshape(h.shape)
            started = time.process_time()
            phi.apply(h, out, slope=True)
            took.append(time.process_time() - started)
    return min(took) / h.size
