"""Observables against plain loops over one small network, and against finite differences."""

import math

import numpy as np
import pytest

import chione
from chione.simulation.ensemble import NAMES
from chione.simulation.observables import angles, effective_rank, one_minus_correlations
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import dense_weights

WIDTHS, N0 = (7, 11, 5), 6
PHI = "gelu"


def net(sigma_b=0.4, activation=PHI):
    return chione.MLP(chione.activation(activation), 1.6, sigma_b, 3, WIDTHS, "gaussian", N0)


def plain_network(network, seed, index):
    """Weights and biases of network number `index`, as a plain list."""
    dense = network.matrices
    w = [dense_weights(d, stream(seed, index, l + 1, Purpose.WEIGHTS)) for l, d in enumerate(dense)]
    b = [
        network.sigma_b
        * stream(seed, index, l + 1, Purpose.BIASES).standard_normal(network.widths[l + 1])
        for l in range(network.depth)
    ]
    return w, b


def output(w, b, x, phi):
    for l, (weights, bias) in enumerate(zip(w, b, strict=True)):
        h = weights @ x + bias
        x = phi(h)
        if l == len(w) - 1:
            return h
    raise AssertionError


def all_preactivations(w, b, x, phi):
    out = []
    for weights, bias in zip(w, b, strict=True):
        out.append(weights @ x + bias)
        x = phi(out[-1])
    return out


@pytest.fixture(scope="module")
def one():
    """One network, its inputs, everything measured, and its explicit weights."""
    network = net()
    x = np.random.default_rng(1).standard_normal((3, N0))
    run = chione.simulate(network, x, n_networks=1, seed=8, observe=NAMES, sampler="dense")
    w, b = plain_network(network, 8, 0)
    return network, x, run, w, b


def test_forward_observables_equal_plain_loops(one):
    network, x, run, w, b = one
    assert run.pairs == ((0, 1), (0, 2), (1, 2))
    for a in range(3):
        for l, h in enumerate(all_preactivations(w, b, x[a], network.activation)):
            act = network.activation(h)
            assert math.isclose(run.mean["lengths"][l, a], np.mean(h**2), rel_tol=1e-12)
            assert math.isclose(
                run.mean["activation_lengths"][l, a], np.mean(act**2), rel_tol=1e-12
            )
            flat = np.mean(np.abs(network.activation.derivative(h)) < 0.05)
            assert run.mean["saturation"][l, a] == flat
    for k, (i, j) in enumerate(run.pairs):
        hi, hj = (all_preactivations(w, b, x[a], network.activation) for a in (i, j))
        for l, (u, v) in enumerate(zip(hi, hj, strict=True)):
            c = u @ v / math.sqrt((u @ u) * (v @ v))
            assert math.isclose(run.mean["correlations"][l, k], c, rel_tol=1e-12)
            assert math.isclose(run.mean["one_minus_correlations"][l, k], 1 - c, rel_tol=1e-10)
            assert math.isclose(run.mean["angles"][l, k], math.acos(c), rel_tol=1e-10)


def gradient_of(f, at, step=1e-6):
    """Central differences of a scalar function, entry by entry."""
    out = np.empty_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += step
        down[place] -= step
        out[place] = (f(up) - f(down)) / (2 * step)
    return out


def error_at_output(network, seed, index):
    e = stream(seed, index, network.depth, Purpose.ERROR).standard_normal(network.widths[-1])
    return e / math.sqrt(np.mean(e**2))


def replaced(items, index, item):
    return [item if k == index else old for k, old in enumerate(items)]


def test_gradients_and_kernel_equal_finite_differences_over_all_parameters(one):
    network, x, run, w, b = one
    e = error_at_output(network, 8, 0)
    phi = network.activation
    kernel = np.zeros((3, 3))
    for l in range(3):
        to_b, to_w = [], []
        for a in range(3):
            to_b.append(
                gradient_of(lambda v, a=a, l=l: e @ output(w, replaced(b, l, v), x[a], phi), b[l])
            )
            to_w.append(
                gradient_of(lambda m, a=a, l=l: e @ output(replaced(w, l, m), b, x[a], phi), w[l])
            )
            # a bias moves its pre-activation one to one: its gradient is the error signal
            assert math.isclose(run.mean["gradients"][l, a], np.mean(to_b[a] ** 2), rel_tol=1e-6)
            mean_square = np.mean(to_w[a] ** 2)
            assert math.isclose(run.mean["weight_gradients"][l, a], mean_square, rel_tol=1e-6)
        for k, (i, j) in enumerate(run.pairs):
            product = np.mean(to_b[i] * to_b[j])
            assert math.isclose(run.mean["error_products"][l, k], product, rel_tol=1e-5)
        # the kernel's parameters are standard normal: W = sigma_w omega / sqrt(n), b = sigma_b beta
        scale_w, scale_b = 1.6**2 / network.widths[l], 0.4**2
        for i in range(3):
            for j in range(3):
                kernel[i, j] += scale_w * np.sum(to_w[i] * to_w[j]) + scale_b * to_b[i] @ to_b[j]
    assert np.allclose(run.mean["ntk"], kernel / network.widths[-1], rtol=1e-6)


