"""Attention, recurrence, norms written by hand and large images in the doctor."""

import math
from statistics import mean

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.networks import Norm, Shape  # noqa: E402 - needs torch
from chione.theory.layers.batch_norm import batch_norm  # noqa: E402
from chione.theory.layers.batch_of_sites import batch_of_sites  # noqa: E402
from chione.theory.layers.stream import Gradient, from_moments  # noqa: E402
from chione.theory.layers.walk import Walk  # noqa: E402
from chione.torch import inspect  # noqa: E402
from chione.torch.capture import lattice  # noqa: E402
from chione.torch.capture.lattice import is_whole, pair_weights, places  # noqa: E402
from chione.torch.expected.profiles import Reads  # noqa: E402

nn, F = torch.nn, torch.nn.functional
WIDTH, HEADS, TOKENS = 192, 4, 6


class Mixing(nn.Module):
    """One attention on normalised tokens, written in one of several ways."""

    def __init__(self, form, gain=2.0):
        super().__init__()
        self.form = form
        self.norm = nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        for linear in (self.q, self.k, self.v, self.o):
            nn.init.normal_(linear.weight, std=gain / math.sqrt(WIDTH))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (self._heads(f(h)) for f in (self.q, self.k, self.v))
        size = q.shape[-1]
        hidden = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
        if self.form == "call":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif self.form == "by hand":
            scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(size)
            y = torch.matmul(scores.masked_fill(hidden, -math.inf).softmax(-1), v)
        else:  # three axes, the scale on the queries, the mask added
            flat = [t.reshape(-1, *t.shape[2:]) for t in (q * size**-0.5, k, v)]
            scores = torch.bmm(flat[0], flat[1].transpose(1, 2))
            scores = scores + torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
            y = torch.bmm(F.softmax(scores, dim=-1), flat[2]).reshape(q.shape)
        return self.o(y.transpose(1, 2).reshape(x.shape))

    @staticmethod
    def _heads(x):
        return x.view(*x.shape[:2], HEADS, -1).transpose(1, 2)


def report(model, x, seed=0):
    torch.manual_seed(seed)
    return inspect(model(), x, projections=4)


def tokens():
    generator = torch.Generator().manual_seed(1)
    shared = torch.randn(4, 1, WIDTH, generator=generator)
    return shared + torch.randn(4, TOKENS, WIDTH, generator=generator)


@pytest.mark.parametrize("form", ["by hand", "three axes"])
def test_attention_written_by_hand_is_the_one_that_torch_has(form):
    called = report(lambda: Mixing("call"), tokens())
    written = report(lambda: Mixing(form), tokens())
    for one, two in zip(called.layers, written.layers, strict=True):
        assert two.expected.mean_square == pytest.approx(one.expected.mean_square, rel=1e-4)
        assert two.expected.gradient == pytest.approx(one.expected.gradient, rel=1e-4)


def test_attention_is_expected_as_the_mean_over_draws():
    found = [report(lambda: Mixing("call"), tokens(), seed) for seed in range(12)]
    for i, row in enumerate(found[0].layers):
        rows = [one.layers[i] for one in found]
        assert row.expected.mean_square == pytest.approx(
            mean(r.mean_square for r in rows), rel=0.08
        )
        # queries and keys of 4 heads fluctuate by a tenth from draw to draw
        assert row.expected.gradient == pytest.approx(mean(r.gradient for r in rows), rel=0.12)


def test_rotary_positions_and_shared_keys_are_told_from_the_tensors():
    angle = torch.arange(TOKENS)[:, None] * 100.0 ** (-torch.arange(24) / 24.0)

    class Rotary(Mixing):
        def __init__(self, form):
            super().__init__(form)
            for linear in (self.k, self.v):
                linear.weight = nn.Parameter(linear.weight[: WIDTH // 2].detach())

        def forward(self, x):
            h = self.norm(x)
            q = self._heads(self.q(h))
            shared = (f(h).view(*x.shape[:2], 2, -1).transpose(1, 2) for f in (self.k, self.v))
            k, v = (t.repeat_interleave(2, dim=1) for t in shared)
            q, k = (self._turned(t) for t in (q, k))
            y = F.scaled_dot_product_attention(q, k, v)
            return self.o(y.transpose(1, 2).reshape(x.shape))

        @staticmethod
        def _turned(x):
            one, two = x.chunk(2, dim=-1)
            cos, sin = angle.cos(), angle.sin()
            return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)

    found = [report(lambda: Rotary(""), tokens(), seed) for seed in range(10)]
    row = found[0]["attention"]
    measured = mean(one["attention"].mean_square for one in found)
    assert row.expected.mean_square == pytest.approx(measured, rel=0.08)
    queries = mean(one["q"].gradient for one in found)
    assert found[0]["q"].expected.gradient == pytest.approx(queries, rel=0.15)


class Scaled(nn.Module):
    """Multiplies by 1 + w; its name says nothing."""

    def __init__(self, centred):
        super().__init__()
        self.w, self.centred = nn.Parameter(torch.full((WIDTH,), 0.5)), centred

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1.0 + self.w)


