"""Theory of attention layers beside attention in plain NumPy, and what rules must agree on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attention_networks import Given, measured

import chione.theory.layers.attention as rule
from chione.networks import (
    Attention,
    Dense,
    Input,
    Network,
    Shape,
)
from chione.theory.layers.stream import Gradient, from_moments
from chione.theory.layers.walk import propagate

HERE = Path(__file__).parent
PAIR = np.array([[1.0, 0.4], [0.4, 1.3]])
UNEVEN = np.array(
    [[1.0, 0.5, -0.2, 0.1], [0.5, 1.4, 0.3, 0.0], [-0.2, 0.3, 0.8, 0.2], [0.1, 0.0, 0.2, 1.1]]
)
EVEN = 0.8 * np.eye(4) + 0.2
OTHER = np.array([[1.2, 0.3, 0.0], [0.3, 0.9, -0.2], [0.0, -0.2, 1.0]])
APART = -np.abs(np.arange(4)[:, None] - np.arange(4))
CAUSAL = np.where(np.arange(4)[:, None] < np.arange(4), -np.inf, 0.0)
SEEN = np.where(np.arange(4) < np.array([2, 4])[:, None, None], 0.0, -np.inf)
SLOPES = 2.0 ** (-8.0 * np.arange(1, 9) / 8)[:, None, None, None]
STRONG = (1.5, 1.3, 1.1, 0.9)

CASES = {
    "any tokens": ({"sigma_b": 0.3}, UNEVEN, Given(16, 6, STRONG, 0.3)),
    "exchangeable tokens": ({"head_size": 16}, EVEN, Given(16, 16, (1.1, 1.2, 1.1, 0.9))),
    "exchangeable, small heads": ({"sigma_b": 0.2}, EVEN, Given(16, 6, STRONG, 0.2)),
    "causal": ({"mask": "causal"}, UNEVEN, Given(16, 6, STRONG, shift=CAUSAL[None, None])),
    "padding": ({"visible": (2, 4)}, EVEN, Given(16, 6, STRONG, shift=SEEN[None])),
    "padding, large heads": (
        {"visible": (2, 4)},
        EVEN,
        Given(8, 48, (0.9, 1.0, 1.1, 0.9), shift=SEEN[None]),
    ),
    "linear": (
        {"scale": "linear", "mask": "causal", "sigma_b": 0.3},
        UNEVEN,
        Given(16, 6, (0.5, 0.5, 1.1, 0.9), 0.3, shift=CAUSAL[None, None], divisor=6.0),
    ),
    "linear, large scores": (
        {"scale": "linear", "rope": 30.0},
        UNEVEN,
        Given(16, 6, STRONG, rope=30.0, divisor=6.0),
    ),
    "linear, exchangeable": (
        {"scale": "linear"},
        EVEN,
        Given(16, 6, (1.3, 1.2, 1.1, 0.9), divisor=6.0),
    ),
    "rotary": ({"rope": 20.0}, UNEVEN, Given(16, 6, STRONG, rope=20.0)),
    "normalised": ({"qk_norm": True, "sigma_b": 0.3}, UNEVEN, Given(16, 6, STRONG, 0.3, norm=True)),
    "normalised, exchangeable": (
        {"qk_norm": True, "head_size": 48},
        EVEN,
        Given(8, 48, (1.0, 1.0, 1.1, 0.9), norm=True),
    ),
    "grouped": ({"kv_heads": 8}, UNEVEN, Given(16, 6, STRONG, groups=8)),
    "alibi": ({"alibi": True, "heads": 8}, UNEVEN, Given(8, 6, STRONG, shift=SLOPES * APART)),
    "cross": ({"memory": "m", "sigma_b": 0.2}, UNEVEN, Given(16, 6, STRONG, 0.2)),
    "cross, exchangeable": (
        {"memory": "m", "head_size": 48},
        UNEVEN,
        Given(8, 48, (0.8, 1.0, 1.1, 0.9)),
    ),
}
NTK = ("any tokens", "exchangeable tokens", "normalised", "rotary", "cross", "causal", "linear")


def layer_of(fields, given):
    q, k, v, o = given.sigmas
    common = {"heads": given.heads, "head_size": given.size, "out": given.out}
    common |= {"sigma_q": q, "sigma_k": k, "sigma_v": v, "sigma_o": o}
    return Attention(**(common | fields))


def network_of(name):
    fields, positions, given = CASES[name]
    memory = {}
    if name.startswith("cross"):
        grid = 3
        gram = OTHER if name == "cross" else 0.7 * np.eye(3) + 0.3
        memory = {"m": Network((), Input(64, (grid,), PAIR.tolist(), gram.tolist()))}
    entering = Input(96, (4,), PAIR.tolist(), positions.tolist())
    return Network((layer_of(fields, given),), entering, memory)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(3)
def test_theory_is_the_limit_of_layers_in_plain_numpy(name):
    network = network_of(name)
    given = CASES[name][2]
    memory = network.memories["m"].input.second_moments() if network.memory else None
    ntk = name in NTK
    known = measured(given, network.input.second_moments(), memory, ntk=ntk)
    walked = propagate(network)
    found = {"K": walked.output.second_moments()}
    for short, cotangent in (("iid", "independent"), ("shared", "shared")):
        back = walked.backward(cotangent)
        found[f"{short} x"] = back["input"].second_moments()
        if memory is not None:
            found[f"{short} m"] = back["memory.m.input"].second_moments()
    if ntk:
        found["ntk"] = walked.output.theta.at(walked.output.orbits.index)
    for what, (mean, se) in known.items():
        theory = found[what]
        size = np.sqrt(np.outer(np.diagonal(theory.value), np.diagonal(theory.value)))
        gap = np.abs(theory.value - mean)
        assert np.all(gap <= 4.5 * se + theory.error + 0.02 * size), (what, theory.value, mean, se)
        # the means over all entries are much sharper
        total = np.abs(np.diagonal(theory.value).sum() / np.diagonal(mean).sum() - 1.0)
        spread = 4.0 * np.mean(np.diagonal(se)) / np.mean(np.diagonal(mean))
        assert total <= spread + 0.02, (what, total, spread)


# ---- closed rules beside sampled heads -----------------------------------------------------------


def sampled(network, monkeypatch, **options):
    """The same walk without the integrals."""
    with monkeypatch.context() as m:
        m.setattr(rule, "exchangeable", lambda *_: None)
        return propagate(network, **options)


@pytest.mark.parametrize(
    "layer",
    [
        Attention(4, 256, 1.4, 1.2, 1.1, 0.9, 0.3),
        Attention(4, 256, 1.4, 1.2, visible=(2, 5)),
        Attention(4, 256, 1.4, 1.2, qk_norm=True, sigma_b=0.4, out=16),
    ],
    ids=["plain", "padding", "normalised"],
)
@pytest.mark.sampled(2)
def test_integrals_are_the_limit_of_sampled_heads(layer, monkeypatch):
    """K, D, Theta and gradients, behind a layer that gives Theta; 256 channels are nearly all."""
    network = Network((Dense(1.2, 0.3), layer), Input(32, (5,), PAIR.tolist(), 0.2))
    exact, drawn = propagate(network), sampled(network, monkeypatch, heads=1500)
    assert not exact.sampled
    assert drawn.sampled == {"layers[1]": "sampled heads"}
    a, b = exact.output, drawn.output
    pairs = [
        (x.at(a.orbits.index), y.at(b.orbits.index))
        for x, y in ((a.k, b.k), (a.d, b.d), (a.theta, b.theta))
    ]
    for cotangent in ("independent", "shared"):
        one, two = (w.backward(cotangent)["input"].second_moments() for w in (exact, drawn))
        pairs.append((one, two))
    for x, y in pairs:
        size = np.max(np.abs(x.value))
        assert np.all(np.abs(x.value - y.value) <= 1.5 * y.error + x.error + 0.004 * size)
        assert np.all(y.error <= 0.06 * size)
        assert np.all(x.error <= 1e-8 * size)


@pytest.mark.parametrize(
    "layer",
    [
        Attention(4, 128, 1.1, 1.1, sigma_b=0.3, scale="linear", mask="causal"),
        Attention(4, 128, 1.1, 1.1, scale="linear", visible=(2, 4), alibi=True),
        Attention(4, 128, 1.1, 1.1, scale="linear", memory="m"),
    ],
    ids=["causal", "padding and alibi", "cross"],
)
def test_scores_over_d_are_what_sampled_heads_give(layer, monkeypatch):
    """To first order in their variance, which is below 0.05."""
    memory = {"m": Network((Dense(1.1),), Input(24, (3,), PAIR.tolist(), OTHER.tolist()))}
    memory = memory if layer.memory else {}
    entering = Input(32, (4,), PAIR.tolist(), UNEVEN.tolist())

    def moments(walked):
        out = walked.output
        yield from (x.at(out.orbits.index) for x in (out.k, out.d, out.theta))
        for cotangent in ("independent", "shared"):
            back = walked.backward(cotangent)
            yield from (g.second_moments() for place, g in back.items() if "input" in place)

    network = Network((Dense(1.0, 0.3), layer), entering, memory)
    rigid = Network((Dense(1.0, 0.3), replace(layer, sigma_k=0.0)), entering, memory)
    exact = propagate(network)
    assert not exact.sampled
    with monkeypatch.context() as m:
        m.setattr(rule, "small_scores", lambda *_: None)
        drawn = propagate(network, heads=2000)
    assert drawn.sampled
    for x, y, z in zip(*(moments(walk) for walk in (exact, drawn, propagate(rigid))), strict=True):
        assert np.all(np.abs(x.value - y.value) <= 1.5 * y.error + x.error)
        size = np.max(np.abs(x.value - z.value))
        assert np.max(np.abs(x.value - y.value)) <= 0.25 * size + np.median(y.error)
        assert np.max(x.error) < 0.12 * np.max(np.abs(x.value))


def test_scores_over_d_have_their_second_derivatives():
    """E f(s) = f(0) + half the sum of second differences of f along the scores' directions."""
    layer = Attention(4, 10**5, 1.2, 1.1, 0.9, 0.8, 0.3, scale="linear", mask="causal", memory=None)
    n, t, gram = 8, 4, np.kron(PAIR, UNEVEN)
    queries, keys = 1.44 * gram + 0.09, 1.21 * gram + 0.09
    values = 0.81 * gram + 0.09
    inside = np.kron(np.eye(2, dtype=bool), np.tril(np.ones((t, t), dtype=bool)))
    lam, vectors = np.linalg.eigh(np.kron(queries, keys))
    p = np.outer(np.arange(1.0, 9.0), np.arange(1.0, 9.0)) / 20.0 + np.eye(n)

    def weights(scores):
        e = np.where(inside, np.exp(scores), 0.0)
        return e / e.sum(axis=1, keepdims=True)

    def curvature(f):
        h, zero = 1e-3, f(weights(np.zeros((n, n))))
        total = np.zeros((n, n))
        for size, v in zip(lam, vectors.T, strict=True):
            step = h * v.reshape(n, n)
            total += size * (f(weights(step)) + f(weights(-step)) - 2.0 * zero) / h**2
        return zero, 0.5 * total

    walked = propagate(Network((layer,), Input(32, (t,), PAIR.tolist(), UNEVEN.tolist())))
    zero, first = curvature(lambda w: w @ values @ w.T)
    k = walked.output.second_moments()
    assert np.allclose(1e5 * (k.value - 0.09 - 0.64 * zero), 0.64 * first, atol=2e-3, rtol=2e-3)

    w = weights(np.zeros((n, n)))
    jacobians = [np.diag(row) - np.outer(row, row) for row in w]  # D_t
    zero, first = curvature(lambda w: w.T @ p @ w)
    through = np.zeros((n, n))
    for i, a in enumerate(jacobians):
        for j, b in enumerate(jacobians):
            through += 1.21 * p[i, j] * queries[i, j] * (a @ values @ b)
            through[i, j] += 1.44 * p[i, j] * np.trace(a @ values @ b @ keys)
    back = walked.pulled_back(Gradient.of(p))["input"].second_moments().value
    wanted = 0.64 * (0.81 * first + through)
    assert np.allclose(1e5 * (back - 0.64 * 0.81 * zero), wanted, atol=2e-3, rtol=2e-3)


