"""Random networks: dense against bare NumPy and torch, and without matrices up to a million units.

    python -m pytest benchmarks/bench_simulation.py --benchmark-enable

The targets: dense within 1.5x of the bare matrix products and weight sampling and no slower than
torch.nn, peak memory below 400 MB; without matrices width 10^6, depth 50 and 8 inputs forward and
backward in 60 s and 3 GB on two cores, at a cost per layer that is linear in the width. Times are
for one network each; compare them inside a group. OMP_NUM_THREADS=1 makes them comparable.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import chione

WIDTH, DEPTH, INPUTS = 1000, 50, 32
OBSERVE = ("lengths", "correlations", "gradients")


def network(width=WIDTH, depth=DEPTH, weights="gaussian"):
    return chione.MLP(chione.activation("tanh"), 1.3, 0.3, depth, width, weights)


def batch(width=WIDTH, count=INPUTS):
    return np.random.default_rng(0).standard_normal((count, width))


@pytest.mark.benchmark(group="one dense network, width 1000, depth 50, 32 inputs")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bare_products_and_sampling(benchmark, dtype):
    x, w = batch().astype(dtype), np.empty((WIDTH, WIDTH), dtype)
    rng = np.random.default_rng(0)

    def bare():
        for _ in range(DEPTH):
            rng.standard_normal(out=w, dtype=w.dtype)
            forward = x @ w.T
            backward = x @ w
        return forward, backward

    benchmark.pedantic(bare, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="one dense network, width 1000, depth 50, 32 inputs")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_chione_dense(benchmark, dtype):
    def ours():
        return chione.simulate(
            network(), batch(), n_networks=5, sampler="dense", dtype=dtype, observe=OBSERVE
        )

    benchmark.pedantic(ours, rounds=1, warmup_rounds=1)
    benchmark.extra_info["seconds per network"] = benchmark.stats.stats.mean / 5


@pytest.mark.benchmark(group="one dense network, width 1000, depth 50, 32 inputs")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_nn(benchmark, dtype):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    kind = getattr(torch, dtype)

    def theirs():
        x = torch.tensor(batch(), dtype=kind, requires_grad=True)
        signals = []
        for _ in range(DEPTH):
            layer = torch.nn.Linear(WIDTH, WIDTH, dtype=kind).requires_grad_(False)
            layer.weight.normal_(0.0, 1.3 / math.sqrt(WIDTH))
            layer.bias.normal_(0.0, 0.3)
            h = layer(x)
            h.retain_grad()
            signals.append(h)
            x = torch.tanh(h)
        h.backward(torch.randn_like(h))
        return [(h.detach().square().mean().item(), h.grad.square().mean().item()) for h in signals]

    benchmark.pedantic(theirs, rounds=3, warmup_rounds=1)


_MEMORY = """
import numpy as np, chione
net = chione.MLP(chione.activation("tanh"), 1.3, 0.3, {depth}, {width})
x = np.random.default_rng(0).standard_normal(({inputs}, {width}))
chione.simulate(net, x, n_networks={networks}, sampler={sampler!r})
lines = open("/proc/self/status").read().splitlines()  # ru_maxrss would include the parent's peak
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000)
"""


@pytest.mark.benchmark(group="peak memory")
@pytest.mark.parametrize(
    ("sampler", "width", "depth", "inputs", "networks"),
    [("dense", WIDTH, DEPTH, INPUTS, 3), ("matrix-free", 10**6, 4, 8, 1)],
)
def test_peak_memory(benchmark, sampler, width, depth, inputs, networks):
    """In a fresh process (Linux); more networks or, without matrices, layers need no more."""
    script = _MEMORY.format(
        width=width, depth=depth, inputs=inputs, networks=networks, sampler=sampler
    )

    def run():
        out = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        return float(out.stdout)

    benchmark.extra_info["MB"] = benchmark.pedantic(run, rounds=1)


@pytest.mark.benchmark(group="one layer without matrices, 8 inputs")
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("width", [10**3, 10**4, 10**5, 10**6])
def test_cost_per_layer_is_linear_in_the_width(benchmark, weights, width):
    depth, x = 4, batch(width, 8)

    def ours():
        return chione.simulate(
            network(width, depth, weights), x, n_networks=1, sampler="matrix-free", observe=OBSERVE
        )

    benchmark.pedantic(ours, rounds=3 if width < 10**6 else 1, warmup_rounds=1)
    benchmark.extra_info["ns per unit and layer"] = 1e9 * benchmark.stats.stats.min / depth / width


@pytest.mark.benchmark(group="a million units, depth 50, 8 inputs")
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_a_million_units(benchmark, weights):
    x = batch(10**6, 8)

    def ours():
        return chione.simulate(
            network(10**6, 50, weights), x, n_networks=1, observe=("lengths", "gradients")
        )

    benchmark.pedantic(ours, rounds=1)
