"""Trainings sorted into bundles: the pieces of work that a runner hands to its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chione.sweeps.bundle import train
from chione.sweeps.prices import seconds_of
from chione.sweeps.stacking import members_at_a_time
from chione.sweeps.tasks import Task
from chione.sweeps.training import Outcome, Training

Job = tuple[Training, ...]
"""Trainings of one bundle."""

_A_WORKER = 16  # jobs for each worker: so that they end at about one time
_SHORTEST, _LONGEST = 0.3, 6.0  # s of a job: the price of handing it over, and what a loss costs


def jobs_of(trainings: Sequence[Training], task: Task, *, workers: int = 1) -> list[Job]:
    """Bundles that keep workers busy and lose little when one dies, the longest first.

    The longest first: a short one at the end keeps no worker waiting.
    """
    alike: dict[tuple[object, ...], list[Training]] = defaultdict(list)
    for training in trainings:
        alike[training.bundle].append(training)
    total = sum(seconds_of(group[0], task) * len(group) for group in alike.values())
    aim = min(max(total / (_A_WORKER * workers), _SHORTEST), _LONGEST)
    jobs: list[Job] = []
    for group in alike.values():
        stack = members_at_a_time(group[0])  # whole stacks, so that none is trained half full
        stacks = min(aim / seconds_of(group[0], task) / stack, len(group))
        members = max(1, int(stacks)) * stack
        jobs += [tuple(group[start : start + members]) for start in range(0, len(group), members)]
    return sorted(jobs, key=lambda job: -weight(job, task))


def weight(job: Job, task: Task) -> float:
    """Seconds of CPU time that a job is expected to take."""
    return seconds_of(job[0], task) * len(job)


def run_job(task: Task, job: Job) -> list[Outcome]:
    """Train a bundle: what workers call, with the task sent to each of them once."""
    return train(job, task)
