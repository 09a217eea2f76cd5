"""The transformer diagram: its cells are walks, its words the rule's, its corners known."""

import math

import numpy as np
import pytest

import chione as ch
from chione.base import ConvergenceError, CostError, SpecError
from chione.networks import (
    Attention,
    Dense,
    Input,
    Network,
    Norm,
    Repeat,
    Residual,
    mlp,
    transformer,
)
from chione.theory.depth.transformer_phase import CONDENSED, scaled_network, shares

TOKENS = 8
OPTIONS = {"tokens": TOKENS, "positions": "none", "embedding": 1.0, "head_size": 512}
NET = transformer(6, 64, 4, norm="post", **OPTIONS)


def diagram(net=NET, a=(0.0, 2.0), b=(0.2, 1.0), **options):
    return ch.transformer_phase(net, attention_scale=a, residual_scale=b, **options)


def test_a_cell_is_the_walk_through_the_network_with_these_scales():
    found = diagram()
    net = scaled_network(NET, 2.0, 0.2)
    walk = ch.theory.propagate(net)
    k = walk.output.second_moments().value[:TOKENS, :TOKENS]
    cosine = (k.sum() - np.trace(k)) / (TOKENS - 1) / np.trace(k)
    assert found.one_minus_c[0, 1] == pytest.approx(1.0 - cosine, rel=1e-10)
    gradients = walk.backward()
    first, last = (gradients[f"layers[0]#{i}"] for i in (0, 5))
    change = first.p.value[first.orbits.diagonal].sum() / last.p.value[last.orbits.diagonal].sum()
    assert found.log10_gradient[0, 1] == pytest.approx(math.log10(change), abs=1e-9)


def test_scales_are_those_of_all_scores_and_branches():
    net = scaled_network(NET, 2.25, 0.3, convex=True)
    layers = [layer for _, _, layer, _ in net.rows()]
    heads = [layer for layer in layers if isinstance(layer, Attention)]
    assert {(layer.sigma_q, layer.sigma_k) for layer in heads} == {(1.5, 1.5)}
    branches = [layer for layer in layers if isinstance(layer, Residual)]
    assert {(layer.skip, layer.scale) for layer in branches} == {(math.sqrt(0.91), 0.3)}


def test_scores_of_zero_look_at_all_tokens_alike_and_large_ones_at_one():
    found = diagram(a=(0.0, 2000.0), b=(0.1,))
    assert found.attended[0, 0] == pytest.approx(1.0 / TOKENS, rel=1e-12)
    assert CONDENSED < found.attended[0, 1] <= 1.0
    assert found.region[0].tolist() == ["trains", "attention condenses"]


def test_what_goes_wrong_is_named():
    """Attention alone, 60 blocks of strong branches: tokens become one; without norms all grows."""
    alone = transformer(60, 64, 4, norm="post", mlp="none", init="lecun", **OPTIONS)
    assert "tokens collapse" in diagram(alone, a=(0.5,), b=(2.0,)).region[0, 0]
    free = transformer(60, 64, 4, norm="none", mlp="relu", init="lecun", **OPTIONS)
    assert "explode" in diagram(free, a=(0.0,), b=(3.0,)).region[0, 0]


def test_shares_add_up_and_the_result_travels(tmp_path):
    found = diagram()
    assert sum(shares(found).values()) == pytest.approx(1.0)
    found.save(tmp_path / "diagram.npz")
    again = ch.load(tmp_path / "diagram.npz")
    assert np.array_equal(again.region, found.region)
    assert found.plot().axes


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: diagram(mlp("tanh", sigma_w=1.0, depth=3)), SpecError, "no attention layers"),
        (lambda: diagram(Network([Attention(4)], Input(64, (4,)))), SpecError, "no residual"),
        (lambda: diagram(transformer(2, 64, 4, tokens=1)), SpecError, "distance of two tokens"),
        (lambda: diagram("gpt2"), TypeError, "must be a chione.networks.Network"),
        (lambda: diagram(a=()), ValueError, "attention_scale must be a list of numbers"),
        (lambda: diagram(b=(-1.0,)), ValueError, "residual_scale must be zero or above"),
        (lambda: diagram(b=(1.5,), convex=True), ValueError, "at most 1"),
        (lambda: diagram(a=np.ones(10**4), b=np.ones(10**4)), CostError, "Fewer cells"),
    ],
)
def test_questions_without_an_answer_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_progress_is_told():
    seen = []
    diagram(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 4) for k in range(1, 5)]


def test_scores_beyond_all_integrals_are_refused_with_their_place():
    with pytest.raises(ConvergenceError, match=r"scores differ by a standard deviation of 1.41e"):
        diagram(a=(1e6,), b=(0.1,))
    grown = Network([Dense(1e9), Attention(4)], Input(64, (3,)))
    with pytest.raises(ConvergenceError, match=r"layers\[1\]: scores differ"):
        ch.network_theory(grown)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.slow
def test_what_a_row_looks_at_is_that_of_drawn_scores(causal):
    """Tokens without correlation: scores of variance 4, over those that a row sees."""
    block = Residual(
        [Norm("rms"), Attention(4, head_size=512, mask="causal" if causal else "none")]
    )
    net = Network([Repeat(1, [block])], Input(64, (TOKENS,), inputs=[[1.0]], positions=0.0))
    rng, squares = np.random.default_rng(3), []
    for seen in range(1, TOKENS + 1) if causal else [TOKENS]:
        w = np.exp(2.0 * rng.standard_normal((40_000, seen)))
        squares.append(np.sum((w / w.sum(axis=1, keepdims=True)) ** 2, axis=1).mean())
    found = diagram(net, a=(2.0,), b=(0.5,))
    assert found.attended[0, 0] == pytest.approx(np.mean(squares), rel=0.02 if causal else 0.006)


def test_queries_without_a_direction_are_refused():
    nothing = Input(64, (3,), inputs=[[0.0]])
    with pytest.raises(ConvergenceError, match="no direction to normalise"):
        ch.network_theory(Network([Attention(4, qk_norm=True)], nothing))