@pytest.mark.parametrize("centred", [False, True])
def test_a_norm_is_told_by_what_it_gives_and_not_by_its_name(centred):
    found = report(lambda: nn.Sequential(Scaled(centred), nn.Linear(WIDTH, 8)), tokens())
    row = found["0"]
    assert row.kind == "norm"
    assert row.operation == ("layer_norm" if centred else "rms_norm")
    assert row.expected.mean_square == pytest.approx(1.5**2, rel=1e-3)


def test_a_module_that_only_multiplies_is_no_norm():
    class Gain(Scaled):
        def forward(self, x):
            return x * self.w

    found = report(lambda: nn.Sequential(Gain(False), nn.Linear(WIDTH, 8)), tokens())
    assert all(row.kind != "norm" for row in found.layers)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_are_expected_as_the_mean_over_draws(kind):
    def build():
        cells = kind(WIDTH, WIDTH, num_layers=2, batch_first=True, bidirectional=kind is nn.GRU)
        return nn.ModuleDict(
            {"cells": cells, "head": nn.Linear(WIDTH * (1 + cells.bidirectional), 8)}
        )

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = build()

        def forward(self, x):
            return self.parts["head"](self.parts["cells"](x)[0][:, -1])

    found = [report(Model, tokens(), seed) for seed in range(6)]
    row = found[0]["parts.cells"]
    assert row.expected.mean_square == pytest.approx(
        mean(one["parts.cells"].mean_square for one in found), rel=0.06
    )
    assert row.expected.gradient == pytest.approx(
        mean(one["parts.cells"].gradient for one in found), rel=0.12
    )


@pytest.mark.parametrize("c", [0.0, 0.4])
def test_a_large_batch_agrees_with_the_exact_integrals(c):
    n = 64
    gram = 1.7 * ((1.0 - c) * np.eye(n) + c)
    stream, walk, layer = from_moments(gram, Shape(8)), Walk(), Norm("batch", 1.3)
    one, home = batch_of_sites(layer, stream, np.full((n, n), 1.0 / n**2), walk)
    two, exact = batch_norm(layer, stream, walk)
    p = Gradient.of(np.eye(n))
    for a, b in ((one, two), (home(p), exact(p))):
        a, b = a.second_moments().value, b.second_moments().value
        assert a == pytest.approx(b, rel=1e-3, abs=1e-3 * b[0, 0])


def test_pairs_of_sites_stand_for_all_pairs_of_a_batch():
    weights = pair_weights(2, 3, 10, 50)
    assert weights.sum() == pytest.approx(1.0)
    assert np.diagonal(weights).sum() == pytest.approx(1.0 / 500)
    inside = sum(weights[i : i + 3, i : i + 3].sum() for i in (0, 3))
    assert inside == pytest.approx(1.0 / 10)


def test_a_lattice_is_the_same_at_every_scale():
    assert is_whole((4, 4))
    assert not is_whole((5, 4))
    large, small = np.array(places((32, 32))), np.array(places((8, 8)))
    assert large // 32 // 4 == pytest.approx(small // 8)
    assert large % 32 // 4 == pytest.approx(small % 8)


def test_profiles_are_those_of_a_convolution_of_ones():
    reads = Reads((7, 9), (4, 9), (3, 3), (2, 1), (1, 1), (1, 1))
    rng = np.random.default_rng(2)
    x, p = rng.random((7, 9)), rng.random((4, 9))
    ones = torch.ones(1, 1, 3, 3, dtype=torch.float64) / 9.0
    y = F.conv2d(torch.tensor(x)[None, None], ones, stride=(2, 1), padding=1)[0, 0].numpy()
    seen, profile = reads.forward(x)
    assert seen * profile == pytest.approx(y)
    back = F.conv_transpose2d(torch.tensor(p)[None, None], ones, stride=(2, 1), padding=1)
    sent, profile = reads.backward(p)
    assert sent * 36 / 63 * profile == pytest.approx(back[0, 0].numpy())


def test_a_weight_that_is_used_twice_is_told_and_measured():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.same = nn.Linear(WIDTH, WIDTH)

        def forward(self, x):
            return self.same(F.gelu(self.same(x)))

    found = report(Twice, torch.randn(8, WIDTH))
    assert math.isfinite(found["same"].expected.mean_square)
    assert math.isnan(found["same (2)"].expected.mean_square)
    assert any("'same.weight' is used twice" in note for note in found.notes)


def test_what_differs_in_position_loses_its_share_and_lengths_stay():
    """K of different positions times 1 / steps, D = q + q' - 2 K, gradients alike."""
    a = np.random.default_rng(4).standard_normal((8, 12))
    stream = from_moments(a @ a.T / 12.0, Shape(12, (4,)))
    k = stream.second_moments().value
    place = np.arange(8) % 4
    factor = np.where(place[:, None] == place, 1.0, 0.25)
    after = lattice.spread_out(stream, 4, 0.25)
    index, q = after.orbits.index, np.diagonal(k)
    assert after.k.value[index] == pytest.approx(k * factor, rel=1e-12)
    assert after.d.value[index] == pytest.approx(q[:, None] + q - 2.0 * k * factor, abs=1e-12)
    back = lattice.thinned(Gradient.of(k), 4, 0.25)
    assert back.second_moments().value == pytest.approx(k * factor, rel=1e-12)
