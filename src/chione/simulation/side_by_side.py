"""Networks side by side on any engine, their results one by one in the order of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chione.base import checks
from chione.base.engines import AbstractEngine, cores, engine, in_order

T = TypeVar("T")
_ROUNDS = 4  # pieces of work for each worker, so that none waits long for the last


def at_a_time(which: Any, workers: int | None, count: int) -> int:
    """How many of the networks will run on this machine, before anything is started."""
    if workers is not None:
        return min(checks.integer("workers", workers), count)
    return min(cores(), count) if isinstance(which, str) and which != "here" else 1


def runner_of(which: Any, workers: int | None, count: int) -> AbstractEngine:
    """The engine of a simulation: threads by default, since NumPy leaves them room."""
    if which is None:
        which = "here" if at_a_time(which, workers, count) == 1 else "threads"
    return engine(which, workers=None if workers is None else at_a_time(which, workers, count))


def one_by_one(
    measure: Callable[[range], list[T]],
    numbers: range,
    runner: AbstractEngine,
    *,
    batch: int = 16,
    at_once: int = 1,
) -> Iterator[T]:
    """What ``measure`` gives for each number, in their order.

    Parameters
    ----------
    measure : callable
        Takes a range of numbers and gives one value for each.
    numbers : range
        The numbers.
    runner : AbstractEngine
        Where it runs; it stays open.
    batch : int
        Values that may wait for one with a lower number; at least one for each worker does.
    at_once : int
        Numbers in one call at least, where a call has work that they share.

    Raises
    ------
    Exception
        The first error of `measure`, in the order of the numbers.
    EngineError
        If workers died.
    """
    count = len(numbers)
    # a message costs as much as a small network, so workers get several at a time
    room = batch // (2 * runner.workers)  # two pieces for each worker are as many as may wait
    several = 1 if runner.kind == "here" else min(room, count // (_ROUNDS * runner.workers))
    size = max(1, at_once, several)
    pieces = [numbers[n : n + size] for n in range(0, count, size)]
    ahead = max(batch // size, runner.workers)
    for done in in_order(runner.run(measure, pieces, ahead=ahead)):
        if done.failure is not None:
            done.failure.throw()
        yield from done.value