def test_scores_over_d_of_exchangeable_tokens_are_those_of_any_tokens():
    """The integrals at v / d and the first order agree where both hold."""
    layer = Attention(4, 4000, 1.2, 1.1, 0.9, 0.8, 0.3, scale="linear")
    exact = propagate(Network((layer,), Input(32, (4,), PAIR.tolist(), 0.2)))
    gram = np.kron(PAIR, EVEN)
    other = gram + 1e-9 * np.kron(PAIR, UNEVEN)  # no longer exchangeable
    near = propagate(Network((layer,), Input(32, (4,))), from_moments(other, Shape(32, (4,))))
    rigid = propagate(Network((replace(layer, sigma_k=0.0),), Input(32, (4,), PAIR.tolist(), 0.2)))
    found = []
    for walked in (exact, near, rigid):
        back = walked.backward()["input"].second_moments().value
        found.append(np.stack([walked.output.second_moments().value, back]))
    moved = np.abs(found[0] - found[2]).max(axis=(1, 2))
    assert np.all(np.abs(found[0] - found[1]).max(axis=(1, 2)) < 0.01 * moved)


def test_scores_over_d_vanish_for_large_heads():
    entering = Input(32, (4,), PAIR.tolist(), UNEVEN.tolist())
    large = propagate(Network((Attention(2, 10**9, scale="linear"),), entering))
    rigid = propagate(Network((Attention(2, 4, sigma_k=0.0),), entering))
    for a, b in ((large.output.k, rigid.output.k), (large.output.theta, rigid.output.theta)):
        one, two = a.value[large.output.orbits.index], b.value[rigid.output.orbits.index]
        assert np.allclose(one, two, rtol=1e-8)


