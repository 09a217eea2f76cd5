"""What a user writes instead of ``chione analyze``: fixed points by Gauss-Hermite, then networks.

python -m benchmarks.speed.page_by_hand 'tanh(x)' 50

Prints q*, chi and c* without errors, and the mean squares of a signal, its correlation with a
second one and the gradient in simulated networks of width 512 and depth 50. No recommendation, no
depth scales, no test of anything.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import special

SIGMA_W, SIGMA_B, DEPTH, WIDTH = 1.5, 0.1, 50, 512


def main(formula: str, networks: int) -> None:
    """Print it."""
    names = {name: getattr(np, name) for name in ("tanh", "exp", "log", "sin", "sinc", "maximum")}
    code = compile(formula, "formula", "eval")

    def phi(x):
        return eval(code, {**names, "ndtr": special.ndtr, "x": x})

    def slope(x):
        return (phi(x + 1e-5) - phi(x - 1e-5)) / 2e-5

    z, w = np.polynomial.hermite_e.hermegauss(100)
    w /= w.sum()
    q = 1.0
    for _ in range(1000):
        q = min(1e6, SIGMA_W**2 * w @ phi(np.sqrt(q) * z) ** 2 + SIGMA_B**2)
    chi = SIGMA_W**2 * w @ slope(np.sqrt(q) * z) ** 2
    c = 0.5
    for _ in range(200):
        u = np.sqrt(q) * (c * z[:, None] + np.sqrt(1.0 - c * c) * z)
        mixed = w * phi(np.sqrt(q) * z) @ phi(u) @ w
        c = min(1.0, (SIGMA_W**2 * mixed + SIGMA_B**2) / q)
    print(f"q* {q:.6g}  chi {chi:.6g}  c* {c:.6g}")
    simulate(phi, slope, networks)


def simulate(phi, slope, networks: int) -> None:
    """Two inputs forward and a gradient backward through random networks."""
    rng = np.random.default_rng(0)
    lengths, alike, gradients = [], [], []
    for _ in range(networks):
        h = rng.normal(size=(2, WIDTH))
        weights, signals = [], []
        for _ in range(DEPTH):
            x = phi(h)
            weights.append(rng.standard_normal((WIDTH, WIDTH)) * (SIGMA_W / np.sqrt(WIDTH)))
            h = x @ weights[-1].T + SIGMA_B * rng.standard_normal(WIDTH)
            signals.append(h)
        d = rng.standard_normal((2, WIDTH))
        for matrix, before in zip(weights[:0:-1], signals[-2::-1], strict=True):
            d = (d @ matrix) * slope(before)
        lengths.append(np.mean(h * h))
        alike.append(np.corrcoef(h)[0, 1])
        gradients.append(np.mean(d * d))
    for name, found in (("q", lengths), ("c", alike), ("gradient", gradients)):
        print(f"{name} {np.mean(found):.4g} +- {np.std(found) / np.sqrt(networks):.2g}")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(sys.argv[1], int(sys.argv[2]))
