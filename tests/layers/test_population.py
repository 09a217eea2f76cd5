"""Layers whose second moments do not close, by sampled channels, against exact values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpmath import mp

import chione as ch
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Gate,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Repeat,
    Residual,
    Scale,
)
from chione.theory.layers.inputs import from_inputs
from chione.theory.layers.walk import propagate

RELU, TANH = Nonlinearity("relu"), Nonlinearity("tanh")
ONE = Input(64, inputs=[[1.0]])
PAIR = Input(64, inputs=[[1.0, 0.4], [0.4, 1.5]])


def diagonal(stream_or_gradient):
    return np.diagonal(stream_or_gradient.second_moments().value)


def within(found, exact, tight):
    """The true error lies below the stated one, which is tight."""
    assert np.all(np.abs(found.value - exact) <= found.error), (found, exact)
    assert np.all(found.error <= tight * np.abs(exact)), (found, exact)


def gauss(dim, count=100):
    """Nodes (dim, N) and weights of N(0, 1) in several dimensions, by the trapezoidal rule."""
    x = np.linspace(-8.0, 8.0, count)
    w = np.exp(-0.5 * x**2)
    w = w / w.sum()
    grids = np.meshgrid(*[x] * dim, indexing="ij")
    weights = np.prod(np.meshgrid(*[w] * dim, indexing="ij"), axis=0)
    return [g.ravel() for g in grids], weights.ravel()


# ---- post-activation residual networks ----------------------------------------------------------


def lindley(steps, s):
    """A network whose channels are x' = max(0, x + g), g ~ N(0, s^2): reflected random walks."""
    block = Repeat(steps - 1, [Residual([Dense(0.0, s)]), RELU])
    return Network([Dense(0.0, s), RELU, block], ONE)


@pytest.mark.parametrize("steps", [2, 5, 12])
def test_a_post_activation_network_has_the_maxima_of_a_random_walk(steps):
    r"""Spitzer: E M^2 = n v / 2 + v / (2 pi) sum_{j + k <= n} 1 / sqrt(j k); Sparre Andersen: all
    of n sums are positive with probability binom(2 n, n) / 4^n; the maximum stands at n / 2."""
    s = 0.8
    found = ch.network_theory(lindley(steps, s))
    pairs = sum(1.0 / math.sqrt(j * k) for j in range(1, steps) for k in range(1, steps - j + 1))
    within(found.q[-1], s**2 * (steps / 2 + pairs / (2.0 * math.pi)), 0.02)
    mean = sum(s * math.sqrt(k / (2.0 * math.pi)) / k for k in range(1, steps + 1))
    within(found.mean[-1], mean, 0.02)
    within(found.gradient[found.index("layers[0]")], math.comb(2 * steps, steps) / 4**steps, 0.04)
    within(found.tangent[-1], s**2 * steps / 2, 0.02)
    assert set(found.rules) == {"closed", "population"}
    assert found.rules[found.index("layers[2]#0.layers[1]")] == "population"


