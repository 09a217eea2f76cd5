"""Presets beside the models that they stand for: signals after every block, and PyTorch's sizes."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from chione.networks import bert, gpt2, llama, lstm, resnet18, resnet50, transformer  # noqa: E402
from chione.simulation import simulate_network  # noqa: E402

DEPTH, WIDTH, HEADS, TOKENS, WORDS = 3, 128, 4, 8, 64
MODELS = 16


def configured(kind, **more):
    return getattr(transformers, kind)(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, vocab_size=WORDS,
        **more,
    )  # fmt: skip


def gpt2_model():
    config = transformers.GPT2Config(n_layer=DEPTH, n_embd=WIDTH, n_head=HEADS, vocab_size=WORDS)
    return transformers.GPT2Model(config)


def llama_model():
    config = configured("LlamaConfig", intermediate_size=512, num_key_value_heads=2)
    return transformers.LlamaModel(config)


def bert_model():
    return transformers.BertModel(configured("BertConfig", intermediate_size=4 * WIDTH))


BLOCK = "#{}"
LANGUAGE = {  # the model, its preset, and the places that its hidden states stand for
    "gpt2": (gpt2_model, gpt2, ["layers[0]", "layers[1]#0", "layers[1]#1", "layers[2]"]),
    "llama": (
        llama_model,
        lambda *sizes, **more: llama(*sizes, kv_heads=2, **more),
        ["input", "layers[0]#0", "layers[0]#1", "layers[1]"],
    ),
    "bert": (bert_model, bert, ["layers[2]", *(f"layers[3]#{k}" for k in range(3))]),
}


def moments(x):
    """Mean square, and mean over positions of the correlations within and between inputs."""
    k = np.einsum("ati,bsi->atbs", x, x) / x.shape[-1]
    a, t = k.shape[:2]
    q = np.einsum("atat->at", k)
    c = k / np.sqrt(q[:, :, None, None] * q)
    apart = ~np.eye(t, dtype=bool)
    within = np.mean([c[i, :, i][apart].mean() for i in range(a)])
    return np.array([q.mean(), within, np.einsum("tt->t", c[0, :, 1]).mean()])


def measured(make, ids, seed):
    """Of all hidden states of one model."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
    return [moments(state.double().numpy()) for state in states]


