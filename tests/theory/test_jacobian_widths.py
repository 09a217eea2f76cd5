"""Different widths per layer: against the equal-width solver, closed forms and networks.

Closed forms: free Poisson laws, Marchenko-Pastur products, and products of free projections (the
law of P Q P of two free projections is the Jacobi law of Mingo and Speicher, example 4.5).
"""

from itertools import pairwise

import numpy as np
import pytest

from chione.activations import activation
from chione.freeprob import FreePoisson
from chione.networks import MLP
from chione.simulation.spectra import simulate_spectrum
from chione.theory.spectra.jacobian import jacobian_spectrum
from chione.theory.spectra.jacobian_widths import WidthsSolver
from chione.theory.spectra.jacobian_widths_path import turn


def test_at_equal_widths_both_solvers_agree_though_they_share_no_branch_rule():
    s = jacobian_spectrum("tanh", q_star=0.7, depth=3)
    other = WidthsSolver(s.law, 2 * np.log(s.sigma_w), (1.0,) * 4)
    y = np.linspace(-9.0, s.log_support[0][1] - 0.02, 9)
    a, b = s.solver.values(y), other.values(y)
    assert np.allclose(a.density, b.density, rtol=1e-11)
    assert np.allclose(a.cdf, b.cdf, atol=1e-12)
    assert abs(other.support[0][1] - s.log_support[0][1]) < 1e-10
    assert np.allclose(other.scaled_moments(4)[0], s.solver.scaled_moments(4)[0], rtol=1e-12)


@pytest.mark.parametrize(("widths", "rate"), [((2.0, 1.0), 2.0), ((1.0, 2.0), 0.5)])
def test_one_rectangular_linear_layer_is_a_free_poisson_law(widths, rate):
    s = jacobian_spectrum("linear", q_star=1.0, depth=1, widths=widths)
    exact = FreePoisson(rate, 1 / rate)
    x = np.linspace(*exact.edges, 9)[1:-1]
    assert np.allclose(s.density(x).value, exact.density(x), rtol=1e-10)
    assert np.allclose(s.support, [exact.edges], rtol=1e-9)
    assert np.allclose(s.moments(4).value, exact.moments(4), rtol=1e-12)
    assert np.allclose(s.atoms, exact.atoms)


def test_inside_a_gap_the_distribution_function_is_the_mass_below_it():
    s = jacobian_spectrum("leaky_relu(0.1)", depth=2, q_star=1.0, widths=[800, 800, 1600])
    assert np.allclose(s.cdf([0.07, 0.1, 0.13]).value, 0.75, atol=1e-14)
    assert s.atoms == ((0.0, 0.5),)
    # The input and the first layer are as narrow as each other: the law reaches zero softly.
    assert s.support[0][0] == 0.0
    assert np.allclose(s.support[0][1], 0.06458772, rtol=1e-6)
    y = np.linspace(-30.0, 3.0, 400)
    assert np.all(np.diff(s.solver.values(y).cdf) >= -1e-14)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("leaky_relu(0.1)", (800, 800, 1600)),
        ("leaky_relu(0.01)", (800, 1000, 1600, 200)),
        ("leaky_relu(0.3)", (3, 2, 5, 1, 4, 2)),
        ("hardtanh", (2, 1, 3, 3)),
    ],
)
def test_bands_hold_the_masses_that_the_gaps_say(name, widths, weights):
    s = jacobian_spectrum(name, depth=len(widths) - 1, q_star=0.8, widths=widths, weights=weights)
    total = sum(m for _, m in s.atoms)
    for band in s.solver.bands:
        low, high = band.log_lambda
        low = low if np.isfinite(low) else high - 80.0
        # Squares at both ends turn square roots into smooth functions.
        u, w = np.polynomial.legendre.leggauss(400)
        u = 0.5 * (u + 1.0)
        y = low + (high - low) * np.sin(0.5 * np.pi * u) ** 2
        density = s.density_of_log(y).value * (high - low) * 0.5 * np.pi * np.sin(np.pi * u)
        own = float(0.5 * w @ density)
        assert abs(own - (band.cdf[1] - band.cdf[0])) < 1e-9
        total += own
    assert abs(total - 1.0) < 1e-9


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("widths", [(500, 300, 500), (500, 300, 400, 500), (2, 3, 1)])
def test_quantiles_invert_the_distribution_function(widths, weights):
    s = jacobian_spectrum("tanh", depth=len(widths) - 1, q_star=0.5, widths=widths, weights=weights)
    p = np.array([0.0, 0.1, 0.3, 0.45, 0.5, 0.9, 0.999, 1.0])
    q = s.quantile(p)
    assert np.all(np.isfinite(q.value))
    alive = p > 1.0 - s.rank_fraction
    assert np.all(q.value[~alive] == 0.0)
    assert np.allclose(s.cdf(q.value[alive]).value, p[alive], atol=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "gelu", "leaky_relu(0.2)"])
