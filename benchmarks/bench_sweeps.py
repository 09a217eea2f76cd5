"""Trainings side by side: network-steps a second a core, against torch and the peak of products.

    OMP_NUM_THREADS=1 python benchmarks/bench_sweeps.py [--rounds 7] [--runner]

The targets: with four networks of width 100, depth 20 and batch 64 in float32, half of what the
matrix products alone could reach (52 % of the GEMM peak), 438 network-steps a second, and twice a
loop over torch modules (2.16). All contenders of a row take turns within each round, each for a few
steps at least, so that a busy machine slows them alike; told are the medians over the rounds of CPU
seconds (those of this thread's process) and of wall seconds. The peak is that of a product of two
float32 matrices of 1024 x 1024, measured in the same rounds.

With ``--runner``: start of the process pool, two workers against one, and what the ledger takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from chione.base.engines import engine
from chione.sweeps.chunk import Chunk, batches, cross_entropy
from chione.sweeps.costs import flops
from chione.sweeps.initial import draw, trained_activation
from chione.sweeps.jobs import run_job
from chione.sweeps.ledger import Ledger
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training

DATA = "synthetic"  # 64 inputs, ten classes
NETWORKS = 4
STEPS = 20  # of each network, a contender and round
PEAK = 1024


class Bundle:
    """Ours: steps of a chunk, without the classification at the end."""

    def __init__(self, members, task):
        act = trained_activation(members[0])
        self.chunk = Chunk(members, [draw(t, act, task) for t in members], act, task)
        self.cuts = [batches(t, len(task.x_train)) for t in members]
        self.labels, self.step = task.y_train, 0

    def steps(self, count):
        for _ in range(count):
            self.step += 1
            index = np.stack([next(c) for c in self.cuts])
            self.chunk._forward(index)
            loss, right = cross_entropy(self.chunk._y, self.labels[index])
            self.chunk._record(self.step, loss, right)
            self.chunk._backward(self.step)


def torch_optimizer(params, training):
    import torch

    if training.optimizer == "adam":
        return torch.optim.Adam(params, lr=training.rate)
    momentum = 0.9 if training.optimizer == "momentum" else 0.0
    return torch.optim.SGD(params, lr=training.rate, momentum=momentum)


def torch_module(training, task):
    """A module with the weights of a training."""
    import torch

    phi = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "gelu": torch.nn.GELU}
    drawn = draw(training, trained_activation(training), task)
    layers = []
    for w, b in zip(drawn.matrices, drawn.biases, strict=True):
        linear = torch.nn.Linear(w.shape[1], w.shape[0])
        linear.weight.data[...] = torch.tensor(w)
        linear.bias.data[...] = torch.tensor(b)
        layers += [linear, phi[training.activation]()]
    return torch.nn.Sequential(*layers[:-1])


class Loop:
    """A loop over torch modules, one optimiser each."""

    def __init__(self, members, task):
        import torch

        torch.set_num_threads(1)
        self.x = torch.tensor(task.x_train, dtype=torch.float32)
        self.y = torch.tensor(task.y_train)
        self.models = [torch_module(t, task) for t in members]
        self.optimizers = [
            torch_optimizer(m.parameters(), t) for m, t in zip(self.models, members, strict=True)
        ]
        self.cuts = [batches(t, len(self.x)) for t in members]

    def steps(self, count):
        import torch

        for _ in range(count):
            for model, opt, cut in zip(self.models, self.optimizers, self.cuts, strict=True):
                index = torch.from_numpy(next(cut))
                loss = torch.nn.functional.cross_entropy(model(self.x[index]), self.y[index])
                opt.zero_grad()
                loss.backward()
                opt.step()
                loss.item()


class Vmap:
    """torch.func: vmap of the gradient over stacked modules, one optimiser for all."""

    def __init__(self, members, task):
        import torch

        torch.set_num_threads(1)
        self.x = torch.tensor(task.x_train, dtype=torch.float32)
        self.y = torch.tensor(task.y_train)
        models = [torch_module(t, task) for t in members]
        params, _ = torch.func.stack_module_state(models)
        self.params = {k: p.detach().requires_grad_() for k, p in params.items()}
        self.optimizer = torch_optimizer(self.params.values(), members[0])
        self.cuts = [batches(t, len(self.x)) for t in members]

        def loss(p, x, y):
            out = torch.func.functional_call(models[0], p, (x,))
            return torch.nn.functional.cross_entropy(out, y)

        self.gradient = torch.func.vmap(torch.func.grad_and_value(loss))

    def steps(self, count):
        import torch

        for _ in range(count):
            index = torch.from_numpy(np.stack([next(c) for c in self.cuts]))
            grads, losses = self.gradient(self.params, self.x[index], self.y[index])
            for name, p in self.params.items():
                p.grad = grads[name]
            self.optimizer.step()
            losses.tolist()


def timed(f):
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    f()
    return time.process_time() - cpu, time.perf_counter() - wall


def engines(rounds):
    """The table of contenders."""
    task = load_task(DATA)
    a = np.random.default_rng(0).random((PEAK, PEAK), dtype=np.float32)
    out = np.empty_like(a)
    print("| networks | optimizer | contender | network-steps a CPU second | a wall second "
          "| of the peak | bundle is faster by |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for activation, optimizer, width, depth in (
        ("tanh", "adam", 100, 20),
        ("tanh", "momentum", 100, 20),
        ("relu", "adam", 100, 20),
        ("gelu", "adam", 100, 20),
        ("tanh", "adam", 64, 40),
        ("tanh", "adam", 256, 20),
    ):
        one = Training(
            activation, 1.5, 0.05, depth, width, optimizer=optimizer, rate=1e-4, data=DATA,
            steps=STEPS * (rounds + 1),
        )  # fmt: skip
        members = [replace(one, seed=s) for s in range(NETWORKS)]
        contenders = {
            "bundle": Bundle(members, task),
            "torch loop": Loop(members, task),
            "vmap(grad)": Vmap(members, task),
        }
        found = {name: [] for name in contenders}
        peaks = []
        for c in contenders.values():
            c.steps(STEPS)
        for _ in range(rounds):
            cpu, _ = timed(lambda: np.dot(a, a, out=out))
            peaks.append(2.0 * PEAK**3 / cpu)
            for name, c in contenders.items():
                found[name].append(timed(lambda c=c: c.steps(STEPS)))
        peak = statistics.median(peaks)
        done = NETWORKS * STEPS
        of_step = flops(replace(one, steps=1), task.inputs, task.classes)
        bundle = statistics.median(c for c, _ in found["bundle"])
        for name, times in found.items():
            cpu = statistics.median(c for c, _ in times)
            wall = statistics.median(w for _, w in times)
            print(f"| {NETWORKS} {activation}, width {width}, depth {depth} | {optimizer} | {name} "
                  f"| {done / cpu:.0f} | {done / wall:.0f} | {done * of_step / cpu / peak:.0%} "
                  f"| {cpu / bundle:.2f} |", flush=True)  # fmt: skip
        print(f"| | | peak {peak / 1e9:.0f} GFLOP/s | | | | |", flush=True)


def runner(rounds):
    """The process pool and the ledger beside the trainings that they serve."""
    one = Training("tanh", 1.5, 0.05, 20, 64, optimizer="adam", rate=1e-4, data=DATA, steps=100)
    jobs = [[replace(one, seed=8 * j + s) for s in range(8)] for j in range(8)]
    work = partial(run_job, load_task(DATA))
    starts, walls = [], {1: [], 2: []}
    share = []
    for _ in range(rounds):
        _, start = timed(_first_answer)
        starts.append(start)
        for workers in walls:
            with engine(None, workers=workers) as e:
                list(e.run(work, [jobs[0][:1]] * workers))  # imports are done
                began = time.perf_counter()
                done = list(e.run(work, jobs))
                walls[workers].append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "a.sqlite") as ledger:
            rows = [list(zip(jobs[d.index], d.value, strict=True)) for d in done]
            began = time.perf_counter()
            for r in rows:
                ledger.record(r)
            wrote = time.perf_counter() - began
        share.append(wrote / walls[1][-1])
    print(f"start of a pool of two until its first answer: {statistics.median(starts):.2f} s")
    gains = [a / b for a, b in zip(walls[1], walls[2], strict=True)]
    print(f"two workers against one: {statistics.median(gains):.2f} "
          f"({min(gains):.2f} to {max(gains):.2f})")  # fmt: skip
    print(f"ledger: {statistics.median(share):.2%} of the trainings' time on one worker")


def _first_answer():
    with engine(None, workers=2) as e:
        for _ in e.run(abs, [-1]):
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runner", action="store_true", help="the pool and the ledger instead")
    given = parser.parse_args()
    (runner if given.runner else engines)(given.rounds)
