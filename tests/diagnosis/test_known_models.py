"""Theory beside simulated networks of known models, at small sizes."""

import dataclasses

import pytest

import chione as ch
from chione.networks import (
    Attention,
    Dense,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Repeat,
    Residual,
    gpt2,
    llama,
    lstm,
    transformer,
    vit,
)
from chione.simulation import simulate_network

ENCODER = Network([Dense(), Nonlinearity("tanh"), Attention(8, 16)], Input(96, (3,)))
DECODER = Network(
    [
        Dense(1.1, out=128),
        Repeat(
            2,
            (
                Residual((Norm(), Attention(16, 16, mask="causal"))),
                Residual((Norm(), Attention(16, 16, 1.4, memory="encoder", visible=(2, 3)))),
            ),
        ),
    ],
    Input(64, (4,)),
    {"encoder": ENCODER},
)
SIZES = {"depth": 2, "width": 128, "heads": 8}
QUICK = {
    "gpt2": gpt2(**SIZES, tokens=5),
    "deepnorm": transformer(**SIZES, tokens=5, norm="deepnorm"),
    "encoder and decoder": DECODER,
}
SLOW = {
    "llama": llama(**SIZES, tokens=5, kv_heads=4),
    "torch": transformer(**SIZES, tokens=4, norm="post", init="torch", mlp="relu"),
    "sloped": transformer(**SIZES, tokens=4, alibi=True, mlp="relu2", init="lecun"),
    "qk norm": transformer(**SIZES, tokens=4, qk_norm=True, init="neox", parallel=True),
    "1/d": transformer(**SIZES, tokens=4, scale="linear", init="xavier", head_size=64),
    "vit": vit(2, 128, 8, image=8, patch=4),
    "lstm": lstm(2, 128, steps=4),
    "gru": lstm(1, 128, cell="gru", steps=5, sequence=True, correlation=0.5),
    "rnn": lstm(2, 128, cell="rnn", steps=4, sigma_w=1.2),
}
CASES = [
    *QUICK,
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
]


@pytest.mark.parametrize("name", CASES)
def test_the_theory_of_a_known_model_is_not_contradicted_by_its_networks(name):
    comparison = ch.compare(simulate_network((QUICK | SLOW)[name], n_networks=24, seed=7))
    assert comparison.agrees, comparison.contradictions
    assert comparison.n_comparisons > 100


def test_a_wrong_scale_of_the_scores_is_contradicted():
    """The same networks beside the theory of scores divided by d."""
    net = transformer(**SIZES, tokens=5, init="lecun")
    run = simulate_network(net, n_networks=24, seed=7)
    assert ch.compare(run).agrees
    wrong = transformer(**SIZES, tokens=5, init="lecun", scale="linear")
    object.__setattr__(run, "network", dataclasses.replace(net, layers=wrong.layers))
    assert not ch.compare(run).agrees
