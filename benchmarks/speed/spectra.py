"""Singular values of input-output Jacobians, of a torch model and of simulated networks."""

from __future__ import annotations

import itertools
import math
from functools import partial, reduce
from typing import Any

import numpy as np
from scipy.special import ndtr

import chione
from benchmarks.speed import spectra_by_hand as hand
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


def _curve(name: str, depth: int, quick: bool) -> list[Way]:
    """The law at infinite width on 200 graded points: log lambda, density, distribution."""

    def ours(k: int) -> Any:
        law = chione.jacobian_spectrum(name, q_star=_Q + 1e-6 * k, depth=depth)
        return law.solver.curves[0]

    def sampled(k: int) -> Any:
        law = chione.jacobian_spectrum(name, q_star=_Q, depth=depth)
        return law, _singular_values(name, law.sigma_w, depth, 60 if quick else 500, k)

    def error(curve: Any) -> float:
        at = np.flatnonzero(curve.log_lambda > curve.log_lambda[-1] - 6.0)[2::15]
        lam, t, p = np.exp(curve.log_lambda[at]), *_law(name, _Q)
        exact = hand.master_density(t, p, float(p @ t) ** -0.5, depth, lam, 400, 1e-14)
        return hand.far(curve.density[at], exact * lam)

    ways = [Way("chione", ours, error if not quick and depth < 100 else None)]
    if depth < 100:
        ways.append(Way("NumPy, one network of width 500 (error: of its distribution function)",
                        sampled, _distance))  # fmt: skip
    return ways


def _density(name: str, depth: int, quick: bool) -> list[Way]:
    """The density at 200 points of the user's."""
    t, p = _law(name, _Q)
    sigma_w = float(p @ t) ** -0.5
    top = float(chione.jacobian_spectrum(name, q_star=_Q, depth=depth).edges[1])
    lam = np.linspace(0.01, 0.95, 20 if quick else 200) * top
    kept: dict[str, Any] = {}

    def exact() -> Any:
        if "exact" not in kept:
            kept["exact"] = hand.master_density(t, p, sigma_w, depth, lam[::20], 400, 1e-14)
        return kept["exact"]

    def ours(k: int) -> Any:
        law = chione.jacobian_spectrum(name, q_star=_Q + 1e-9 * k, depth=depth)
        return np.asarray(law.density(lam).value)

    def theirs(k: int) -> Any:
        if name == "hardtanh":
            return hand.master_density(t, p, sigma_w, depth, lam, 40, 1e-10)
        nodes = hand.squared_slopes(_SLOPES[name], _Q + 1e-9 * k, 100)
        return hand.master_density(*nodes, sigma_w, depth, lam, 40, 1e-10)

    def error(found: Any) -> float:
        return hand.far(found[::20], exact())

    return [
        Way("chione", ours, error),
        Way("NumPy, the published master equation with 100 nodes", theirs, error),
    ]


def _widths(quick: bool) -> list[Way]:
    """Three layers of different widths: edges and 200 points."""
    widths = (500, 300, 400, 500)

    def ours(k: int) -> Any:
        law = chione.jacobian_spectrum("tanh", q_star=_Q + 1e-6 * k, depth=3, widths=widths)
        return law, law.support, law.curve(20 if quick else 200)

    def sampled(k: int) -> Any:
        law = chione.jacobian_spectrum("tanh", q_star=_Q, depth=3, widths=widths)
        sizes = [w // 10 for w in widths] if quick else list(widths)
        return law, _singular_values("tanh", law.sigma_w, 3, sizes, k)

    return [
        Way("chione", ours),
        Way("NumPy, one such network (error: of its distribution function)", sampled,
            None if quick else _distance),
    ]  # fmt: skip


def _singular_values(name: str, sigma_w: float, depth: int, width: Any, seed: int) -> Any:
    """Of one network, slopes drawn at random, as papers do it."""
    rng = np.random.default_rng(seed)
    sizes = [width] * (depth + 1) if isinstance(width, int) else width
    product = np.eye(sizes[0])
    for fan_in, fan_out in itertools.pairwise(sizes):
        slope = _SLOPES[name](math.sqrt(_Q) * rng.standard_normal(fan_out))
        weights = rng.standard_normal((fan_out, fan_in)) * (sigma_w / math.sqrt(fan_in))
        product = slope[:, None] * (weights @ product)
    return np.linalg.svd(product, compute_uv=False)


def _distance(found: Any) -> float:
    """Largest distance of a sample's distribution function to the law's, above its rounding."""
    law, s = found
    size = len(s) if law.widths is None else max(len(s), 500)
    own = np.sort(s[s > 1e-10 * s[0]])
    cdf = np.asarray(law.cdf(own * own).value)
    right = (size - own.size + np.arange(own.size) + 1) / size
    return float(np.nanmax(abs(right - cdf)))


def _law(name: str, q: float) -> tuple[Any, Any]:
    """Values of phi'(h)^2 and their probabilities, on many nodes."""
    if name == "hardtanh":
        p = math.erf(1.0 / math.sqrt(2.0 * q))
        return np.array([0.0, 1.0]), np.array([1.0 - p, p])
    return hand.squared_slopes(_SLOPES[name], q, 0)


def _gelu_slope(h: Any) -> Any:
    return ndtr(h) + h * np.exp(-0.5 * h * h) / math.sqrt(2.0 * math.pi)


_Q = 0.7
_SLOPES: dict[str, Any] = {
    "hardtanh": lambda h: (abs(h) < 1.0) * 1.0,
    "tanh": lambda h: 1.0 / np.cosh(h) ** 2,
    "erf": lambda h: 2.0 / math.sqrt(math.pi) * np.exp(-h * h),
    "gelu": _gelu_slope,
    "siren": lambda h: 30.0 * np.cos(30.0 * h),
}
_GOALS = {"hardtanh": 0.002, "tanh": 0.015, "erf": 0.015, "gelu": 0.015, "siren": 0.05}


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
        partial(_curve, "tanh", 1024),
    ),
    *(
        Case(f"curve-{name}-8", f"jacobian_spectrum of {name}, depth 8, at a new q*: 200 points "
             "of its curve", partial(_curve, name, 8), goal=goal)
        for name, goal in _GOALS.items()
    ),
    *(
        Case(f"density-{name}-8", f"jacobian_spectrum of {name}, depth 8, at a new q*: density at "
             "200 points of the user's", partial(_density, name, 8), goal=2.0 * goal)
        for name, goal in _GOALS.items()
    ),
    Case("curve-widths", "jacobian_spectrum of tanh, widths 500, 300, 400, 500: edges and 200 "
         "points", _widths, goal=0.05),
]  # fmt: skip
