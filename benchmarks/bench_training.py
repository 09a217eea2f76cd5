"""Networks that were really trained, beside the verdict of theory: the source of its thresholds.

`python benchmarks/bench_training.py` trains plain fully connected networks of width 128 on
scikit-learn's digits and prints one line of JSON for each: what theory says of it, the verdict, and
the best accuracy of plain gradient descent and of Adam within 500 steps, over their learning rates.
`--summary FILE` counts what was written so, as docs/trainability.md shows it; `--broken` trains
networks with one layer of tiny weights. A run takes about a quarter of an hour of one core.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import pairwise

import numpy as np
import torch

from chione.diagnosis.verdict import passage
from chione.theory import mean_field, trajectory
from chione.theory.depth.trainability import trainability

WIDTH, BATCH, STEPS = 128, 64, 500
RATES = {"sgd": (0.3, 0.1, 0.03, 0.01, 3e-3, 3e-4, 3e-6), "adam": (1e-3, 1e-4)}
LEARNED = 0.8  # accuracy over ten batches at which a training ends; chance is 0.1

FUNCTIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "erf": torch.erf,
    "sin": torch.sin,
    "linear": lambda x: x,
}
NETWORKS = [
    *[("relu", w, 0.0, 30) for w in (0.6, 0.75, 0.85, 1.0, 1.1, 1.2, 1.3, 2**0.5, 1.55, 1.7)],
    *[("relu", w, 0.0, 30) for w in (1.85, 2.0, 2.3, 3.0, 4.5)],
    *[("relu", w, 0.1, 30) for w in (0.6, 0.75, 0.85, 1.0, 1.1, 1.25, 1.35, 2**0.5, 1.7)],
    *[("tanh", w, 0.0, 30) for w in (0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)],
    *[("tanh", w, 0.0, 30) for w in (2.2, 2.4, 2.5, 3.5)],
    *[("tanh", w, 0.2, 30) for w in (0.65, 0.75, 0.8, 0.85, 0.95, 1.0, 1.2, 1.4)],
    *[("gelu", w, 0.1, 30) for w in (0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 1.7, 1.9, 2.0, 2.2)],
    ("gelu", 1.40821101, 0.415839381, 30),
    *[("erf", w, 0.05, 30) for w in (0.7, 0.9, 1.2, 1.8, 3.0)],
    *[("sin", w, 0.05, 30) for w in (0.8, 1.0, 1.3, 1.6, 1.7, 2.0, 2.5)],
    *[("linear", w, 0.0, 30) for w in (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)],
    *[("relu", w, 0.0, 60) for w in (1.0, 1.2, 1.3, 1.55, 1.7)],
    *[("relu", w, 0.1, 60) for w in (1.15, 1.25, 1.3)],
    *[("tanh", w, 0.0, 60) for w in (0.8, 0.9, 1.3, 1.5, 1.7)],
    *[("tanh", w, 0.2, 60) for w in (1.0, 1.1)],
    *[("relu", w, 0.0, 15) for w in (0.7, 1.0, 2.0, 2.8)],
    *[("tanh", w, 0.0, 15) for w in (0.5, 0.7, 3.0)],
    *[("tanh", w, 0.2, 15) for w in (0.5, 0.7)],
    *[("gelu", 0.57735, 0.025, depth) for depth in (4, 8, 15)],
]
BROKEN = [("tanh", 1.0, 0.0, 12), ("relu", 2**0.5, 0.0, 12)]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images with mean square 1 each, and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x - x.mean(axis=0)) / 6.0
    x /= np.sqrt((x**2).mean(axis=1, keepdims=True))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def draw(phi: str, sigma_w: float, sigma_b: float, depth: int, seed: int) -> list[torch.Tensor]:
    """Weights and biases of `depth` layers and a linear read-out."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [64, *[WIDTH] * depth, 10]
    out = []
    for n, m in pairwise(sizes):
        out.append(sigma_w / n**0.5 * torch.randn(m, n, generator=generator))
        out.append(sigma_b * torch.randn(m, generator=generator))
    return [p.requires_grad_() for p in out]


def forward(phi: str, p: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The logits."""
    f = FUNCTIONS[phi]
    for k in range(0, len(p) - 2, 2):
        x = f(torch.addmm(p[k + 1], x, p[k].t()))
    return torch.addmm(p[-1], x, p[-2].t())


def train(
    net: tuple[str, float, float, int], how: str, rate: float, seed: int = 0, broken: float = 1.0
) -> float:
    """The best accuracy over ten batches in a row; it ends where numbers are not finite."""
    x, y = digits()
    p = draw(*net, seed)
    with torch.no_grad():
        p[len(p) // 4 * 2].mul_(broken)  # the weights of one layer in the middle
    optimiser = torch.optim.SGD(p, rate) if how == "sgd" else torch.optim.Adam(p, rate)
    generator = torch.Generator().manual_seed(seed + 1)
    recent: list[float] = []
    best = 0.0
    for step in range(STEPS):
        at = torch.randint(len(x), (BATCH,), generator=generator)
        logits = forward(net[0], p, x[at])
        loss = torch.nn.functional.cross_entropy(logits, y[at])
        if not bool(torch.isfinite(loss)):
            break
        recent.append(float((logits.argmax(1) == y[at]).float().mean()))
        best = max(best, float(np.mean(recent[-10:])) if len(recent) >= 10 else 0.0)
        if best > LEARNED or (step == 150 and best < 0.16):
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return best


def theory(net: tuple[str, float, float, int]) -> dict[str, float | str]:
    """What infinite width says of the same network."""
    name, sigma_w, sigma_b, depth = net
    sigmas = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    field = mean_field(name, **sigmas)
    curves = trajectory(name, depth=depth, **sigmas)
    way = passage(field.activation, curves, **sigmas)
    found = trainability(way)
    return {
        "phase": field.phase,
        "gradient": way.gradient,
        "relative": way.relative,
        "length": way.length,
        "difference": way.difference,
        "answer": found.answer,
        "problem": found.problem,
    }


def measure(net: tuple[str, float, float, int], broken: float = 1.0) -> dict[str, object]:
    """One line: theory, and the best accuracy of both optimisers."""
    row: dict[str, object] = {"net": net, **({} if broken != 1.0 else theory(net))}
    for how, rates in RATES.items():
        best = 0.0
        for rate in rates:
            best = max(best, train(net, how, rate, broken=broken))
            if best > LEARNED:
                break
        row[how] = round(best, 3)
    return row


def summary(path: str) -> None:
    """Counts by answer and problem."""
    groups = defaultdict(list)
    with open(path) as lines:
        for row in map(json.loads, lines):
            groups[row["answer"], row["problem"]].append((row["sgd"], row["adam"]))
    print("answer    problem             networks  sgd > 0.75  adam > 0.75  neither > 0.5")
    for (answer, problem), found in sorted(groups.items(), reverse=True):
        sgd, adam = (sum(x[k] > 0.75 for x in found) for k in (0, 1))
        nothing = sum(max(x) < 0.5 for x in found)
        print(f"{answer:10}{problem:20}{len(found):8}{sgd:12}{adam:13}{nothing:15}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", metavar="FILE", help="count the lines of an earlier run")
    parser.add_argument("--broken", action="store_true", help="one layer with weights of 1e-4")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.summary:
        summary(arguments.summary)
        return
    for net in BROKEN if arguments.broken else NETWORKS:
        print(json.dumps(measure(net, 1e-4 if arguments.broken else 1.0)), flush=True)


if __name__ == "__main__":
    main()
