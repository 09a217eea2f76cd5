"""Speed of spectra: curves at any depth, simulated networks, stabilised products.

Run with `pytest benchmarks/bench_spectra.py --benchmark-enable`; times depend on the machine, the
ratios named in the assertions do not.
"""

import time

import numpy as np
import pytest

from chione.activations import activation
from chione.networks import MLP
from chione.simulation.spectra import jacobian_factors, log_singular_values, simulate_spectrum
from chione.theory.spectra.jacobian import jacobian_spectrum

DEPTHS = (2, 32, 1024, 10**6)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["relu", "hardtanh"])
def test_curve_of_a_two_valued_derivative(benchmark, name, depth):
    jacobian_spectrum(name, q_star=0.7, depth=2)  # compiles the law
    benchmark(lambda: jacobian_spectrum(name, q_star=0.7, depth=depth).solver.curves)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["tanh", "gelu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_curve_of_a_smooth_derivative(benchmark, name, depth, weights):
    jacobian_spectrum(name, q_star=0.7, depth=2)
    benchmark(
        lambda: jacobian_spectrum(name, q_star=0.7, depth=depth, weights=weights).solver.curves
    )


@pytest.mark.parametrize("width", [1000])
def test_one_simulated_network(benchmark, width):
    network = MLP(activation("tanh"), 1.2, 0.1, 8, width)
    benchmark.pedantic(lambda: simulate_spectrum(network, q_star=0.7), rounds=2)


def test_plain_product_costs_little_more_than_its_matrix_products():
    factors = list(jacobian_factors(MLP(activation("tanh"), 1.2, 0.1, 16, 600), q_star=0.7))

    def bare():
        product = factors[0]
        for a in factors[1:]:
            product = a @ product
        return np.linalg.svd(product, compute_uv=False)

    ratio = _time(lambda: log_singular_values(factors)) / _time(bare)
    print(f"plain over bare: {ratio:.2f}")
    assert ratio < 1.2


def test_stabilised_product_costs_at_most_four_plain_ones():
    factors = list(jacobian_factors(MLP(activation("tanh"), 1.2, 0.1, 32, 600), q_star=0.7))
    stable = _time(lambda: log_singular_values(factors, method="stabilised"), 1)
    ratio = stable / _time(lambda: log_singular_values(factors), 1)
    print(f"stabilised over plain: {ratio:.2f}")
    assert ratio < 4.0


def _time(run, repeats=3):
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best