def test_inputs_that_are_nearly_one_stay_so_with_all_digits():
    """D of the same token of two inputs shrinks with their distance; equal inputs stay equal."""
    layer = Attention(4, 1024, 1.3, 1.1, 0.9, 1.2, 0.2)
    ratios = []
    for gap in (1e-4, 1e-8, 1e-12, 0.0):
        inputs = ((1.0, 1.0 - gap), (1.0 - gap, 1.0))
        out = propagate(Network((layer,), Input(32, (5,), inputs, 0.2))).output
        at = out.orbits.index[0, 5]
        d, error = float(out.d.value[at]), float(out.d.error[at])
        if gap == 0.0:
            assert d == 0.0
            continue
        exact = 1.0 - (1.0 - gap)  # what the inputs' matrix holds
        ratios.append(d / exact)
        assert error <= (1e-9 + 5e-15 / gap) * d  # rounding of distances between tokens
        assert abs(ratios[-1] - ratios[0]) <= error / exact + 1e-4 * ratios[0]


def test_a_pair_of_rows_has_the_distance_of_its_covariances():
    """D = K_tt + K_ss - 2 K_ts to rounding, where that loses nothing."""
    for layer in (Attention(4, 512, 1.3), Attention(4, 512, qk_norm=True), Attention(4, 6, 1.5)):
        out = propagate(Network((layer,), Input(32, (5,), PAIR.tolist(), 0.2))).output
        k, d = out.second_moments().value, out.d.at(out.orbits.index).value
        q = np.diagonal(k)
        assert np.allclose(d, q[:, None] + q - 2.0 * k, atol=3e-6 if layer.head_size == 6 else 1e-9)


