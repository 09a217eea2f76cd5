"""Random networks with their matrices beside bare NumPy and torch, and without matrices."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import chione
from benchmarks.speed.case import Case, Way

_NETWORKS = 5  # that one call simulates; the peers run one
_OBSERVE = ("lengths", "correlations", "gradients")
_SIGMA_W, _SIGMA_B = 1.3, 0.3


def _network(width: int, depth: int) -> Any:
    return chione.MLP(chione.activation("tanh"), _SIGMA_W, _SIGMA_B, depth, width)


def _batch(width: int, count: int) -> Any:
    return np.random.default_rng(0).standard_normal((count, width))


def _numpy(width: int, depth: int, inputs: int, dtype: str, k: int) -> Any:
    """Forward and backward, with the mean squares of both: what a user writes."""
    rng = np.random.default_rng(k)
    x, backward = _batch(width, inputs).astype(dtype), []
    q, c, gradients = [], [], []
    for _ in range(depth):
        w = rng.standard_normal((width, width), dtype=dtype)
        w *= _SIGMA_W / math.sqrt(width)
        h = x @ w.T
        h += (_SIGMA_B * rng.standard_normal(width)).astype(dtype)
        x = np.tanh(h)
        backward.append((w, x))
        q.append(np.mean(h * h, axis=1))
        c.append(h @ h.T)
    d = rng.standard_normal((inputs, width), dtype=dtype)
    for w, x in backward[::-1]:
        d *= 1.0 - x * x
        gradients.append(np.mean(d * d, axis=1))
        d = d @ w
    return q, c, gradients


def _torch(width: int, depth: int, inputs: int, dtype: str, k: int) -> Any:
    """The same with torch.nn, whose own initialisation is left out."""
    import torch

    kind = getattr(torch, dtype)
    torch.manual_seed(k)
    x = torch.tensor(_batch(width, inputs), dtype=kind, requires_grad=True)
    signals = []
    for _ in range(depth):
        layer = torch.nn.utils.skip_init(torch.nn.Linear, width, width, dtype=kind)
        layer.requires_grad_(False)
        layer.weight.normal_(0.0, _SIGMA_W / math.sqrt(width))
        layer.bias.normal_(0.0, _SIGMA_B)
        h = layer(x)
        h.retain_grad()
        signals.append(h)
        x = torch.tanh(h)
    h.backward(torch.randn_like(h))
    return [(h.detach().square().mean(1), h.detach() @ h.detach().T, h.grad.square().mean(1))
            for h in signals]  # fmt: skip


def _use_torch() -> None:
    import torch

    torch.set_num_threads(1)


def _dense(dtype: str, backend: str, quick: bool) -> list[Way]:
    width, depth, inputs = (50, 4, 4) if quick else (1000, 50, 32)
    network, x = _network(width, depth), _batch(width, inputs)
    size = (width, depth, inputs, dtype)

    def ours(k: int) -> Any:
        return chione.simulate(
            network,
            x,
            n_networks=_NETWORKS,
            seed=k,
            sampler="dense",
            dtype=dtype,
            observe=_OBSERVE,
            backend=backend,
        )

    return [
        Way("chione", ours, ready=_use_torch if backend == "torch" else None),
        Way("NumPy", partial(_numpy, *size), part=1 / _NETWORKS),
        Way(
            "torch.nn without its own initialisation",
            partial(_torch, *size),
            part=1 / _NETWORKS,
            ready=_use_torch,
        ),
    ]


def _many(quick: bool) -> list[Way]:
    """Fifty networks and two inputs, as `analyze` runs them."""
    networks, width, depth = (3, 20, 4) if quick else (50, 512, 50)
    network, x = _network(width, depth), _batch(width, 2)

    def ours(k: int) -> Any:
        return chione.simulate(network, x, n_networks=networks, seed=k, observe=_OBSERVE)

    one = partial(_numpy, width, depth, 2, "float64")
    return [Way("chione", ours), Way("NumPy", one, part=1 / networks)]


def _without(width: int, depth: int, quick: bool) -> list[Way]:
    network, x = _network(100 if quick else width, depth), _batch(100 if quick else width, 8)

    def ours(k: int) -> Any:
        return chione.simulate(
            network, x, n_networks=1, seed=k, sampler="matrix-free", observe=_OBSERVE
        )

    return [Way("chione", ours)]


CASES = [
    *(
        Case(
            f"dense-{backend}-{dtype}",
            f"simulate, tanh, {dtype} by {backend}, width 1000, depth 50, 32 inputs, forward and "
            "backward",
            partial(_dense, dtype, backend),
            unit="network",
            count=_NETWORKS,
            memory=True,
        )
        for backend, dtype in (
            ("numpy", "float64"),
            ("numpy", "float32"),
            ("torch", "float64"),
            ("torch", "float32"),
        )
    ),
    Case(
        "networks-50",
        "simulate, tanh, 50 networks of width 512 and depth 50, 2 inputs",
        _many,
        unit="network",
        count=50,
    ),
    Case(
        "million-units",
        "simulate without matrices, width 1,000,000, 8 inputs, forward and backward",
        partial(_without, 10**6, 4),
        unit="layer",
        count=4,
        memory=True,
    ),
]
