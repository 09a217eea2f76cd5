"""What the models are trained on: digits in four shapes, three regressions, one token task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Task:
    """Inputs, targets, and the loss that no constant prediction beats.

    `shape` is that of one input, `out` the number of outputs for each prediction.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    out: int
    constant: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy for classes (also one for each position), else the mean square error."""
        if targets.is_floating_point():
            return F.mse_loss(output.squeeze(-1), targets)
        return F.cross_entropy(output.reshape(-1, self.out), targets.reshape(-1))


def _digits(shape: tuple[int, ...]) -> Task:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x - x.mean()) / x.std()
    inputs = torch.tensor(x, dtype=torch.float32).reshape(-1, *shape)
    return Task(inputs, torch.tensor(y), 10, math.log(10.0))


def _regression(inputs: torch.Tensor, targets: torch.Tensor) -> Task:
    """Targets of mean 0 and variance 1, so that the best constant leaves a loss of 1."""
    return Task(inputs, (targets - targets.mean()) / targets.std(correction=0), 1, 1.0)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def digits() -> Task:
    return _digits((64,))


def image() -> Task:
    return _digits((1, 8, 8))


def rows() -> Task:
    """Eight rows of eight pixels."""
    return _digits((8, 8))


def patches() -> Task:
    """Sixteen strips of four pixels."""
    return _digits((16, 4))


def value() -> Task:
    """A value head: states in U(0, 1)^20, a return that is mostly linear in them."""
    x = torch.rand(1024, 20, generator=_generator())
    a = torch.randn(20, generator=_generator())
    return _regression(x, x @ a + ((x - 0.5) ** 2).sum(1))


def distance() -> Task:
    """A signed distance function: points in U(0, 1)^2 and a circle; a linear fit explains none."""
    x = torch.rand(1024, 2, generator=_generator())
    return _regression(x, (x - 0.5).norm(dim=1) - 0.3)


def signal() -> Task:
    """A signal over [-1, 1]^2 with a few periods, as for coordinate networks."""
    x = 2.0 * torch.rand(1024, 2, generator=_generator()) - 1.0
    return _regression(x, torch.sin(6.0 * x[:, 0]) * torch.cos(5.0 * x[:, 1]))


VOCABULARY, LENGTH = 32, 16


def tokens() -> Task:
    """A Markov chain: with probability 0.9 the next token is a fixed function of this one."""
    g = _generator()
    follow = torch.randperm(VOCABULARY, generator=g)
    steps = [torch.randint(VOCABULARY, (512,), generator=g)]
    for _ in range(LENGTH):
        random = torch.randint(VOCABULARY, (512,), generator=g)
        keep = torch.rand(512, generator=g) < 0.9
        steps.append(torch.where(keep, follow[steps[-1]], random))
    x = torch.stack(steps, dim=1)  # (inputs, LENGTH + 1)
    return Task(x[:, :-1], x[:, 1:], VOCABULARY, math.log(VOCABULARY))


TASKS: dict[str, Callable[[], Task]] = {
    f.__name__: cache(f)  # type: ignore[attr-defined]
    for f in (digits, image, rows, patches, value, distance, signal, tokens)
}
