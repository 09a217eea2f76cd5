"""Sampled attention and recurrent layers beside PyTorch's own, forward and by autograd."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.networks import Attention, Recurrent, Shape  # noqa: E402 - needs torch
from chione.simulation.layers import Draws, draw  # noqa: E402
from chione.simulation.layers.memory import Memory  # noqa: E402

COPIES, INPUTS, STEPS, WIDTH = 2, 3, 5, 6
SHAPE = Shape(WIDTH, (STEPS,))
RNG = np.random.default_rng(11)
X = RNG.standard_normal((COPIES, INPUTS, STEPS, WIDTH))


def tensor(a):
    return torch.tensor(np.array(a), dtype=torch.float64, requires_grad=True)


def drawn(layer, **memories):
    draws = Draws(3, 0, (COPIES, INPUTS), place="layers[0]", memories=memories)
    return draw(layer, SHAPE, draws)


def check(step, forward, parameters, scales):
    """Output, gradient of the input and of all parameters, for two cotangents at once."""
    x = tensor(X)
    y = forward(x)
    np.testing.assert_allclose(step.forward(X), y.detach().numpy(), rtol=1e-12, atol=1e-12)
    g = RNG.standard_normal((2, *y.shape))
    back = step.backward(g)
    found = step.parameter_gradients()
    assert len(found) == len(parameters)
    for k in range(2):
        whole = torch.autograd.grad(y, [x, *parameters], torch.tensor(g[k]), retain_graph=True)
        np.testing.assert_allclose(back[k], whole[0].numpy(), rtol=1e-10, atol=1e-12)
        for ours, theirs, scale in zip(found, whole[1:], scales, strict=True):
            total = scale * theirs.numpy()  # of all copies together
            np.testing.assert_allclose(ours[k].sum(axis=0), total, rtol=1e-10, atol=1e-12)


# ---- attention ----------------------------------------------------------------------------------


def turned(x, base):
    """Pairs (j, j + d/2) turned by t base^(-2j/d), as rotary codes write it."""
    d = x.shape[-1]
    angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * base ** (
        -torch.arange(0, d, 2, dtype=torch.float64) / d
    )
    cos, sin = (torch.cat([f(angles)] * 2, dim=-1) for f in (torch.cos, torch.sin))
    half = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], dim=-1)
    return x * cos + half * sin


def attend(layer, maps, x, read):
    """The layer by torch.nn.functional, its masks written out."""
    size = layer.head_size or WIDTH // layer.heads
    groups = layer.kv_heads or layer.heads

    def heads(name, signal, number):
        w, b = maps[name]
        y = torch.nn.functional.linear(signal, w, b)
        return y.unflatten(-1, (number, size)).transpose(-2, -3)

    q = heads("q", x, layer.heads)
    k, v = (heads(name, read, groups) for name in "kv")
    if layer.qk_norm:
        norm = torch.nn.functional.rms_norm
        q, k = (sigma * norm(z, (size,), eps=0.0)
                for sigma, z in ((layer.sigma_q, q), (layer.sigma_k, k)))  # fmt: skip
    if layer.rope is not None:
        q, k = turned(q, layer.rope), turned(k, layer.rope)
    k, v = (z.repeat_interleave(layer.heads // groups, dim=-3) for z in (k, v))
    t, s = torch.arange(x.shape[-2])[:, None], torch.arange(read.shape[-2])
    bias = torch.zeros(INPUTS, layer.heads, len(t), len(s), dtype=torch.float64)
    if layer.alibi:
        for h in range(layer.heads):
            bias[:, h] -= 2.0 ** (-8.0 * (h + 1) / layer.heads) * (t - s).abs()
    if layer.mask == "causal":
        bias = bias.masked_fill(s > t, -torch.inf)
    for a, seen in enumerate(layer.visible or ()):
        bias[a] = bias[a].masked_fill(s >= seen, -torch.inf)
    y = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, scale=1.0 / size if layer.scale == "linear" else None
    )
    w, b = maps["o"]
    return torch.nn.functional.linear(y.transpose(-2, -3).flatten(-2), w, b)


ATTENTIONS = {
    "plain": Attention(2, sigma_q=1.2, sigma_k=0.9, sigma_v=1.1, sigma_o=1.3, sigma_b=0.4, out=5),
    "linear": Attention(3, scale="linear"),
    "causal, turned": Attention(2, 4, 1.5, mask="causal", rope=100.0),
    "padded, sloped, grouped": Attention(4, 2, visible=(2, 5, 1), alibi=True, kv_heads=2),
    "normed": Attention(2, 4, 1.4, 0.8, sigma_b=0.3, rope=10.0, qk_norm=True),
    "one pair of keys and values": Attention(3, kv_heads=1, mask="causal"),
}


def maps_of(layer, step):
    """Weights and biases as tensors, and the scales of their parameters, in the order drawn."""
    maps, parameters, scales = {}, [], []
    for name, affine in zip("qkvo", step.inner(), strict=True):
        w, b = tensor(affine._weight), tensor(affine._bias)
        maps[name] = w, b
        normed = layer.qk_norm and name in "qk"
        sigma = 1.0 if normed else getattr(layer, f"sigma_{name}")
        parameters.append(w)
        scales.append(sigma / np.sqrt(w.shape[1]))
        if layer.sigma_b > 0.0:
            parameters.append(b)
            scales.append(layer.sigma_b)
    return maps, parameters, scales


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_is_that_of_torch_with_its_gradients(name):
    layer = ATTENTIONS[name]
    step = drawn(layer)
    maps, parameters, scales = maps_of(layer, step)
    check(step, lambda x: attend(layer, maps, x, x), parameters, scales)


@pytest.mark.parametrize("visible", [None, (4, 2, 3)])
def test_cross_attention_reads_its_memory_and_sends_gradients_there(visible):
    layer = Attention(2, 3, 1.3, memory="encoder", visible=visible, sigma_b=0.2)
    memory = Memory(Shape(7, (4,)))
    signal = RNG.standard_normal((COPIES, INPUTS, 4, 7))
    memory.hold(signal)
    step = drawn(layer, encoder=memory)
    maps, parameters, scales = maps_of(layer, step)
    read = tensor(signal)
    check(step, lambda x: attend(layer, maps, x, read), parameters, scales)
    memory.collected(X)
    g = RNG.standard_normal((2, *X.shape))
    step.backward(g)
    step.backward(g)  # as a second reader would
    found = memory.collected(g)
    for k in range(2):
        y = attend(layer, maps, tensor(X), read)
        (expected,) = torch.autograd.grad(y, read, torch.tensor(g[k]))
        np.testing.assert_allclose(found[k], 2.0 * expected.numpy(), rtol=1e-10, atol=1e-12)
    assert np.array_equal(memory.collected(g), np.zeros((2, *signal.shape)))


# ---- recurrent ----------------------------------------------------------------------------------

MODULES = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
START = ((0.5, 0.2, 0.0), (0.2, 0.7, 0.1), (0.0, 0.1, 0.3))


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize("cell", MODULES)
def test_recurrent_layers_are_the_modules_of_torch_with_their_gradients(cell, start, sequence):
    layer = Recurrent(cell, 1.3, 0.9, 0.4, 4, start=start, sequence=sequence)
    step = drawn(layer)
    module = MODULES[cell](WIDTH, 4, batch_first=True, dtype=torch.float64)
    names = ("weight_hh_l0", "bias_hh_l0", "weight_ih_l0", "bias_ih_l0")
    ours = (step._w[0], step._state_biases[0], step._u[0], step._biases[0])
    with torch.no_grad():
        for name, a in zip(names, ours, strict=True):
            getattr(module, name).copy_(torch.tensor(a))
    h = torch.tensor(step._start).reshape(1, COPIES * INPUTS, 4)

    def forward(x):
        initial = (h, torch.zeros_like(h)) if cell == "lstm" else h
        states, _ = module(x.flatten(0, 1), initial)
        y = states.unflatten(0, (COPIES, INPUTS))
        return y if sequence else y[..., -1:, :]

    scales = (1.3 / np.sqrt(4.0), 0.4, 0.9 / np.sqrt(WIDTH), 0.4)
    check(step, forward, [getattr(module, name) for name in names], scales)


@pytest.mark.parametrize("cell", MODULES)
def test_untied_steps_are_cells_of_torch_one_after_the_other(cell):
    layer = Recurrent(cell, 1.3, 0.9, 0.4, 4, tied=False, sequence=True)
    step = drawn(layer)
    every = [tuple(map(tensor, parts)) for parts in
             zip(step._w, step._state_biases, step._u, step._biases, strict=True)]  # fmt: skip
    call = {"rnn": torch.rnn_tanh_cell, "gru": torch.gru_cell, "lstm": torch.lstm_cell}[cell]

    def forward(x):
        states, inputs = [], x.flatten(0, 1)
        h = c = torch.zeros(COPIES * INPUTS, 4, dtype=torch.float64)
        for t, (w, b, u, d) in enumerate(every):
            carried = (h, c) if cell == "lstm" else h
            after = call(inputs[:, t], carried, u, w, d, b)
            h, c = after if cell == "lstm" else (after, c)
            states.append(h)
        return torch.stack(states, dim=1).unflatten(0, (COPIES, INPUTS))

    assert not np.allclose(step._w[0], step._w[1])
    scales = (1.3 / np.sqrt(4.0), 0.4, 0.9 / np.sqrt(WIDTH), 0.4) * STEPS
    check(step, forward, [p for parts in every for p in parts], scales)


def test_initial_states_have_exactly_their_second_moments_where_channels_are_enough():
    h = drawn(Recurrent("gru", size=12, start=START))._start.reshape(COPIES * INPUTS, 12)
    expected = np.kron(np.eye(COPIES), np.array(START))
    np.testing.assert_allclose(h @ h.T / 12, expected, atol=1e-13)
    np.testing.assert_allclose(h.mean(axis=1), 0.0, atol=1e-14)
