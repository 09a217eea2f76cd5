"""Pairs of inputs through deep networks, against recursions in 60 and 80 digits."""

import math
import warnings

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.networks import MLP
from chione.theory import backward, kernel_diagonal, kernel_layers, nngp, ntk
from chione.theory.depth.pair_inputs import Block, Pairs
from chione.theory.depth.pair_layers import PairLayer, Scale

RNG = np.random.default_rng


def _erf(q1, q2, k):
    d = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / mp.pi * mp.asin(2 * k / mp.sqrt(d)), 4 / mp.pi / mp.sqrt(d - 4 * k * k)


def _relu(q1, q2, k):
    angle = mp.acos(min(mp.mpf(1), max(mp.mpf(-1), k / mp.sqrt(q1 * q2))))
    slope = (mp.pi - angle) / (2 * mp.pi)
    return mp.sqrt(q1 * q2) * mp.sin(angle) / (2 * mp.pi) + slope * k, slope


def _gelu(q1, q2, k):
    e = (1 + q1) * (1 + q2)
    d = e - k * k
    angle = mp.acos(-k / mp.sqrt(e))
    value = (k * angle + (q1 * q2 * d + k * k) / (e * mp.sqrt(d))) / (2 * mp.pi)
    rest = 1 / (1 + q1) + 1 / (1 + q2) + 1 / d
    return value, (angle + k / mp.sqrt(d) * rest) / (2 * mp.pi)


def _sin(q1, q2, k):
    scale = mp.exp(-(q1 + q2) / 2)
    return scale * mp.sinh(k), scale * mp.cosh(k)


LAYERS = {"erf": _erf, "relu": _relu, "gelu": _gelu, "sin": _sin}


def recursion(name, x, y, sigma_w, sigma_b, depth):
    """K_12, Theta_12, and the two K_11 of the last layer."""
    w2, b2 = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2
    x, y = ([mp.mpf(float(v)) for v in z] for z in (x, y))

    def first(a, b):
        return w2 * mp.fsum(s * t for s, t in zip(a, b, strict=True)) / len(a) + b2

    q1, k, q2 = first(x, x), first(x, y), first(y, y)
    theta = k
    for _ in range(depth - 1):
        value, slope = LAYERS[name](q1, q2, k)
        q1, q2 = (w2 * LAYERS[name](q, q, q)[0] + b2 for q in (q1, q2))
        k = w2 * value + b2
        theta = k + w2 * slope * theta
    return k, theta, q1, q2


def _holds(found, exact, i=0, j=1):
    true = abs(mp.mpf(float(found.value[i, j])) - exact)
    assert true <= found.error[i, j], (float(found.value[i, j]), float(true), found.error[i, j])


def test_nearly_equal_inputs_of_a_chaotic_network_keep_their_digits():
    x = RNG(1).standard_normal((2, 20))
    y = np.vstack([x[0], x[0] + 1e-4 * x[1], 1.7 * x[1]])
    net = MLP("erf", 3.0, 0.05, depth=20)
    k, t = nngp(net, y), ntk(net, y)
    with mp.workdps(60):
        for i in range(3):
            for j in range(3):
                exact = recursion("erf", y[i], y[j], 3.0, 0.05, 20)
                _holds(k, exact[0], i, j)
                _holds(t, exact[1], i, j)
    # and the bounds say so: the kernel of X[0] and its neighbour is 1.8e7
    assert t.error[0, 1] < 1e-11 * t.value[0, 1]
    assert k.error[0, 1] < 1e-12 * k.value[0, 1]
    assert t.error[0, 2] < 1e-10


