"""Trainings side by side: network-steps a second a core, against torch and the peak of products.

    OMP_NUM_THREADS=1 python benchmarks/bench_sweeps.py [--rounds 7]

The targets: with four networks of width 100, depth 20 and batch 64 in float32, half of what the
matrix products alone could reach (52 % of the GEMM peak), 438 network-steps a second, and twice a
loop over torch modules (2.16). All contenders of a row take turns within each round, each for a few
steps at least, so that a busy machine slows them alike; told are the medians over the rounds of
CPU seconds of this process and of wall seconds, in brackets the best round. The peak is that of a
product of two float32 matrices of 1024 x 1024, measured in the same rounds.

What the pool of processes and the ledger take is in bench_engines.py.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np

from chione.sweeps.chunk import Chunk, batches, cross_entropy
from chione.sweeps.costs import flops
from chione.sweeps.initial import draw, trained_activation
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
            least = min(c for c, _ in times)
            wall = statistics.median(w for _, w in times)
            print(f"| {NETWORKS} {activation}, width {width}, depth {depth} | {optimizer} | {name} "
                  f"| {done / cpu:.0f} ({done / least:.0f}) | {done / wall:.0f} "
                  f"| {done * of_step / cpu / peak:.0%} ({done * of_step / least / max(peaks):.0%})"
                  f" | {cpu / bundle:.2f} |", flush=True)  # fmt: skip
        print(f"| | | peak {peak / 1e9:.0f} GFLOP/s | | | | |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    engines(parser.parse_args().rounds)
