"""Finite width: exact recursions of relu and linear, closed forms, small simulations by hand."""

import itertools
import math

import numpy as np
import pytest

from chione.activations import activation
from chione.base import ConvergenceError
from chione.networks import MLP
from chione.theory import finite_width, mean_square_variance, metric_covariance, trust
from chione.theory.depth.finite_width import relative_vertex


@pytest.mark.parametrize(("name", "rate", "haar"), [("relu", 5.0, 3.0), ("linear", 2.0, 0.0)])
def test_scale_invariant_vertices_grow_at_the_known_rates(name, rate, haar):
    w = math.sqrt(2.0) if name == "relu" else 1.0
    layers = np.arange(60)
    gaussian = finite_width(name, sigma_w=w, depth=60)
    assert np.all(np.abs(gaussian.relative_vertex - rate * layers) < 1e-11 * (1 + layers))
    k = gaussian.length.value[0]
    error = np.abs(gaussian.vertex.value - rate * layers * k**2)
    assert np.all(error <= gaussian.vertex.error + 1e-15)
    orthogonal = finite_width(name, sigma_w=w, depth=60, weights="orthogonal")
    assert np.all(np.abs(orthogonal.relative_vertex - (haar * layers - 2.0)) < 1e-11 * (1 + layers))


def test_leading_order_is_the_large_width_limit_of_the_exact_relu_recursion():
    # relu, Gaussian weights: E q'^2 given q is q^2 (1 + 5 / n) at any width
    width, depth = 10**6, 20
    exact = (1.0 + 2.0 / width) * (1.0 + 5.0 / width) ** np.arange(depth) - 1.0
    ours = finite_width("relu", sigma_w=math.sqrt(2.0), depth=depth).variance(width)
    k = ours.value[0] * width / 2.0
    assert np.allclose(ours.value / k, exact, rtol=1e-4)


def test_the_vertex_of_tanh_fades_with_the_lengths_at_criticality():
    res = finite_width("tanh", sigma_w=1.0, depth=1500)
    layers = np.arange(1, 1501)
    assert abs(res.vertex.value[-1] * layers[-1] - 1.0 / 6.0) < 4e-3
    assert abs(res.relative_vertex[-1] / layers[-1] - 2.0 / 3.0) < 1e-2


def test_orthogonal_vertices_stay_bounded_at_k_zero():
    res = finite_width("tanh", sigma_w=1.0, depth=400, weights="orthogonal")
    assert np.all(np.abs(res.relative_vertex) <= 2.0)


def test_the_mean_correction_of_an_expansion_is_exact_for_a_cubic_moment():
    # phi = h^2: E phi^2 = 3 K^2, so the map is quadratic and E over K is exact with V''/2 = 3
    res = finite_width("quadratic", sigma_w=0.3, depth=4)
    k, v, g = res.length.value, res.vertex.value, res.mean_correction.value
    w2 = 0.09
    for i in range(3):
        assert (
            abs(g[i + 1] - (6 * w2 * k[i] * g[i] + 3 * w2 * v[i]))
            <= res.mean_correction.error[i + 1] + 1e-18
        )
        source = w2**2 * (105 - 9) * k[i] ** 4
        assert abs(v[i + 1] - ((6 * w2 * k[i]) ** 2 * v[i] + source)) <= res.vertex.error[i + 1]


def _sample(phi, widths, sigma_w, sigma_b, x, law, n_networks, seed):
    """Metrics (networks, layers, B, B) of plain dense networks."""
    rng = np.random.default_rng(seed)
    out = np.empty((n_networks, len(widths) - 1, len(x), len(x)))
    for r in range(n_networks):
        a = x.T
        for layer, (n, m) in enumerate(itertools.pairwise(widths)):
            w = rng.normal(size=(m, n))
            if law == "orthogonal":  # square, so Haar by QR with the signs of R
                q, r_ = np.linalg.qr(w)
                w = q * np.sign(np.diag(r_)) * math.sqrt(n)
            h = sigma_w / math.sqrt(n) * w @ a + sigma_b * rng.normal(size=(m, 1))
            out[r, layer] = h.T @ h / m
            a = phi(h)
    return out


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_mean_and_variance_agree_with_networks_of_plain_numpy(law):
    # bias of order 1 / n is halved by width doubling: compare the extrapolation with the theory
    x, depth, n_networks = np.ones((1, 1)), 4, 6000
    found = {}
    for width in (16, 32):
        x = np.ones((1, width))
        q = _sample(np.tanh, [width] * (depth + 1), 1.4, 0.3, x, law, n_networks, 3)[..., 0, 0]
        m4 = ((q - q.mean(0)) ** 4).mean(0)
        spread = np.sqrt((m4 - q.var(0) ** 2) / n_networks)
        found[width] = (width * q.var(0), width * spread, q.mean(0), q.std(0) / n_networks**0.5)
    theory = finite_width("tanh", sigma_w=1.4, sigma_b=0.3, depth=depth, weights=law)
    limit = 2 * theory.length.value**2 + theory.vertex.value
    value = 2 * found[32][0] - found[16][0]
    error = np.hypot(2 * found[32][1], found[16][1])
    # what the extrapolation leaves is of order 1 / n^2
    rest = 4.0 * limit / 32**2 * np.arange(1, depth + 1)
    assert np.all(np.abs(value - limit) < 4 * error + rest)
    assert np.all(4 * error[1:] < 0.25 * limit[1:])
    shift = 32 * (found[32][2] - theory.length.value)
    assert np.all(np.abs(shift - theory.mean_correction.value) < 5 * 32 * found[32][3] + 0.15)


