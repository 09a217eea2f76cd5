"""What is measured on each network of an ensemble, in this process or in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from chione.base import Array
from chione.networks import MLP
from chione.simulation import histograms, samplers
from chione.simulation.normals import FloatArray
from chione.simulation.observables import Observable
from chione.simulation.passes import Pass, Snapshot
from chione.simulation.seeding import Streams
from chione.simulation.streams import Draw


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

    def __call__(self, numbers: Sequence[Draw | int]) -> list[dict[str, Array]]:
        """What each network gave: for each observable its values in all layers."""
        draws = [n if isinstance(n, Draw) else Draw(self.plan.seed, n) for n in numbers]
        try:
            run = self._idle.get_nowait()
        except Empty:
            run = make_pass(self.plan, self.memory)
        side = together(self.plan, self.memory)
        try:
            if side == 1:
                return [_measure(run, self._chosen, self.plan, draw) for draw in draws]
            streams = Streams(draws, self.plan.network.depth)
            return [
                measured
                for k in range(0, len(draws), side)
                for measured in _together(run, self._chosen, self.plan, streams.part(k, k + side))
            ]
        finally:
            self._idle.put(run)


def make_pass(plan: Plan, memory: int) -> Pass:
    """A pass for the networks of a plan."""
    return samplers.make_pass(
        plan.network, plan.sampler, len(plan.inputs), plan.dtype, memory, plan.device
    )


def together(plan: Plan, memory: int) -> int:
    """How many networks side by side fill the cache and fit into the memory: one if matrices."""
    return samplers.together(plan.network, plan.sampler, len(plan.inputs), plan.dtype, memory)


def _measure(run: Pass, chosen: tuple[Observable, ...], plan: Plan, draw: Draw) -> dict[str, Array]:
    """The values of each observable in all layers of one network."""
    return _values(chosen, _rows(run, chosen, run.forward(*draw, plan.inputs)))


def _together(
    run: Pass, chosen: tuple[Observable, ...], plan: Plan, streams: Streams
) -> list[dict[str, Array]]:
    """The same for each of several networks that go through side by side."""
    rows = _rows(run, tuple(_stacked(o) for o in chosen), run.together(streams, plan.inputs))
    return [
        _values(chosen, {name: [layer[r] for layer in layers] for name, layers in rows.items()})
        for r in range(len(streams))
    ]


def _stacked(one: Observable) -> Observable:
    """The observable of networks side by side: one by one where it does not know better."""
    if one.together:
        return one
    return replace(one, measure=partial(_each, one.measure))


def _each(measure: Callable[[Snapshot], Array], shot: Snapshot) -> Array:
    return np.stack([measure(shot.of(r)) for r in range(len(shot.h))])


def _rows(
    run: Pass, chosen: tuple[Observable, ...], shots: Iterator[Snapshot]
) -> dict[str, list[Array]]:
    """What each observable gives in each layer, in the order of the layers."""
    forward = [o for o in chosen if not o.backward]
    backward = [o for o in chosen if o.backward]
    rows: dict[str, list[Array]] = {o.name: [] for o in chosen}
    with quiet():
        for shot in shots:
            for o in forward:
                rows[o.name].append(o.measure(shot))
        if backward:
            for shot in run.backward():
                for o in backward:
                    rows[o.name].append(o.measure(shot))
    for o in backward:
        rows[o.name].reverse()
    return rows


def _values(chosen: tuple[Observable, ...], rows: dict[str, list[Array]]) -> dict[str, Array]:
    with quiet():
        return {
            o.name: np.sum(rows[o.name], axis=0) if o.total else np.array(rows[o.name])
            for o in chosen
        }


def quiet() -> np.errstate:
    """Overflow is a result here, and reported as one, not as a warning of NumPy."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