def test_pairs_of_inputs_that_share_one_covariance_alone_are_told_apart():
    """Inputs 0, 1 and 0, 2 have one covariance at a token, but not between tokens."""
    n, tokens = 3, 4
    same = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.4], [0.5, 0.4, 1.0]])
    other = np.array([[0.3, 0.1, 0.25], [0.1, 0.3, 0.2], [0.25, 0.2, 0.3]])
    gram = np.kron(other, np.ones((tokens, tokens))) + np.kron(same - other, np.eye(tokens))
    layer, shape = Attention(4, 512, 1.2), Shape(32, (tokens,))
    network = Network((layer,), Input(32, (tokens,), np.eye(n).tolist()))
    merged = propagate(network, from_moments(gram, shape)).output.second_moments().value
    for pair in ((0, 1), (0, 2)):
        inputs = np.array(pair)
        at = (inputs[:, None] * tokens + np.arange(tokens)).ravel()
        alone = Network((layer,), Input(32, (tokens,), np.eye(2).tolist()))
        found = propagate(alone, from_moments(gram[np.ix_(at, at)], shape)).output
        assert np.allclose(merged[np.ix_(at, at)], found.second_moments().value, atol=1e-12)


def test_tokens_cost_the_same_whatever_their_number():
    out = propagate(Network((Attention(8, 64),), Input(512, (500,), PAIR.tolist(), 0.2))).output
    assert out.orbits.count == 6
    many = propagate(Network((Attention(8, 64),), Input(512, (1200,), ((1.0,),), 0.2))).output
    # beyond many tokens every weight is small: only what all tokens share is left
    assert abs(many.k.value[1] - 0.2) < 3e-3