@pytest.mark.parametrize("name", LANGUAGE)
def test_signals_after_every_block_are_those_of_the_library_transformers(name):
    """Two texts that share half of their words, at random weights; errors over all models."""
    make, preset, places = LANGUAGE[name]
    ids = torch.arange(2 * TOKENS).reshape(2, TOKENS)
    ids[1, : TOKENS // 2] = ids[0, : TOKENS // 2]
    theirs = np.array([measured(make, ids, seed) for seed in range(MODELS)])

    net = preset(DEPTH, WIDTH, HEADS, tokens=TOKENS)
    words, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((WIDTH, 2 * TOKENS)))
    x = 0.02 * math.sqrt(WIDTH) * words.T.reshape(2, TOKENS, WIDTH)
    x[1, : TOKENS // 2] = x[0, : TOKENS // 2]
    run = simulate_network(net, x, n_networks=MODELS, seed=5)
    for k, place in enumerate(places):
        gram = run.row(place).second_moments.reshape(2, TOKENS, 2, TOKENS)
        ours = moments_of(gram)
        mean, error = theirs[:, k].mean(axis=0), theirs[:, k].std(axis=0) / math.sqrt(MODELS)
        allowed = 4.0 * math.sqrt(2.0) * error + 1.0 / WIDTH * np.array([mean[0], 1.0, 1.0])
        assert np.all(np.abs(ours - mean) <= allowed), (place, ours, mean)


def moments_of(k):
    """The same of mean second moments."""
    x = np.linalg.cholesky(k.reshape(2 * TOKENS, -1) + 1e-15 * np.eye(2 * TOKENS))
    return moments(x.reshape(2, TOKENS, -1) * math.sqrt(2 * TOKENS))


def deviations(module):
    """Standard deviations of all parameters of a module that are random."""
    return {name: float(p.detach().std()) for name, p in module.named_parameters() if p.numel() > 1}


def test_torch_init_is_that_of_an_encoder_layer_as_it_comes():
    torch.manual_seed(0)
    found = deviations(torch.nn.TransformerEncoderLayer(256, 4, 1024))
    block = transformer(1, 256, 4, init="torch", norm="post", mlp="relu").layers[1].layers
    attention, (inner, _, last) = block[0].branch[0], block[2].branch
    for name, s in {
        "self_attn.in_proj_weight": attention.sigma_q / 16.0,
        "self_attn.out_proj.weight": attention.sigma_o / 16.0,
        "linear1.weight": inner.sigma_w / 16.0,
        "linear2.weight": last.sigma_w / 32.0,
        "linear1.bias": inner.sigma_b,
        "linear2.bias": last.sigma_b,
    }.items():
        assert s == pytest.approx(found[name], rel=0.05 if "bias" not in name else 0.15), name
    assert found["self_attn.in_proj_bias"] == found["self_attn.out_proj.bias"] == 0.0
    assert attention.sigma_b == 0.0


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_recurrent_layers_have_the_sizes_of_torch(cell):
    torch.manual_seed(0)
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    found = deviations(kind(96, 192, num_layers=2))
    net = lstm(2, 192, cell=cell, input_width=96)
    for k, layer in enumerate(net.layers):
        fan_in = 192 if k else 96
        assert layer.sigma_u / math.sqrt(fan_in) == pytest.approx(
            found[f"weight_ih_l{k}"], rel=0.02
        )
        assert layer.sigma_w / math.sqrt(192) == pytest.approx(found[f"weight_hh_l{k}"], rel=0.02)
        for name in ("bias_ih", "bias_hh"):
            assert layer.sigma_b == pytest.approx(found[f"{name}_l{k}"], rel=0.2)


@pytest.mark.parametrize(
    ("preset", "blocks", "form", "channels"),
    [
        (resnet18, [2, 2, 2, 2], "basic", [64, 128, 256, 512]),
        (resnet50, [3, 4, 6, 3], "bottleneck", [256, 512, 1024, 2048]),
    ],
)
def test_residual_networks_have_the_convolutions_of_the_library_in_their_order(
    preset, blocks, form, channels
):
    torch.manual_seed(0)
    config = transformers.ResNetConfig(depths=blocks, layer_type=form, hidden_sizes=channels)
    theirs = sorted(
        (
            m.in_channels,
            m.out_channels,
            m.kernel_size[0],
            m.stride[0],
            float(m.weight.detach().std()),
        )
        for m in transformers.ResNetModel(config).modules()
        if isinstance(m, torch.nn.Conv2d)
    )
    net = preset()
    shapes = {"input": net.input.shape}
    ours = []
    for place, layer, entering in arriving(net):
        if layer.word == "convolution":
            k = layer.kernel
            s = layer.sigma_w / math.sqrt(entering.width * k**2)
            ours.append((entering.width, layer.out, k, layer.stride, s))
        shapes[place] = entering
    assert [row[:4] for row in sorted(ours)] == [row[:4] for row in theirs]
    for mine, other in zip(sorted(ours), theirs, strict=True):
        assert mine[4] == pytest.approx(other[4], rel=0.02)


def arriving(net):
    """Place, layer and the shape that arrives, repetitions one by one."""
    from chione.networks import Repeat

    def walk(layers, shape, place):
        for i, layer in enumerate(layers):
            here = f"{place}[{i}]"
            for _ in range(layer.times if isinstance(layer, Repeat) else 1):
                for name, inside in layer.inner():
                    yield from walk(inside, shape, f"{here}.{name}")
            yield here, layer, shape
            shape = layer.after(shape, here)

    yield from walk(net.layers, net.input.shape, "layers")
