"""The theory of every layer kind against an oracle at 50 digits, values and errors."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from mp_walk import solve
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from chione import networks as cn
from chione.base import CostError, UnsupportedLayerError
from chione.networks import (
    Attention,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Gate,
    Input,
    Maxout,
    Network,
    Noise,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Recurrent,
    Repeat,
    Residual,
    Scale,
    Shape,
)
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.stream import entering, from_moments
from chione.theory.layers.walk import propagate
from chione.theory.moments.maximum import maximum

PAIR = ((1.0, 0.3), (0.3, 1.7))
TOKENS = ((1.0, 0.4, -0.1), (0.4, 0.8, 0.2), (-0.1, 0.2, 1.1))
NEAR = ((1, 1 - 1e-12), (1 - 1e-12, 1))
START = ((0.5, 0.2), (0.2, 0.3))
RELU, ERF = Nonlinearity("relu"), Nonlinearity("erf")
LEAKY = Nonlinearity("leaky_relu(0.25)")


def vectors(*layers, inputs=PAIR, width=8):
    return Network(layers, Input(width, (), inputs))


def tokens(*layers, inputs=PAIR, positions=TOKENS, width=8):
    return Network(layers, Input(width, (len(positions),), inputs, positions))


def pixels(*layers, n=6, inputs=PAIR):
    at = np.arange(n)
    gram = 0.6 ** np.abs(at[:, None] - at[None, :])
    return Network(layers, Input(4, (n,), inputs, gram.tolist()))


D = Dense(1.3, 0.2)
BRANCH = (RELU, Dense(1.1, 0.1))
CASES = {
    "dense": vectors(Dense(1.3, 0.2, 12), RELU, Dense(0.9, 0.0, 5)),
    "weight_norm": vectors(Dense(1.3, out=12, form="weight_norm"), ERF, Dense(1.1)),
    "spectral_norm": vectors(Dense(1.3, 0.1, 32, form="spectral_norm"), RELU, Dense(1.1)),
    "tokens": tokens(D, LEAKY, Dense(1.2, 0.1, 5), ERF, D),
    "layer norm": tokens(D, RELU, Norm("layer"), Dense(1.0, 0.1), ERF, D),
    "layer norm with eps, gain and bias": tokens(
        D, RELU, Norm("layer", gain=1.4, bias=0.3, eps=0.05), D, ERF, D
    ),
    "layer norm of Gaussians, then an activation": tokens(D, Norm("layer", gain=0.7), LEAKY, D),
    "rms norm": tokens(D, RELU, Norm("rms"), Dense(1.0, 0.1), ERF, D),
    "rms norm with eps": tokens(D, ERF, Norm("rms", eps=0.2, gain=2.0), D, RELU, D),
    "group norm": tokens(D, RELU, Norm("group", groups=2), D, ERF, D, width=64),
    "pre-activation residual": vectors(
        D, Repeat(3, [Residual(BRANCH, skip=0.9, scale=1.2)]), Dense(1.0)
    ),
    "projection shortcut": vectors(
        D, Residual([RELU, Dense(1.1, out=6)], shortcut=[Dense(0.7, out=6)]), RELU, D
    ),
    "pre-norm residual": tokens(
        Repeat(2, [Residual([Norm("layer"), Dense(1.4), RELU, Dense(0.8)])]), Norm("rms"), D
    ),
    "post-norm residual": tokens(Repeat(2, [Residual([Dense(1.4), RELU, Dense(0.8)]), Norm()]), D),
    "residual after an activation": vectors(D, RELU, Residual([Dense(0.8)]), Norm(), D),
    "sum of branches": vectors(D, Parallel([[D, RELU], [D, LEAKY], [Dense(0.5)]]), Norm(), D),
    "mean of branches": vectors(D, Parallel([[D, RELU, D], [D], []], "mean"), ERF, D),
    "product of branches": vectors(D, Parallel([[D, RELU], [Dense(0.8, 0.3)]], "product"), D),
    "dense net": vectors(
        D,
        Parallel([[], [RELU, Dense(1.2, out=5)]], "concat"),
        Parallel([[], [LEAKY, Dense(1.1, out=3)]], "concat"),
        RELU,
        Dense(0.8),
    ),
    "norm of a concatenation": vectors(
        D, Parallel([[RELU], [D, D]], "concat"), Norm("layer"), Dense(1.0, out=4), RELU, D
    ),
    "activated, normalised concatenation": vectors(
        D, Parallel([[], [RELU, Dense(1.7, out=3)]], "concat"), Norm("rms"), ERF, Dense(0.8)
    ),
    "dropout": tokens(D, RELU, Dropout(0.7), D, ERF, D),
    "dropout of positions": tokens(D, RELU, Dropout(0.7, "positions"), D, ERF, D),
    "one mask for all": tokens(D, RELU, Dropout(0.7, "all"), D, ERF, D),
    "dropout of equal inputs": vectors(D, RELU, Dropout(0.6), D, RELU, D, inputs=((1, 1), (1, 1))),
    "noise": tokens(D, Noise(0.4), RELU, Noise(0.2), D, ERF, D),
    "gate": tokens(D, Gate("relu", 12, 1.2, 0.9, 0.3), D),
    "bilinear gate": vectors(Gate("identity", 12, 1.2, 0.9), Norm("rms"), D, ERF, D),
    "maxout": tokens(D, Maxout(2, 1.1, 0.2, 5), D, RELU, D),
    "convolution, zeros": pixels(Repeat(2, [Convolution(3, 1.4, 0.1), RELU]), Convolution(1)),
    "convolution, circular": pixels(Repeat(2, [Convolution(3, 1.4, 0.1, padding="circular"), ERF])),
    "strided, dilated convolution": pixels(
        Convolution(3, 1.4, 0.1, 6, stride=2), RELU, Convolution(3, 1.2, dilation=2), LEAKY
    ),
    "even kernel": pixels(Convolution(4, 1.4, 0.1, stride=2, padding="circular"), RELU, D),
    "transposed convolution": pixels(Convolution(3, 1.4, 0.1, 6, stride=2, transposed=True), RELU),
    "delta-orthogonal": pixels(Convolution(3, 1.2, 0.2, weights="delta_orthogonal"), RELU, D),
    "depthwise, pointwise": pixels(Convolution(3, 1.2, depthwise=True), Norm(), D, RELU, D),
    "average pool": pixels(Convolution(3, 1.2), RELU, Pooling("average", 2), D, RELU, D),
    "overlapping average pool": pixels(D, Pooling("average", 3, 1), RELU, D),
    "global pool": pixels(Convolution(3, 1.2), ERF, Pooling(), Dense(1.0, 0.1, 3), RELU, D),
    "max pool": pixels(Convolution(3, 1.2), Pooling("max", 2), Convolution(3, 1.1), RELU, D),
    "overlapping max pool": pixels(Convolution(3, 1.2, 0.1), Pooling("max", 2, 1), D, ERF),
    "flatten": pixels(Convolution(3, 1.2), RELU, Flatten(), Dense(1.1, 0.1, 5), ERF, D),
    "learned positions": tokens(Position(sigma=0.5), RELU, D, Position(sigma=0.3), ERF, D),
    "sinusoidal positions": tokens(Position("sinusoidal", 0.8), Norm(), D, RELU, D),
    "waves on channels with a mean": tokens(D, RELU, Position("sinusoidal", 0.8), Norm("rms"), D),
    "rnn": tokens(
        D, RELU, Recurrent("rnn", 1.3, 0.9, 0.2, 5, "leaky_relu(0.25)", start=START), D, ERF, D
    ),
    "rnn, all states": tokens(
        Recurrent("rnn", 1.4, 0.8, 0.3, 12, "erf", sequence=True), D, RELU, Pooling(), D
    ),
    "rnn, two in a row": tokens(
        *(Recurrent("rnn", 1.1, 1.2, 0.1, 8, "abs", sequence=True, start=START),) * 2
    ),
    "rnn with fresh weights": tokens(
        D, Recurrent("rnn", 1.3, 0.9, 0.2, 5, "relu", True, tied=False, start=START), D, ERF, D
    ),
    "rnn with fresh weights, last state": tokens(
        Parallel([[RELU, D], [Dense(0.5, out=3)]], "concat"),
        Recurrent("rnn", 1.2, 1.1, 0.4, 5, "erf", tied=False),
    ),
    "rnn of nearly equal inputs": tokens(
        Recurrent("rnn", 1.3, 0.9, 0.2, 5, "relu", True), D, inputs=NEAR
    ),
    "attention, uniform": tokens(D, Attention(2, 3, sigma_k=0.0, sigma_b=0.3, out=6), ERF, D),
    "attention, causal": tokens(
        D, Attention(2, 4, sigma_q=0.0, sigma_v=1.3, mask="causal"), RELU, D
    ),
    "attention, padding": tokens(
        D, Attention(2, 4, 1.1, 0.0, sigma_o=0.8, sigma_b=0.2, visible=(2, 3)), RELU, D
    ),
    "attention, alibi": tokens(D, Attention(3, 4, sigma_q=0.0, mask="causal", alibi=True), ERF, D),
    "scale": vectors(D, Scale(-0.7), RELU, Scale(2.0), D),
    "nearly equal inputs": vectors(
        D, Repeat(4, [Residual(BRANCH)]), Norm(), RELU, D, inputs=((1, 1 - 1e-12), (1 - 1e-12, 1))
    ),
    "opposite inputs": vectors(D, LEAKY, D, ERF, D, inputs=((1.0, -0.999), (-0.999, 1.0))),
}


def differences(k):
    return [[k[i, i] + k[j, j] - 2 * k[i, j] for j in range(k.rows)] for i in range(k.rows)]


def check(found, wanted, n, what, slack=5e-12):
    """The stated error holds, and is 1e-12 a layer or less beside the matrix."""
    size = max(abs(wanted[i][j]) for i in range(n) for j in range(n))
    for i in range(n):
        for j in range(n):
            true = abs(mp.mpf(float(found.value[i, j])) - wanted[i][j])
            assert true <= found.error[i, j], (what, i, j, mp.nstr(true), found.error[i, j])
            assert found.error[i, j] <= slack * size, (what, i, j, found.error[i, j])


def entries(x):
    return [[x[i, j] for j in range(x.cols)] for i in range(x.rows)]


@mp.workdps(50)
def compare(network):
    states, grads = solve(network)
    walked = propagate(network)
    places = ["input", *(f"layers[{i}]" for i in range(len(network.layers)))]
    for place, state in zip(places, states, strict=True):
        stream, n = walked.streams[place], state.n
        k = state.mean(lambda g: g.k)
        check(stream.second_moments(), entries(k), n, (place, "K"))
        check(stream.d.at(stream.orbits.index), differences(k), n, (place, "D"))
        theta = stream.theta.at(stream.orbits.index)
        check(theta, entries(state.mean(lambda g: g.t)), n, (place, "Theta"))
        mean = state.mean(lambda g: g.m)
        for i in range(n):
            true = abs(mp.mpf(float(stream.mean.value[i])) - mean[i])
            assert true <= stream.mean.error[i] + 1e-300, (place, "mean", i)
    for grad, cotangent in zip(grads, ("independent", "shared"), strict=True):
        p = walked.backward(cotangent)["input"].second_moments()
        check(p, entries(grad), grad.rows, cotangent, slack=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_against_50_digits(name):
    compare(CASES[name])


def test_every_closed_kind_is_among_the_cases():
    def kinds(layers):
        for layer in layers:
            yield type(layer)
            for _, inside in layer.inner():
                yield from kinds(inside)

    met = {kind for network in CASES.values() for kind in kinds(network.layers)}
    assert met == set(cn.KINDS)


# ---- errors of what enters ----------------------------------------------------------------------

CARRIED = {
    **{
        phi: (Nonlinearity(phi), Dense(1.2), Nonlinearity(phi))
        for phi in ("relu", "tanh", "gelu", "erf", "abs", "sigmoid", "selu", "silu")
    },
    "hardtanh": (Nonlinearity("hardtanh"), Dense(1.2), Nonlinearity("softsign")),
    "norm": (Norm("layer"), Dense(1.2, 0.1), RELU, Norm("layer", eps=0.1)),
    "rms norm": (RELU, Norm("rms"), Dense(1.2, 0.1), ERF),
    "gate": (Gate("relu", 8, 1.1, 0.8), Dense(1.1), ERF),
    "maxout": (Maxout(2, 1.2), Norm(), Dense(1.1), Maxout(3, 1.1)),
    "residual": (Residual([RELU, Dense(1.1)]), Residual([ERF, Dense(0.7)])),
}


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.6, 1e-3])
@pytest.mark.parametrize("name", CARRIED)
def test_errors_of_what_enters_are_carried_along(name, gap):
    """Moments moved within their errors stay within those that leave, which are no idle ones."""
    rng = np.random.default_rng(11)
    size = 1e-5
    layers = CARRIED[name]
    gram = np.array([[1.3, 1.3 - gap], [1.3 - gap, 1.3 + 0.2 * gap]])
    first = from_moments(gram, Shape(8))
    apart = first.orbits.apart
    spread = Bounded(first.k.value, np.full(first.orbits.count, size))
    loose = first.with_(k=spread, d=Bounded(first.d.value, np.where(apart, 4 * size * gap, 0.0)))
    network = Network(layers, Input(8))
    walked = propagate(network, loose)
    wanted = outcome(walked)
    seen = {what: 0.0 * error for what, (_, error) in wanted.items()}
    for _ in range(40):
        q = np.diagonal(gram) + size * rng.choice([-1.0, 1.0], 2)
        # the distance moves by four errors of its own size at most, the lengths by theirs
        d = (gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]) + 4 * size * gap * rng.uniform(-1, 1)
        k = 0.5 * (q.sum() - d)
        if abs(k - gram[0, 1]) > size or d < (np.sqrt(q[0]) - np.sqrt(q[1])) ** 2:
            continue
        moved = outcome(
            propagate(network, from_moments(np.array([[q[0], k], [k, q[1]]]), Shape(8)))
        )
        for what, (value, error) in wanted.items():
            change = np.abs(moved[what][0] - value)
            assert np.all(change <= error + moved[what][1]), (what, change, error)
            seen[what] = np.maximum(seen[what], change)
    for what in ("K", "D"):
        assert np.max(wanted[what][1]) < 100 * np.max(seen[what]), what


def outcome(walked):
    """What leaves a walk, with its errors."""
    out = walked.output
    index = out.orbits.index
    p = walked.backward("shared")["input"].second_moments()
    named = {"K": out.k.at(index), "D": out.d.at(index), "P": p, "mean": out.mean}
    return {what: (x.value, x.error) for what, x in named.items()}


# ---- elementwise residuals: one activation, by direct integration --------------------------------


def integral(f, q):
    """E f(sqrt(q) z) at 30 digits."""
    with mp.workdps(30):
        s = mp.sqrt(q)
        return mp.quad(lambda z: f(s * z) * mp.npdf(z), [-14, -3, 0, 3, 14])


def test_a_branch_of_activations_alone_is_one_activation_with_its_shortcut():
    branch = Residual([Nonlinearity("tanh")], skip=0.8, scale=0.5)
    walked = propagate(vectors(branch, inputs=((1.3,),)))
    wanted = integral(lambda u: (0.8 * u + 0.5 * mp.tanh(u)) ** 2, 1.3)
    k = walked.output.k
    assert abs(k.value[0] - wanted) <= k.error[0] < 1e-12
    p = walked.backward()["input"].p
    slope = integral(lambda u: (0.8 + 0.5 * mp.sech(u) ** 2) ** 2, 1.3)
    assert abs(p.value[0] - slope) <= p.error[0] < 1e-11


def test_x_times_sigmoid_in_two_branches_is_silu():
    pair = Parallel([[], [Nonlinearity("sigmoid")]], "product")
    one = propagate(vectors(D, pair, D)).output
    two = propagate(vectors(D, Nonlinearity("silu"), D)).output
    for a, b in ((one.k, two.k), (one.d, two.d), (one.theta, two.theta)):
        assert np.all(np.abs(a.value - b.value) <= a.error + b.error)


def test_activations_in_a_row_inside_a_branch_are_composed():
    net = vectors(
        Residual([Nonlinearity("tanh"), Scale(3.0), Nonlinearity("relu")]), inputs=((0.7,),)
    )
    k = propagate(net).output.k
    wanted = integral(lambda u: (u + max(3 * mp.tanh(u), 0)) ** 2, 0.7)
    assert abs(k.value[0] - wanted) <= k.error[0] < 1e-11


# ---- the largest of several ---------------------------------------------------------------------


@mp.workdps(50)
def test_two_pieces_agree_with_their_closed_form():
    m = maximum(2)
    for angle in (1e-8, 1e-3, 0.3, 1.5, 3.0, np.pi):
        c = mp.cos(mp.mpf(angle))
        kernel = (c + 2 / mp.pi * (mp.sqrt(1 - c * c) + c * mp.asin(c))) / 2
        drop = float(m.drop(np.array(angle)))
        assert abs(drop - (1 - kernel)) <= m.error * drop + 1e-30
        assert abs(m.same_winner(np.array(angle)) - (1 - angle / mp.pi)) <= m.error


@pytest.mark.parametrize(("k", "mean"), [(3, 3 / (2 * np.sqrt(np.pi))), (5, None)])
def test_moments_of_the_largest_are_those_of_order_statistics(k, mean):
    m = maximum(k)
    with mp.workdps(30):
        density = lambda z: k * mp.npdf(z) * mp.ncdf(z) ** (k - 1)  # noqa: E731
        first, second = (mp.quad(lambda z, n=n: z**n * density(z), [-12, 0, 12]) for n in (1, 2))
    assert abs(m.mean - first) <= m.error
    assert abs(m.square - second) <= m.error
    assert mean is None or abs(m.mean - mean) <= m.error
    assert abs(m.same_winner(np.array(np.pi / 2)) - 1 / k) <= m.error  # independent copies


def test_the_kernel_of_the_largest_of_three_is_its_double_integral():
    """E max max' at c = 0.6, over the bivariate distribution of a pair (Hoeffding's identity)."""
    c, n = 0.6, 400
    x, w = np.polynomial.legendre.leggauss(n)
    x, w = 7.0 * x, 7.0 * w
    one = ndtr(x)
    pair = multivariate_normal([0, 0], [[1, c], [c, 1]])
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1)
    both = pair.cdf(grid.reshape(-1, 2)).reshape(n, n)
    covariance = w @ (both**3 - np.outer(one, one) ** 3) @ w
    m = maximum(3)
    kernel = m.square - float(m.drop(np.array(np.arccos(c))))
    assert abs(kernel - (covariance + m.mean**2)) < 1e-9


def test_maxout_of_three_keeps_its_errors_and_near_inputs():
    net = vectors(D, Maxout(3, 1.1, 0.2, 5), D, inputs=((1, 1 - 1e-10), (1 - 1e-10, 1)))
    out = propagate(net).output
    d0 = 2e-10 * 1.3**2
    h = propagate(vectors(D, Dense(1.1, 0.2))).output.k.value.max()
    assert h > 0
    slope = out.d.value.max() / (d0 * 1.1**2 * 1.3**2)
    assert abs(slope - 1.0) < 1e-4  # one winner for both: distances pass unchanged
    assert out.d.error.max() < 1e-9 * out.d.value.max()


# ---- what second moments do not determine -------------------------------------------------------

UNCLOSED = {
    "a norm after one mask for all channels": vectors(D, Dropout(0.5, "path"), Norm()),
    "an activation after such a mask and a matrix": vectors(D, Dropout(0.5, "path"), D, RELU),
    "a product of such a stream": vectors(D, Dropout(0.5, "path"), Parallel([[], [D]], "product")),
    "a group norm of such a stream": vectors(D, Dropout(0.5, "path"), Norm("group", groups=4)),
    "a norm of nothing": vectors(Dense(0.0), Norm()),
    "a group norm of single channels": vectors(Dense(out=8), Norm("group", groups=8)),
}


@pytest.mark.parametrize("name", UNCLOSED)
def test_what_does_not_close_is_refused_with_its_place(name):
    with pytest.raises(UnsupportedLayerError, match=r"layers\[\d\].*second moments do not"):
        propagate(UNCLOSED[name])


def test_the_place_of_an_unclosed_layer_inside_blocks_is_named():
    net = vectors(D, Repeat(2, [Residual([D, Dropout(0.5, "path"), Norm(), D])]))
    with pytest.raises(UnsupportedLayerError, match=r"layers\[1\]#0\.layers\[0\]\.branch\[2\]"):
        propagate(net)


# ---- classes of pairs ---------------------------------------------------------------------------


def test_classes_of_equal_pairs_change_no_digit():
    """Stationary inputs on a ring have few classes; slightly different ones have all of them."""
    layers = (Repeat(3, [Convolution(3, 1.4, 0.1, padding="circular"), RELU]), Pooling(), D)
    n = 8
    at = np.arange(n)
    lag = np.minimum((at[:, None] - at) % n, (at - at[:, None]) % n)
    gram = np.kron(np.array(PAIR), 0.5**lag)
    rng = np.random.default_rng(3)
    noise = rng.uniform(1.0, 2.0, size=gram.shape)
    merged = propagate(Network(layers, Input(4, (n,), PAIR, (0.5**lag).tolist())))
    apart = propagate(
        Network(layers, Input(4, (n,), PAIR)),
        from_moments(gram * (1 + 1e-15 * (noise + noise.T)), Shape(4, (n,))),
    )
    classes = [walked.streams["layers[0]"].orbits.count for walked in (merged, apart)]
    assert classes[0] < classes[1] / 5
    for place in merged.streams:
        a, b = (walked.streams[place].second_moments().value for walked in (merged, apart))
        assert np.allclose(a, b, rtol=1e-13)
    for cotangent in ("independent", "shared"):
        a, b = (w.backward(cotangent)["input"].second_moments().value for w in (merged, apart))
        assert np.allclose(a, b, rtol=1e-12, atol=1e-15)


def test_thousand_exchangeable_tokens_have_four_classes():
    net = Network([D, RELU, Norm(), D], Input(8, (1000,), ((1.0, 0.5), (0.5, 1.0)), 0.2))
    assert propagate(net).output.orbits.count == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"network": 3}, "network must be of type MLP or Network"),
        ({"network": CASES["dense"], "stream": 1j}, "stream must be of type Stream or None"),
        ({"network": CASES["dense"], "measured": 0.0}, "measured must be of type Mapping or None"),
    ],
)
def test_what_is_no_network_is_refused(arguments, said):
    with pytest.raises(TypeError, match=said):
        propagate(**arguments)


def test_networks_too_deep_to_walk_are_refused_before_they_are_unfolded():
    with pytest.raises(CostError, match="a walk over"):
        propagate(cn.MLP("tanh", 1.5, 0.1, depth=2**53, width=16))


# ---- symmetric inputs: classes that merge must agree in everything ------------------------------


def all_apart(stream):
    """The same stream with a class of its own for each pair of sites."""
    n = stream.orbits.sites
    i, j = np.triu_indices(n)
    index = np.zeros((n, n), dtype=np.intp)
    index[i, j] = index[j, i] = np.arange(len(i))
    orbits = Orbits(index)
    return stream.refined(orbits, stream.orbits.index[orbits.rows, orbits.columns])


def symmetric(network):
    """The same layers for two inputs of one length at exchangeable positions."""
    given = network.input
    return Network(network.layers, Input(given.width, given.grid, ((1.0, 0.3), (0.3, 1.0)), 0.2))


@pytest.mark.parametrize("name", CASES)
def test_merged_classes_give_what_separate_ones_give(name):
    network = symmetric(CASES[name])
    merged = propagate(network)
    apart = propagate(network, all_apart(entering(network.input)))
    for place, stream in merged.streams.items():
        other = apart.streams[place]
        for a, b in (
            (stream.second_moments(), other.second_moments()),
            (stream.theta.at(stream.orbits.index), other.theta.at(other.orbits.index)),
            (stream.d.at(stream.orbits.index), other.d.at(other.orbits.index)),
            (stream.mean, other.mean),
        ):
            assert np.all(np.abs(a.value - b.value) <= a.error + b.error + 1e-300), place
    for cotangent in ("independent", "shared"):
        found, wanted = (walk.backward(cotangent) for walk in (merged, apart))
        for place, gradient in found.items():
            a, b = gradient.second_moments(), wanted[place].second_moments()
            assert np.all(np.abs(a.value - b.value) <= a.error + b.error + 1e-300), place
