"""NNGP and tangent kernels of Gaussian inputs, whose norms differ, and of inputs of equal norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

import chione
from benchmarks.neural_tangents import client
from benchmarks.speed import by_hand, references
from benchmarks.speed.case import Case, Way
from benchmarks.speed.formulas import FORMULAS

_SIGMAS = {"relu": (math.sqrt(2.0), 0.1)}  # the others: 1.5 and 0.1
_CHECKED = 3  # inputs whose kernels are computed again by the references


def inputs(n: int, k: int, equal: bool = False) -> Any:
    """Gaussian inputs with 64 features, the k-th draw; of equal norm on request."""
    x = np.random.default_rng(k).normal(size=(n, 64))
    return x / np.sqrt(np.mean(x * x, axis=1))[:, None] if equal else x


def written(name: str) -> Any:
    """The activation as its user gives it."""
    return (lambda x: np.where(x > 0, x, 0.1 * x)) if name == "leaky" else name


@lru_cache(maxsize=1)
def exact(name: str, sigmas: tuple[float, float], depth: int, x: bytes) -> tuple[Any, Any]:
    """Both kernels of a few inputs by the references, once for all ways."""
    few = np.frombuffer(x).reshape(_CHECKED, -1)
    if name == "relu":
        return references.relu_kernels(few, *sigmas, depth)
    return references.deep_kernels(FORMULAS[name], few, *sigmas, depth)


def error(name: str, x: Any, sigmas: tuple[float, float], depth: int, found: Any) -> float:
    """Largest error of both kernels over the first inputs."""
    parts = zip(found, exact(name, sigmas, depth, x[:_CHECKED].tobytes()), strict=True)
    return max(references.matrix_error(f[:_CHECKED, :_CHECKED], e) for f, e in parts)


def ways(
    name: str,
    n: int,
    depth: int,
    peers: Sequence[str],
    quick: bool,
    *,
    equal: bool = False,
    first: int = 0,
) -> list[Way]:
    """Chione, and the peers; those see the `first` inputs only where that is given."""
    if quick:
        n, depth, first = min(n, 30), min(depth, 5), min(first, 10)
    sigmas = _SIGMAS.get(name, (1.5, 0.1))
    x = [inputs(n, k, equal) for k in range(3)]
    network = chione.MLP(chione.activation(written(name)), *sigmas, depth)
    check = partial(error, name, x[0], sigmas, depth)
    few = [a[: first or n] for a in x]
    part = (len(few[0]) / n) ** 2

    def ours(k: int) -> Any:
        return chione.nngp(network, x[k % 3]).value, chione.ntk(network, x[k % 3]).value

    def numpy(run: Callable[..., Any], *functions: Any) -> Callable[[int], Any]:
        return lambda k: run(*functions, few[k % 3], *sigmas, depth)

    f = FORMULAS[name]
    made = {
        "arc-cosine": lambda: Way(
            "NumPy, arc-cosine recursion", numpy(by_hand.arc_cosine), check, part
        ),
        "hermite": lambda: Way(
            "NumPy, Gauss-Hermite 20 x 20",
            numpy(by_hand.hermite_kernels, f.value, f.slope),
            check,
            part,
        ),
        "neural-tangents": lambda: client.way(
            "neural-tangents", client.Kernels(name, few, *sigmas, depth), error=check, part=part
        ),
    }
    return [Way("chione", ours, check), *(made[peer]() for peer in peers)]


def _case(
    name: str, n: int, depth: int, *peers: str, goal: float = 0.0, memory: bool = False, **more: Any
) -> Case:
    who = "a user's leaky relu" if name == "leaky" else name
    which = "inputs of equal norm" if more.get("equal") else "Gaussian inputs"
    w, b = _SIGMAS.get(name, (1.5, 0.1))
    sigmas = f"sigma_w = {'sqrt 2' if name == 'relu' else f'{w:g}'}, sigma_b = {b:g}"
    what = f"NNGP and tangent kernel, {who}, {sigmas}, depth {depth}, {n} {which}"
    label = f"{name}-{n}-depth-{depth}{'-equal' if more.get('equal') else ''}"
    return Case(label, what, partial(ways, name, n, depth, peers, **more), goal=goal, memory=memory)


def _regression(name: str, quick: bool) -> list[Way]:
    """A kernel for scikit-learn, called on 20 inputs for the first time."""
    x = [inputs(5 if quick else 20, k) for k in range(3)]
    network = chione.MLP(chione.activation(name), 1.5, 0.1, 10)
    sigmas, f = (1.5, 0.1), FORMULAS[name]

    def ours(k: int) -> Any:
        kernel = chione.process_kernel(network)
        return kernel(x[k % 3]), kernel.diag(x[k % 3])

    def nngp_error(found: Any) -> float:
        exact = references.deep_kernels(f, x[0][:_CHECKED], *sigmas, 10)[0]
        return references.matrix_error(found[0][:_CHECKED, :_CHECKED], exact)

    def ready() -> None:
        import sklearn.gaussian_process  # noqa: F401

    def theirs(k: int) -> Any:
        return by_hand.hermite_kernels(f.value, f.slope, x[k % 3], *sigmas, 10)

    return [
        Way("chione", ours, nngp_error, ready=ready),
        Way("NumPy, Gauss-Hermite 20 x 20", theirs, nngp_error),
    ]


CASES = [
    _case("relu", 1000, 10, "arc-cosine", "neural-tangents", goal=0.1, memory=True),
    _case("relu", 3000, 100, "arc-cosine", "neural-tangents", goal=2.0),
    _case("gelu", 1000, 10, "neural-tangents", goal=0.2, memory=True),
    _case("tanh", 100, 10, "hermite", "neural-tangents"),
    _case("tanh", 1000, 10, "hermite", "neural-tangents", goal=3.0, first=100),
    _case("tanh", 3000, 10, "neural-tangents", goal=25.0, first=100),
    *(
        _case(name, 1000, 10, "hermite", "neural-tangents", goal=5.0, first=100)
        for name in ("selu", "hardtanh", "elu")
    ),
    _case("leaky", 1000, 10, "neural-tangents", goal=5.0),
    _case("silu", 300, 10, "hermite", "neural-tangents", first=100),
    _case("relu", 1000, 100, "arc-cosine", "neural-tangents", equal=True),
    _case("tanh", 1000, 100, "hermite", "neural-tangents", equal=True, first=30),
    *(
        Case(
            f"process-kernel-{name}",
            f"process_kernel of {name}, depth 10, called on 20 inputs with its diagonal",
            partial(_regression, name),
            goal=0.3,
        )
        for name in ("gelu", "tanh")
    ),
]
