"""Simulated singular values: against many digits, plain loops, and the theory of the bulk."""

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.networks import MLP
from chione.simulation.graded_product import GradedProduct
from chione.simulation.hessian import network_hessian, sample_model_hessian
from chione.simulation.spectra import (
    jacobian_factors,
    log_singular_values,
    simulate_spectrum,
)
from chione.theory.spectra.jacobian import jacobian_spectrum


def exact_logs(factors, digits):
    with mp.workdps(digits):
        product = mp.matrix(factors[0].tolist())
        for a in factors[1:]:
            product = mp.matrix(a.tolist()) * product
        values = mp.eigsy(product * product.T, eigvals_only=True)
        return np.array(sorted((float(mp.log(v) / 2) for v in values), reverse=True))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_stabilised_products_have_small_singular_values_right_and_plain_ones_do_not(weights):
    network = MLP(activation("tanh"), 1.3, 0.1, depth=64, width=18, weights=weights)
    factors = list(jacobian_factors(network, seed=1))
    exact = exact_logs(factors, 240)
    assert np.max(abs(log_singular_values(factors, method="stabilised") - exact)) < 1e-9
    plain = log_singular_values(factors)
    assert abs(plain[0] - exact[0]) < 1e-12
    if weights == "gaussian":
        assert np.max(abs(plain - exact)) > 1.0


def test_logarithms_add_up_to_the_determinants_far_beyond_the_range_of_floats():
    network = MLP(activation("tanh"), 1.3, 0.1, depth=1500, width=17)
    factors = list(jacobian_factors(network, seed=2))
    found = log_singular_values(factors, method="stabilised")
    total = sum(np.linalg.slogdet(a)[1] for a in factors)
    assert found[-1] < -2000
    assert abs(found.sum() - total) < 1e-9 * abs(total)
    assert np.all(np.diff(found) <= 0)


def test_the_graded_form_multiplies_out_to_the_product():
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(s) for s in ((7, 5), (6, 7), (9, 6)))
    graded = GradedProduct.start(a).times(b).times(c)
    direct = c @ b @ a
    assert np.allclose(graded.u @ (np.exp(graded.d)[:, None] * graded.t), direct, rtol=1e-12)
    exact = np.log(np.linalg.svd(direct, compute_uv=False))
    assert np.allclose(graded.log_singular_values(), exact, atol=1e-12)


def test_exactly_zero_directions_stay_zero():
    network = MLP(activation("relu"), 1.4, 0.0, depth=3, width=30)
    sampled = simulate_spectrum(network, seed=3, method="stabilised")
    dead = np.isneginf(sampled.log_singular_values[0])
    assert 8 <= dead.sum() <= 28
    plain = simulate_spectrum(network, seed=3)
    assert np.allclose(plain.singular_values[0][~dead][:5], sampled.singular_values[0][~dead][:5])


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_zeros_behind_a_narrow_layer_are_exact_in_both_methods(name):
    network = MLP(activation(name), 1.4, 0.0, 4, width=(30, 9, 40, 35), input_width=25)
    runs = [simulate_spectrum(network, seed=3, method=m) for m in ("plain", "stabilised")]
    zeros = [np.isneginf(r.log_singular_values[0]) for r in runs]
    assert np.array_equal(*zeros)
    assert zeros[0].sum() == 25 - 9 if name == "tanh" else zeros[0].sum() >= 25 - 9
    for run in runs:
        assert np.all(run.errors[0][zeros[0]] == 0.0)
        assert not run.lost.any()
    known = ~zeros[0]
    assert np.allclose(*[r.log_singular_values[0][known] for r in runs], atol=1e-9)


def test_factors_are_the_derivative_of_the_network_at_its_input():
    network = MLP(activation("gelu"), 1.2, 0.3, depth=3, width=(11, 13, 7), input_width=9)
    x = np.random.default_rng(1).standard_normal(9)
    product = np.eye(9)
    for a in jacobian_factors(network, seed=5, x=x):
        product = a @ product
    sampled = simulate_spectrum(network, x=x, seed=5)
    assert sampled.log_singular_values.shape == (1, 7)
    exact = np.linalg.svd(product, compute_uv=False)
    assert np.allclose(sampled.singular_values[0], exact, rtol=1e-12)

    def forward(x):
        from chione.simulation.streams import Purpose, stream
        from chione.simulation.weights import dense_weights

        dense = network.matrices
        for i, layer in enumerate(dense):
            w = dense_weights(layer, stream(5, 0, i, Purpose.WEIGHTS))
            b = 0.3 * stream(5, 0, i, Purpose.BIASES).standard_normal(layer.fan_out)
            x = activation("gelu").value(w @ x + b)
        return x

    e = 1e-6 * np.eye(9)
    numeric = np.stack([(forward(x + v) - forward(x - v)) / 2e-6 for v in e], axis=1)
    assert np.allclose(product, numeric, atol=1e-8)


def test_plain_products_survive_depths_at_which_they_would_overflow():
    network = MLP(activation("linear"), 40.0, 0.0, depth=300, width=12)
    sampled = simulate_spectrum(network, seed=0, q_star=1.0)  # no signal that could overflow
    assert np.all(np.isfinite(sampled.log_singular_values))
    assert sampled.log_singular_values[0, 0] > 709 / 2


