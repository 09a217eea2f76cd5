"""Different widths per layer: against the equal-width solver, closed forms and networks."""

import numpy as np
import pytest

from chione.activations import activation
from chione.freeprob import FreePoisson
from chione.networks import MLP
from chione.simulation.spectra import simulate_spectrum
from chione.theory.spectra.jacobian import jacobian_spectrum
from chione.theory.spectra.jacobian_widths import WidthsSolver


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
