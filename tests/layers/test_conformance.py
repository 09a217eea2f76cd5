"""Theory beside simulated networks of two widths, for every kind of layer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from test_layer_theory import CASES

from chione.networks import Input, Network
from chione.simulation import simulate_network
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.stream import from_moments
from chione.theory.layers.walk import propagate

FACTORS = (16, 32)  # times the widths of the cases
COUNT = 40
QUANTITIES = ("second_moments", "iid", "shared")
# narrow layers, or distances of 1e-12 below a float's width: nothing that a simulation could tell
LEFT_OUT = ("nearly equal inputs",)


def limits(network):
    """Values extrapolated to infinite width and their errors, by place and quantity."""
    runs = [
        simulate_network(network.scaled(factor), n_networks=COUNT, seed=factor)
        for factor in FACTORS
    ]
    one, two = FACTORS
    out = {}
    for small, large in zip(runs[0].rows, runs[1].rows, strict=True):
        for name in QUANTITIES:
            a, b = getattr(small, name), getattr(large, name)
            errors = small.stderr[name], large.stderr[name]
            value = (two * b - one * a) / (two - one)
            error = np.hypot(two * errors[1], one * errors[0]) / (two - one)
            out[small.place, name] = value, error
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in LEFT_OUT])
def test_theory_is_the_limit_of_simulated_networks(name):
    network = CASES[name]
    walked = propagate(network.scaled(FACTORS[1]))
    found = {
        "second_moments": walked.streams,
        "iid": walked.backward("independent"),
        "shared": walked.backward("shared"),
    }
    known = limits(network)
    far = student.isf(5e-5 / len(known), COUNT - 1)  # one alarm in 10,000 for all of a network
    for (place, quantity), (value, error) in known.items():
        theory = found[quantity][place].second_moments().value
        size = np.sqrt(np.outer(np.diagonal(theory), np.diagonal(theory)))
        allowed = far * error + 0.01 * size  # what is left at second order in 1 / width
        worst = np.max(np.abs(theory - value) - allowed)
        assert worst <= 0.0, (place, quantity, worst, theory, value, error)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["layer norm", "gate"])
def test_a_slip_of_two_per_cent_in_one_layer_would_show(name):
    """Each layer alone, from what was measured before it: upstream fluctuations drop out."""
    network = CASES[name].scaled(48)
    run = simulate_network(network, n_networks=100, replicas=8)
    walked = propagate(network)
    places = ["input", *(f"layers[{i}]" for i in range(len(network.layers)))]
    for before, place, layer in zip(places, places[1:], network.layers, strict=False):
        stream = walked.streams[before]
        row = run.row(before)
        gram = 0.5 * (row.second_moments + row.second_moments.T)
        mean = Bounded.exact(row.channel_means)
        given = from_moments(gram, stream.shape, mean).with_(law=stream.law)
        alone = Network([layer], Input(stream.shape.width, stream.shape.grid))
        theory = np.diagonal(propagate(alone, given).output.second_moments().value)
        value = np.diagonal(run.row(place).second_moments)
        assert np.max(np.abs(theory / value - 1.0)) < 0.01, place
        assert np.min(np.abs(1.02 * theory / value - 1.0)) > 0.01, place
