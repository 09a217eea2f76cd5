"""Stieltjes transforms, samples, values at 0, and atoms alone, of Jacobian spectra."""

import numpy as np
import pytest

from chione import Status, jacobian_spectrum

Z = np.array([1.0 + 1.0j, 0.3 - 0.2j, -0.5, 3.0 + 0.01j, 1e-3 + 1e-4j, 50.0, 1e6 + 1e6j])


def test_one_linear_gaussian_layer_has_the_transform_of_marchenko_and_pastur():
    s = jacobian_spectrum("linear", depth=1, q_star=1.0)
    root = np.sqrt(Z * (Z - 4.0) + 0j)
    exact = 2.0 / np.where(abs(Z + root) > abs(Z - root), Z + root, Z - root)
    got = s.stieltjes(Z)
    assert np.all(abs(got.value - exact) <= got.error) and np.all(got.error < 1e-11 * abs(exact))


@pytest.mark.parametrize(
    ("name", "depth", "weights"),
    [
        ("tanh", 3, "gaussian"),
        ("hardtanh", 4, "orthogonal"),
        ("gelu", 2, "orthogonal"),
        ("relu", 2, "gaussian"),
        ("erf", 1, "orthogonal"),
        ("leaky_relu(0.1)", 1, "gaussian"),
    ],
)
def test_the_transform_is_that_of_the_density_and_of_the_samples(name, depth, weights):
    s = jacobian_spectrum(name, depth=depth, q_star=0.8, weights=weights)
    z = Z[:3]
    g = s.stieltjes(z).value
    p = (np.arange(4000) + 0.5) / 4000
    lam = s.quantile(p).value
    mean = np.mean(1.0 / (z[:, None] - lam), axis=1)
    assert np.allclose(g, mean, rtol=2e-3)
    h = 1e-5
    law = s.to_measure().law
    assert np.allclose(
        (law.stieltjes(z + h) - law.stieltjes(z - h)) / (2 * h),
        law.stieltjes_derivative(z),
        rtol=1e-6,
    )
    assert np.allclose((law.mean_log(z + h) - law.mean_log(z - h)) / (2 * h), g, rtol=1e-6)
    x = s.quantile([0.7, 0.9]).value
    assert np.allclose(law.cdf(x), 1.0 - law.mean_log(x + 0j).imag / np.pi, atol=1e-9)


def test_the_transform_of_a_simulated_product_is_that_of_the_law():
    rng, n = np.random.default_rng(5), 500
    s = jacobian_spectrum("tanh", depth=3, q_star=0.6)
    product = np.eye(n)
    for _ in range(3):
        slope = 1.0 / np.cosh(np.sqrt(0.6) * rng.standard_normal(n)) ** 2
        product = slope[:, None] * (rng.standard_normal((n, n)) * s.sigma_w / np.sqrt(n)) @ product
    lam = np.linalg.svd(product, compute_uv=False) ** 2
    z = np.array([0.5 + 0.5j, 2.0 + 1.0j, -0.3 + 0.1j])
    mean = np.mean(1.0 / (z[:, None] - lam), axis=1)
    assert np.allclose(s.stieltjes(z).value, mean, rtol=0.02)  # fluctuations are of the order 1/n


def test_samples_follow_the_distribution_function_atoms_included():
    s = jacobian_spectrum("hardtanh", depth=3, q_star=1.0, weights="orthogonal")
    x = np.sort(s.sample_log(20_000, seed=3))
    (_, zero), (place, mass) = s.solver.atoms
    assert np.mean(np.isneginf(x)) == pytest.approx(zero, abs=0.01)
    assert np.mean(x == place) == pytest.approx(mass, abs=0.005)
    inner = x[np.isfinite(x) & (x < place)]
    rank = np.searchsorted(x, inner, side="right") / x.size
    assert np.max(abs(s.cdf_of_log(inner).value - rank)) < 0.012  # 1.6 / sqrt(20,000)
    assert np.array_equal(s.sample(5, seed=1), np.exp(s.sample_log(5, seed=1)))


def test_values_at_zero_are_the_limits_from_above():
    linear = jacobian_spectrum("linear", depth=1, q_star=1.0)
    at = linear.singular_value_density(0.0)  # the quarter circle
    assert abs(at.value - 2.0 / np.pi) <= at.error < 1e-11
    assert linear.density(0.0).value == np.inf
    assert linear.density(0.0).status == Status.DIVERGENT
    deep = jacobian_spectrum("linear", depth=2, q_star=1.0)
    assert deep.singular_value_density([0.0]).value[0] == np.inf
    # silu at L = 1: s = sigma_w |phi'(h)|, and phi' crosses 0 once: the density of s at 0 is
    # 2 p(h) / (sigma_w |phi''(h)|) there, 2 because s is reached from both sides.
    silu = jacobian_spectrum("silu", depth=1, q_star=1.0, weights="orthogonal")
    h = -1.278464542761074  # 1 + h (1 - sigmoid(h)) = 0
    sigmoid = 1.0 / (1.0 + np.exp(-h))
    slope = sigmoid * (1.0 - sigmoid) * (2.0 + h * (1.0 - 2.0 * sigmoid))
    exact = 2.0 * np.exp(-h * h / 2.0) / np.sqrt(2.0 * np.pi) / abs(slope) / silu.sigma_w
    assert silu.singular_value_density(0.0).value == pytest.approx(exact, rel=1e-10)
    gap = jacobian_spectrum("relu", depth=1, q_star=1.0)  # nothing between the atom and the band
    assert gap.density(0.0).value == 0.0 and gap.singular_value_density(0.0).value == 0.0


def test_atoms_alone_say_so_wherever_a_density_is_asked_for():
    s = jacobian_spectrum("linear", depth=3, q_star=1.0, sigma_w=1.1, weights="orthogonal")
    c = s.curve()
    assert c.log_lambda.size == 0 and c.status == Status.UNDEFINED and "atoms" in c.sentence
    for estimate in (s.density(1.0), s.density_of_log(0.0), s.singular_value_density(0.5)):
        assert estimate.value == 0.0 and estimate.status == Status.UNDEFINED
    assert s.log_quantile(0.3).value == pytest.approx(6.0 * np.log(1.1))
    assert s.log_quantile(0.3).status == Status.OK


def test_the_stated_error_near_an_edge_is_that_of_the_slope_of_the_density():
    # Half an arcsine law on (0, 4): the density diverges at 4.
    s = jacobian_spectrum("relu", depth=2, q_star=1.0, weights="orthogonal")
    for distance in (1e-3, 1e-6, 1e-9, 1e-12, 1e-14):
        lam = 4.0 * (1.0 - distance)
        got = s.density(lam)
        exact = 0.5 / (np.pi * np.sqrt(lam * (4.0 - lam)))
        assert abs(got.value - exact) <= got.error
