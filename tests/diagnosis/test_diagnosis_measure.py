"""Slopes measured on finite networks against closed forms, in units of their own errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chione.activations import activation
from chione.diagnosis.measure import Measured, depth_scale, measure_depth, measure_slopes
from chione.networks import MLP


def relu_network(sigma_w: float, sigma_b: float) -> tuple[MLP, float]:
    q_star = sigma_b**2 / (1.0 - sigma_w**2 / 2.0)
    return MLP(activation("relu"), sigma_w, sigma_b, 10, 150), q_star


def test_the_slopes_of_relu_are_half_of_sigma_w_squared():
    network, q_star = relu_network(1.2, 0.4)
    slopes = measure_slopes(network, q_star=q_star, c_star=1.0, n_networks=400, seed=1)
    for slope in (slopes.chi_parallel, slopes.chi_perp, slopes.correlation_slope):
        # five standard errors, and the 1/N by which a finite network differs
        assert abs(slope.value - 0.72) < 5 * slope.stderr + 3.0 / 150
        assert 0.002 < slope.stderr < 0.03


def test_the_slope_of_the_correlation_map_is_taken_at_c_star():
    # erf(h): E phi phi = (2/pi) asin(2 q c / (1 + 2 q)), so the slope in c is known at every c
    q, c, sigma_w = 1.3, 0.4, 1.7
    s = 2.0 * q / (1.0 + 2.0 * q)
    exact = sigma_w**2 * (2.0 / math.pi) * s / math.sqrt(1.0 - (s * c) ** 2) / q
    kernel = sigma_w**2 * (2.0 / math.pi) * math.asin(s)
    sigma_b = 0.2
    network = MLP(activation("erf"), sigma_w, sigma_b, 10, 150)
    slopes = measure_slopes(network, q_star=q, c_star=c, n_networks=400, seed=2)
    # q is no fixed point here, so layer 2 has mean square V(q): correlations are relative to it
    exact *= q / (kernel + sigma_b**2)
    measured = slopes.correlation_slope
    assert abs(measured.value - exact) < 5 * measured.stderr + 3.0 / 150


def test_the_standard_error_is_that_of_repeated_measurements():
    network, q_star = relu_network(1.2, 0.4)
    runs = [
        measure_slopes(network, q_star=q_star, c_star=1.0, n_networks=12, seed=10_000 * k)
        for k in range(40)
    ]
    spread = np.std([r.chi_perp.value for r in runs], ddof=1)
    stated = np.sqrt(np.mean([r.chi_perp.stderr**2 for r in runs]))
    assert 0.6 < stated / spread < 1.6  # both are known to about 12 %


@pytest.mark.parametrize(("sigma_w", "q_star"), [(0.0, 0.04), (0.5, 0.0), (0.5, math.nan)])
def test_nothing_is_measured_where_no_input_reaches_the_fixed_point(sigma_w, q_star):
    network = MLP(activation("tanh"), sigma_w, 0.2, 5, 50)
    assert measure_slopes(network, q_star=q_star, c_star=1.0, n_networks=2, seed=0) is None


def test_the_curves_have_a_read_out_on_top():
    network = MLP(activation("tanh"), 1.5, 0.1, 7, 40)
    run = measure_depth(network, n_networks=3, seed=0)
    assert run.mean["lengths"].shape == (8, 2)
    np.testing.assert_allclose(run.mean["gradients"][-1], 1.0, rtol=1e-12)


def test_a_depth_scale_is_measured_only_where_the_slope_differs_from_one():
    scale = depth_scale(Measured(0.8, 0.01))
    assert scale.value == pytest.approx(-1 / math.log(0.8))
    step = -1 / math.log(0.8001) - scale.value
    assert scale.stderr == pytest.approx(step / 1e-4 * 0.01, rel=1e-3)
    assert math.isnan(depth_scale(Measured(0.99, 0.02)).value)
    assert math.isnan(depth_scale(Measured(1.3, 0.01)).value)
