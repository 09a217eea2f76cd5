"""Kernels of arrays: arc-cosine recursion in 30 digits, trapezoidal rules, plain networks."""

import math

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.base import ConvergenceError, CostError
from chione.networks import MLP
from chione.theory import kernel_diagonal, kernel_layers, nngp, ntk, process_kernel


def _inputs(n, d, seed=0, equal=False):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.sqrt(np.mean(x * x, axis=1))[:, None] if equal else x


def _relu_mp(k11, k12, k22, depth):
    """NNGP and NTK of relu at sigma_w^2 = 2, sigma_b = 0, from the arc-cosine formulas."""
    with mp.workdps(30):
        k = [mp.mpf(float(v)) for v in (k11, k12, k22)]
        k12, norm = k[1], mp.sqrt(k[0] * k[2])
        theta = k12
        for _ in range(depth - 1):
            angle = mp.acos(k12 / norm)
            slope = (mp.pi - angle) / mp.pi
            k12 = norm * (mp.sin(angle) + (mp.pi - angle) * mp.cos(angle)) / mp.pi
            theta = k12 + slope * theta
        return float(k12), float(theta)


def test_relu_at_depth_one_hundred_agrees_with_thirty_digits_at_any_norm():
    x = _inputs(5, 7)
    x = np.concatenate([x, x[:1] + 1e-7, -x[1:2]])
    net = MLP(activation("relu"), math.sqrt(2.0), depth=100)
    k, t = nngp(net, x), ntk(net, x)
    gram = 2.0 * x @ x.T / 7
    for i in range(len(x)):
        for j in range(len(x)):
            if i == j:
                wanted = gram[i, i], 100 * gram[i, i]
            elif (i, j) in ((0, 5), (5, 0)):
                continue  # so close that the product of the inputs cannot tell them apart
            else:
                wanted = _relu_mp(gram[i, i], gram[i, j], gram[j, j], 100)
            assert abs(k.value[i, j] - wanted[0]) <= min(k.error[i, j], 1e-11)
            assert abs(t.value[i, j] - wanted[1]) <= min(t.error[i, j], 1e-9)


def test_close_inputs_are_told_apart_by_their_difference():
    # relu at depth 2: 1 - c' = eps - 2 sqrt(2) / (3 pi) eps^(3/2) + ..., far below rounding of c
    x = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 2e-7]])
    eps = 0.5 * (2e-7) ** 2 / 2.0
    net = MLP(activation("relu"), math.sqrt(2.0), depth=2)
    t = ntk(net, x).value
    # Theta = K2 + (1 - angle / pi) K1, and angle = sqrt(2 eps)
    k1 = 2.0 * 2.0 / 3.0
    drop = (t[0, 0] * t[1, 1]) ** 0.5 - t[0, 1]
    assert drop == pytest.approx(k1 * math.sqrt(2 * eps) / math.pi, rel=1e-6)


def _trapezoid(phi, dphi, q1, q12, q2):
    """E phi phi and E phi' phi' by the trapezoidal rule: exact to rounding for analytic phi."""
    z = np.arange(-9.5, 9.5, 0.1)
    p = 0.1 * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    c = min(1.0, q12 / math.sqrt(q1 * q2))
    u = math.sqrt(q1) * z[:, None] + 0.0 * z
    v = math.sqrt(q2) * (c * z[:, None] + math.sqrt(1 - c * c) * z)
    return p @ (phi(u) * phi(v)) @ p, p @ (dphi(u) * dphi(v)) @ p


def _sech2(h):
    return 1.0 / np.cosh(h) ** 2


def _gelu(h):
    return 0.5 * h * (1.0 + np.vectorize(math.erf)(h / math.sqrt(2.0)))


