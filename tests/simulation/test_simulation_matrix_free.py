"""The sampler without matrices draws from the law of explicit weights.

Rungs of the ladder: exact conditional identities (the transposed product must be consistent with
the forward one), Kolmogorov-Smirnov against dense networks, and closed forms of linear networks.
"""

import math

import numpy as np
import pytest
from scipy import stats

import chione
from chione.simulation.dense import DenseWeights
from chione.simulation.matrix_free import SampledWeights
from chione.simulation.observables import correlations, mean_products, ntk_term
from chione.simulation.passes import Pass

F64 = np.dtype(np.float64)
LAWS = ("gaussian", "orthogonal")


def network(law, widths, n0, sigma_b=0.3, activation="tanh"):
    phi = chione.activation(activation)
    return chione.MLP(phi, 1.7, sigma_b, len(widths), widths, law, n0)


def weights(net, kind):
    if kind == "dense":
        return DenseWeights(net, dtype=F64, memory=10**7)
    return SampledWeights(net, dtype=F64)


def inputs(kind, n0):
    pair = chione.simulation.correlated_inputs(n0, [[1.0, 0.5], [0.5, 1.0]], seed=3)
    if kind == "pair":
        return pair
    if kind == "opposite":  # rank one, and h_2 = -h_1 without biases
        return np.vstack([pair[0], -pair[0]])
    return np.vstack([pair, pair[0] - 2.0 * pair[1]])  # rank two of three


def statistics(net, kind, x, count, seed):
    """One row of numbers for each network: q, c, gradients, error products, NTK."""
    run = Pass(net, weights(net, kind), dtype=F64, keep=kind == "dense")
    rows = []
    for index in range(count):
        row, kernel = [], np.zeros((len(x), len(x)))
        for shot in run.forward(seed, index, x):
            row.append(mean_products(shot.h)[0, 0])
            row.append(correlations(shot.h)[0])
        for shot in run.backward():
            errors = mean_products(shot.delta)
            row += [errors[0, 0], errors[0, 1]]
            kernel += ntk_term(shot)
        rows.append([*row, kernel[0, 0], kernel[0, 1]])
    return np.array(rows)


@pytest.mark.parametrize(
    ("law", "widths", "n0", "x"),
    [
        ("gaussian", (9, 13, 7), 10, "pair"),
        ("gaussian", (3, 2, 4), 5, "dependent"),  # fewer units than inputs
        ("orthogonal", (9, 13, 8), 10, "pair"),
        ("orthogonal", (14, 12, 17), 12, "dependent"),
    ],
)
@pytest.mark.sampled(3)
def test_both_samplers_draw_from_one_law(law, widths, n0, x):
    net, data = network(law, widths, n0), inputs(x, n0)
    a = statistics(net, "sampled", data, 900, seed=11)
    b = statistics(net, "dense", data, 900, seed=12)
    p = np.array([stats.ks_2samp(u, v).pvalue for u, v in zip(a.T, b.T, strict=True)])
    assert len(p) == 14
    assert p.min() > 1e-3  # 14 comparisons; a wrong law ends below 1e-10 here


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("x", ["pair", "opposite", "dependent"])
def test_forward_and_transposed_products_belong_to_one_matrix(law, x):
    """<delta, W x> = <W^T delta, x> for every input and error: the exact part of the law."""
    net = network(law, (40, 57, 33), 45)
    sampled = weights(net, "sampled")
    sampled.start(7, 0)
    data = inputs(x, 45)
    rng = np.random.default_rng(1)
    for l, n in enumerate(net.widths[1:], start=1):
        h = sampled.forward(l, data)
        assert np.array_equal(h, sampled.again(l))
        delta = rng.standard_normal((len(data), n)) + 0.1 * h
        back = sampled.backward(l, delta, data)
        scale = np.linalg.norm(delta) * np.linalg.norm(h)
        assert np.abs(delta @ h.T - back @ data.T).max() < 1e-12 * scale
        data = np.tanh(h)


