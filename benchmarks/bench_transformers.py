"""Attention, populations and cells at infinite width.

    python -m pytest benchmarks/bench_transformers.py --benchmark-enable

The targets: 24 pre-norm blocks, 2 inputs x 64 exchangeable tokens, forward and backward in 0.2 s;
the same causal with 2,000 sampled heads in 60 s on one core; a population of 10^5 channels at 16
sites in 50 ms a layer.
"""

from __future__ import annotations

import numpy as np
import pytest

from chione.networks import Dense, Input, Network, Nonlinearity, Recurrent, Residual, transformer
from chione.theory import network_theory
from chione.theory.layers.walk import propagate
from chione.theory.moments.attention_weights import pair_moments, row_moments

_BLOCKS = 24


def _both_ways(network):
    found = propagate(network)
    return found.backward()["input"].p.value


@pytest.mark.benchmark(group="24 blocks, 2 x 64 exchangeable tokens, both ways")
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_exchangeable_tokens(benchmark, norm):
    net = transformer(_BLOCKS, 1024, 16, norm=norm, tokens=64, positions="none")

    def cold():
        row_moments.cache_clear()
        return (), {}

    found = benchmark.pedantic(lambda: _both_ways(net), setup=cold, rounds=5, warmup_rounds=1)
    assert np.all(np.isfinite(found))


@pytest.mark.benchmark(group="24 causal blocks, 2 x 64 tokens, 2,000 heads, both ways")
def test_causal_tokens(benchmark):
    net = transformer(_BLOCKS, 1024, 16, tokens=64, causal=True)
    found = benchmark.pedantic(lambda: network_theory(net, heads=2000, effort=10.0), rounds=1)
    assert set(found.rules) == {"closed", "sampled heads"}


@pytest.mark.benchmark(group="8 post-activation blocks, 16 sites, about 10^5 channels, both ways")
def test_population(benchmark):
    block = (Residual((Dense(1.0), Nonlinearity("relu"), Dense(1.0))), Nonlinearity("relu"))
    gram = 0.5 * np.eye(16) + 0.5
    net = Network(block * 8, Input(256, inputs=gram.tolist()))
    found = benchmark.pedantic(lambda: _both_ways(net), rounds=3, warmup_rounds=1)
    assert np.all(np.isfinite(found))


@pytest.mark.benchmark(group="cells over 20 steps, 2 inputs, both ways")
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_cells(benchmark, cell):
    net = Network([Recurrent(cell)], Input(256, (20,)))
    found = benchmark.pedantic(lambda: _both_ways(net), rounds=2, warmup_rounds=1)
    assert np.all(np.isfinite(found))


@pytest.mark.benchmark(group="one pair of rows of weights, 10^6 tokens")
def test_moments(benchmark):
    v = iter(np.linspace(1.0, 3.0, 10**5))
    found = benchmark.pedantic(
        lambda: pair_moments(next(v), 1.5, 0.4, (10**6,), (10**6,)), rounds=200
    )
    assert 0.0 < found.overlap[0] < 1.0
