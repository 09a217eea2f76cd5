"""Train every network of a plan, keep what is done, and put the theory beside it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from chione.base import SpecError, checks, cost
from chione.base.engines import engine as choose_engine
from chione.sweeps.axes import READS_SIGMAS
from chione.sweeps.jobs import Job, jobs_of, run_job, weight
from chione.sweeps.ledger import Ledger
from chione.sweeps.plan import SweepPlan
from chione.sweeps.prices import UNATTENDED, Price, price_of, price_of_plan
from chione.sweeps.results import SweepResult, collected
from chione.sweeps.tasks import TASKS, Task, load_task
from chione.sweeps.training import Outcome

Progress = Callable[[int, int, float], None]
"""Takes (trainings done, in total, seconds left; NaN while nobody knows)."""
DEFAULT_SIGMA_W = tuple(np.linspace(0.5, 4.0, 12).tolist())
DEFAULT_DEPTH = (4, 5, 6, 7, 9, 11, 14, 17, 21, 26, 32, 40)  # in equal ratios
_MOST_TRAININGS = 2_000_000  # whose list is worth making; any more are far beyond the limits
_AT_A_TIME = 2000  # keys that are looked up in the ledger
_MOST = 256  # workers, as engines take them
_QUICK = 1.5  # seconds of work for which no other process is started


def sweep(
    plan: SweepPlan | str | Sequence[str],
    *,
    sigma_w: Any = None,
    sigma_b: Any = None,
    depth: Any = None,
    width: Any = None,
    scheme: Any = None,
    weights: Any = None,
    optimizer: Any = None,
    rate: Any = None,
    seeds: Any = None,
    dropout: Any = None,
    steps: int | None = None,
    batch: int | None = None,
    dtype: str | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    engine: Any = None,
    workers: int | None = None,
    progress: Progress | None = None,
    effort: float = 1.0,
) -> SweepResult:
    r"""Train many networks and map which of them learn, beside what theory expects.

    Parameters
    ----------
    plan : SweepPlan, or activation or sequence of activations
        Everything that is swept, or the activations alone: then the keywords say the rest.
    sigma_w, sigma_b, depth, width, scheme, weights, optimizer, rate, seeds, dropout : optional
        Values or lists of values, see :class:`SweepPlan`. By default twelve `sigma_w` from 0.5 to
        4 (where every scheme reads them) and twelve depths from 4 to 40.
    steps, batch, dtype, data : optional
        One value for all trainings, see :class:`SweepPlan`.
    out : path, optional
        A ledger: every bundle is kept in it as it ends, and a sweep that was interrupted goes on
        from there when it is called again. Trainings that failed are tried again.
    engine : optional
        Where networks are trained, see :func:`chione.base.engines.engine`. By default `workers`
        processes on this machine.
    workers : int, optional
        Bundles that are trained at a time, one thread each; as many as there are cores by default.
    progress : callable, optional
        Called with (trainings done, in total, seconds left).
    effort : float
        How many times the limits it may take: 4 GB, and 60 s of CPU time, or one hour with `out`,
        where an interruption loses nothing.

    Returns
    -------
    SweepResult
        The same numbers for every engine, any number of workers, and after any interruption.

    Raises
    ------
    SpecError
        If the plan, the data or the ledger cannot be used.
    CostError
        If it would take more than `effort` allows; what is in the ledger costs nothing.

    Examples
    --------
    >>> import chione as ch
    >>> found = ch.sweep("tanh", sigma_w=[0.5, 1.2], depth=[2, 16], steps=60, data="synthetic")
    >>> found.mean["accuracy"].shape
    (1, 1, 1, 1, 1, 1, 2, 1, 2)
    >>> accuracy = found.mean["accuracy"].squeeze()  # (depth, sigma_w)
    >>> bool(accuracy[1, 1] > accuracy[1, 0] + 0.3)
    True
    """
    given = {
        "sigma_w": sigma_w, "sigma_b": sigma_b, "depth": depth, "width": width, "scheme": scheme,
        "weights": weights, "optimizer": optimizer, "rate": rate, "seeds": seeds,
        "dropout": dropout, "steps": steps, "batch": batch, "dtype": dtype, "data": data,
    }  # fmt: skip
    planned = plan_of(plan, {name: x for name, x in given.items() if x is not None})
    work = Work(planned, out, engine=engine, workers=workers)
    with ExitStack() as stack:
        return work.run(stack, progress, effort)


def plan_of(plan: SweepPlan | str | Sequence[str], given: Mapping[str, Any]) -> SweepPlan:
    """The plan that a call means."""
    if isinstance(plan, SweepPlan):
        if given:
            raise SpecError(
                f"{next(iter(given))} was given beside a SweepPlan, which has its own; change the "
                "plan with dataclasses.replace, or give an activation in its place."
            )
        return plan
    values = {"depth": DEFAULT_DEPTH, **given}
    if values.get("scheme", READS_SIGMAS) == READS_SIGMAS:
        values = {"sigma_w": DEFAULT_SIGMA_W} | values
    return SweepPlan(plan, **values)


class Work:
    """A plan with its data and its ledger, from the first look to the result.

    Parameters
    ----------
    plan : SweepPlan
        What to train.
    out : path, optional
        The ledger.
    engine, workers : optional
        As in :func:`sweep`.
    """

    def __init__(
        self,
        plan: SweepPlan,
        out: str | os.PathLike[str] | None = None,
        *,
        engine: Any = None,
        workers: int | None = None,
        scheduler: str | None = None,
    ) -> None:
        self.plan, self.out = plan, None if out is None else Path(out)
        self.engine, self.scheduler = engine, scheduler
        self.workers = None if workers is None else min(checks.integer("workers", workers), _MOST)
        self.task: Task = load_task(plan.data)
        self.outcomes: dict[int, Outcome] = {}

    def price(self) -> Price:
        """What is left to pay; the ledger is read, nothing is trained."""
        workers = self.at_a_time
        if self.out is None or self.plan.count > _MOST_TRAININGS:
            return price_of_plan(self.plan, self.task, workers=workers)
        self._look()
        left = [self._all[k] for k in self._left()]
        known = self.plan.count - len(left)
        return price_of(left, self.task, known=known, workers=workers)

    def run(
        self, stack: ExitStack, progress: Progress | None = None, effort: float = 1.0
    ) -> SweepResult:
        """Train what is left."""
        price = self.price()
        cost.check(
            f"training {price.trainings} networks",
            seconds=price.seconds,
            gigabytes=price.gigabytes,
            limit=cost.SECONDS if self.out is None else UNATTENDED,
            fits="" if self.out is not None else "an hour is allowed with a ledger (out=), which "
            "keeps what is done; fewer networks or steps fit as well",
            effort=effort,
        )  # fmt: skip
        if self.out is None:
            self._look()
        left = self._left()
        if left:
            self._train(stack, left, price, progress)
        return self.result()

    def result(self) -> SweepResult:
        """What is known so far."""
        task = self.task
        return collected(
            self.plan, self.outcomes, classes=task.classes, inputs=task.inputs, digest=task.digest
        )

    def _look(self) -> None:
        """Take from the ledger what is known; nothing is written."""
        # a file's name says little of what is in it
        data = self.plan.data if self.plan.data in TASKS else self.task.digest
        self._all = self.plan.trainings(data)
        self._place = {t.key: k for k, t in enumerate(self._all)}
        if self.out is None or not self.out.exists() or self.out.stat().st_size == 0:
            return
        keys = list(self._place)
        with Ledger(self.out, write=False) as ledger:
            for start in range(0, len(keys), _AT_A_TIME):
                found = ledger.finished(keys[start : start + _AT_A_TIME])
                for key, outcome in found.items():
                    self.outcomes[self._place[key]] = _short(outcome)

    def _left(self) -> list[int]:
        return [k for k in range(len(self._all)) if k not in self.outcomes]

    @property
    def at_a_time(self) -> int:
        """Bundles that are trained at a time."""
        return _cores() if self.workers is None else self.workers

    def _train(
        self, stack: ExitStack, left: list[int], price: Price, progress: Progress | None
    ) -> None:
        self._ledger: Ledger | None = None
        if self.out is not None:
            self._ledger = stack.enter_context(Ledger(self.out))
            if self.plan.data in TASKS:
                self._ledger.check_task(self.plan.data, self.task.digest)
        trainings = [self._all[k] for k in left]
        jobs = jobs_of(trainings, self.task, workers=self.at_a_time)
        bar = _Clock(jobs, self.plan.count, progress, self.task)
        chosen, workers = self.engine, self.workers
        if chosen is None and self.scheduler is None:
            quick = workers is None and price.seconds < _QUICK
            workers = 1 if quick else min(self.at_a_time, len(jobs))
        runner = stack.enter_context(
            choose_engine(chosen, workers=workers, scheduler=self.scheduler)
        )
        alone = list(self._pass(runner, jobs, bar))
        # a bundle that failed as a whole takes no neighbour along: each of it is tried alone
        for _ in self._pass(runner, alone, bar):
            raise AssertionError("a bundle of one has no neighbours.")

    def _pass(self, runner: Any, jobs: Sequence[Job], bar: _Clock) -> Iterator[Job]:
        """Run jobs and keep what they give; yields the members of failed bundles as jobs."""
        if not jobs:
            return
        for done in runner.run(partial(run_job, self.task), jobs):
            job = jobs[done.index]
            if done.failure is not None and len(job) > 1:
                yield from ((training,) for training in job)
                continue
            if done.failure is None:
                found = list(done.value)
            else:
                found = [Outcome(done.failure.kind, message=done.failure.message)]
            self._keep(job, found)
            bar.step(job)

    def _keep(self, job: Job, found: Sequence[Outcome]) -> None:
        rows = list(zip(job, found, strict=True))
        if self._ledger is not None:
            self._ledger.record(rows)
        for training, outcome in rows:
            self.outcomes[self._place[training.key]] = _short(outcome)


def _short(outcome: Outcome) -> Outcome:
    """Without the loss of each step, which the ledger keeps: a million of them fill a memory."""
    return replace(outcome, losses=(), steps_to=())


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # neither Linux nor another system that has it
        return os.cpu_count() or 1


class _Clock:
    """Tells how far a sweep is, and how long the rest will take."""

    def __init__(
        self, jobs: Sequence[Job], total: int, progress: Progress | None, task: Task
    ) -> None:
        self._done, self._total = total - sum(map(len, jobs)), total
        self._tell, self._task, self._started = progress, task, time.monotonic()
        self._owed, self._paid = math.fsum(weight(job, task) for job in jobs), 0.0

    def step(self, job: Job) -> None:
        """Note that a job has ended."""
        self._done += len(job)
        self._paid += weight(job, self._task)
        if self._tell is not None:
            took = time.monotonic() - self._started
            left = took * max(self._owed - self._paid, 0.0) / self._paid
            self._tell(self._done, self._total, left)
