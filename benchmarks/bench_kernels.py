"""NNGP and tangent kernels of deep networks beside a plain arc-cosine recursion.

    python -m pytest benchmarks/bench_kernels.py --benchmark-enable

The target: at depth 100 and n = 3000 the relu kernel 100 times faster than the recursion.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import chione
from chione.theory.depth import kernels

DEPTH, N = 100, 3000


def inputs(equal: bool = False):
    x = np.random.default_rng(0).normal(size=(N, 64))
    return x / np.sqrt(np.mean(x * x, axis=1))[:, None] if equal else x


def network(name: str):
    if name == "relu":
        return chione.MLP(chione.activation("relu"), math.sqrt(2.0), 0.0, DEPTH)
    return chione.MLP(chione.activation(name), 1.5, 0.2, DEPTH)


def arc_cosine(x, depth):
    """The recursion as a textbook writes it, on whole matrices."""
    k = 2.0 * x @ x.T / x.shape[1]
    for _ in range(depth - 1):
        norm = np.sqrt(np.diag(k))
        scale = np.outer(norm, norm)
        c = np.clip(k / scale, -1.0, 1.0)
        angle = np.arccos(c)
        k = scale * (np.sin(angle) + (np.pi - angle) * c) / np.pi
    return k


@pytest.mark.benchmark(group="depth 100, n = 3000")
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_nngp(benchmark, name):
    net, x = network(name), inputs(name != "relu")

    def run():
        kernels._compiled_for.cache_clear()  # the time to compile the depth is part of it
        return chione.nngp(net, x)

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1).value.shape == (N, N)


@pytest.mark.benchmark(group="depth 100, n = 3000")
def test_ntk_of_relu(benchmark):
    net, x = network("relu"), inputs()
    assert benchmark.pedantic(lambda: chione.ntk(net, x), rounds=3).value.shape == (N, N)


@pytest.mark.benchmark(group="depth 100, n = 3000")
def test_arc_cosine_recursion(benchmark):
    x = inputs()
    plain = benchmark.pedantic(arc_cosine, args=(x, DEPTH), rounds=1)
    assert np.abs(plain - chione.nngp(network("relu"), x).value).max() < 1e-11
