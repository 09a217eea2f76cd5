"""How well a sweep knows its price: expected against measured CPU seconds of trainings.

Run as ``python benchmarks/bench_sweep_price.py``, with one thread (OMP_NUM_THREADS=1).
"""

import itertools
import time

from chione.sweeps.bundle import train
from chione.sweeps.prices import seconds_of
from chione.sweeps.stacking import members_at_a_time
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training

STEPS = 40


def measured(one: Training, task) -> float:
    """CPU seconds of one of the networks that are trained side by side."""
    size = members_at_a_time(one)
    members = [Training(**{**one.to_dict(), "seed": seed, "rate": 1e-4}) for seed in range(size)]
    train(members[:1], task)  # tables of the activation
    started = time.process_time()
    train(members, task)
    return (time.process_time() - started) / size


def main() -> None:
    """One line a kind of network: activation, sizes, optimiser, expected, measured, ratio."""
    task = load_task("synthetic")
    kinds = [
        *itertools.product(
            ("tanh", "relu", "gelu"), (16, 64, 200), (5, 30), ("sgd",), ("float32",)
        ),
        *itertools.product(("tanh",), (64, 200), (15,), ("momentum", "adam"), ("float32",)),
        *itertools.product(("tanh", "gelu"), (64, 200), (15,), ("sgd", "adam"), ("float64",)),
        *itertools.product(("x*tanh(x)",), (64,), (15,), ("sgd",), ("float32",)),
    ]
    print(
        f"{'activation':12} {'width':>5} {'depth':>5} {'optimizer':9} {'dtype':8} expected measured"
    )
    for activation, width, depth, optimizer, dtype in kinds:
        one = Training(
            activation, 1.2, 0.05, depth=depth, width=width, optimizer=optimizer, dtype=dtype,
            steps=STEPS, rate=1e-4, data="synthetic",
        )  # fmt: skip
        expected, found = seconds_of(one, task), measured(one, task)
        print(f"{activation:12} {width:5} {depth:5} {optimizer:9} {dtype:8} "
              f"{1e3 * expected:6.1f} {1e3 * found:6.1f} ms x {found / expected:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
