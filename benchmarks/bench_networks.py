"""Walks through deep networks of layer kinds at infinite width.

    python -m pytest benchmarks/bench_networks.py --benchmark-enable

The targets: 100 pre-norm blocks, 4 inputs, one position in 50 ms; 50 circular convolutions,
2 inputs of 32 x 32 positions in 5 s.
"""

from __future__ import annotations

import numpy as np
import pytest

from chione.networks import Convolution, Input, Network, Nonlinearity, Repeat, resnet
from chione.theory.layers.stream import entering
from chione.theory.layers.walk import propagate


@pytest.mark.benchmark(group="100 pre-norm blocks, 4 inputs")
@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_forward(benchmark, name):
    inputs = np.eye(4) * 0.5 + 0.5
    net = Network(resnet(name, depth=100, norm="layer").layers, Input(512, inputs=inputs.tolist()))
    found = benchmark.pedantic(lambda: propagate(net), rounds=5, warmup_rounds=1)
    assert found.output.k.value.max() > 1.0


@pytest.mark.benchmark(group="100 pre-norm blocks, 4 inputs")
def test_backward(benchmark):
    inputs = np.eye(4) * 0.5 + 0.5
    net = Network(
        resnet("relu", depth=100, norm="layer").layers, Input(512, inputs=inputs.tolist())
    )
    found = propagate(net)
    assert benchmark.pedantic(found.backward, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="50 circular convolutions, 2 inputs of 32 x 32")
def test_images(benchmark):
    n = 32
    at = np.arange(n)
    ring = 0.7 ** np.minimum((at[:, None] - at) % n, (at - at[:, None]) % n)
    given = Input(64, (n, n), ((1.0, 0.5), (0.5, 1.0)), np.kron(ring, ring).tolist())
    block = (Convolution(3, np.sqrt(2.0), padding="circular"), Nonlinearity("relu"))
    net = Network((Repeat(50, block),), given)
    stream = entering(given)
    found = benchmark.pedantic(lambda: propagate(net, stream), rounds=1)
    assert found.output.orbits.count < 300
