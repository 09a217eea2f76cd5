"""Sampled singular values beside their law: above rounding, with zeros, and with wrong laws."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from chione.activations import activation
from chione.networks import MLP
from chione.simulation.spectra import SimulatedSpectrum, simulate_spectrum
from chione.simulation.spectrum_comparison import compare_spectrum
from chione.theory.spectra.jacobian import jacobian_spectrum


def sampled(spectrum, width, *, networks=1, method="plain", seed=0, q_star=0.7):
    network = MLP(
        spectrum.activation, spectrum.sigma_w, 0.0, spectrum.depth, width, spectrum.weights
    )
    return simulate_spectrum(
        network, q_star=q_star, n_networks=networks, method=method, seed=seed
    )  # fmt: skip


@dataclass
class Uniform:
    """Log lambda uniform on (-40, 0) with mass 0.6, point masses 0.3 at 0 and 0.1 at 1."""

    atoms: tuple = ((-np.inf, 0.3), (1.0, 0.1))
    depth: int = 2
    q_star: float = 1.0
    activation: object = activation("tanh")
    law: object = field(default_factory=lambda: type("Law", (), {"atoms": ()}))

    @property
    def solver(self):
        return self

    def values(self, x):
        self.cdf = 0.3 + 0.6 * np.clip((x + 40.0) / 40.0, 0.0, 1.0) + 0.1 * (x >= 1.0)
        return self


def distance_by_hand(log_lambda, floor, law):
    """Every point of a fine grid and both sides of every value, above the floor."""
    near = np.concatenate([log_lambda - 1e-9, log_lambda + 1e-9, [1.0 - 1e-9, 1.0 + 1e-9]])
    grid = np.concatenate([np.linspace(-60.0, 3.0, 20_001), near[np.isfinite(near)], [floor]])
    grid = grid[grid >= floor]
    own = np.array([np.mean(log_lambda <= x) for x in grid])
    return np.max(abs(own - law.values(grid).cdf))


@pytest.mark.parametrize("floor", [-np.inf, -20.0, -3.0])
def test_the_distance_is_the_largest_one_on_a_fine_grid_above_the_floor(floor):
    rng = np.random.default_rng(3)
    log = np.sort(np.concatenate([rng.uniform(-40.0, 0.0, 55), np.ones(9)]))[::-1]
    log = np.concatenate([log, np.full(36, -np.inf)])
    noise = log < floor
    noise &= np.isfinite(log)
    log[noise] = floor - rng.uniform(0.0, 2.0, noise.sum())
    errors = np.where(noise, np.inf, np.where(np.isneginf(log), 0.0, 1e-14))
    found = compare_spectrum(
        0.5 * log[None], errors[None], (errors < 1.0)[None] & (log > -np.inf), 100, Uniform()
    )
    highest = log[noise].max(initial=-np.inf)
    assert found.log_floor == highest
    by_hand = distance_by_hand(log, highest, Uniform())
    assert abs(found.distance - by_hand) < 1e-6
    assert found.unresolved == noise.sum()
    assert found.zeros == 36
    assert abs(found.share_below - (0.36 + noise.mean())) < 1e-14
    assert np.isclose(found.law_below, Uniform().values(np.array([highest])).cdf[0])
    assert found.atom_shares[1] == 0.09
    assert found.atom_shares[0] == 0.36 if floor == -np.inf else np.isnan(found.atom_shares[0])


@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.1)", "hardtanh", "tanh", "gelu", "selu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    "depth", [1, 32, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 128))]
)
def test_networks_agree_with_their_own_law_at_every_depth_and_not_with_another(
    name, weights, depth
):
    s = jacobian_spectrum(name, depth=depth, q_star=0.7, weights=weights)
    run = sampled(s, 60, seed=depth)
    found = run.compare(s)
    assert found.distance < 4.5 / 60
    assert found.agrees, found.sentence
    assert run.distance(s) == found.distance
    if found.unresolved:
        assert f"of {60} singular values lie" in found.sentence
    wrong = replace(s, sigma_w=1.3 * s.sigma_w)
    if depth > 1 and found.law_below < 0.9:
        assert not run.compare(wrong).agrees


@pytest.mark.parametrize(("name", "weights"), [("tanh", "gaussian"), ("relu", "orthogonal")])
def test_plain_products_tell_the_same_as_stabilised_ones_above_their_rounding(name, weights):
    s = jacobian_spectrum(name, depth=64, q_star=0.7, weights=weights)
    plain = sampled(s, 120, networks=2).compare(s)
    stable = sampled(s, 120, networks=2, method="stabilised").compare(s)
    assert plain.unresolved > 20
    assert stable.unresolved == 0
    assert stable.log_floor == -np.inf
    assert plain.distance <= stable.distance + 2e-3  # a supremum over fewer points
    assert 1e-14 < plain.rounding < 1e-10
    assert "below rounding" in plain.sentence
    assert "below rounding" not in stable.sentence


def test_values_of_a_point_mass_that_rounding_spread_match_it():
    s = jacobian_spectrum("linear", depth=30, q_star=0.7, weights="orthogonal")
    run = sampled(s, 80)
    assert np.ptp(run.log_singular_values) > 0.0
    found = run.compare(s)
    assert found.distance == 0.0
    assert found.atom_shares.tolist() == [1.0]


def test_zeros_of_units_that_are_off_match_the_point_mass_at_zero():
    s = jacobian_spectrum("relu", depth=4, q_star=1.0, weights="orthogonal")
    found = sampled(s, 300, networks=2, q_star=1.0).compare(s)
    assert found.zeros == 300
    assert found.atom_shares[0] == found.atom_masses[0] == 0.5
    assert found.distance < 0.01
    assert found.sentence.startswith("300 of 600 singular values are exactly 0: 0.5000 of the mass")


def test_a_zero_that_is_not_exact_counts_as_rounding():
    log = np.array([[0.0, -1.0, -np.inf, -np.inf]])
    errors = np.array([[1e-15, 1e-15, np.inf, 0.0]])
    found = compare_spectrum(log, errors, np.array([[True, True, False, False]]), 4, Uniform())
    assert (found.zeros, found.unresolved) == (1, 1)
    assert found.share_below == 0.5


def test_zeros_of_a_wide_output_count():
    widths = (60, 60, 120)
    s = jacobian_spectrum("tanh", depth=2, q_star=0.7, widths=widths)
    network = MLP(activation("tanh"), s.sigma_w, 0.0, 2, (60, 120), input_width=60)
    found = simulate_spectrum(network, q_star=0.7, n_networks=2).compare(s)
    assert found.share_below == 0.5
    assert found.zeros == 0
    assert found.distance < 4.5 / 120


def test_the_expected_distance_tells_the_noise_of_lengths_and_of_rounded_shares():
    s = jacobian_spectrum("tanh", depth=4, q_star=0.7)
    run = sampled(s, 100)
    forward = SimulatedSpectrum(
        run.log_singular_values, run.output_width, run.errors, run.resolved, run.method, run.seed
    )
    assert forward.q_star is None
    assert np.isclose(forward.compare(s).expected - run.compare(s).expected, np.sqrt(4 / 100))
    # hardtanh at this q*: 0.27 of 300 units of a layer are off, so none is, in none of 64 layers
    rare = jacobian_spectrum("hardtanh", depth=64, q_star=0.09, weights="orthogonal")
    found = sampled(rare, 300, q_star=0.09).compare(rare)
    assert found.distance > 0.03
    assert found.agrees


def test_points_below_rounding_are_left_out_of_a_distance_to_given_values():
    s = jacobian_spectrum("tanh", depth=64, q_star=0.7)
    run = sampled(s, 120)
    y = np.linspace(-200.0, s.log_support[0][1], 500)
    assert run.ks_distance(y, s.solver.values(y).cdf) < 4.0 / 120
    assert np.isnan(run.ks_distance(y[:5], s.solver.values(y[:5]).cdf))
