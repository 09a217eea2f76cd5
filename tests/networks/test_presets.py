"""Known models: their parts in order, their sizes, and calls that are refused."""

import math

import numpy as np
import pytest

from chione import networks
from chione.base import ChioneError
from chione.networks import (
    Attention,
    Convolution,
    Dense,
    Gate,
    Network,
    Nonlinearity,
    Norm,
    Pooling,
    Position,
    Recurrent,
    Repeat,
    Residual,
    bert,
    convnext,
    gpt2,
    llama,
    lstm,
    resnet18,
    resnet50,
    vit,
)

PRESETS = ("gpt2", "llama", "bert", "vit", "lstm", "convnext", "resnet18", "resnet50")


def weights(net):
    """Number of weights, those of biases and tables of positions left away."""
    from chione.simulation.network_costs import whole

    return whole(net, None).weights


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_written_and_read_again(name):
    net = getattr(networks, name)()
    assert Network.from_dict(net.to_dict()) == net


@pytest.mark.parametrize(
    ("net", "millions"),
    [
        (gpt2(), 85.0),  # of 124 with the table of words and that of positions
        (llama(), 6476.0),  # of 6738
        (llama(80, 8192, 64, kv_heads=8, hidden=28_672), 68_452.0),  # of 70 billion
        (bert(), 85.5),  # of 110; 0.6 of them are zeros beside the type of token
        (vit(), 85.5),  # of 86.6 with the readout
        (resnet18(), 11.68),
        (resnet50(), 25.5),
        (convnext(), 28.5),
        (convnext(27, 128), 88.5),  # the base one
    ],
)
def test_presets_have_as_many_weights_as_their_models(net, millions):
    assert weights(net) / 1e6 == pytest.approx(millions, rel=5e-3)


def test_gpt2_and_llama_have_norms_before_their_branches():
    place, blocks, last = gpt2(2, 16, 2, tokens=3).layers
    assert (place, last) == (Position("learned", 0.02), Norm("layer", eps=1e-5))
    (norm, attention), (_, first, phi, second) = (r.branch for r in blocks.layers)
    assert norm == Norm("layer", eps=1e-5)
    assert (attention.mask, attention.heads, attention.rope) == ("causal", 2, None)
    assert (first.out, phi, second.out) == (64, Nonlinearity("gelu_tanh"), 16)
    blocks, last = llama(2, 16, 2, kv_heads=1, tokens=3).layers
    (norm, attention), (_, gate, _) = (r.branch for r in blocks.layers)
    assert norm == last == Norm("rms", eps=1e-5)
    assert (attention.mask, attention.kv_heads, attention.rope) == ("causal", 1, 1e4)
    assert gate == Gate("silu", 256, 0.08, 0.08)
    assert llama().layers[0].layers[1].branch[1].hidden == 11_008


def test_bert_has_norms_after_its_sums_and_one_after_the_embedding():
    _, kind, norm, blocks = bert(2, 16, 2, tokens=3).layers
    assert kind == Residual((Dense(0.0, 0.02, 16),))
    assert norm == Norm("layer", eps=1e-12)
    assert [type(layer) for layer in blocks.layers] == [Residual, Norm, Residual, Norm]
    assert isinstance(blocks.layers[0].branch[0], Attention)


def test_a_vision_transformer_begins_with_its_patches():
    embed, place, blocks, norm = vit(2, 16, 2, image=8, patch=4).layers
    assert embed == Dense(3**-0.5, 3**-0.5 / math.sqrt(48), 16)
    assert (place, norm) == (Position("learned", 0.02), Norm("layer", eps=1e-6))
    net = vit(image=224)
    assert net.input.shape == networks.Shape(768, (196,))
    assert blocks.layers[0].branch[1].mask == "none"


def test_recurrent_presets_are_layers_one_above_the_other():
    net = lstm(3, 8, cell="gru", steps=4, input_width=2)
    first, second, third = net.layers
    third_root = 3**-0.5
    assert first == Recurrent("gru", third_root, third_root / 2.0, third_root / math.sqrt(8.0), 8,
                              sequence=True)  # fmt: skip
    assert (second.sequence, third.sequence) == (True, False)
    assert net.output == networks.Shape(8)
    assert lstm(2, 8, sequence=True).output.grid == (10,)
    assert len(lstm(1, 8).layers) == 1


def test_residual_networks_halve_the_grid_and_double_the_channels():
    for net, times in ((resnet18(image=64), 1), (resnet50(image=64), 4)):
        grids = [(shape.width, shape.grid) for _, depth, layer, shape in net.rows()
                 if depth == 0 and isinstance(layer, Repeat)]  # fmt: skip
        widths = [64 * times * 2**k for k in range(4)]
        assert [width for width, _ in grids] == widths
        assert grids[1][1] == tuple(-(-n // 2) for n in grids[0][1])
        assert isinstance(net.layers[-2], Pooling)
    quiet = resnet18(training=False)
    assert not any(isinstance(layer, Norm) for _, _, layer, _ in quiet.rows())


def test_convnext_has_depthwise_convolutions_and_layer_scales():
    net = convnext(image=64, width=8)
    blocks = [layer for layer in net.layers if isinstance(layer, Repeat)]
    assert [block.times for block in blocks] == [3, 3, 9, 3]
    assert [block.layers[0].scale for block in blocks] == [1e-6] * 4
    assert blocks[0].layers[0].branch[0] == Convolution(7, 0.14, depthwise=True)
    assert net.input.shape == networks.Shape(48, (16, 16))


HOSTILE = (0, -1, 2.5, "3", None, True, float("nan"), float("inf"), 2**70, [1], b"x", 1j, {})


@pytest.mark.parametrize("name", [*PRESETS, "transformer"])
def test_random_wrong_values_are_refused_by_name_or_taken(name):
    """300 calls with one to three wrong options: a network, or one sentence about an option."""
    import inspect

    builder = getattr(networks, name)
    options = list(inspect.signature(builder).parameters)
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(300):
        some = rng.choice(options, size=int(rng.integers(1, 4)), replace=False)
        given = {str(option): HOSTILE[rng.integers(len(HOSTILE))] for option in some}
        try:
            assert isinstance(builder(**given), Network)
        except (TypeError, ValueError, ChioneError) as err:
            refused += 1
            said = str(err)
            assert said.endswith((".", "accepted as well.")), said
            assert 20 < len(said) < 400, said
            assert "chione/" not in said
    assert refused > 150
