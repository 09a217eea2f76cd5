r"""What a sweep will cost, before it begins: trainings, operations, seconds and bytes.

A step of a network with matrices of :math:`n_{l} \times n_{l-1}` and a batch of B takes

.. math:: 2 B \sum_l n_l n_{l-1} \; \text{forward}, \qquad
   2 B \sum_l n_l n_{l-1} + 2 B \sum_{l > 1} n_l n_{l-1} \; \text{backward}

floating-point operations. Rates are those measured on one core of a server of 2023.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from chione.base import cost
from chione.sweeps.plan import SweepPlan
from chione.sweeps.training import Training

# Measured with one thread in float32, see benchmarks/sweep_costs.py: a product of matrices that
# lie in the cache, the activation with its derivative, one call of NumPy on a small array.
_FLOPS = {"float32": 4.5e10, "float64": 2.2e10}  # operations a second
_ELEMENT_SECONDS = 6e-9  # a unit, forward and backward
_UPDATE_SECONDS = {"sgd": 0.4e-9, "momentum": 0.9e-9, "adam": 3.5e-9}  # a weight and step
_LAYER_SECONDS = 6e-6  # a layer and step
_START_SECONDS = 0.5  # the first worker
_SIDE_BY_SIDE = 4  # networks in memory of a worker at a time
_WORKER_BYTES = 1.5e8  # NumPy, SciPy, chione and a small task
_COPIES = {"sgd": 2, "momentum": 3, "adam": 4}  # weights, gradients, moments
_ROW_BYTES = 900.0  # of the ledger, without the losses
_STEP_BYTES = 4.0  # of the losses
UNATTENDED = 3600.0
"""Seconds of work that a sweep with a ledger may take: an interruption loses none of it."""


@final
@dataclass(frozen=True)
class PlanCost:
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


def plan_cost(plan: SweepPlan, inputs: int, classes: int, *, workers: int = 1) -> PlanCost:
    """The cost of a whole plan, found without a list of its trainings.

    Parameters
    ----------
    plan : SweepPlan
        The plan.
    inputs, classes : int
        Numbers of an input, and classes.
    workers : int
        Bundles that are trained at once.
    """
    shapes = [(d, w, o) for d in plan.depth for w in plan.width for o in plan.optimizer]
    each = plan.count / len(shapes)
    flops = seconds = largest = 0.0
    for depth, width, optimizer in shapes:
        sizes = Sizes(depth, width, inputs, classes)
        steps = plan.steps
        flops += each * steps * sizes.step_flops(plan.batch)
        seconds += each * sizes.seconds(steps, plan.batch, optimizer, plan.dtype)
        largest = max(largest, sizes.bytes(plan.batch, optimizer, plan.dtype))
    return _cost(plan.count, 0, flops, seconds, largest, plan.steps, workers)


def cost_of(
    trainings: Sequence[Training], inputs: int, classes: int, *, known: int = 0, workers: int = 1
) -> PlanCost:
    """The cost of some trainings; `known` others are in the ledger."""
    alike = Counter((t.depth, t.width, t.optimizer, t.steps, t.batch, t.dtype) for t in trainings)
    flops = seconds = largest = 0.0
    steps = 0
    for (depth, width, optimizer, steps, batch, dtype), n in alike.items():
        sizes = Sizes(depth, width, inputs, classes)
        flops += n * steps * sizes.step_flops(batch)
        seconds += n * sizes.seconds(steps, batch, optimizer, dtype)
        largest = max(largest, sizes.bytes(batch, optimizer, dtype))
    return _cost(len(trainings), known, flops, seconds, largest, steps, workers)


def _cost(
    count: int, known: int, flops: float, seconds: float, largest: float, steps: int, workers: int
) -> PlanCost:
    memory = workers * max(largest * _SIDE_BY_SIDE, _WORKER_BYTES) / 1e9
    rows = count * (_ROW_BYTES + _STEP_BYTES * steps)
    return PlanCost(count, known, flops, seconds + _START_SECONDS, memory, rows)


@final
@dataclass(frozen=True)
class Sizes:
    """A network of a sweep, as far as its cost goes."""

    depth: int
    width: int
    inputs: int
    classes: int

    @property
    def parameters(self) -> float:
        """Weights of all matrices."""
        n = float(self.width)  # floats: a width of 1e200 shall be refused, not overflow
        return n * (self.inputs + self.classes) + (self.depth - 1.0) * n * n

    def step_flops(self, batch: int) -> float:
        """Operations of the products of a step, forward and backward."""
        return 2.0 * batch * (3.0 * self.parameters - float(self.width) * self.inputs)

    def seconds(self, steps: int, batch: int, optimizer: str, dtype: str) -> float:
        """CPU time of one training."""
        units = float(batch) * self.width * self.depth
        step = (
            self.step_flops(batch) / _FLOPS[dtype]
            + units * _ELEMENT_SECONDS
            + self.parameters * _UPDATE_SECONDS[optimizer]
            + self.depth * _LAYER_SECONDS
        )
        return steps * step

    def bytes(self, batch: int, optimizer: str, dtype: str) -> float:
        """Memory of one training: its weights with what the optimiser keeps, and its signals."""
        number = 8.0 if dtype == "float64" else 4.0
        signals = 3.0 * batch * self.width * self.depth
        return number * (self.parameters * _COPIES[optimizer] + signals)