def _gelu_slope(h):
    cdf = 0.5 * (1.0 + np.vectorize(math.erf)(h / math.sqrt(2.0)))
    return cdf + h * np.exp(-h * h / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(
    ("name", "phi", "dphi"), [("tanh", np.tanh, _sech2), ("gelu", _gelu, _gelu_slope)]
)
def test_smooth_activations_without_closed_form_agree_with_a_trapezoidal_recursion(
    name, phi, dphi, equal
):
    w2, b2, depth = 1.6, 0.09, 4
    x = _inputs(3, 5, 1, equal)
    net = MLP(activation(name), math.sqrt(w2), 0.3, depth)
    k, t = nngp(net, x), ntk(net, x)
    gram = w2 * x @ x.T / 5 + b2
    for i, j in ((0, 1), (1, 2), (2, 2)):
        a, m, b = gram[i, i], gram[i, j], gram[j, j]
        theta = m
        for _ in range(depth - 1):
            value, slope = _trapezoid(phi, dphi, a, m, b)
            ends = [_trapezoid(phi, dphi, q, q, q)[0] for q in (a, b)]
            a, m, b = (w2 * s + b2 for s in (ends[0], value, ends[1]))
            theta = m + w2 * slope * theta
        own = 2e-14 * abs(theta)  # sums of 190 products round here as well
        assert abs(k.value[i, j] - m) <= min(k.error[i, j], 1e-11) + own
        assert abs(t.value[i, j] - theta) <= min(t.error[i, j], 1e-11) + own


@pytest.mark.parametrize("c", [-0.9, 0.2, 0.97])
def test_hardtanh_agrees_with_thirty_digits_where_kinks_have_no_closed_form(c):
    x = np.array([[math.sqrt(2.0), 0.0], [c * math.sqrt(2.0), math.sqrt(2.0 * (1 - c * c))]])
    net = MLP(activation("hardtanh"), 1.3, 0.0, 2)
    q = 1.69
    with mp.workdps(30):
        s = mp.sqrt(q * (1 - mp.mpf(c) ** 2))

        def inner(m):
            # E clip(m + s z, -1, 1) from the integrals of the normal distribution
            a, b = (-1 - m) / s, (1 - m) / s
            middle = m * (mp.ncdf(b) - mp.ncdf(a)) + s * (mp.npdf(a) - mp.npdf(b))
            return middle - mp.ncdf(a) + 1 - mp.ncdf(b)

        def outer(u):
            return max(-1, min(1, u)) * inner(c * u) * mp.npdf(u, 0, mp.sqrt(q))

        wanted = q * float(mp.quad(outer, [-14, -6, -3, -1, 0, 1, 3, 6, 14]))
    found = nngp(net, x)
    assert abs(found.value[0, 1] - wanted) <= min(found.error[0, 1], 1e-11)


@pytest.mark.parametrize("name", ["tanh", "relu", "elu", "gelu", "sin"])
def test_a_pair_followed_through_its_layers_ends_at_the_compiled_kernel(name):
    x = _inputs(2, 4, 3, True)
    net = MLP(activation(name), 1.4, 0.2, 5)
    pair = kernel_layers(net, q0=(1.0, 1.0), c0=float(x[0] @ x[1] / 4))
    k, t = nngp(net, x), ntk(net, x)
    for ours, rows in ((k, pair.nngp), (t, pair.ntk)):
        gap = abs(ours.value[0, 1] - rows.value[-1, 1])
        assert gap <= ours.error[0, 1] + rows.error[-1, 1]
        assert abs(ours.value[0, 0] - rows.value[-1, 0]) <= ours.error[0, 0] + rows.error[-1, 0]


def test_kernels_are_symmetric_positive_and_consistent_between_blocks():
    x = _inputs(300, 6, 4, True)
    net = MLP(activation("tanh"), 1.5, 0.3, 6)
    for function in (nngp, ntk):
        full = function(net, x).value
        assert np.array_equal(full, full.T)
        assert np.linalg.eigvalsh(full).min() > -1e-9
        part = function(net, x[:7], x[200:]).value
        assert np.allclose(part, full[:7, 200:], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["tanh", "relu", "hardtanh"])
def test_the_diagonal_needs_no_matrix(name):
    x = _inputs(6, 5, 5)
    net = MLP(activation(name), 1.3, 0.0 if name == "relu" else 0.2, 3)
    q0 = np.mean(x * x, axis=1)
    for function, with_ntk in ((nngp, False), (ntk, True)):
        if name == "hardtanh":
            x, q0 = x[:3], q0[:3]
        full, ends = function(net, x), kernel_diagonal(net, q0, with_ntk=with_ntk)
        assert np.all(np.abs(np.diag(full.value) - ends.value) <= full.error[0, 0] + ends.error)


def test_the_tangent_kernel_is_what_gradients_of_a_wide_network_give():
    width, rng = 3000, np.random.default_rng(6)
    x = _inputs(2, 10, 7)
    sigma_w, sigma_b = 1.3, 0.4
    first, b1 = rng.normal(size=(width, 10)), rng.normal(size=width)
    last = rng.normal(size=width)
    h = sigma_w / math.sqrt(10) * x @ first.T + sigma_b * b1
    a, slope = np.tanh(h), _sech2(h)
    # gradients with respect to the standard normal parameters of both layers
    back = sigma_w / math.sqrt(width) * last * slope
    empirical = sigma_w**2 / width * a @ a.T + sigma_b**2
    empirical += (back @ back.T) * (sigma_w**2 / 10 * x @ x.T + sigma_b**2)
    theory = ntk(MLP(activation("tanh"), sigma_w, sigma_b, 2), x).value
    assert np.allclose(empirical, theory, rtol=8 / math.sqrt(width))


def test_chaotic_and_ordered_networks_keep_the_accuracy_of_their_layers():
    x = _inputs(3, 4, 8, True)
    for sigma_w in (0.7, 3.0):
        net = MLP(activation("erf"), sigma_w, 0.1, 30)
        pair = kernel_layers(net, c0=float(x[0] @ x[1] / 4))
        found = nngp(net, x)
        gap = abs(found.value[0, 1] - pair.nngp.value[-1, 1])
        assert gap <= found.error[0, 1] + pair.nngp.error[-1, 1]
        assert gap < 1e-12
        assert found.error[0, 1] < 1e-9  # thirty layers, each with the error of its map


def test_discontinuous_activations_have_a_covariance_and_no_tangent_kernel():
    x = _inputs(2, 3, 9, True)
    net = MLP(activation("sign"), 1.0, 0.0, 3)
    c = float(x[0] @ x[1] / 3)
    for _ in range(2):
        c = 2.0 / math.pi * math.asin(c)
    assert abs(nngp(net, x).value[0, 1] - c) < 1e-13
    with pytest.raises(ConvergenceError, match="infinite for equal inputs"):
        ntk(net, x)


def test_inputs_are_checked_at_the_door():
    net = MLP(activation("relu"), 1.0, depth=2)
    with pytest.raises(ValueError, match=r"equally many columns"):
        nngp(net, np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="one input in each row"):
        nngp(net, np.ones(3))
    with pytest.raises(ValueError, match="must be finite"):
        ntk(net, [[np.nan, 1.0]])


def test_zero_inputs_have_zero_kernel_without_biases():
    x = np.array([[0.0, 0.0], [1.0, 2.0]])
    found = nngp(MLP(activation("relu"), math.sqrt(2.0), depth=4), x).value
    assert np.all(found[0] == 0.0)
    assert found[1, 1] == pytest.approx(5.0)


def test_scikit_learn_accepts_the_kernel_as_its_own():
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    x = _inputs(25, 3, 10)
    y = np.sin(x[:, 0]) + x[:, 1]
    net = MLP(activation("relu"), math.sqrt(2.0), 0.0, 3)
    for kind, function in (("nngp", nngp), ("ntk", ntk)):
        kernel = process_kernel(net, kind)
        model = gaussian_process.GaussianProcessRegressor(kernel, alpha=1e-8).fit(x, y)
        new = _inputs(4, 3, 11)
        ours = function(net, new, x).value @ np.linalg.solve(
            function(net, x).value + 1e-8 * np.eye(25), y
        )
        mean, spread = model.predict(new, return_std=True)
        assert np.allclose(mean, ours, atol=1e-6)
        assert np.all(spread >= 0.0)
        assert "depth=3" in repr(kernel)


def test_close_inputs_of_equal_norm_agree_with_the_pair_through_its_layers():
    c = 1.0 - 1e-4  # below the distance at which the difference of the inputs is used
    x = math.sqrt(3.0) * np.array([[1.0, 0.0, 0.0], [c, math.sqrt(1.0 - c * c), 0.0]])
    net = MLP(activation("tanh"), 1.7, 0.4, 4)
    pair = kernel_layers(net, c0=c)
    for ours, rows in ((nngp(net, x), pair.nngp), (ntk(net, x), pair.ntk)):
        assert abs(ours.value[0, 1] - rows.value[-1, 1]) < 1e-11
        assert ours.value[0, 0] - ours.value[0, 1] > 1e-6


def test_kernels_that_would_take_hours_are_refused_before_they_begin():
    x = _inputs(200, 8)
    rough = activation(lambda h: np.abs(np.sin(20.0 * h)))
    with pytest.raises(CostError, match=r"Double integrals for 20100 entries in 18 layers"):
        ntk(MLP(rough, 2.5, 0.2, 20), x)
    with pytest.raises(CostError, match="at depth 1000000000 would take"):
        nngp(MLP("relu", 1.0, depth=10**9), x)
