"""Singular values of input-output Jacobians, of a torch model and of simulated networks."""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import Any

import numpy as np

import chione
from benchmarks.speed.case import Case, Way


def _model(width: int, depth: int) -> tuple[Any, Any]:
    """A tanh network in float64 at sigma_w = 1.1, and one input."""
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for _ in range(depth):
        layer = torch.nn.utils.skip_init(torch.nn.Linear, width, width, dtype=torch.float64)
        torch.nn.init.normal_(layer.weight, std=1.1 / math.sqrt(width))
        torch.nn.init.normal_(layer.bias, std=0.1)
        layers += [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers), torch.randn(1, width, dtype=torch.float64)


def _extremes(model: Any, x: Any) -> tuple[float, float]:
    """Largest and smallest singular value.

    The top of a product of well-conditioned factors is right to their rounding, its bottom is not:
    so the smallest is one over the top of the product of the inverses.
    """
    factors = []
    for k in range(0, len(model), 2):
        h = model[k](x)
        x = model[k + 1](h)
        slope = 1.0 - x.detach().numpy()[0] ** 2
        factors.append(slope[:, None] * model[k].weight.detach().numpy())
    product = reduce(lambda a, b: b @ a, factors)
    inverse = reduce(lambda a, b: a @ b, [np.linalg.inv(a) for a in factors])
    return float(np.linalg.norm(product, 2)), 1.0 / float(np.linalg.norm(inverse, 2))


def _torch(width: int, depth: int, quick: bool) -> list[Way]:
    width, depth = (40, 4) if quick else (width, depth)
    made: dict[str, Any] = {}

    def ready() -> None:
        import torch

        torch.set_num_threads(1)
        if not made:
            made["model"], made["x"] = _model(width, depth)

    def ours(k: int, method: str = "auto") -> Any:
        x = made["x"] * (1.0 + 1e-3 * k)
        return chione.torch.jacobian_spectrum(made["model"], x, method=method)

    def theirs(k: int) -> Any:
        import torch

        model, x = made["model"], made["x"][0] * (1.0 + 1e-3 * k)
        jacobian = torch.func.jacrev(lambda v: model(v[None])[0])(x)
        return torch.linalg.svdvals(jacobian.detach()).numpy()

    def error(largest: float, smallest: float) -> float:
        exact = _extremes(made["model"], made["x"])
        pairs = zip((largest, smallest), exact, strict=True)
        return max(abs(math.log(found / true)) for found, true in pairs)

    def our_error(found: Any) -> float:
        return error(float(found.largest.value), float(found.smallest.value))

    stabilised = partial(ours, method="stabilised")
    return [
        Way("chione", ours, our_error, ready=ready),
        Way("chione, method='stabilised'", stabilised, our_error, ready=ready),
        Way(
            "torch jacrev and svdvals",
            theirs,
            lambda found: error(found.max(), found.min()),
            ready=ready,
        ),
    ]


def _simulated(width: int, depth: int, quick: bool) -> list[Way]:
    width, depth = (50, 4) if quick else (width, depth)
    network = chione.MLP(chione.activation("tanh"), 1.2, 0.1, depth, width)

    def ours(k: int) -> Any:
        return chione.simulate_spectrum(network, q_star=0.7, seed=k)

    def theirs(k: int) -> Any:
        rng = np.random.default_rng(k)
        product = np.eye(width)
        for _ in range(depth):
            h = np.sqrt(0.7) * rng.standard_normal(width)
            weights = rng.standard_normal((width, width)) * (1.2 / np.sqrt(width))
            product = (1.0 - np.tanh(h) ** 2)[:, None] * (weights @ product)
        return np.linalg.svd(product, compute_uv=False)

    return [Way("chione", ours), Way("NumPy products and svd", theirs)]


def _curve(name: str, depth: int, width: int, quick: bool) -> list[Way]:
    """The law at infinite width beside the histogram of one large product."""

    def ours(k: int) -> Any:
        return chione.jacobian_spectrum(name, q_star=0.7 + 1e-6 * k, depth=depth).solver.curves

    return [Way("chione", ours)]


CASES: list[Case] = [
    *(
        Case(
            f"jacobian-{width}-depth-{depth}",
            f"chione.torch.jacobian_spectrum, tanh in float64, width {width}, depth {depth}: "
            "largest and smallest singular value",
            partial(_torch, width, depth),
            goal=goal,
        )
        for width, depth, goal in ((1000, 64, 2.3), (200, 20, 0.0))
    ),
    Case(
        "simulate-spectrum",
        "simulate_spectrum of tanh, width 1000, depth 8: all singular values of one network",
        partial(_simulated, 1000, 8),
    ),
    Case(
        "curve-tanh",
        "jacobian_spectrum of tanh at infinite width, depth 1024, at a new q*",
        partial(_curve, "tanh", 1024, 1000),
    ),
]
