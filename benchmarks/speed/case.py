"""What is measured: a case is one piece of work, and it is done in several ways."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Missing(Exception):
    """What a way needs is not there; it is skipped and named."""


class Sample(NamedTuple):
    """Seconds of one call, and what it returned."""

    wall: float
    cpu: float  # of this process and of those it started and waited for
    value: Any = None


def cpu_seconds() -> float:
    """User and system time of this process and of its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(run: Callable[[int], Any], k: int, loops: int) -> Sample:
    """Mean over `loops` calls ``run(k)``, ``run(k + 1)``, ... in this process."""
    wall, cpu, value = time.perf_counter(), cpu_seconds(), None
    for i in range(k, k + loops):
        value = run(i)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return Sample(wall / loops, cpu / loops, value)


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Parameters
    ----------
    name : str
        ``chione``, or the peer and how it is used.
    run : callable
        Does the work. Its argument counts the calls: numbers of the same kind but others than
        before, so that a result kept from an earlier call is of no use.
    error : callable, optional
        Largest error of what ``run(0)`` returned, against values that share no code with either.
    part : float
        Share of the work that `run` does. Times are divided by it, and marked.
    ready : callable, optional
        Imports and inputs, before the clock starts. May raise `Missing` or ``ImportError``.
    prepare : callable, optional
        Work before the first call that its user waits for too (to compile, to fill a table).
    clock : callable
        Takes the time; another one where the work is done in a process that stays.
    peak : callable, optional
        Peak memory in MB of such a process.
    """

    name: str
    run: Callable[[int], Any]
    error: Callable[[Any], float] | None = None
    part: float = 1.0
    ready: Callable[[], Any] | None = None
    prepare: Callable[[int], Any] | None = None
    clock: Callable[[Callable[[int], Any], int, int], Sample] = measured
    peak: Callable[[], float] | None = None


@dataclass(frozen=True)
class Case:
    """One piece of work.

    Parameters
    ----------
    name : str
        For ``--only`` and the JSON file; unique.
    what : str
        For the reader of the table, in words.
    ways : callable
        Builds the inputs, small ones if its argument is true, and returns the ways; chione first.
    unit, count : str, int
        Times are those of one of `count` units, such as a value of an array.
    goal : float
        CPU seconds (of a unit) that were aimed at; 0 where none were named.
    memory : bool
        Whether each way runs once more in a process of its own, whose peak memory is taken.
    limit : float
        Seconds after which the process is stopped.
    """

    name: str
    what: str
    ways: Callable[[bool], Sequence[Way]]
    unit: str = ""
    count: int = 1
    goal: float = 0.0
    memory: bool = False
    limit: float = 240.0
