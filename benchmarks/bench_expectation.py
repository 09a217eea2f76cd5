"""One Gaussian expectation, uncompiled and compiled, and a million of them from a table.

    python -m pytest benchmarks/bench_expectation.py --benchmark-enable

The targets: about 10 us for one q, 20 ns each for 10^6 of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

import chione
from chione.gaussian import Integrator, expectation
from chione.theory.moments.moments import moments


def square(h):
    return np.tanh(h) ** 2


@pytest.mark.benchmark(group="one q")
def test_expectation_of_a_callable(benchmark):
    benchmark(expectation, square, 1.3)


@pytest.mark.benchmark(group="one q")
def test_expectation_kept_as_an_integrator(benchmark):
    integrator = Integrator(square)
    integrator(1.3)
    benchmark(integrator, 1.31)


@pytest.mark.benchmark(group="one q")
def test_quad(benchmark):
    def reference():
        return integrate.quad(
            lambda z: np.tanh(1.3**0.5 * z) ** 2 * np.exp(-0.5 * z * z), -np.inf, np.inf
        )

    benchmark(reference)


@pytest.mark.benchmark(group="a million q")
@pytest.mark.parametrize("name", ["tanh", "gelu", "hardtanh"])
def test_table(benchmark, name):
    table = moments(chione.activation(name)).square_table
    q = np.exp(np.random.default_rng(0).uniform(np.log(1e-4), np.log(1e4), 1_000_000))
    table(q[:10])
    benchmark(table, q)
