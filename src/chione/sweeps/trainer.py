"""Trains what is asked for, from the ledger where it is known, else by an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from chione.base.engines import AbstractEngine
from chione.sweeps.jobs import Job, jobs_of, run_job
from chione.sweeps.ledger import Ledger
from chione.sweeps.tasks import Task
from chione.sweeps.training import Outcome, Training


class Trainer:
    """For searches, whose later trainings depend on what the earlier ones came to.

    Parameters
    ----------
    task : Task
        What is learned.
    runner : AbstractEngine
        Where bundles are trained.
    ledger : Ledger, optional
        Keeps each bundle as it ends; what it knows is not trained again.
    told : callable, optional
        Called with the number of trainings that have ended so far.
    """

    def __init__(
        self,
        task: Task,
        runner: AbstractEngine,
        ledger: Ledger | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self._task, self._runner, self._ledger = task, runner, ledger
        self._told, self._ended = told, 0

    def __call__(self, trainings: Sequence[Training]) -> list[Outcome]:
        """Outcomes in the order of the trainings; failed and lost ones are among them."""
        keys = [t.key for t in trainings]
        known = {} if self._ledger is None else dict(self._ledger.finished(keys))
        left = [t for t in trainings if t.key not in known]
        self._count(len(trainings) - len(left))
        jobs = jobs_of(left, self._task, workers=self._runner.workers)
        # a bundle that fails as a whole takes no neighbour along: each of it is tried alone
        alone = self._pass(jobs, known)
        self._pass(alone, known)
        return [known[key] for key in keys]

    def _pass(self, jobs: Sequence[Job], known: dict[str, Outcome]) -> list[Job]:
        """Run jobs and note what they give; the members of bundles that failed come back."""
        apart: list[Job] = []
        work = partial(run_job, self._task)
        for done in self._runner.run(work, jobs) if jobs else ():
            job, why = jobs[done.index], done.failure
            if why is None:
                known |= self._keep(job, done.value)
            elif len(job) > 1:
                apart += [(training,) for training in job]
            else:
                known |= self._keep(job, [Outcome(why.kind, message=why.message)])
        return apart

    def _keep(self, job: Job, found: Sequence[Outcome]) -> dict[str, Outcome]:
        rows = list(zip(job, found, strict=True))
        if self._ledger is not None:
            self._ledger.record(rows)
        self._count(len(rows))
        return {training.key: outcome for training, outcome in rows}

    def _count(self, more: int) -> None:
        self._ended += more
        if self._told is not None and more:
            self._told(self._ended)