def test_fluctuations_and_vertex_equal_their_definition_over_stored_networks():
    network = net(activation="relu")
    x = np.random.default_rng(2).standard_normal((2, N0))
    names = ("fluctuations", "four_point", "lengths")
    run = chione.simulate(network, x, n_networks=60, seed=3, observe=names, sampler="dense")
    singles = []
    for index in range(60):
        w, b = plain_network(network, 3, index)
        h = [all_preactivations(w, b, row, network.activation) for row in x]
        singles.append([[np.mean(h[a][l] ** 2) for a in range(2)] for l in range(3)])
    q = np.array(singles)
    n = np.array(WIDTHS)[:, None]
    assert np.allclose(run.mean["lengths"], q.mean(axis=0), rtol=1e-12)
    assert np.allclose(run.stderr["lengths"], q.std(axis=0, ddof=1) / math.sqrt(60), rtol=1e-9)
    assert np.allclose(run.mean["fluctuations"], n * q.var(axis=0, ddof=1), rtol=1e-9)
    square_of_mean = q.mean(axis=0) ** 2 - q.var(axis=0, ddof=1) / 60
    assert np.allclose(run.mean["four_point"], n * q.var(axis=0, ddof=1) - 2 * square_of_mean)


def test_standard_errors_of_the_vertex_are_what_repetition_shows():
    network = chione.MLP(chione.activation("linear"), 1.0, 0.0, 3, 20, "gaussian", 20)
    x = np.ones((1, 20))
    runs = [
        chione.simulate(network, x, n_networks=150, seed=s, observe=("four_point", "fluctuations"))
        for s in range(60)
    ]
    for name in ("four_point", "fluctuations"):
        values = np.array([r.mean[name][:, 0] for r in runs])
        claims = np.array([r.stderr[name][:, 0] for r in runs])
        ratio = values.std(axis=0, ddof=1) / np.sqrt(np.mean(claims**2, axis=0))
        # 60 repeats of three layers; without the covariance of mean and variance it is 0.7
        assert 0.82 < np.mean(ratio) < 1.22
    exact = [0.0, 2.0, 4.0]  # V = 2 (l - 1) q^2 to leading order, at width 20 with 4/n beside it
    mean = np.mean([r.mean["four_point"][:, 0] for r in runs], axis=0)
    error = np.std([r.mean["four_point"][:, 0] for r in runs], axis=0, ddof=1) / math.sqrt(60)
    corrections = np.array([0.0, 4.0 / 20, 12.0 / 20 + 8.0 / 400])  # n ((1 + 2/n)^l - 1) - 2 l
    assert np.all(np.abs(mean - exact - corrections) < 4.5 * error)


def test_histograms_integrate_to_one_and_have_the_measured_mean_square():
    names = ("preactivation_histogram", "activation_histogram", "gradient_histogram")
    network = chione.MLP(chione.activation("tanh"), 1.5, 0.2, 4, 300)
    run = chione.simulate(
        network, n_networks=10, observe=(*names, "lengths", "activation_lengths", "gradients")
    )
    squares = {
        names[0]: run.mean["lengths"],
        names[1]: run.mean["activation_lengths"],
        names[2]: run.mean["gradients"],
    }
    for name in names:
        edges, density = run.edges[name], run.mean[name]
        assert edges.shape == (4, 102)
        assert density.shape == (4, 101)
        width = np.diff(edges, axis=1)
        middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
        assert np.all(np.abs(np.sum(density * width, axis=1) - 1.0) < 2e-3)
        second = np.sum(density * width * (middle**2 + width**2 / 12.0), axis=1)
        assert np.allclose(second, squares[name].mean(axis=1), rtol=0.03)


def test_angles_stay_accurate_where_the_cosine_rounds_to_one():
    for angle in (1e-9, 1e-5, 0.3, 1.5, math.pi - 1e-5, math.pi):
        u = np.array([[3.0, 0.0], [5.0 * math.cos(angle), 5.0 * math.sin(angle)]])
        assert math.isclose(angles(u)[0], angle, rel_tol=1e-9)
        assert math.isclose(
            one_minus_correlations(u)[0], 2 * math.sin(angle / 2) ** 2, rel_tol=1e-7
        )


def test_effective_rank_counts_orthogonal_directions():
    assert math.isclose(effective_rank(np.eye(5)[:3]), 3.0)
    assert math.isclose(effective_rank(np.ones((4, 6))), 1.0)
