"""Attention layers in networks: beside simulation, with memories, and as rules that sample."""

from __future__ import annotations

import numpy as np
import pytest

from chione.base import CostError
from chione.networks import (
    Attention,
    Dense,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Residual,
)
from chione.simulation import simulate_network
from chione.theory import network_theory
from chione.theory.layers.attention_heads import Heads, Scores
from chione.theory.layers.stream import Gradient
from chione.theory.layers.walk import Walk, propagate

PAIR = np.array([[1.0, 0.4], [0.4, 1.3]])

# ---- in networks ---------------------------------------------------------------------------------

FFN = Residual((Norm("rms"), Dense(1.3, out=64), Nonlinearity("gelu"), Dense(1.1, out=96)))
DEEP = {
    "two layers": (Attention(12, 8, 1.3, 1.2), Attention(12, 8, 1.3, 1.1)),
    "pre-norm": (Residual((Norm(), Attention(12, 8, 1.2, 1.2))), FFN) * 2,
    "causal": (Residual((Norm(), Attention(12, 8, 1.3, mask="causal", rope=50.0))), FFN) * 2,
    "post-norm": (Residual((Attention(12, 8, 1.2, qk_norm=True),)), Norm(), FFN),
}


@pytest.mark.parametrize(
    "name", ["two layers", *(pytest.param(n, marks=pytest.mark.slow) for n in list(DEEP)[1:])]
)
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
    assert heard[-1] == (20.0, 20.0)  # there and back, ten walks
    assert heard == sorted(heard)
    assert len(heard) > 16


def test_errors_of_deep_networks_are_those_of_several_walks():
    """Bounds of one walk add up layer by layer; the table tells the spread, and it holds."""
    block = Residual((Norm(), Attention(4, 8, mask="causal")))
    network = Network((block,) * 6, Input(32, (3,), ((1.0,),), 0.2))
    one, many = network_theory(network, seed=3), network_theory(network, seed=4, heads=6000)
    bound = propagate(network).output.k
    for a, b in ((one.q, many.q), (one.gradient, many.gradient), (one.tangent, many.tangent)):
        assert np.all(np.abs(a.value - b.value) <= a.error + b.error)
    assert np.max(one.nngp.error) < 0.5 * np.max(bound.error)
    assert np.all(np.abs(one.nngp.value - many.nngp.value) <= one.nngp.error + many.nngp.error)


def test_turned_and_normalised_moves_come_back_by_their_adjoint():
    """<move(x), g> = <x, return(g)> for each head."""
    rng = np.random.default_rng(0)
    turns = (np.arange(3)[:, None] * np.array([1.0, 0.3]),) * 2
    gram = np.eye(3) + 0.1
    for gains in (None, (1.2, 0.8)):
        scores = Scores(gram, gram, 2.0 - 2.0 * np.eye(3), 1, 4, np.zeros((1,) * 4), turns, gains)
        heads = Heads(scores, 16, [0], lambda _: None)
        batch = next(iter(heads._batches(0)))
        for made in (batch.queries, batch.keys):
            x, g = (rng.standard_normal(made.x.shape).astype(np.float32) for _ in range(2))
            one, two = np.sum(made.moved(x) * g), np.sum(x * made.returned(g))
            assert abs(one - two) < 1e-4
            assert abs(one) > 1e-2


def test_too_many_positions_are_refused_before_any_head_is_drawn():
    network = Network((Attention(8, 64, mask="causal"),), Input(512, (1200,), ((1.0,),)))
    with pytest.raises(CostError, match=r"layers\[0\]: 2000 sampled heads over 1200 positions"):
        propagate(network)


def test_many_layers_of_heads_are_refused_together():
    walk = Walk(share=0.1)
    walk.charge("a layer", 4.0, 0.0, "fewer fit")  # 40 s of the whole
    with pytest.raises(CostError, match="another would take about 80 s"):
        walk.charge("another", 4.0, 0.0, "fewer fit")


@pytest.mark.parametrize("heads", [0, 2.5])
def test_a_number_of_heads_that_is_none_is_refused(heads):
    with pytest.raises((ValueError, TypeError), match="heads must be"):
        propagate(CAUSAL_NET, heads=heads)


def test_inputs_that_do_not_fit_a_memory_are_refused():
    memory = Network((), Input(8, (3,), PAIR.tolist()))
    network = Network((Attention(2, memory="m"),), Input(8, (2,), PAIR.tolist()), {"m": memory})
    with pytest.raises(ValueError, match="1 inputs are given, but the network has memories of 2"):
        network_theory(network, inputs=np.ones((1, 2, 8)))
