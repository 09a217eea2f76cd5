"""Theory of attention layers beside attention in plain NumPy, and what rules must agree on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from attention_networks import Given, measured

import chione.theory.layers.attention as rule
from chione.base import CostError
from chione.networks import Attention, Dense, Input, Network, Nonlinearity, Norm, Residual
from chione.simulation import simulate_network
from chione.theory import network_theory
from chione.theory.layers.stream import Gradient
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
NTK = ("any tokens", "exchangeable tokens", "normalised", "rotary", "cross", "causal")


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


# ---- in networks ---------------------------------------------------------------------------------

FFN = Residual((Norm("rms"), Dense(1.3, out=64), Nonlinearity("gelu"), Dense(1.1, out=96)))
DEEP = {
    "two layers": (Attention(12, 8, 1.3, 1.2), Attention(12, 8, 1.3, 1.1)),
    "pre-norm": (Residual((Norm(), Attention(12, 8, 1.2, 1.2))), FFN) * 2,
    "causal": (Residual((Norm(), Attention(12, 8, 1.3, mask="causal", rope=50.0))), FFN) * 2,
    "post-norm": (Residual((Attention(12, 8, 1.2, qk_norm=True),)), Norm(), FFN),
}


@pytest.mark.parametrize("name", DEEP)
def test_networks_of_attention_are_what_is_simulated(name):
    network = Network(DEEP[name], Input(96, (4,), ((1.0, 0.5), (0.5, 1.0)), 0.3))
    walked = propagate(network)
    run = simulate_network(network, n_networks=60, seed=4)
    for row in run.rows:
        for theory, quantity in (
            (walked.streams, "second_moments"),
            (walked.backward("independent"), "iid"),
            (walked.backward("shared"), "shared"),
        ):
            value, se = getattr(row, quantity), row.stderr[quantity]
            found = theory[row.place].second_moments()
            size = np.sqrt(np.outer(np.diagonal(found.value), np.diagonal(found.value)))
            gap = np.abs(found.value - value) - 5.0 * se - found.error - 0.04 * size
            assert np.all(gap <= 0.0), (row.place, quantity)


def test_what_is_read_from_a_memory_sends_it_the_sum_of_all_gradients():
    memory = Network((Dense(1.1), Nonlinearity("relu"), Dense()), Input(24, (3,), PAIR.tolist()))
    entering = Input(32, (2,), PAIR.tolist(), 0.4)
    one, two = Attention(4, 512, memory="m"), Attention(4, 512, 1.2, memory="m")

    def gradients(*layers):
        walked = propagate(Network(layers, entering, {"m": memory}))
        return walked, walked.backward()

    both, found = gradients(one, two)
    assert list(both.streams)[:3] == ["memory.m.input", "memory.m.layers[0]", "memory.m.layers[1]"]
    _, last = gradients(Dense(), two)
    end = np.eye(4)
    second = last["memory.m.layers[2]"].second_moments().value
    first = propagate(Network((one,), entering, {"m": memory}))
    given = found["layers[0]"]
    alone = first.pulled_back(given)["memory.m.layers[2]"].second_moments().value
    # what the second layer reads from the memory does not depend on its queries' covariances alone
    walked = propagate(Network((two,), entering, {"m": memory}), both.streams["layers[0]"])
    second = walked.pulled_back(Gradient.of(end))["memory.m.layers[2]"].second_moments().value
    total = found["memory.m.layers[2]"].second_moments().value
    assert np.allclose(total, alone + second, rtol=1e-9)


def test_a_memory_that_nobody_reads_gets_no_gradient():
    memory = Network((Dense(),), Input(8, (), PAIR.tolist()))
    walked = propagate(Network((Dense(),), Input(8, (), PAIR.tolist()), {"m": memory}))
    assert not np.any(walked.backward()["memory.m.input"].p.value)
    table = network_theory(Network((Dense(),), Input(8, (), PAIR.tolist()), {"m": memory}))
    assert table.places == ("memory.m.input", "memory.m.layers[0]", "input", "layers[0]")
    assert table.kinds == ("input", "dense", "input", "dense")


def test_a_memory_may_have_a_memory():
    inner = Network((Dense(),), Input(8, (3,), PAIR.tolist()))
    outer = Network((Attention(2, memory="n"),), Input(8, (2,), PAIR.tolist()), {"n": inner})
    network = Network((Attention(2, memory="m"),), Input(8, (2,), PAIR.tolist()), {"m": outer})
    walked = propagate(network)
    back = walked.backward()
    assert list(walked.streams)[:2] == ["memory.m.memory.n.input", "memory.m.memory.n.layers[0]"]
    assert np.all(np.diagonal(back["memory.m.memory.n.input"].second_moments().value) > 0.0)


# ---- sampling ------------------------------------------------------------------------------------

CAUSAL_NET = Network((Attention(4, 8, mask="causal"),), Input(32, (4,), PAIR.tolist(), 0.2))


def test_samples_are_those_of_their_seed_and_place():
    first, again = (propagate(CAUSAL_NET, seed=5).output.k.value for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, propagate(CAUSAL_NET, seed=6).output.k.value)
    twice = Network(CAUSAL_NET.layers * 2, CAUSAL_NET.input)
    walked = propagate(twice, propagate(CAUSAL_NET).streams["input"], seed=5)
    assert np.array_equal(walked.streams["layers[0]"].k.value, first)


def test_errors_of_sampled_heads_hold_and_shrink_with_their_number():
    few, many = (propagate(CAUSAL_NET, heads=n, seed=1) for n in (500, 8000))
    for a, b in (
        (few.output.k, many.output.k),
        (few.output.theta, many.output.theta),
        (few.backward()["input"].p, many.backward()["input"].p),
    ):
        assert np.mean(np.abs(a.value - b.value) <= a.error + b.error) > 0.97
        ratio = np.median(a.error) / np.median(b.error)
        assert 3.0 < ratio < 5.5


def test_the_table_says_where_heads_were_sampled_and_how_far_it_is():
    heard = []
    found = network_theory(CAUSAL_NET, progress=lambda done, total: heard.append((done, total)))
    assert found.rules == ("closed", "sampled heads")
    assert heard[-1] == (2.0, 2.0)
    assert heard == sorted(heard)
    assert len(heard) > 16


def test_too_many_positions_are_refused_before_any_head_is_drawn():
    network = Network((Attention(8, 64, mask="causal"),), Input(512, (1200,), ((1.0,),)))
    with pytest.raises(CostError, match=r"layers\[0\]: 2000 sampled heads over 1200 positions"):
        propagate(network)


@pytest.mark.parametrize("heads", [0, 2.5])
def test_a_number_of_heads_that_is_none_is_refused(heads):
    with pytest.raises((ValueError, TypeError), match="heads must be"):
        propagate(CAUSAL_NET, heads=heads)


def test_inputs_that_do_not_fit_a_memory_are_refused():
    memory = Network((), Input(8, (3,), PAIR.tolist()))
    network = Network((Attention(2, memory="m"),), Input(8, (2,), PAIR.tolist()), {"m": memory})
    with pytest.raises(ValueError, match="1 inputs are given, but the network has memories of 2"):
        network_theory(network, inputs=np.ones((1, 2, 8)))