def test_unequal_widths_agree_with_networks_of_plain_numpy():
    widths = (40, 60, 30, 80)
    net = MLP(activation("tanh"), 1.3, 0.2, 3, widths[1:], input_width=widths[0])
    theory = mean_square_variance(net).value
    q = _sample(np.tanh, widths, 1.3, 0.2, np.ones((1, 40)), "gaussian", 8000, 5)[..., 0, 0]
    assert np.all(np.abs(q.var(0) / theory - 1.0) < 5 * math.sqrt(2 / 8000) + 0.06)


def test_equal_widths_are_a_case_of_unequal_ones():
    for law in ("gaussian", "orthogonal"):
        net = MLP(activation("gelu"), 1.4, 0.3, 6, 50, law)
        one = finite_width("gelu", sigma_w=1.4, sigma_b=0.3, depth=6, weights=law).variance(50)
        assert np.allclose(mean_square_variance(net).value, one.value, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_the_metric_of_two_inputs_contains_the_vertex_of_one(law):
    options = {"sigma_w": 1.3, "sigma_b": 0.2, "depth": 3, "weights": law}
    two = metric_covariance("tanh", q0=(1.0, 0.6), c0=0.4, **options)
    for entry, q0 in ((0, 1.0), (2, 0.6)):
        one = finite_width("tanh", q0=q0, **options).vertex
        ours = two.vertex.value[:, entry, entry]
        assert np.all(np.abs(ours - one.value) <= two.vertex.error[:, entry, entry] + one.error)


def test_the_metric_covariance_of_linear_networks_is_that_of_wishart_products():
    # phi = h: V' = V + K_ac K_bd + K_ad K_bc for sigma_w = 1, so V^l = (l - 1) Wick(K)
    res = metric_covariance("linear", sigma_w=1.0, depth=4, q0=(1.0, 2.0), c0=0.3)
    k11, k12, k22 = 1.0, 0.3 * math.sqrt(2.0), 2.0
    wick = np.array(
        [
            [2 * k11**2, 2 * k11 * k12, 2 * k12**2],
            [2 * k11 * k12, k11 * k22 + k12**2, 2 * k12 * k22],
            [2 * k12**2, 2 * k12 * k22, 2 * k22**2],
        ]
    )
    for layer in range(4):
        assert np.all(np.abs(res.vertex.value[layer] - layer * wick) < 1e-11)
    assert np.all(np.abs(res.covariance(10).value[3] - 4 * wick / 10) < 1e-11)


def test_the_metric_covariance_agrees_with_networks_of_plain_numpy():
    width, n_networks = 64, 6000
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(width, 2)))[0].T * math.sqrt(width)
    x = np.stack([basis[0], 0.4 * basis[0] + math.sqrt(1 - 0.16) * basis[1]])
    g = _sample(np.tanh, [width] * 4, 1.3, 0.2, x, "gaussian", n_networks, 4)[:, -1]
    entries = np.stack([g[:, 0, 0], g[:, 0, 1], g[:, 1, 1]], axis=1)
    measured = np.cov(entries.T)
    theory = metric_covariance("tanh", sigma_w=1.3, sigma_b=0.2, depth=3, c0=0.4)
    expected = theory.covariance(width).value[-1]
    noise = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / n_networks)
    assert np.all(np.abs(measured - expected) < 4.5 * noise + 0.08 * np.sqrt(noise**2 * n_networks))


def test_the_ratio_of_trust_is_that_of_the_relu():
    # V / (n K^2) = 5 l / n reaches a quarter at l / n = 1 / 20
    res = trust("relu", sigma_w=math.sqrt(2.0), depth=40, width=100)
    assert abs(res.ratio.value - 0.05) <= res.ratio.error <= 1e-9
    assert "do not hold" in res.sentence
    assert res.relative_spread.value == pytest.approx(math.sqrt((2 + 5 * 39) / 100), rel=1e-9)
    assert math.isinf(trust("linear", sigma_w=1.0, weights="orthogonal").ratio.value)


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_the_relative_vertex_alone_is_that_beside_the_correction(law):
    run = {"sigma_w": 1.4, "sigma_b": 0.3, "depth": 7, "weights": law, "q0": 1.9}
    alone = relative_vertex("tanh", **run)
    whole = finite_width("tanh", **run)
    assert alone.shape == (7,)
    assert np.array_equal(alone, whole.vertex.value / whole.length.value**2)


def test_infinite_moments_end_in_a_sentence():
    with pytest.raises(ConvergenceError, match="have no value at layer"):
        finite_width("exp(x**2)", sigma_w=1.0, depth=3)


def test_only_the_two_laws_with_a_vertex_are_accepted():
    with pytest.raises(ValueError, match="weights must be one of gaussian, orthogonal"):
        finite_width("relu", sigma_w=1.0, weights="uniform")
    with pytest.raises(ValueError, match="jumps"):
        metric_covariance("step", sigma_w=1.0)


def test_the_metrics_jacobian_is_the_slope_of_its_map():
    # finite differences of E phi(u1) phi(u2) in K_11 and K_22 at fixed K_12
    from chione.theory.depth.metric_covariance import _layer
    from chione.theory.moments.pair_kernels import kernel

    k, step = np.array([1.1, 0.5, 0.8]), 1e-4
    jacobian = _layer(activation("gelu"), k)[2]

    def middle(q1, q12, q2):
        return kernel("gelu", q1, q2, q12 / math.sqrt(q1 * q2)).value

    for entry in range(3):
        up, down = (middle(*(k + s * np.eye(3)[entry])) for s in (step, -step))
        assert abs((up - down) / (2 * step) - jacobian[1, entry]) < 1e-8
