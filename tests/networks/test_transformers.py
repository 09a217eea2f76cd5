"""Transformers: where norms, skips and branches stand, and the sizes that a name stands for."""

import math

import pytest

from chione.base import ChioneError
from chione.networks import (
    Attention,
    Dense,
    Gate,
    Network,
    Nonlinearity,
    Norm,
    Parallel,
    Position,
    Repeat,
    Residual,
    transformer,
)
from chione.networks.initialisations import INITIALISATIONS

SMALL = {"depth": 3, "width": 24, "heads": 2, "tokens": 5}


def block_of(network):
    """The layers of the first block."""
    return next(layer for layer in network.layers if isinstance(layer, Repeat)).layers


def sigmas(init, **options):
    """Standard deviations s of the entries, sigma / sqrt(fan_in), of one block."""
    block = block_of(transformer(**SMALL | {"init": init} | options))
    attention = next(x for x in block[0].branch if isinstance(x, Attention))
    dense = [x for x in block[-1 if isinstance(block[-1], Residual) else 2].branch
             if isinstance(x, (Dense, Gate))]  # fmt: skip
    hidden = dense[0].hidden if isinstance(dense[0], Gate) else dense[0].out
    inner = dense[0].sigma_u if isinstance(dense[0], Gate) else dense[0].sigma_w
    n = math.sqrt(24)
    parts = (attention.sigma_q, attention.sigma_k, attention.sigma_v, attention.sigma_o, inner)
    return [*(x / n for x in parts), dense[1].sigma_w / math.sqrt(hidden)]


def test_norms_stand_before_branches_or_after_sums():
    nu = Norm("layer")
    kinds = {
        "pre": ([Residual, Residual], True, 1.0),
        "post": ([Residual, Norm, Residual, Norm], False, 1.0),
        "deepnorm": ([Residual, Norm, Residual, Norm], False, 6.0**0.25),
        "none": ([Residual, Residual], False, 1.0),
    }
    for norm, (expected, before, skip) in kinds.items():
        net = transformer(**SMALL, norm=norm, residual_scale=0.3)
        block = block_of(net)
        assert [type(layer) for layer in block] == expected
        branches = [layer for layer in block if isinstance(layer, Residual)]
        assert all((nu in r.branch) == before for r in branches)
        assert all((r.skip, r.scale) == (skip, 0.3) for r in branches)
        assert (net.layers[-1] == nu) == (norm == "pre")
        assert net.output.width == 24
    assert transformer(**SMALL, final_norm=False).layers[-1] != nu
    rms = transformer(**SMALL, norm_form="rms", eps=1e-5)
    assert rms.layers[-1] == Norm("rms", eps=1e-5)


@pytest.mark.parametrize(
    ("word", "phi"), [("swiglu", "silu"), ("geglu", "gelu"), ("reglu", "relu"), ("glu", "sigmoid")]
)
def test_gated_branches_have_a_gate_of_eight_thirds_of_the_width(word, phi):
    norm, gate, last = block_of(transformer(**SMALL, mlp=word, init="lecun"))[1].branch
    assert (norm, gate, last) == (Norm(), Gate(phi, 64), Dense(out=24))
    wide = block_of(transformer(**SMALL, mlp=word, hidden=7))[1].branch
    assert wide[1].hidden == 7


def test_other_branches_have_an_activation_at_four_times_the_width():
    branch = block_of(transformer(**SMALL, mlp="relu2", init="lecun"))[1].branch
    assert branch == (Norm(), Dense(out=96), Nonlinearity("squared_relu"), Dense(out=24))
    alone = block_of(transformer(**SMALL, mlp="none"))
    assert len(alone) == 1
    half = block_of(transformer(**SMALL, mlp="x*tanh(x)", expansion=0.5))[1].branch
    assert half[1].out == 12


def test_branches_side_by_side_read_one_norm():
    (only,) = block_of(transformer(**SMALL, parallel=True))
    norm, both = only.branch
    assert norm == Norm()
    assert isinstance(both, Parallel)
    assert [type(branch[0]) for branch in both.branches] == [Attention, Dense]
    with pytest.raises(ValueError, match="parallel branches need norm='pre'"):
        transformer(**SMALL, parallel=True, norm="post")


