"""Any trainings, bundle by bundle on an engine, with a ledger that remembers them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from chione.base.engines import engine as choose_engine
from chione.sweeps.bundle import train
from chione.sweeps.ledger import FINISHED, Ledger
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.training import Outcome, Training

Run = Callable[[Sequence[Training]], Sequence[Outcome]]
"""Trains networks; their outcomes come in the order of the trainings."""
_JOB = 8  # networks handed to a worker at a time: two of the stacks that are trained at once


def keeper(
    data: str,
    *,
    ledger: str | os.PathLike[str] | None = None,
    engine: Any = None,
    workers: int | None = None,
) -> Run:
    """A function that trains networks and asks a ledger first.

    Parameters
    ----------
    data : str
        The task, see :func:`chione.sweeps.tasks.load_task`.
    ledger : path, optional
        A file that keeps outcomes; what it holds is not trained again.
    engine, workers : optional
        Where networks are trained, see :func:`chione.base.engines.engine`.

    Returns
    -------
    callable
        Takes trainings of any bundles. A bundle that fails takes none of its members along: each
        is tried alone, and what fails then comes back as a failed outcome.
    """
    task = load_task(data)

    def run(trainings: Sequence[Training]) -> list[Outcome]:
        known = {} if ledger is None else _known(ledger, trainings)
        left = [t for t in dict.fromkeys(trainings) if t.key not in known]
        if left:
            with nullcontext() if ledger is None else Ledger(ledger) as book:
                for batch in _trained(task, left, engine, workers):
                    if book is not None:
                        book.record(batch)
                    known |= {t.key: o for t, o in batch}
        return [known[t.key] for t in trainings]

    return run


def _known(path: str | os.PathLike[str], trainings: Sequence[Training]) -> dict[str, Outcome]:
    with Ledger(path) as book:
        keys = [t.key for t in trainings]
        held = zip(keys, book.outcomes(keys), strict=True)
        return {k: o for k, o in held if o is not None and o.status in FINISHED}


Rows = list[tuple[Training, Outcome]]


def _trained(
    task: Task, trainings: Sequence[Training], engine: Any, workers: int | None
) -> Iterator[Rows]:
    bundles: dict[tuple[Any, ...], list[Training]] = {}
    for t in trainings:
        bundles.setdefault(t.bundle, []).append(t)
    jobs = [b[k : k + _JOB] for b in bundles.values() for k in range(0, len(b), _JOB)]
    with choose_engine(engine, workers=workers) as chosen:
        while jobs:
            again: list[list[Training]] = []
            for done in chosen.run(partial(_train, task), jobs):
                job = jobs[done.index]
                if done.failure is None:
                    yield list(zip(job, done.value, strict=True))
                elif len(job) > 1:
                    again += [[t] for t in job]
                else:
                    yield [(job[0], Outcome(done.failure.kind, message=done.failure.message))]
            jobs = again


def _train(task: Task, job: Sequence[Training]) -> list[Outcome]:
    """What a worker calls."""
    return train(job, task)
