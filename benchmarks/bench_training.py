"""Networks that were really trained, beside the verdict of theory: the source of its thresholds.

`python benchmarks/bench_training.py` trains plain fully connected networks on scikit-learn's
digits and prints one line for each: what theory says of gradients, lengths and differences over the
depth, the verdict, and whether plain gradient descent and Adam learned within a short budget, each
with the best of its learning rates. `--table` prints the summary that docs/trainability.md shows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import torch

import chione
from chione.theory import mean_field, trajectory

WIDTH, BATCH, STEPS = 128, 64, 500
RATES = {"sgd": (0.3, 0.03, 3e-3, 3e-4, 3e-6), "adam": (1e-3, 1e-4)}
LEARNED, NOTHING = 0.8, 0.3  # accuracy on the training set; chance is 0.1

FUNCTIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "erf": torch.erf,
    "sin": torch.sin,
    "linear": lambda x: x,
}
NETWORKS = [
    *[("relu", w, 0.0, 30) for w in (0.6, 0.75, 0.85, 1.3, 1.85, 2.3, 3.0, 4.5)],
    *[("relu", w, 0.1, 30) for w in (0.6, 0.75, 0.85, 1.0)],
    *[("linear", w, 0.0, 30) for w in (0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)],
    *[("sin", w, 0.05, 30) for w in (0.8, 1.3, 1.6, 2.0, 2.5)],
    *[("tanh", w, 0.2, 30) for w in (0.65, 0.75, 0.85, 0.95)],
    *[("tanh", w, 0.0, 30) for w in (0.5, 0.65, 2.2, 2.4)],
    *[("gelu", w, 0.1, 30) for w in (0.8, 1.0, 1.1, 2.0)],
    *[("relu", w, 0.0, 60) for w in (1.0, 1.2, 1.3, 1.55, 1.7)],
    *[("relu", w, 0.1, 60) for w in (1.15, 1.25, 1.3)],
    *[("tanh", w, 0.0, 60) for w in (0.8, 0.9, 1.3, 1.5, 1.7)],
    *[("tanh", w, 0.2, 60) for w in (1.0, 1.1)],
    *[("relu", w, 0.0, 15) for w in (0.7, 1.0, 2.0, 2.8)],
    *[("tanh", w, 0.0, 15) for w in (0.5, 0.7, 3.0)],
    *[("tanh", w, 0.2, 15) for w in (0.5, 0.7)],
    *[("gelu", 0.57735, 0.025, d) for d in (4, 8, 15)],
]


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
    for n, m in zip(sizes[:-1], sizes[1:], strict=True):
        out.append(sigma_w / n**0.5 * torch.randn(m, n, generator=generator))
        out.append(sigma_b * torch.randn(m, generator=generator))
    return [p.requires_grad_() for p in out]


def forward(phi: str, p: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The logits."""
    f = FUNCTIONS[phi]
    for k in range(0, len(p) - 2, 2):
        x = f(torch.addmm(p[k + 1], x, p[k].t()))
    return torch.addmm(p[-1], x, p[-2].t())


def train(net: tuple[str, float, float, int], how: str, rate: float, seed: int = 0) -> float:
    """The best accuracy over whole batches of the last steps; 0 once numbers are not finite."""
    x, y = digits()
    p = draw(*net, seed)
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
        mean = float(np.mean(recent[-10:])) if len(recent) >= 10 else 0.0
        best = max(best, mean)
        if best > LEARNED or (step == 150 and best < 0.16):
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return best


def theory(net: tuple[str, float, float, int]) -> dict[str, float | str]:
    """What infinite width says of the same network."""
    phi, w, b, depth = net
    m = mean_field(phi, sigma_w=w, sigma_b=b)
    t = trajectory(phi, sigma_w=w, sigma_b=b, depth=depth)
    # the read-out: one more factor
    log_g = np.cumsum(np.log(t.chi)[::-1])[::-1]
    x, _ = digits()
    g = (x.double() @ x.double().T / 64).numpy()
    return {
        "phase": m.phase,
        "gradient": float(log_g[np.argmax(np.abs(log_g))]),
        "length": float(np.log(t.q[-1] / t.q[0])),
        "difference": float(np.log(t.one_minus_c[-1] / 0.5)),
        "xi_c": float(m.xi_c.value),
        "c_star": float(m.c_star.value),
        "input_c": float((g.sum() - len(g)) / len(g) / (len(g) - 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="-")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = sys.stdout if arguments.out == "-" else open(arguments.out, "a")
    for net in NETWORKS:
        row = {"net": net, **theory(net)}
        start = time.process_time()
        for how, rates in RATES.items():
            row[how] = 0.0
            for rate in rates:
                got = train(net, how, rate)
                row.setdefault("runs", []).append((how, rate, round(got, 2)))
                row[how] = max(row[how], got)
                if got > LEARNED:
                    break
        row["seconds"] = time.process_time() - start
        print(json.dumps(row), file=out, flush=True)


if __name__ == "__main__":
    main()
