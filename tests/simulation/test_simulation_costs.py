"""What is refused before it begins, and that the estimates are of the right size."""

from __future__ import annotations

import time

import numpy as np
import pytest

import chione
from chione.base import CostError, cost
from chione.networks import WEIGHT_LAWS
from chione.simulation import costs, gaussian_limit, great_circle, simulate
from chione.simulation.hessian import network_hessian, sample_model_hessian
from chione.simulation.matrix_free import LAWS
from chione.simulation.samplers import choose
from chione.simulation.spectra import simulate_spectrum

TANH = chione.activation("tanh")


def net(depth=5, width=50, weights="gaussian", **options):
    return chione.MLP(TANH, 1.5, 0.1, depth, width, weights, **options)


X = np.random.default_rng(0).standard_normal((2, 50))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: simulate(net(10**9), n_networks=1), r"A depth of \d+ fits"),
        (lambda: simulate(net(2**53), n_networks=1), r"A depth of \d+ fits"),
        (lambda: simulate(net(), n_networks=10**20), r"About \d+ of these networks fit"),
        (lambda: simulate(net(), n_networks=10**400), r"About \d+ of these networks fit"),
        (lambda: simulate(net(width=10**9)), r"A width of \d+ fits"),
        (lambda: simulate(net(width=10**6, weights="uniform")), "Narrower networks fit"),
        (lambda: simulate(net(width=8000, weights="orthogonal"), sampler="dense"), "fit"),
        (lambda: simulate(net(), bins=10**9, observe="activation_histogram"), "fit"),
        (lambda: great_circle(net(10**8)), r"A depth of \d+ fits"),
        (lambda: great_circle(net(), n_points=10**9), "fit"),
        (lambda: great_circle(net(), n_networks=10**12), r"About \d+ of these networks fit"),
        (lambda: gaussian_limit(net(), X, kernel=np.eye(2), n_networks=10**9), "fit"),
        (lambda: gaussian_limit(net(), X, kernel=np.eye(2), n_outputs=10**9), "fit"),
        (lambda: gaussian_limit(net(), X, kernel=np.eye(2), n_frequencies=10**6), "fit"),
        (lambda: gaussian_limit(net(10**9), X, kernel=np.eye(2)), "fit"),
        (lambda: simulate_spectrum(net(width=10**5)), "fit"),
        (lambda: simulate_spectrum(net(10**8)), r"A depth of \d+ fits"),
        (lambda: simulate_spectrum(net(), n_networks=10**15), "fit"),
        (lambda: sample_model_hessian(ratio=0.5, energy=1.0, size=10**6), r"size of \d+ fits"),
        (lambda: sample_model_hessian(ratio=5e-324, energy=1.0, size=10), "larger ratio"),
        (lambda: chione.analyze("tanh", 1.5, 0.1, depth=10**9), r"A depth of \d+ fits"),
        (lambda: chione.analyze("tanh", 1.5, 0.1, n_networks=10**9), "fit"),
    ],
)
def test_what_would_never_end_is_refused_at_once_with_what_would_fit(call, words):
    begun = time.process_time()
    with pytest.raises(CostError, match=words):
        call()
    assert time.process_time() - begun < 2.0  # no part of the work was done


def test_what_is_said_to_fit_does_fit():
    with pytest.raises(CostError) as refusal:
        simulate(net(), n_networks=10**20)
    fits = int(str(refusal.value).split("About ")[1].split()[0])
    options = {
        "inputs": 2,
        "observed": 3,
        "sampler": "matrix-free",
        "backward": True,
        "memory": 2**28,
    }
    costs.check_simulation(net(), networks=fits, **options)
    with pytest.raises(CostError):
        costs.check_simulation(net(), networks=fits + fits // 10 + 1, **options)


def test_effort_allows_more():
    deep = net(depth=900_000, width=16)
    assert choose("auto", "numpy", deep, 2) == "matrix-free"
    options = {"inputs": 2, "observed": 1, "sampler": "matrix-free", "backward": False,
               "memory": 2**28, "networks": 1}  # fmt: skip
    with pytest.raises(CostError, match="effort="):
        costs.check_simulation(deep, **options)
    with cost.allowing(3.0):
        costs.check_simulation(deep, **options)
    with pytest.raises(ValueError, match="effort"):
        simulate(net(), n_networks=2, effort=0.0)


def test_a_hessian_of_a_wide_network_is_refused():
    w1, w2 = np.zeros((300, 300)), np.zeros((2, 300))
    with pytest.raises(CostError, match="smaller network"):
        network_hessian(TANH, w1, w2, np.zeros((50, 300)), np.zeros((50, 2)))


@pytest.mark.parametrize(
    ("weights", "sampler"),
    [(w, "dense") for w in WEIGHT_LAWS] + [(w, "matrix-free") for w in LAWS],
)
@pytest.mark.parametrize(("width", "inputs"), [(60, 3), (400, 2), (300, 24)])
@pytest.mark.sampled(4)
def test_estimates_are_of_the_size_of_what_is_measured(
    monkeypatch, weights, sampler, width, inputs
):
    said = []
    monkeypatch.setattr(cost, "check", lambda what, *, seconds, gigabytes, fits: said.append(
        (seconds, gigabytes)))  # fmt: skip
    network = net(12, width, weights)
    x = np.random.default_rng(1).standard_normal((inputs, width))
    taken = []
    for _ in range(3):
        begun = time.process_time()
        simulate(network, x, n_networks=3, sampler=sampler)
        taken.append(time.process_time() - begun)
    # not a test of speed: between a twentieth and four times on any machine
    assert 0.05 < min(taken) / said[0][0] < 4.0
