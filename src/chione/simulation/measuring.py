"""What is measured on each network of an ensemble, in this process or in another."""

from __future__ import annotations

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from chione.base import Array
from chione.networks import MLP
from chione.simulation import histograms, samplers
from chione.simulation.normals import FloatArray
from chione.simulation.observables import Observable
from chione.simulation.passes import Pass


@dataclass(frozen=True)
class Plan:
    """A checked request."""

    network: MLP
    inputs: FloatArray
    seed: int
    asked: tuple[str, ...]
    layered: tuple[Observable, ...]
    histograms: tuple[str, ...]
    sampler: str
    dtype: np.dtype[Any]
    bins: int
    device: str


class Measuring:
    """Draws and measures the networks of some numbers; what an engine calls.

    Parameters
    ----------
    plan : Plan
        The request.
    memory : int
        Bytes of kept weights and signals in each worker.
    edges : mapping of str to ndarray
        Edges of the bins of each histogram.
    """

    def __init__(self, plan: Plan, memory: int, edges: dict[str, Array]) -> None:
        self.plan, self.memory, self.edges = plan, memory, edges
        bound = (histograms.observable(name, edges[name]) for name in plan.histograms)
        self._chosen = (*plan.layered, *bound)
        self._idle: SimpleQueue[Pass] = SimpleQueue()  # a pass keeps its buffers for the next one

    def __reduce__(self) -> tuple[Any, ...]:
        return Measuring, (self.plan, self.memory, self.edges)

    def __call__(self, numbers: range) -> list[dict[str, Array]]:
        """What each network gave: for each observable its values in all layers."""
        try:
            run = self._idle.get_nowait()
        except Empty:
            run = make_pass(self.plan, self.memory)
        try:
            return [_measure(run, self._chosen, self.plan, number) for number in numbers]
        finally:
            self._idle.put(run)


def make_pass(plan: Plan, memory: int) -> Pass:
    """A pass for the networks of a plan."""
    return samplers.make_pass(
        plan.network, plan.sampler, len(plan.inputs), plan.dtype, memory, plan.device
    )


def _measure(run: Pass, chosen: tuple[Observable, ...], plan: Plan, index: int) -> dict[str, Array]:
    forward = [o for o in chosen if not o.backward]
    backward = [o for o in chosen if o.backward]
    rows: dict[str, list[Array]] = {o.name: [] for o in chosen}
    with quiet():
        for shot in run.forward(plan.seed, index, plan.inputs):
            for o in forward:
                rows[o.name].append(o.measure(shot))
        if backward:
            for shot in run.backward():
                for o in backward:
                    rows[o.name].append(o.measure(shot))
        for o in backward:
            rows[o.name].reverse()
        return {
            o.name: np.sum(rows[o.name], axis=0) if o.total else np.array(rows[o.name])
            for o in chosen
        }


def quiet() -> np.errstate:
    """Overflow is a result here, and reported as one, not as a warning of NumPy."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