def test_words_of_attention_are_handed_on():
    options = {"rope": 500.0, "qk_norm": True, "kv_heads": 1, "scale": "linear", "head_size": 6}
    (attention,) = (
        x for x in block_of(transformer(**SMALL, causal=True, **options))[0].branch
        if isinstance(x, Attention)
    )  # fmt: skip
    assert attention.mask == "causal"
    assert {name: getattr(attention, name) for name in options} == options
    assert not any(isinstance(x, Position) for x in transformer(**SMALL, alibi=True).layers)


def test_gpt2_and_llama_have_two_hundredths_and_gpt2_divides_where_branches_end():
    end = 0.02 / math.sqrt(6.0)
    assert sigmas("gpt2") == pytest.approx([0.02] * 3 + [end, 0.02, end])
    assert sigmas("llama", mlp="swiglu") == pytest.approx([0.02] * 6)
    net = transformer(**SMALL, init="gpt2")
    assert net.layers[0] == Position("learned", 0.02)
    assert net.input.inputs[0] == pytest.approx((4e-4, 2e-4))


def test_neox_has_its_small_entries_and_wangs_where_branches_end():
    small, end = math.sqrt(2.0 / (5.0 * 24)), 2.0 / (3.0 * math.sqrt(24))
    assert sigmas("neox") == pytest.approx([small] * 3 + [end, small, end])


def test_xavier_and_its_kin_are_glorots_of_each_matrix():
    square, tall = math.sqrt(2.0 / 48.0), math.sqrt(2.0 / 120.0)
    plain = [square] * 4 + [tall] * 2
    assert sigmas("xavier") == pytest.approx(plain)
    beta = 24.0**-0.25
    gains = [1.0, 1.0, beta, beta, beta, beta]
    deep = sigmas(None, norm="deepnorm")  # that norm has its own initialisation
    assert deep == pytest.approx([g * s for g, s in zip(gains, plain, strict=True)])
    blocks = [x for x in transformer(**SMALL, init="ds").layers if isinstance(x, Repeat)]
    found = [block.layers[0].branch[1].sigma_o for block in blocks]
    assert found == pytest.approx([1.0, 2.0**-0.5, 3.0**-0.5])


def test_fixup_and_rezero_have_branches_that_begin_with_zero():
    down = 6.0**-0.5
    unit = 24.0**-0.5
    assert sigmas("fixup") == pytest.approx([unit, unit, down * unit, 0.0, down * unit, 0.0])
    gated = sigmas("fixup", mlp="swiglu")
    assert gated[4] ** 2 * 24.0 == pytest.approx(down)  # both factors together
    assert [layer.scale for layer in block_of(transformer(**SMALL, init="rezero"))] == [0.0, 0.0]
    again = block_of(transformer(**SMALL, init="rezero", residual_scale=0.1))
    assert [layer.scale for layer in again] == [0.1, 0.1]


@pytest.mark.parametrize("init", INITIALISATIONS)
@pytest.mark.parametrize("norm", ["pre", "post", "deepnorm", "none"])
def test_every_transformer_is_written_and_read_again(init, norm):
    for mlp in ("gelu", "swiglu", "none"):
        net = transformer(**SMALL, init=init, norm=norm, mlp=mlp)
        assert Network.from_dict(net.to_dict()) == net


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 5}, "5 heads do not divide 24 channels"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"width": 2.5}, "width must be an integer"),
        ({"norm": "middle"}, "norm must be one of pre, post, deepnorm, none"),
        ({"mlp": "gelo"}, "mlp must be an activation or one of swiglu"),
        ({"mlp": None}, "An activation must be a name"),
        ({"init": "gpt3"}, "init must be one of gpt2, llama"),
        ({"init": "ds", "depth": 10**6}, "depth must be at most 10000"),
        ({"hidden": 3, "expansion": 2.0}, "hidden and expansion say the same"),
        ({"expansion": -1.0}, "expansion must be above 0"),
        ({"tokens": None}, "tokens must be an integer"),
        ({"positions": "relative"}, "positions must be one of learned, sinusoidal, none"),
        ({"causal": "yes"}, "causal must be True or False"),
        ({"residual_scale": float("nan")}, "residual_scale must be finite"),
        ({"kv_heads": 3}, "kv_heads must divide heads"),
        ({"embedding": -0.1}, "embedding must be 0 or above"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(wrong, message):
    with pytest.raises((TypeError, ValueError, ChioneError), match=message):
        transformer(**SMALL | wrong)
