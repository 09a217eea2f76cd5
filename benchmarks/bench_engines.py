"""Engines and ledger: how soon a pool starts, what a task and a ledger cost, what two workers give.

`python benchmarks/bench_engines.py` prints one line of JSON for each figure, with the machine's
load beside it: on a busy machine the scaling of pure Python says how many cores were free, and the
processor time of one and two workers what sharing costs. `--dask` adds a local cluster of two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np

import chione
from chione.base.engines import AbstractEngine, cores, engine
from chione.sweeps.bundle import train
from chione.sweeps.jobs import jobs_of, run_job
from chione.sweeps.ledger import Ledger
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training


def say(name: str, **figures: float) -> None:
    load = os.getloadavg()[0]
    rounded = {k: float(f"{v:.4g}") for k, v in figures.items()}
    print(json.dumps({"figure": name, **rounded, "load": load, "cores": cores()}), flush=True)


def timed(function, *arguments):
    begun = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - begun, value


def pool_start(rounds: int = 7) -> None:
    """Until all workers have answered once, without and with the room of sweeps in them."""
    for name, function, task in (
        ("nothing loaded", abs, -1),
        ("sweeps loaded", load_task, "synthetic"),
    ):
        seconds = []
        for _ in range(rounds):
            begun = time.perf_counter()
            with engine("processes", workers=2) as e:
                assert len(list(e.run(function, [task] * 2))) == 2
                seconds.append(time.perf_counter() - begun)
        say(f"pool of two, {name}: s until both have answered", median=statistics.median(seconds),
            best=min(seconds))  # fmt: skip


def task_cost(which: object, count: int) -> None:
    """Seconds that handing over an empty task takes."""
    with engine(which, workers=2) as e:
        list(e.run(abs, [-1] * 8))
        seconds, _ = timed(lambda: list(e.run(abs, [-1] * count)))
        say(f"{which}: s for an empty task", each=seconds / count)


def ledger_cost(bundles: int = 200) -> None:
    """Recording a bundle beside training it: four networks of width 100, depth 20, 100 steps."""
    task = load_task("synthetic")
    four = [
        Training("tanh", 1.5, 0.05, 20, 100, steps=100, data="synthetic", seed=s) for s in range(4)
    ]
    training = min(timed(train, four, task)[0] for _ in range(3))
    outcomes = train(four, task)
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "runs.sqlite") as ledger:
        many = [
            [Training("tanh", 1.5, 0.05, 20, 100, steps=100, seed=4 * b + s) for s in range(4)]
            for b in range(bundles)
        ]
        seconds = [timed(ledger.record, zip(some, outcomes, strict=True))[0] for some in many]
    say("ledger: s to record a bundle of four", mean=statistics.mean(seconds), worst=max(seconds))
    say("ledger: share of the time of a bundle", share=statistics.mean(seconds) / training,
        training=training)  # fmt: skip


def scaling(which: str) -> None:
    """One and two workers: a sweep, and pure Python, which says how much of two cores was free."""
    task = load_task("synthetic")
    trainings = [
        Training("tanh", w, 0.05, d, 64, steps=60, data="synthetic", seed=s)
        for w in np.linspace(0.8, 2.0, 6)
        for d in (10, 20)
        for s in range(4)
    ]
    run, spin = partial(run_job, task), partial(timeit, number=15_000)
    jobs = jobs_of(trainings, task, workers=2)
    for name, function, tasks in (
        ("pure Python", spin, ["sum(range(1000))"] * 24),
        ("training", run, jobs),
    ):
        wall, work = {}, {}
        for workers in (1, 2, 1, 2):
            with engine(which, workers=workers) as e:
                list(e.run(function, tasks[:workers]))  # what is loaded once is not counted
                before = busy(e)
                seconds, done = timed(lambda: list(e.run(function, tasks)))  # noqa: B023
                assert all(d.failure is None for d in done)
                after = busy(e)
            wall[workers] = min(seconds, wall.get(workers, np.inf))
            work[workers] = min(after - before, work.get(workers, np.inf))
        say(f"{which}: {name}, two workers against one", times=wall[1] / wall[2], one=wall[1],
            two=wall[2], cpu_one=work[1], cpu_two=work[2])  # fmt: skip


def busy(e: AbstractEngine) -> float:
    """Processor time that all workers have used so far."""
    ask = "(__import__('os').getpid(), __import__('time').process_time())"
    return sum({d.value[0]: d.value[1] for d in e.run(eval, [ask] * 4 * e.workers)}.values())


def simulation() -> None:
    """An ensemble in threads and in processes against this process alone."""
    for name, width, sampler in (("tanh", 512, "dense"), ("gelu", 512, "matrix-free")):
        net = chione.MLP(chione.activation(name), 1.5, 0.1, depth=30, width=width)
        alone, _ = timed(lambda: chione.simulate(net, n_networks=24, sampler=sampler))  # noqa: B023
        for which in ("threads", "processes"):
            with engine(which, workers=2) as e:
                chione.simulate(net, n_networks=2, sampler=sampler, engine=e)
                seconds, _ = timed(
                    lambda: chione.simulate(net, n_networks=24, sampler=sampler, engine=e)  # noqa: B023
                )
            say(f"simulate {name} {sampler}, {which}: two workers against one",
                times=alone / seconds, one=alone, two=seconds)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dask", action="store_true", help="a local cluster of two workers too")
    options = parser.parse_args()
    pool_start()
    task_cost("processes", 2000)
    ledger_cost()
    scaling("processes")
    simulation()
    if options.dask:
        task_cost("dask", 200)
        scaling("dask")


if __name__ == "__main__":
    main()