def test_two_post_activation_blocks_are_their_integrals():
    a, b, w, s = 0.8, 0.7, 1.2, 0.3
    block = [Residual([Dense(w, s)], a, b), TANH]
    found = ch.network_theory(Network([Dense(1.3), TANH, *block, *block], ONE))
    (u, f, h), weight = gauss(3)

    def slope(x):
        return 1.0 - np.tanh(x) ** 2

    def mean(y):
        return float(weight @ y)

    u = 1.3 * u
    z = a * np.tanh(u) + b * math.sqrt(w**2 * mean(np.tanh(u) ** 2) + s**2) * f
    y = a * np.tanh(z) + b * math.sqrt(w**2 * mean(np.tanh(z) ** 2) + s**2) * h
    within(found.q[-1], mean(np.tanh(y) ** 2), 0.01)
    p_y = mean(slope(y) ** 2)
    at_z = a**2 * slope(y) ** 2 + b**2 * w**2 * p_y
    p_z = mean(slope(z) ** 2 * at_z)
    p_u = mean(slope(u) ** 2 * (a**2 * slope(z) ** 2 * at_z + b**2 * w**2 * p_z))
    for place, exact in (("layers[4]", p_y), ("layers[2]", p_z), ("layers[0]", p_u)):
        within(found.gradient[found.index(place)], exact, 0.03)
    # the tangent kernel of the three matrices, channel by channel
    of_u, k1, k2 = 1.69, w**2 * mean(np.tanh(u) ** 2) + s**2, w**2 * mean(np.tanh(z) ** 2) + s**2
    theta1 = mean(slope(u) ** 2) * of_u
    one = a**2 * slope(u) ** 2 * of_u + b**2 * (k1 + w**2 * theta1)
    theta2 = mean(slope(z) ** 2 * one)
    two = a**2 * slope(z) ** 2 * one + b**2 * (k2 + w**2 * theta2)
    within(found.tangent[-1], mean(slope(y) ** 2 * two), 0.02)


# ---- masks, products, maxima, norms -------------------------------------------------------------


def test_an_activation_after_dropout_is_a_mixture():
    keep = 0.7
    found = ch.network_theory(Network([Dense(1.3), Dropout(keep), TANH], PAIR))
    (x, y), weight = gauss(2, 400)
    u = 1.3 * x
    v = 1.3 * (0.4 * x + math.sqrt(1.5 - 0.16) * y)
    k = [keep * weight @ np.tanh(z / keep) ** 2 for z in (u, v)]
    within(found.q[-1], float(np.mean(k)), 0.01)
    pair = keep**2 * weight @ (np.tanh(u / keep) * np.tanh(v / keep))
    within(found.nngp[0, 1], float(pair), 0.03)
    slopes = [keep * weight @ (1.0 - np.tanh(z / keep) ** 2) ** 2 / keep**2 for z in (u, v)]
    within(found.gradient[1], float(np.mean(slopes)), 0.01)
    shared = propagate(Network([Dense(1.3), Dropout(keep, "all"), TANH], PAIR))
    pair = keep * weight @ (np.tanh(u / keep) * np.tanh(v / keep))
    out = shared.output.second_moments()
    assert abs(out.value[0, 1] - pair) <= out.error[0, 1] <= 0.03 * pair


def test_an_activation_after_a_gate_is_its_integral():
    gate = Gate("tanh", None, 1.1, 1.4)
    found = ch.network_theory(Network([gate, TANH], ONE))
    (u, v), weight = gauss(2, 800)
    u, v = 1.1 * u, 1.4 * v
    y = np.tanh(np.tanh(u) * v)
    within(found.q[-1], float(weight @ y**2), 0.01)
    back = (1.0 - y**2) ** 2
    to_u = weight @ (back * (v * (1.0 - np.tanh(u) ** 2)) ** 2)
    to_v = weight @ (back * np.tanh(u) ** 2)
    within(found.gradient[0], float(1.1**2 * to_u + 1.4**2 * to_v), 0.01)
    # weights of both halves and what lies below, of which there is nothing
    exact = weight @ (back * (1.1**2 * (v * (1.0 - np.tanh(u) ** 2)) ** 2 + 1.96 * np.tanh(u) ** 2))
    within(found.tangent[-1], float(exact), 0.02)


def test_the_largest_of_three_gaussians_has_known_moments():
    found = propagate(Network([Dense(), Pooling("max", 3)], Input(64, (3,), [[1.0]])))
    assert found.sampled == {"layers[1]": "population"}
    k, m = found.output.k, found.output.mean
    assert abs(k.value[0] - (1.0 + math.sqrt(3.0) / (2.0 * math.pi))) <= k.error[0] <= 0.03
    assert abs(m.value[0] - 1.5 / math.sqrt(math.pi)) <= m.error[0] <= 0.02
    p = found.backward()["layers[0]"].second_moments()
    assert np.all(np.abs(p.value - np.eye(3) / 3.0) <= p.error + 1e-12)
    assert np.trace(p.value) == pytest.approx(1.0, abs=1e-12)