FAST = [
    ("tanh", "gaussian", 3), ("tanh", "orthogonal", 6), ("gelu", "orthogonal", 3),
    ("relu", "orthogonal", 2), ("linear", "gaussian", 2),
]  # fmt: skip
SLOW = [
    ("tanh", "gaussian", 2), ("tanh", "orthogonal", 16), ("erf", "gaussian", 4),
    ("erf", "orthogonal", 8), ("relu", "gaussian", 3), ("relu", "orthogonal", 4),
    ("hardtanh", "gaussian", 4), ("gelu", "gaussian", 2), ("silu", "orthogonal", 4),
    ("elu", "orthogonal", 3), ("softplus", "gaussian", 2), ("linear", "gaussian", 4),
    ("mish", "orthogonal", 1), ("hardswish", "orthogonal", 2),
]  # fmt: skip


def distance_on_quantiles(name, weights, depth, width, seed):
    """Kolmogorov-Smirnov distance with D on Gaussian quantiles, above the plain rounding."""
    s = jacobian_spectrum(name, q_star=0.7, depth=depth, weights=weights)
    network = MLP(activation(name), s.sigma_w, 0.0, depth, width, weights)
    sampled = simulate_spectrum(network, q_star=0.7, seed=seed)
    own = sampled.log_eigenvalues
    low = max(-50.0, own[own > -300.0][0])
    y = np.linspace(low, own[-1] + 0.1, 600)
    return sampled.ks_distance(y, s.solver.values(y).cdf)


@pytest.mark.parametrize(("name", "weights", "depth"), FAST)
def test_products_with_gaussian_quantiles_follow_the_bulk_law(name, weights, depth):
    assert distance_on_quantiles(name, weights, depth, 300, seed=1) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("name", "weights", "depth"), SLOW)
def test_wide_products_with_gaussian_quantiles_follow_the_bulk_law_closely(name, weights, depth):
    assert distance_on_quantiles(name, weights, depth, 1000, seed=2) < 0.01


@pytest.mark.parametrize(
    ("name", "weights", "depth"), [("tanh", "gaussian", 4), ("erf", "orthogonal", 8)]
)
def test_real_forward_passes_follow_within_the_noise_of_finite_width(name, weights, depth):
    # q fluctuates by sqrt(2 / N) in each layer and log lambda with it, sqrt(L) of them at random:
    # a shift of the distribution function of order sqrt(L / N).
    width = 300
    s = jacobian_spectrum(name, q_star=0.7, depth=depth, weights=weights)
    network = MLP(activation(name), s.sigma_w, s.sigma_b, depth, width, weights)
    x = np.random.default_rng(0).standard_normal(width)
    x *= np.sqrt((0.7 - s.sigma_b**2) / s.sigma_w**2 * width / (x @ x))
    sampled = simulate_spectrum(network, x=x, seed=6, n_networks=3)
    own = sampled.log_eigenvalues
    y = np.linspace(own[20], own[-1] + 0.1, 300)
    assert sampled.ks_distance(y, s.solver.values(y).cdf) < np.sqrt(depth / width)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_a_growing_activation_has_the_predicted_outlier_along_its_input(weights):
    q, width, depth, n = 0.5, 400, 4, 8
    s = jacobian_spectrum("silu", q_star=q, depth=depth, weights=weights)
    (outlier,) = s.outliers
    network = MLP(activation("silu"), s.sigma_w, s.sigma_b, depth, width, weights)
    x = np.random.default_rng(0).standard_normal(width)
    x *= np.sqrt((q - s.sigma_b**2) / s.sigma_w**2 * width / (x @ x))
    sampled = simulate_spectrum(network, x=x, seed=8, n_networks=n)
    top = 2 * sampled.log_singular_values[:, :2]
    noise = np.std(top, axis=0, ddof=1) / np.sqrt(n)
    # In a bulk without outlier the two largest values are N^(-2/3) apart, 0.02 here.
    assert np.mean(top[:, 0] - top[:, 1]) > 0.1
    assert abs(np.mean(top[:, 0]) - outlier.log_lambda) < 4 * noise[0]
    assert outlier.log_lambda > s.log_support[0][1] + 0.1
    assert jacobian_spectrum("tanh", q_star=q, depth=depth, weights=weights).outliers == ()


def test_model_hessian_has_the_moments_of_its_parts():
    ev = sample_model_hessian(ratio=0.5, energy=0.3, size=500, seed=0)
    assert abs(ev.mean() - 1.0) < 0.02
    assert abs(np.mean(ev**2) - (1.5 + 0.6)) < 0.08


def test_network_hessian_is_the_second_difference_of_the_loss():
    rng = np.random.default_rng(2)
    w1, w2 = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    phi = activation("tanh")
    found = network_hessian(phi, w1, w2, x, y)

    def loss(theta):
        a, b = theta[:12].reshape(4, 3), theta[12:].reshape(2, 4)
        return np.sum((np.tanh(x @ a.T) @ b.T - y) ** 2) / (2 * 6)

    theta = np.concatenate([w1.ravel(), w2.ravel()])
    h = 1e-4
    n = theta.size
    numeric = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            e, f = h * np.eye(n)[i], h * np.eye(n)[j]
            terms = loss(theta + e + f) - loss(theta + e - f)
            terms += loss(theta - e - f) - loss(theta - e + f)
            numeric[i, j] = terms / (4 * h * h)
    assert np.allclose(found.h0 + found.h1, numeric, atol=2e-6)
    assert np.all(np.linalg.eigvalsh(found.h0) > -1e-12)
    assert np.isclose(found.loss, loss(theta))
    assert found.ratio == 20 / 12
    assert 0.0 <= found.negative_fraction < 0.6


def test_bad_input_is_refused():
    network = MLP(activation("tanh"), 1.0, depth=2, width=5)
    with pytest.raises(ValueError, match="method must be one of plain, stabilised"):
        simulate_spectrum(network, method="exact")
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        simulate_spectrum(network, x=np.ones(4))
    with pytest.raises(ValueError, match="q_star must be above 0"):
        simulate_spectrum(network, q_star=0.0)