def test_widths_that_are_nearly_equal_give_the_law_of_equal_ones(name, weights):
    s = jacobian_spectrum(name, depth=3, q_star=0.7, weights=weights)
    other = WidthsSolver(s.law, 2 * np.log(s.sigma_w), (1.0,) * 4, 0.0, weights == "gaussian")
    y = np.linspace(max(s.log_support[-1][0], -9.0), s.log_support[-1][1], 9)[1:-1]
    a, b = s.solver.values(y), other.values(y)
    assert np.allclose(a.density, b.density, rtol=1e-12, atol=1e-13)
    assert np.allclose(a.cdf, b.cdf, atol=1e-12)
    assert np.allclose(other.support, s.log_support, rtol=1e-10)
    assert np.allclose(other.scaled_moments(6)[0], s.solver.scaled_moments(6)[0], rtol=1e-11)


def test_two_orthogonal_bottlenecks_of_a_linear_network_are_free_projections():
    # N = (1, 1/2, 1, 1/2): the middle layer meets a projection of trace 1/2 twice, so J J^T has the
    # arcsine law of P Q P on (0, 1), times sigma^6 = 1 and the 1 / (1/2) of the widening layer.
    s = jacobian_spectrum(
        "linear", depth=3, q_star=1.0, widths=(1.0, 0.5, 1.0, 0.5), weights="orthogonal"
    )
    x = np.linspace(0.01, 1.99, 7)
    assert np.allclose(s.density(x).value, 1.0 / (np.pi * np.sqrt(x * (2.0 - x))), rtol=1e-10)
    assert np.allclose(s.cdf(x).value, 2.0 / np.pi * np.arcsin(np.sqrt(x / 2.0)), atol=1e-11)
    assert s.atoms == ()


def test_free_projections_leave_atoms_at_both_ends():
    # Rank 3/4 of 1, then 3/4 again: dim P + dim Q - 1 = 1/2 is common to both.
    widths = (0.75, 1.0, 0.75)
    s = jacobian_spectrum("linear", depth=2, q_star=1.0, widths=widths, weights="orthogonal")
    assert np.allclose(s.atoms, [(4.0 / 3.0, 2.0 / 3.0)])
    # Edges of P Q P: a + b - 2 a b -+ sqrt(4 a b (1 - a) (1 - b)) with a = b = 3/4.
    edges = 0.375 + np.array([-1.0, 1.0]) * 0.375
    assert np.allclose(s.support, [edges * 4.0 / 3.0], atol=1e-9)
    assert np.allclose(s.moments(1).value, 1.0)


def test_an_atom_inside_a_band_is_a_jump_and_the_density_goes_on_through_it():
    def phi(x):  # slope 1 for |x| < 1.5, growing to 3/2 above and falling to 1/2 below
        beyond = np.maximum(abs(x) - 1.5, 0.0)
        return x + 0.5 * beyond**2 / (1.0 + beyond)

    s = jacobian_spectrum(phi, depth=2, q_star=1.0, widths=(5, 5, 6), weights="orthogonal")
    # Lost: 1/6 of the rank, and the 13.4 % of the units whose slope is not 1, twice.
    p = dict(s.law.atoms)[max(s.law.atoms, key=lambda a: a[1])[0]]
    assert p == pytest.approx(0.8663855974622838, abs=1e-12)
    place, mass = s.solver.atoms[1]
    assert mass == pytest.approx(5 / 6 - (1 - p) * (5 / 6 + 1), abs=1e-12)
    ((low, high),) = s.log_support
    assert low < place < high
    v = s.solver.values(place + np.array([-1e-3, -1e-7, 0.0, 1e-7, 1e-3]))
    assert v.cdf[2] - v.cdf[1] == pytest.approx(mass, abs=1e-4)
    assert np.allclose(v.density, v.density[0], rtol=5e-3)
    u, w = np.polynomial.legendre.leggauss(400)
    own = 0.0
    for a, b in ((low, place), (place, high)):
        y = 0.5 * (a + b) + 0.5 * (b - a) * np.sin(0.5 * np.pi * u)
        own += w @ (s.solver.values(y).density * 0.25 * np.pi * (b - a) * np.cos(0.5 * np.pi * u))
    assert own + mass + 1 / 6 == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_moments_are_those_of_the_law(weights):
    s = jacobian_spectrum("gelu", depth=3, q_star=0.8, widths=(4, 3, 5, 2), weights=weights)
    ((low, high),) = s.log_support
    low = low if np.isfinite(low) else high - 60.0
    u, w = np.polynomial.legendre.leggauss(600)
    u = 0.5 * (u + 1.0)
    y = low + (high - low) * np.sin(0.5 * np.pi * u) ** 2
    rho = s.density_of_log(y).value * (high - low) * 0.5 * np.pi * np.sin(np.pi * u)
    own = [0.5 * w @ (rho * np.exp(k * y)) for k in (1, 2, 3, 4)]
    assert np.allclose(own, s.moments(4).value, rtol=1e-9)


