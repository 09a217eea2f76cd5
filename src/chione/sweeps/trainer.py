"""Trains what is asked for, from the ledger where it is known, else by an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    source : str
        Its name or file, by which workers load it.
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
        source: str,
        runner: AbstractEngine,
        ledger: Ledger | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self._task, self._source, self._runner, self._ledger = task, source, runner, ledger
        self._told, self._ended = told, 0

    def __call__(self, trainings: Sequence[Training]) -> list[Outcome]:
        """Outcomes in the order of the trainings; failed and lost ones are among them."""
        known = self._known(trainings)
        left = [t for t in trainings if t.key not in known]
        self._count(len(trainings) - len(left))
        jobs = jobs_of(left, self._source, self._task, workers=self._runner.workers)
        # a bundle that fails as a whole takes no neighbour along: each of it is tried alone
        known |= self._pass(self._pass_whole(jobs, known))
        return [known[t.key] for t in trainings]

    def _known(self, trainings: Sequence[Training]) -> dict[str, Outcome]:
        if self._ledger is None:
            return {}
        keys = [t.key for t in trainings]
        answers = self._ledger.finished(keys)
        found = self._ledger.outcomes(keys)
        return {k: o for k, o in zip(keys, found, strict=True) if o is not None and k in answers}

    def _pass_whole(self, jobs: Sequence[Job], known: dict[str, Outcome]) -> list[Job]:
        """Run jobs; gives the members of those that failed, and of no other, one by one."""
        alone: list[Job] = []
        for done in self._runner.run(run_job, jobs) if jobs else ():
            job = jobs[done.index]
            if done.failure is None:
                known |= self._keep(job, done.value)
            else:
                alone += job.apart()
        return alone

    def _pass(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        known: dict[str, Outcome] = {}
        for done in self._runner.run(run_job, jobs) if jobs else ():
            why = done.failure
            found = done.value if why is None else [Outcome(why.kind, message=why.message)]
            known |= self._keep(jobs[done.index], found)
        return known

    def _keep(self, job: Job, found: Sequence[Outcome]) -> dict[str, Outcome]:
        rows = list(zip(job.trainings, found, strict=True))
        if self._ledger is not None:
            self._ledger.record(rows)
        self._count(len(rows))
        return {training.key: outcome for training, outcome in rows}

    def _count(self, more: int) -> None:
        self._ended += more
        if self._told is not None and more:
            self._told(self._ended)
