"""Trainings sorted into bundles: the pieces of work that a runner hands to its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

from chione.base import SpecError
from chione.sweeps.bundle import train
from chione.sweeps.costs import Sizes
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.training import Outcome, Training


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


def jobs_of(trainings: Sequence[Training], source: str, task: Task) -> list[Job]:
    """Bundles of a size that a core's cache serves, the longest first.

    The longest first: a short one at the end keeps no worker waiting.
    """
    alike: dict[tuple[object, ...], list[Training]] = defaultdict(list)
    for training in trainings:
        alike[training.bundle].append(training)
    jobs: list[tuple[float, Job]] = []
    for group in alike.values():
        t = group[0]
        sizes = Sizes(t.depth, t.width, task.inputs, task.classes)
        members = sizes.members(t.optimizer, t.dtype)
        each = sizes.seconds(t.steps, t.batch, t.optimizer, t.dtype)
        for start in range(0, len(group), members):
            part = tuple(group[start : start + members])
            jobs.append((each * len(part), Job(part, source, task.digest)))
    return [job for _, job in sorted(jobs, key=lambda item: -item[0])]


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