def test_many_different_widths_with_isometries_keep_their_lowest_gap():
    # Below the band x passes -1/a of one layer after the other; choices of branches that were cut
    # short there once moved the edge.
    widths = np.linspace(1, 2, 25)
    s = jacobian_spectrum(
        "leaky_relu(0.5)", depth=24, q_star=0.5, widths=widths, weights="orthogonal"
    )
    ((low, _),) = s.log_support
    # Turned from the negative axis, which knows no bands: nothing below, a square root above.
    solver = s.solver
    y = low + np.array([-1e-3, 1e-3, 4e-3])
    log_w, good = turn(solver.equation, solver.table, y)
    assert np.all(good)
    density = -solver.equation.at(log_w).x.imag / np.pi
    assert abs(density[0]) < 1e-12
    assert density[2] / density[1] == pytest.approx(2.0, abs=0.02)
    assert solver.bands[0].cdf == (0.5, 1.0)


def test_a_band_of_rare_units_is_found_between_the_others():
    # A share 5e-4 of the units has t = 25 in each layer: a band for every layer's rare units.
    kinks = (0.8, 1.1)

    def phi(x):
        return 0.05 * x + 0.45 * np.maximum(x - kinks[0], 0) + 4.5 * np.maximum(x - kinks[1], 0)

    widths = (0.9, 0.36, 3.3, 1.15, 0.97)
    s = jacobian_spectrum(phi, depth=4, q_star=0.1, widths=widths)
    bands = s.solver.bands
    assert len(bands) >= 4
    for below, above in pairwise(bands):
        assert below.log_lambda[1] < above.log_lambda[0]
        assert below.cdf[1] == pytest.approx(above.cdf[0], abs=1e-12)
    masses = [b.cdf[1] - b.cdf[0] for b in bands]
    assert sum(masses) == pytest.approx(s.rank_fraction, abs=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_resolvent_is_the_mean_over_the_law(weights):
    s = jacobian_spectrum("tanh", depth=2, q_star=0.5, widths=(5, 3, 4), weights=weights)
    y, v = s.solver.curve(2000)
    middle = 0.5 * (y[1:] + y[:-1])
    mass = np.diff(v.cdf)
    log_z = np.array([0.3 + 1.0j, -2.0 + 2.5j, 1.0 + 0.4j, -1.0 + np.pi * 1j])
    r = s.solver.resolvent(log_z)
    z, t = np.exp(log_z)[:, None], np.exp(middle)
    zero = 1.0 - s.rank_fraction
    assert np.allclose(r.p, (z / (z - t)) @ mass + zero, atol=2e-5)
    assert np.allclose(r.mean_log, np.log(z - t) @ mass + zero * log_z, atol=2e-5)
    h = 1e-6
    moved = (s.solver.resolvent(log_z + h).p - s.solver.resolvent(log_z - h).p) / (2 * h)
    assert np.allclose(r.slope, moved, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "widths"),
    [("relu", (600, 300, 450)), ("hardtanh", (200, 500, 600, 400)), ("tanh", (400, 500, 300))],
)
def test_networks_of_those_widths_follow_the_law(name, widths):
    s = jacobian_spectrum(name, q_star=0.7, depth=len(widths) - 1, widths=widths)
    network = MLP(activation(name), s.sigma_w, 0.0, s.depth, widths[1:], input_width=widths[0])
    sampled = simulate_spectrum(network, q_star=0.7, seed=4, n_networks=2)
    own = sampled.log_eigenvalues
    finite = own[own > -60]
    y = np.linspace(finite[0] - 0.3, finite[-1] + 0.2, 120)
    assert sampled.ks_distance(y, s.solver.values(y).cdf) < 0.012
    mean = np.mean(np.exp(np.where(own > -300, own, -1e3)))
    assert abs(mean / s.mean - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("tanh", (400, 250, 450, 300)),
        ("leaky_relu(0.1)", (300, 300, 600)),
        ("linear", (300, 500, 250, 400)),
        ("hardtanh", (200, 600)),
    ],
)
def test_networks_with_isometries_follow_the_law(name, widths):
    s = jacobian_spectrum(
        name, depth=len(widths) - 1, q_star=0.7, widths=widths, weights="orthogonal"
    )
    network = MLP(
        activation(name), s.sigma_w, 0.0, s.depth, widths[1:], "orthogonal", input_width=widths[0]
    )
    sampled = simulate_spectrum(network, q_star=0.7, seed=4, n_networks=2)
    own = sampled.log_eigenvalues
    finite = own[own > -50]
    y = np.linspace(finite[0] - 0.3, finite[-1] + 0.2, 150)
    assert sampled.ks_distance(y, s.solver.values(y).cdf) < 0.01
    mean = np.mean(np.exp(np.maximum(own, -300.0)))
    assert abs(mean / s.mean - 1) < 0.01
