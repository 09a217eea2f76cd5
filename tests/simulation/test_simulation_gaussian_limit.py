"""Convergence to a Gaussian process: exact small cases, and the rate 1/n."""

import math

import numpy as np
import pytest

import chione
from chione.simulation import gaussian_limit, input_pair
from chione.simulation.gaussian_limit import _mmd2, _rate


def relu_kernel(depth):
    """Kernel of ReLU at sigma_w^2 = 2 for inputs of mean square 1 and correlation 1/2."""
    c = 0.5
    for _ in range(depth - 1):
        c = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
    return 2.0 * np.array([[1.0, c], [c, 1.0]])


def test_kurtosis_and_mmd_of_relu_networks_fall_like_one_over_the_width():
    network = chione.MLP(chione.activation("relu"), math.sqrt(2.0), 0.0, 3, 10, input_width=20)
    limit = gaussian_limit(
        network, input_pair(20), kernel=relu_kernel(3), widths=(8, 16, 32, 64), n_networks=300
    )
    # two hidden layers: E q^2 / (E q)^2 = (1 + 5/n)^2, hence kurtosis 3 ((1 + 5/n)^2 - 1)
    exact = 3.0 * ((1.0 + 5.0 / limit.widths) ** 2 - 1.0)
    z = (limit.kurtosis - exact[:, None]) / limit.kurtosis_stderr
    assert np.all(np.abs(z) < 4.5)
    p, dp = limit.kurtosis_rate
    assert abs(p - 1.05) < 4.0 * dp + 0.1  # the square bends the line a little
    assert np.all(np.diff(limit.mmd2) < 0.0)
    assert 0.7 < limit.mmd_rate[0] < 1.3


def test_a_network_of_one_layer_is_gaussian_at_any_width():
    network = chione.MLP(chione.activation("tanh"), 1.3, 0.4, 1, 10, input_width=20)
    x = input_pair(20)
    k = 1.3**2 * np.array([[1.0, 0.5], [0.5, 1.0]]) + 0.4**2
    limit = gaussian_limit(network, x, kernel=k, widths=(8,), n_outputs=40, n_networks=500)
    assert np.all(np.abs(limit.kurtosis) < 4.5 * limit.kurtosis_stderr)
    assert np.all(np.abs(limit.mmd2) < 4.5 * limit.mmd2_stderr)
    assert all(math.isnan(r) for r in limit.kurtosis_rate)
    assert limit.to_dict()["kurtosis_rate"] == [None, None]
    wrong = gaussian_limit(network, x, kernel=1.2 * k, widths=(8,), n_outputs=40, n_networks=500)
    assert wrong.mmd2[0] > 5.0 * wrong.mmd2_stderr[0]  # a kernel 20 % off is seen


def test_mmd_is_unbiased_and_its_error_is_what_repetition_shows():
    rng = np.random.default_rng(1)
    target = np.array([0.02, -0.01, 0.0, 0.03])
    shift = np.array([0.05, 0.0, 0.02, 0.03])
    out = np.array([_mmd2(rng.standard_normal((80, 4)) * 0.2 + shift, target) for _ in range(600)])
    exact = np.sum((shift - target) ** 2) / 2
    assert abs(out[:, 0].mean() - exact) < 4.5 * out[:, 0].std() / math.sqrt(600)
    # the claim keeps the noise of the means inside d, so it is a little cautious
    assert 0.9 < np.sqrt(np.mean(out[:, 1] ** 2)) / out[:, 0].std() < 1.5


def test_rate_of_an_exact_power_law_is_its_exponent():
    n = np.array([8.0, 16.0, 64.0])
    p, dp = _rate(n, 3.0 * n**-1.5, 0.01 * n**-1.5)
    assert math.isclose(p, 1.5)
    assert dp > 0.0


def test_bad_input_is_refused():
    network = chione.MLP(chione.activation("tanh"), 1.3, 0.4, 2, 10)
    x = input_pair(10)
    with pytest.raises(ValueError, match=r"kernel must be the 2 x 2 covariance.*\(3, 3\)"):
        gaussian_limit(network, x, kernel=np.eye(3))
    with pytest.raises(ValueError, match="widths must be at least 1"):
        gaussian_limit(network, x, kernel=np.eye(2), widths=(0,))
    with pytest.raises(ValueError, match="n_networks must be at least 4"):
        gaussian_limit(network, x, kernel=np.eye(2), n_networks=3)
