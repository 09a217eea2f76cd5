"""Trainings sorted into bundles: the pieces of work that a runner hands to its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import final

from chione.base import SpecError
from chione.sweeps.bundle import train
from chione.sweeps.costs import Sizes
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.training import Outcome, Training

_STACK = 4  # networks that the engine trains side by side
_A_WORKER = 16  # jobs for each worker: so that they end at about one time
_SHORTEST, _LONGEST = 0.3, 6.0  # s of a job: the price of handing it over, and what a loss costs


@final
@dataclass(frozen=True)
class Job:
    """A bundle of trainings and where its data come from.

    Parameters
    ----------
    trainings : tuple of Training
        Of one bundle.
    source : str
        Name or file of the task.
    digest : str
        What its data have to be.
    """

    trainings: tuple[Training, ...]
    source: str
    digest: str

    def apart(self) -> list[Job]:
        """One job for each of its trainings."""
        return [replace(self, trainings=(training,)) for training in self.trainings]


def jobs_of(
    trainings: Sequence[Training], source: str, task: Task, *, workers: int = 1
) -> list[Job]:
    """Bundles that keep workers busy and lose little when one dies, the longest first.

    The longest first: a short one at the end keeps no worker waiting.
    """
    alike: dict[tuple[object, ...], list[Training]] = defaultdict(list)
    for training in trainings:
        alike[training.bundle].append(training)
    total = sum(_seconds(group[0], task) * len(group) for group in alike.values())
    aim = min(max(total / (_A_WORKER * workers), _SHORTEST), _LONGEST)
    jobs = []
    for group in alike.values():
        members = max(1.0, aim / _seconds(group[0], task)) // _STACK * _STACK
        members = int(min(max(members, _STACK), len(group)))
        for start in range(0, len(group), members):
            jobs.append(Job(tuple(group[start : start + members]), source, task.digest))
    return sorted(jobs, key=lambda job: -weight(job, task))


def weight(job: Job, task: Task) -> float:
    """Seconds of CPU time that a job is expected to take."""
    return _seconds(job.trainings[0], task) * len(job.trainings)


def _seconds(t: Training, task: Task) -> float:
    sizes = Sizes(t.depth, t.width, task.inputs, task.classes)
    return sizes.seconds(t.steps, t.batch, t.optimizer, t.dtype)


def run_job(job: Job) -> list[Outcome]:
    """Train a bundle; what the workers of a runner call."""
    return train(job.trainings, _task(job.source, job.digest))


@lru_cache(maxsize=2)
def _task(source: str, digest: str) -> Task:
    """The data, read once by each worker."""
    task = load_task(source)
    if task.digest != digest:
        where = f"the file {Path(source)}" if Path(source).suffix else f"the task {source!r}"
        raise SpecError(
            f"{where} is not what it was when the sweep began; give each data set a file of its "
            "own, and start again."
        )
    return task