# ---- values that others have ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "q", "c", "back"), [(1.0, 0.41486, 0.3475, 0.48577), (1.6, 0.6243, 0.3732, 1.6516)]
)
def test_six_tokens_have_the_values_that_were_simulated_before(sigma, q, c, back):
    layer = Attention(96, 100_000, sigma, sigma)
    walked = propagate(Network((layer,), Input(192, (6,), ((1.0,),), 0.2)))
    k = walked.output.second_moments().value
    p = walked.backward()["input"].second_moments().value
    for found, wanted in ((k[0, 0], q), (k[0, 1], c), (p[0, 0], back)):
        assert abs(found / wanted - 1.0) < 5e-4


def test_the_example_of_an_attention_layer_is_predicted():
    """64 heads of 32 in torch: K, gradients and tangent kernel within 4 errors and 2 %."""
    tokens = 0.8 * np.eye(6) + 0.2
    network = Network(
        (Attention(64, 32),), Input(256, (6,), ((1.0, 0.5), (0.5, 1.0)), tokens.tolist())
    )
    walked = propagate(network)
    theta = walked.output.theta.at(walked.output.orbits.index).value
    values = {"K": walked.output.second_moments().value}
    for name, cotangent in (("iid", "independent"), ("shared", "shared")):
        values[name] = walked.backward(cotangent)["input"].second_moments().value
    stored = [(t, t) for t in range(6)] + [(0, s) for s in range(1, 6)]
    stored += [(t, 6 + t) for t in range(6)] + [(0, 11)]
    at = tuple(np.array(stored).T)
    for run in json.loads((HERE / "reference.json").read_text())["attn_sqrt"]:
        for name, tap in (("K", "0:attention"), ("iid", "input"), ("shared", "input")):
            mean, se = (np.array(run[name][tap][key]) for key in ("mean", "se"))
            assert np.all(np.abs(values[name][at] - mean) <= 4.0 * se + 0.02 * np.abs(mean))
        mean, se = (np.array(run["ntk"]["ntk"][key]) for key in ("mean", "se"))
        found = np.array([theta[0, 0], theta[0, 6], theta[6, 6]])
        assert np.all(np.abs(found - mean) <= 4.0 * se + 0.01 * mean)