@pytest.mark.parametrize("name", ["erf", "relu", "gelu", "sin"])
@pytest.mark.parametrize("depth", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sigma_w", [0.8, 1.5, 3.0])
def test_deep_kernels_of_all_kinds_of_pairs_hold_to_their_bounds(name, depth, sigma_w):
    if name == "gelu" and sigma_w == 3.0:
        return  # lengths leave float64 at depth 200
    rng = RNG(depth + int(10 * sigma_w))
    x = rng.standard_normal(6)
    z = rng.standard_normal(6)
    others = [x + 1e-9 * z, -x - 1e-6 * z, (1 + 1e-7) * x + 1e-12 * z, -1.5 * x - 1e-8 * z, 0.3 * z]
    inputs = np.vstack([x, *others])
    sigma_b = 0.0 if name == "relu" else 0.02
    net = MLP(name, sigma_w, sigma_b, depth)
    k, t = nngp(net, inputs), ntk(net, inputs)
    with mp.workdps(60 if sigma_w < 2.0 else 160):
        for j in range(1, 6):
            exact = recursion(name, inputs[0], inputs[j], sigma_w, sigma_b, depth)
            _holds(k, exact[0], 0, j)
            _holds(t, exact[1], 0, j)
            size = float(mp.sqrt(exact[2] * exact[3]))
            assert k.error[0, j] <= 1e-6 * size


@pytest.mark.parametrize("name", ["erf", "sin"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_equal_norms_use_no_table_where_chaos_is_steeper_than_it(name, sign):
    x = RNG(3).standard_normal(5)
    x = np.round(x * 64) / 64  # a permutation has exactly its norm
    y = np.vstack([x, sign * x[[1, 2, 3, 4, 0]], sign * x * (1 + 0.0)])
    near = sign * np.array([x[0], x[1], x[2], x[4], x[3]])
    y = np.vstack([y, near])
    net = MLP(name, 2.5, 0.0, 40)
    k, t = nngp(net, y), ntk(net, y)
    with mp.workdps(80):
        for j in (1, 2, 3):
            exact = recursion(name, y[0], y[j], 2.5, 0.0, 40)
            _holds(k, exact[0], 0, j)
            _holds(t, exact[1], 0, j)
            assert k.error[0, j] < 1e-9 * float(exact[2])


def test_opposite_inputs_of_a_rectifier_have_no_tangent_kernel_of_their_own():
    x = RNG(5).standard_normal((40, 7))
    net = MLP("relu", np.sqrt(2.0), depth=2)
    found = ntk(net, x, -x)
    # c = -1: neither E phi phi nor E phi' phi' is left
    assert np.all(np.abs(np.diag(found.value)) <= np.diag(found.error))
    assert np.diag(found.error).max() < 1e-13


def test_random_pairs_never_err_by_more_than_they_say():
    rng, worst, bounds = RNG(11), 0.0, []
    with mp.workdps(80), warnings.catch_warnings():
        warnings.simplefilter("error")
        for trial in range(30):
            name = list(LAYERS)[trial % 3]
            sigma_w, depth = 10 ** rng.uniform(-0.6, 0.45), int(rng.choice([2, 5, 20]))
            sigma_b = 0.0 if rng.random() < 0.3 else 10 ** rng.uniform(-3, 0.3)
            x, z = rng.standard_normal((2, 4)) * 10 ** rng.uniform(-2, 0.5)
            stretch = [1.0, 1 + 10 ** rng.uniform(-14, 0), 10 ** rng.uniform(-1, 1)][trial % 3]
            y = rng.choice([-1, 1]) * stretch * (x + 10 ** rng.uniform(-14, 0) * z)
            net, exact = MLP(name, sigma_w, sigma_b, depth), None
            exact = recursion(name, x, y, sigma_w, sigma_b, depth)
            for f, wanted in ((nngp, exact[0]), (ntk, exact[1])):
                found = f(net, np.vstack([x, y]))
                true = float(abs(mp.mpf(float(found.value[0, 1])) - wanted))
                worst = max(worst, true / found.error[0, 1])
            bounds.append(
                found.error[0, 1] / float(max(abs(exact[1]), mp.sqrt(exact[2] * exact[3])))
            )
    assert worst <= 1.0
    assert np.median(bounds) < 1e-11


@pytest.mark.parametrize("c0", [1.0 - 1e-12, 0.3, -1.0 + 1e-10])
def test_the_layers_of_a_pair_its_diagonal_and_its_gradients_are_one_recursion(c0):
    q0, sigma_w, sigma_b, depth = (0.7, 1.9), 1.8, 0.1, 12
    net = MLP("erf", sigma_w, sigma_b, depth, width=5)
    run, back = kernel_layers(net, q0=q0, c0=c0), backward(net, q0=q0, c0=c0)
    alone = kernel_diagonal(net, [q0[0]], with_ntk=True)
    with mp.workdps(60):
        w2, b2 = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2
        a, b = (w2 * mp.mpf(q) + b2 for q in q0)
        k = w2 * mp.mpf(c0) * mp.sqrt(mp.mpf(q0[0]) * mp.mpf(q0[1])) + b2
        theta, own, carried = k, a, mp.mpf(1)
        for layer in range(depth):
            for e, exact in (
                (run.nngp, [a, k, b]),
                (run.ntk, [own, theta, None]),
                (back.metric, [a, k, b]),
            ):
                for i, wanted in enumerate(exact):
                    if wanted is not None:
                        assert abs(mp.mpf(float(e.value[layer, i])) - wanted) <= e.error[layer, i]
            if layer + 1 == depth:
                break
            value, slope = _erf(a, b, k)
            alike = _erf(a, a, a)[1]
            carried *= w2 * slope
            a, b = (w2 * _erf(q, q, q)[0] + b2 for q in (a, b))
            k = w2 * value + b2
            theta, own = k + w2 * slope * theta, a + w2 * alike * own
        assert abs(mp.mpf(float(alone.value[0])) - own) <= alone.error[0]
        first = back.errors
        assert abs(mp.mpf(float(first.value[0, 1])) - carried) <= first.error[0, 1]
        assert first.error[0, 1] < 1e-10 * float(carried)


def test_smooth_activations_without_closed_forms_keep_the_digits_of_nearly_equal_inputs():
    x = RNG(8).standard_normal((2, 5))
    y = np.vstack([x[0], (1 + 1e-6) * x[0] + 1e-7 * x[1], -x[0] + 1e-8 * x[1]])
    # the error function as a plain formula, which no closed form is known for
    twin = activation("erf(x) + 0*x**2")
    assert twin.closed_forms.kernel is None
    for sigma_w in (0.6, 0.9):
        net = MLP(twin, sigma_w, 0.3, 6)
        k, t = nngp(net, y), ntk(net, y)
        with mp.workdps(60):
            for j in (1, 2):
                exact = recursion("erf", y[0], y[j], sigma_w, 0.3, 6)
                _holds(k, exact[0], 0, j)
                _holds(t, exact[1], 0, j)


def test_kernels_at_the_ends_of_float64_are_scaled_and_not_lost():
    x = np.array([[1.0, 2.0], [2.0, 0.5]])
    for name in ("relu", "tanh"):
        small = nngp(MLP(name, 1e-70, depth=2), x)
        plain = nngp(MLP(name, 1e-6, depth=2), x)
        # both networks are linear (or homogeneous): K scales with sigma_w^4
        ratio = small.value / plain.value / 1e-256
        assert np.all(np.abs(ratio - 1.0) < 1e-9)
    tiny = nngp(MLP("relu", 1.0, depth=2), 1e-160 * x)
    assert np.all(tiny.error > 0.0)
    assert np.allclose(nngp(MLP("relu", 1e160, depth=1), 1e-160 * x).value, x @ x.T / 2, rtol=1e-12)


@pytest.mark.parametrize("name", ["erf", "relu", "gelu", "sin", "tanh", "leaky_relu(0.2)"])
@pytest.mark.parametrize("gap", [1e-9, 1e-4, 0.3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_error_of_the_angle_or_of_a_length_goes_through_the_map_of_the_layer(name, gap, sign):
    act, scale, off = activation(name), Scale.of(1.4, 0.1), 1e-5

    def layer(q1, q2, gap, gap_error, error):
        sides = [(np.array([q]), np.array([error])) for q in (q1, q2)]
        ratio = np.array([[math.log(q1 / q2)]])
        parts = (gap, sign, gap_error, None, 2.0 * error)
        pairs = Pairs(*(ratio if x is None else np.array([[x]]) for x in parts))
        return PairLayer(act, scale, *sides).advance(pairs, Block(slice(0, 1)), True)

    q1, q2 = 0.8, 0.8 * (1 + 1e-3)
    told = layer(q1, q2, gap, off * gap, 0.0)
    moved = layer(q1, q2, gap * (1 + off), 0.0, 0.0)
    for now, then, bound in (
        (told.pairs.gap, moved.pairs.gap, told.pairs.gap_error),
        (told.value, moved.value, told.value_error),
        (told.slope, moved.slope, told.slope_error),
    ):
        change = abs(float(now[0, 0] - then[0, 0]))
        assert change <= 1.01 * bound[0, 0]
        assert bound[0, 0] <= 8.0 * change + 1e-12
    told = layer(q1, q2, gap, 0.0, off)
    for a, b in ((1 + off, 1.0), (1.0, 1 - off), (1 + off, 1 - off), (1 + off, 1 + off)):
        moved = layer(q1 * a, q2 * b, gap, 0.0, 0.0)
        assert abs(told.value - moved.value)[0, 0] <= 1.01 * told.value_error[0, 0]
        change = abs(told.pairs.gap - moved.pairs.gap)[0, 0]
        assert change <= 1.01 * told.pairs.gap_error[0, 0] + 1e-15
        ratio = abs(told.pairs.ratio - moved.pairs.ratio)[0, 0]
        assert ratio <= 1.01 * told.pairs.ratio_error[0, 0] + 1e-15
