r"""The networks: how they are drawn, and into which half each falls. Nothing here is measured.

Written down before any of them was trained:

* **activation**: with probability 0.8 a name of the catalogue, else one of `EXPRESSIONS`; each
  alike. The steps and the exponential are among them.
* **depth** L: log-uniform from 3 to 100. **width** n: a multiple of 16 from 64 to 512 with
  probability proportional to n^-2.5, since a wide one costs n^2 to train.
* **sigma_b**: 0 with probability 0.4, else log-uniform from 0.01 to 0.5.
* **sigma_w**: of every second network ("near") such that the mean square gradient would change by
  e^u over the depth if each layer had mean square 1, :math:`\sigma_w^2 E\,\phi'(z)^2 = e^{u/L}`
  with u uniform from -30 to 20, so that few are easy to judge; of the others ("plain")
  log-uniform from 0.5 to 3, what a user may type. Where E phi'^2 is 0 or infinite all are plain.
* **optimizer**: sgd, momentum (0.9) or Adam, each alike.
* **half**: a hash of the number of the network throws the coin: development or held.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chione.activations.registry import catalogue
from chione.theory import derivative_second_moment

SEED, COUNT = 17, 1000
FRESH = 18  # seed of the second sample, whose numbers go on from 1000
EXPRESSIONS = (
    "x*tanh(x)", "tanh(x) + 0.1*x", "x*sigmoid(2*x)", "sin(x) + x", "x/sqrt(1 + x**2)",
    "maximum(x, 0) - 0.3*minimum(x, 0)", "log(1 + exp(x)) - log(2)", "x*exp(-x**2/8)",
    "tanh(x)**3", "relu(x) - 0.4",
)  # fmt: skip
OPTIMIZERS = ("sgd", "momentum", "adam")
GROWTH = (-30.0, 20.0)  # u


@dataclass(frozen=True)
class Net:
    """A network with its optimiser."""

    number: int
    activation: str
    sigma_w: float
    sigma_b: float
    depth: int
    width: int
    optimizer: str
    stratum: str  # "near" or "plain"

    @property
    def half(self) -> str:
        return half(self.number)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def half(number: int) -> str:
    """Development or held, by a hash, so that no network moves another; or of the fresh sample."""
    if number >= COUNT:
        return "fresh"
    return "held" if zlib.crc32(f"half of network {number}".encode()) % 2 else "development"


def everything() -> list[Net]:
    """The first sample and the fresh one."""
    return [*networks(), *networks(FRESH, first=COUNT)]


def networks(seed: int = SEED, count: int = COUNT, first: int = 0) -> list[Net]:
    """A sample, in an order that is random, so that any first part is a fair sample."""
    rng = np.random.default_rng(seed)
    names = sorted(catalogue())
    widths = np.arange(64, 513, 16)
    share = widths.astype(float) ** -2.5
    out = []
    for number in range(first, first + count):
        named, pick = rng.random() < 0.8, rng.random()
        pool = names if named else EXPRESSIONS
        phi = pool[int(pick * len(pool))]
        depth = round(math.exp(rng.uniform(math.log(3.0), math.log(100.0))))
        width = int(rng.choice(widths, p=share / share.sum()))
        zero, b = rng.random() < 0.4, math.exp(rng.uniform(math.log(0.01), math.log(0.5)))
        u, w = rng.uniform(*GROWTH), math.exp(rng.uniform(math.log(0.5), math.log(3.0)))
        optimizer = OPTIMIZERS[int(rng.integers(3))]
        slope = float(derivative_second_moment(phi, 1.0).value)
        near = number % 2 == 0 and math.isfinite(slope) and slope > 0.0
        if near:
            w = math.exp(0.5 * u / depth) / math.sqrt(slope)
        sigmas = (float(f"{w:.4g}"), 0.0 if zero else float(f"{b:.4g}"))
        out.append(Net(number, phi, *sigmas, depth, width, optimizer, "near" if near else "plain"))
    return out
