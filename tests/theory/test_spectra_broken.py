"""Spectra found wrong by sweeps over activations, depths and lengths."""

from __future__ import annotations

import numpy as np
import pytest

import chione as ch
from chione.freeprob import Measure
from chione.theory.spectra.jacobian_law import derivative_law


def _one_layer(phi, q):
    return ch.jacobian_spectrum(phi, depth=1, q_star=q, weights="orthogonal")


@pytest.mark.parametrize(("phi", "q"), [("selu", 1270.0), ("selu", 3.0), ("hardswish", 3.0)])
def test_an_atom_inside_the_continuous_part_parts_it(phi, q):
    s = _one_layer(phi, q)
    inside = [(a, m) for a, m in s.solver.atoms if np.isfinite(a)]
    ((place, mass),) = inside
    assert [b[1] for b in s.log_support[:-1]] == [place]
    assert [b[0] for b in s.log_support[1:]] == [place]
    upto = float(s.cdf_of_log(place).value)
    within = np.array([upto - 0.9 * mass, upto - 0.5 * mass, upto - 0.1 * mass])
    assert np.all(s.log_quantile(within).value == place)
    assert float(s.log_quantile(0.5 * (upto + 1.0)).value) > place or upto > 1.0 - 1e-9


@pytest.mark.parametrize(
    ("phi", "q"),
    [
        ("sin", 98.0),
        ("selu", 1270.0),
        ("softplus", 100.0),
        ("swish(3)", 0.4244),
        ("celu", 1e-05),
        ("x**2", 1.0),
        ("gelu", 1e-06),
        ("gelu", 30.0),
    ],
)
def test_the_curve_of_one_orthogonal_layer_holds_the_mass(phi, q):
    s = _one_layer(phi, q)
    c = s.curve()
    assert np.all(np.diff(c.log_lambda) > 0.0)
    assert np.all(np.diff(c.cdf) >= 0.0)
    atoms = sum(m for _, m in s.solver.atoms)
    zero = 1.0 - s.rank_fraction
    at_top = sum(m for a, m in s.solver.atoms if a > c.log_lambda[-1])
    assert c.cdf[0] - zero < 2e-3
    assert 1.0 - at_top - c.cdf[-1] < 2e-3
    area = np.trapezoid(c.density_of_log, c.log_lambda)
    assert area == pytest.approx(1.0 - atoms, abs=0.03)


@pytest.mark.parametrize("phi", ["gelu", "logsigmoid", "x**2"])
def test_one_orthogonal_layer_answers_however_far_out(phi):
    s = _one_layer(phi, 1.5)
    low, high = s.cdf_of_log([-1e5, 1e5]).value
    assert low < 1e-200
    assert high == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("phi", "q", "limit"),
    [
        ("x**2", 0.7, np.inf),
        ("sin", 1000.0, np.inf),
        ("gelu", 0.1, np.inf),
        ("gelu", 10000.0, np.inf),
        ("tanh", 0.7, 0.0),
        ("selu", 100000.0, 0.0),
        ("elu", 2.0, 0.0),
        ("relu", 1.0, 0.0),
    ],
)
def test_the_density_of_a_derivative_law_at_0_is_its_limit(phi, q, limit):
    law = derivative_law(phi, q)
    assert law.density(0.0) == limit
    near = law.density(np.array([1e-24, 1e-22]))
    if np.isinf(limit):  # like t^(-1/2) or faster
        assert near[0] >= 9.9 * near[1] > 0.0
    assert float(Measure(law).density(0.0).value) == limit


def test_unequal_widths_do_not_state_a_tail_that_was_not_followed_as_empty():
    s = ch.jacobian_spectrum(
        "gaussian", depth=3, q_star=2751.0, weights="orthogonal", widths=[500, 500, 700, 400]
    )
    c = s.curve()
    below = s.cdf_of_log(c.log_lambda[0] - 20.0)
    assert np.isnan(below.value) or abs(below.value - c.cdf[0]) < below.error + 0.2
    q = s.log_quantile([0.001, 0.9])
    assert np.isnan(q.value[0]) and np.isinf(q.error[0])
    met = s.cdf_of_log(q.value[1])
    assert abs(met.value - 0.9) <= met.error < 1e-5