@pytest.mark.parametrize(("n_in", "n_out"), [(40, 40), (36, 52), (52, 36)])
def test_sampled_orthogonal_products_keep_lengths_as_an_isometry_does(n_in, n_out):
    net = network("orthogonal", (n_out,), n_in)
    sampled = weights(net, "sampled")
    sampled.start(3, 0)
    x = np.random.default_rng(2).standard_normal((3, n_in))
    h = sampled.forward(1, x)
    delta = np.random.default_rng(4).standard_normal((3, n_out))
    back = sampled.backward(1, delta, x)
    factor = 1.7**2 * max(n_in, n_out) / n_in
    if n_out >= n_in:
        assert np.allclose(h @ h.T, factor * x @ x.T, rtol=1e-12)
    else:
        assert np.all(np.linalg.eigvalsh(factor * x @ x.T - h @ h.T) > 0.0)
    if n_out <= n_in:
        assert np.allclose(back @ back.T, factor * delta @ delta.T, rtol=1e-12)


def test_inputs_that_differ_by_the_last_digits_keep_their_distance():
    """1 - c = 1e-14 between two inputs survives: no Gram matrix is formed on the way."""
    net = network("gaussian", (4000,), 3000, sigma_b=0.0)
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 3000))
    x = np.vstack([u, u + 1e-7 * v])
    sampled = weights(net, "sampled")
    sampled.start(0, 0)
    h = sampled.forward(1, x)
    moved = np.linalg.norm(h[1] - h[0]) / np.linalg.norm(1e-7 * v)
    expected = 1.7 * math.sqrt(4000 / 3000)
    assert abs(moved / expected - 1.0) < 5.0 / math.sqrt(2 * 4000)


@pytest.mark.parametrize("law", LAWS)
def test_no_unit_is_special_in_sampled_products(law):
    """Signals of unit 0 and of unit 5 have one law; frames with LAPACK's signs break it."""
    net, x = network(law, (17, 16), 18, sigma_b=0.0), inputs("pair", 18)
    sampled, rows = weights(net, "sampled"), []
    for index in range(800):
        sampled.start(21, index)
        h = sampled.forward(1, x)
        delta = np.ones((2, 17)) * [[1.0], [2.0]] + h
        back = sampled.backward(1, delta, x)
        rows.append([h[0, 0], h[0, 5], back[0, 0] - back[0, 1], back[0, 5] - back[0, 6]])
    units = np.array(rows).T
    assert stats.ks_2samp(units[0], units[1]).pvalue > 1e-3
    assert stats.ks_2samp(units[0], -units[0]).pvalue > 1e-3


def test_linear_networks_have_chi_squared_lengths():
    """One Gaussian layer, one input: N q / (sigma_w^2 q_0) is chi-squared with N degrees."""
    net = network("gaussian", (12,), 64, sigma_b=0.0, activation="linear")
    x = np.ones((1, 64))
    sampled = weights(net, "sampled")
    q = []
    for index in range(2000):
        sampled.start(5, index)
        q.append(float(np.sum(sampled.forward(1, x) ** 2)) / 1.7**2)
    assert stats.kstest(q, stats.chi2(12).cdf).pvalue > 1e-3


def test_signals_that_are_not_kept_come_back_the_same():
    net, x = network("gaussian", (30, 20, 25), 24), inputs("pair", 24)
    runs = [Pass(net, weights(net, "sampled"), dtype=F64, keep=keep) for keep in (True, False)]
    seen = []
    for run in runs:
        for _ in run.forward(9, 4, x):
            pass
        seen.append([(s.h, s.x_in, s.delta) for s in run.backward()])
    for kept, recalled in zip(*seen, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(kept, recalled, strict=True))


def test_other_laws_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"gaussian and orthogonal.*sampler='dense'"):
        chione.simulate(network("uniform", (30, 30), 30), sampler="matrix-free")


@pytest.mark.slow
def test_a_network_of_a_million_units_is_as_deterministic_as_its_width_promises():
    net = chione.MLP(chione.activation("relu"), math.sqrt(2.0), 0.0, depth=5, width=10**6)
    x = chione.simulation.correlated_inputs(10**6, 0.5 * np.eye(8) + 0.5, seed=1)
    run = chione.simulate(net, x, n_networks=1, memory=2**20)
    assert run.sampler == "matrix-free"
    # ReLU at sigma_w^2 = 2 keeps lengths and gradients; (2 + V) / N with V = 5 (l - 1)
    assert np.abs(run.mean["lengths"] / 2.0 - 1.0).max() < 5.0 * math.sqrt(22.0 / 10**6)
    assert np.abs(run.mean["gradients"] - 1.0).max() < 5.0 * math.sqrt(22.0 / 10**6)