def test_a_norm_of_eight_channels_is_a_sphere():
    """E g^2 = P (m - 2) / ((m - 3) q), and the mean sample correlation (Hotelling)."""
    m, c, q = 8, 0.4 / math.sqrt(1.5), 1.0
    net = Network([Dense(), Norm("group", groups=8)], PAIR)
    found = propagate(net)
    mp.dps = 30
    gammas = (mp.gamma(mp.mpf(m) / 2) / mp.gamma(mp.mpf(m - 1) / 2)) ** 2
    kernel = 2 / mp.mpf(m - 1) * gammas * c * mp.hyp2f1(0.5, 0.5, mp.mpf(m + 1) / 2, c**2)
    k = found.output.second_moments()
    assert np.allclose(np.diagonal(k.value), 1.0, atol=1e-12)
    assert abs(k.value[0, 1] - float(kernel)) <= k.error[0, 1] <= 0.03
    p = found.backward()["layers[0]"].second_moments()
    for i, length in enumerate((q, 1.5)):
        exact = (m - 2) / ((m - 3) * length)
        assert abs(p.value[i, i] - exact) <= p.error[i, i] <= 0.05 * exact
    # behind it a relu keeps half, forward and backward, since the sphere is symmetric
    through = propagate(Network([*net.layers, RELU], PAIR))
    assert np.allclose(diagonal(through.output), 0.5, rtol=0.02)
    half = through.backward()["layers[0]"].second_moments()
    assert abs(half.value[0, 0] - 0.6) <= half.error[0, 0] <= 0.03


@pytest.mark.parametrize(
    ("size", "factor", "error"), [(6, 2.003, 0.003), (16, 1.591, 0.003), (64, 1.496, 0.003)]
)
@pytest.mark.sampled(2)
def test_gradients_through_batch_norm_and_relu_grow_by_the_known_factor(size, factor, error):
    """Simulated values of the formula sheet, in the state that is centred over the batch."""
    layers = [Dense(math.sqrt(2.0)), Norm("batch"), RELU]
    gram = 0.3 + 0.7 * np.eye(size)
    found = propagate(Network([Repeat(6, layers), Dense()], Input(64, inputs=gram)))
    back = found.backward()
    traces = [np.trace(back[f"layers[0]#{k}"].second_moments().value) for k in range(6)]
    ratio = (traces[0] / traces[4]) ** 0.25
    assert abs(ratio - factor) < 2.0 * error
    assert diagonal(found.streams["layers[0]#5"]) == pytest.approx(0.5, abs=1e-3)


def test_a_depthwise_convolution_before_an_activation_against_plain_channels():
    """Channels drawn directly, a million of them, with the Jacobian written out."""
    rng = np.random.default_rng(5)
    sites, count, w, b = 4, 400_000, 1.3, 0.4
    gram = 0.3 + np.diag([0.7, 0.5, 0.9, 1.1])
    x = rng.multivariate_normal(np.zeros(sites), gram, size=count)
    taps = rng.normal(0.0, w / math.sqrt(3.0), (count, 3))
    hidden = np.maximum(x, 0.0)
    y = sum(taps[:, [k]] * np.roll(hidden, 1 - k, axis=1) for k in range(3))
    y = np.tanh(y + b * rng.standard_normal((count, 1)))
    g = (1.0 - y**2) * rng.choice([-1.0, 1.0], (count, sites))
    home = sum(taps[:, [k]] * np.roll(g, k - 1, axis=1) for k in range(3)) * (x > 0.0)
    given = Input(64, (4,), [[1.0]], gram)
    depthwise = Convolution(3, w, b, padding="circular", depthwise=True)
    found = propagate(Network([Dense(), RELU, depthwise, TANH], given))
    for theory, rows in ((found.output, y), (found.backward()["layers[0]"], home)):
        value, error = theory.second_moments()
        products = rows[:, :, None] * rows[:, None, :]
        se = products.std(axis=0) / math.sqrt(count)
        assert np.all(np.abs(value - products.mean(axis=0)) <= error + 4.0 * se)
        assert np.max(error) < 0.03 * value.max()


def test_an_activation_after_waves_is_a_mean_over_frequencies():
    width, sigma, n = 8, 0.9, 3
    given = Input(width, (n,), [[1.0]], 0.4)
    found = propagate(Network([Dense(0.7), Position("sinusoidal", sigma), TANH], given))
    (u,), weight = gauss(1, 400)
    speed = 10000.0 ** (-2.0 * np.arange(width // 2) / width)
    at = np.arange(n)[:, None] * speed
    waves = sigma * np.concatenate([np.sin(at), np.cos(at)], axis=1)
    y = np.tanh(0.7 * u + waves[:, :, None])
    k, m = found.output.second_moments(), found.output.mean
    exact = (y**2 @ weight).mean(axis=1)
    assert np.all(np.abs(np.diagonal(k.value) - exact) <= np.diagonal(k.error))
    assert np.all(np.diagonal(k.error) <= 0.01 * exact)
    assert np.all(np.abs(m.value - (y @ weight).mean(axis=1)) <= m.error)
    p = found.backward()["layers[0]"].second_moments()
    exact = ((1.0 - y**2) ** 2 @ weight).mean(axis=1)
    assert np.all(np.abs(np.diagonal(p.value) - exact) <= np.diagonal(p.error))


def test_a_norm_with_random_biases_between_two_activations_is_its_integral():
    g, b = 1.1, 0.6
    found = ch.network_theory(Network([Dense(1.3), RELU, Norm("layer", g, b), TANH], ONE))
    (u, eta), weight = gauss(2, 800)
    x = np.maximum(1.3 * u, 0.0)
    m, q = 1.3 / math.sqrt(2.0 * math.pi), 1.69 / 2.0
    s = math.sqrt(q - m**2)
    y = np.tanh(g * (x - m) / s + b * eta)
    within(found.q[-1], float(weight @ y**2), 0.01)
    through = (1.0 - y**2) ** 2 * (u > 0.0) * g**2 / s**2
    within(found.gradient[1], float(weight @ through), 0.01)
    trained = float(weight @ (through * 1.69 + (1.0 - y**2) ** 2 * b**2))
    within(found.tangent[-1], trained, 0.02)


def test_a_relu_keeps_half_of_a_batch_norm_and_of_its_tangent():
    gram = 0.3 + 0.7 * np.eye(6)
    normed = [Dense(1.2), Norm("batch", 1.1, 0.5)]
    before = propagate(Network(normed, Input(64, inputs=gram))).output
    after = propagate(Network([*normed, RELU], Input(64, inputs=gram))).output
    assert before.k.value[0] == pytest.approx(1.21 + 0.25, rel=1e-12)
    for one, two in ((before.k, after.k), (before.theta, after.theta)):
        assert abs(two.value[0] - 0.5 * one.value[0]) <= two.error[0] <= 0.05 * two.value[0]


def test_the_tangent_of_one_weight_a_channel_is_its_integral():
    w, b = 1.2, 0.7
    depthwise = Convolution(1, w, b, depthwise=True)
    found = ch.network_theory(Network([Dense(1.3), depthwise, TANH], Input(64, (1,), [[1.0]])))
    (x, taps, c), weight = gauss(3, 120)
    x, taps = 1.3 * x, w * taps
    y = np.tanh(taps * x + b * c)
    within(found.q[-1], float(weight @ y**2), 0.01)
    own = (1.0 - y**2) ** 2 * (taps**2 * 1.69 + w**2 * x**2 + b**2)
    within(found.tangent[-1], float(weight @ own), 0.02)


def test_a_stream_that_meets_groups_of_channels_gets_the_mean_of_their_gradients():
    def net(*sigmas):
        groups = Parallel([[Dense(0.0, s, out=64 // len(sigmas))] for s in sigmas], "concat")
        return Network([Dense(1.3), RELU, Parallel([[], [groups]]), TANH], ONE)

    mixed, *alone = (ch.network_theory(net(*s)) for s in ((2.0, 0.2), (2.0,), (0.2,)))
    exact = np.mean([x.gradient.value[1] for x in alone])
    assert abs(alone[0].gradient.value[1] / alone[1].gradient.value[1] - 1.0) > 0.1
    within(mixed.gradient[1], exact, 0.02)


# ---- terms that depend on the same weights -------------------------------------------------------


def test_a_stream_added_to_its_own_norm_is_a_multiple_of_it():
    q = 1.69
    joint = Network([Dense(1.3), Residual([Norm()], 0.7, -0.4), TANH, Dense()], ONE)
    alone = Network([Dense(1.3), Scale(0.7 - 0.4 / math.sqrt(q)), TANH, Dense()], ONE)
    found, exact = ch.network_theory(joint), ch.network_theory(alone)
    within(found.q[-1], exact.q.value[-1], 0.01)
    within(found.gradient[found.index("layers[0]")], exact.gradient.value[1], 0.01)
    within(found.tangent[-1], exact.tangent.value[-1], 0.01)


def test_gradients_of_dependent_terms_are_not_added_as_if_they_were_independent():
    net = Network([Dense(1.3), Residual([Norm()], 0.7, -0.4), Dense()], ONE)
    found = ch.network_theory(net)
    within(found.gradient[found.index("layers[0]")], (0.7 - 0.4 / 1.3) ** 2, 0.01)
    apart = Network([Dense(1.3), Parallel([[], [Norm()]], "mean"), Dense()], ONE)
    exact = 0.25 * (1.0 + 1.0 / 1.3) ** 2
    assert ch.network_theory(apart).gradient.value[1] == pytest.approx(exact, rel=1e-3)


def test_odd_maps_keep_a_mean_of_zero():
    """Channels come in pairs of opposite sign, so what is odd cancels."""
    net = Network([Dense(1.3), TANH, Residual([Dense()], 0.9), TANH], PAIR)
    found = propagate(net)
    assert found.sampled == {"layers[3]": "population"}
    m = found.output.mean
    assert np.max(np.abs(m.value)) < 1e-3 * math.sqrt(found.output.k.value[0])
    assert np.all(np.abs(m.value) <= m.error)


def test_a_stream_times_its_own_activation_is_one_function():
    """x * (rms norm of x) = x^2 / sqrt(q), whose moments are those of a squared Gaussian."""
    q = 1.69
    net = Network([Dense(1.3), Parallel([[], [Norm("rms")]], "product")], ONE)
    found = ch.network_theory(net)
    within(found.q[-1], 3.0 * q, 0.02)
    within(found.mean[-1], math.sqrt(q), 0.01)
    within(found.gradient[found.index("layers[0]")], 4.0, 0.01)


def test_a_branch_that_ends_in_a_batch_norm_keeps_its_dependence():
    """The gradient at such a branch depends on it, though the stream before it is Gaussian."""
    size, count = 5, 400_000
    rng = np.random.default_rng(2)
    gram = 0.3 + 0.7 * np.eye(size)
    net = Network([Residual([Dense(1.2), Norm("batch")]), RELU], Input(64, inputs=gram))
    x, h = (rng.multivariate_normal(np.zeros(size), f * gram, size=count) for f in (1.0, 1.44))
    centred = h - h.mean(axis=1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    y = centred / s
    g = (x + y > 0.0) * rng.standard_normal((count, 1))  # one cotangent for all
    home = (g - g.mean(axis=1, keepdims=True) - y * (g * y).mean(axis=1, keepdims=True)) / s
    value, error = propagate(net).backward("shared")["layers[0].branch[0]"].second_moments()
    products = home[:, :, None] * home[:, None, :]
    se = products.std(axis=0) / math.sqrt(count)
    assert np.all(np.abs(value - products.mean(axis=0)) <= error + 4.0 * se)
    assert np.max(error) < 0.05 * value.max()


# ---- inputs that are given ----------------------------------------------------------------------


def test_channels_that_are_given_are_the_population():
    x = np.random.default_rng(1).normal(0.3, 1.0, (3, 24))
    net = Network([TANH, Residual([Norm("batch")], 0.5), RELU, Dense()], Input(24))
    found = propagate(net, from_inputs(x[:, None, :], net.input.shape))
    y = np.tanh(x)
    places = {"layers[0]": y}
    centred = y - y.mean(axis=0)
    z = 0.5 * y + centred / np.sqrt((centred**2).mean(axis=0))
    places["layers[1]"], places["layers[2]"] = z, np.maximum(z, 0.0)
    for place, rows in places.items():
        k = found.streams[place].second_moments()
        exact = rows @ rows.T / 24
        assert np.allclose(k.value, exact, rtol=1e-12, atol=1e-14), place
        assert np.all(np.abs(k.value - exact) <= k.error + 1e-15)


def test_given_inputs_of_equal_products_are_told_apart():
    one = np.array([2.0, 0.0, 0.0, 0.0] * 2)
    x = np.stack([one, 0.5 + math.sqrt(0.75) * np.array([1.0, -1.0] * 4)])  # equal q and mean
    net = Network([Nonlinearity("sigmoid")], Input(8))
    found = propagate(net, from_inputs(x[:, None, :], net.input.shape)).output
    y = 1.0 / (1.0 + np.exp(-x))
    assert np.allclose(found.second_moments().value, y @ y.T / 8, rtol=1e-12)


# ---- seeds and errors ---------------------------------------------------------------------------


def test_a_seed_gives_the_same_numbers_and_another_one_agrees_within_the_errors():
    net = Network([Dense(1.2), RELU, Repeat(3, [Residual([Dense()]), TANH]), Dense()], PAIR)
    one, same, other = (ch.network_theory(net, seed=s) for s in (3, 3, 4))
    for name in ("q", "one_minus_c", "gradient", "tangent", "mean"):
        a, b, c = (getattr(x, name) for x in (one, same, other))
        assert np.array_equal(a.value, b.value)
        assert np.all(np.abs(a.value - c.value) <= a.error + c.error)
    assert not np.array_equal(one.q.value, other.q.value)
    walked = propagate(net, seed=3)
    first, again = (walked.backward("shared")["input"].p.value for _ in range(2))
    assert np.array_equal(first, again)


def test_close_inputs_keep_their_distance():
    """Differences are taken channel by channel: 1 - c = 1e-9 has all its digits that count."""
    gap = 1e-9
    net = Network(
        [Dense(1.2), RELU, Residual([Dense()]), RELU],
        Input(64, inputs=[[1, 1 - gap], [1 - gap, 1]]),
    )
    found, half = ch.network_theory(net), propagate(net)
    # half of the distance of u passes the first relu, and the branch adds as much again
    before = half.streams["layers[2]"].d
    assert before.value[1] == pytest.approx(2.0 * 1.44 * gap, rel=1e-3)
    # of f's part 3 / 4 passes the second, of x's the whole where u > 0 and x + f > 0
    passed = half.output.d
    u, f = np.meshgrid(np.linspace(1e-4, 9.0, 3000), np.linspace(-9.0, 9.0, 6001))
    dense = np.exp(-0.5 * (u**2 + f**2))
    both = 0.5 * dense[np.sqrt(0.5) * f + u > 0.0].sum() / dense.sum()
    exact = 1.44 * gap * ((both + 0.25) + 2.0 * both)
    assert abs(passed.value[1] - exact) <= passed.error[1] + 1e-3 * exact
    omc = found.one_minus_c
    assert omc.value[-1] > 0.0
    assert omc.error[-1] < 0.03 * omc.value[-1]
