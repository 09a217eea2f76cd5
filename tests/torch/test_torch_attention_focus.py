"""A saturated softmax is measured, however the attention is written."""

import math

import pytest

torch = pytest.importorskip("torch")

from chione.torch import inspect  # noqa: E402 - needs torch

nn = torch.nn
HEADS, SIZE, TIME = 4, 8, 12


class Attention(nn.Module):
    def __init__(self, way, factor):
        super().__init__()
        width = HEADS * SIZE
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.way = way
        with torch.no_grad():
            self.q.weight.mul_(factor)

    def forward(self, x):
        q, k, v = (
            f(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        if self.way == "fused":
            out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            hidden = torch.ones(TIME, TIME, dtype=torch.bool).triu(1)
            scores = (q @ k.transpose(-1, -2) / math.sqrt(SIZE)).masked_fill(hidden, -1e9)
            out = torch.softmax(scores, dim=-1) @ v
        return self.o(out.transpose(1, 2).flatten(2))


def weights(model, x):
    """Of a causal attention, by plain loops over its rows."""
    q, k = (f(x).reshape(len(x), TIME, HEADS, SIZE).detach() for f in (model.q, model.k))
    rows = []
    for b in range(4):
        for h in range(HEADS):
            for t in range(1, TIME):
                s = (k[b, : t + 1, h] @ q[b, t, h]).double() / math.sqrt(SIZE)
                rows.append(torch.exp(s - s.max()) / torch.exp(s - s.max()).sum())
    return rows


@pytest.mark.parametrize("way", ["fused", "by hand"])
@pytest.mark.parametrize("factor", [1.0, 60.0])
def test_saturated_rows_and_entropy_are_those_of_a_plain_loop(way, factor):
    torch.manual_seed(0)
    model, x = Attention(way, factor), torch.randn(6, TIME, HEADS * SIZE)
    report = inspect(model, x, remedies=False)
    row = next(layer for layer in report.layers if layer.kind == "attention")
    rows = weights(model, x)
    sharp = sum(float(w.max()) > 0.99 for w in rows) / len(rows)
    entropy = sum(float(-(w * w.clamp_min(1e-300).log()).sum()) / math.log(len(w)) for w in rows)
    assert row.saturation == pytest.approx(sharp, abs=2e-3)
    assert row.entropy == pytest.approx(entropy / len(rows), abs=2e-3)
    assert any("saturated" in note for note in report.notes) == (factor > 1.0)


def test_the_attention_of_torch_is_measured_too():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    x = torch.randn(6, TIME, 32)
    calm = inspect(layer, x, remedies=False)
    with torch.no_grad():
        layer.self_attn.in_proj_weight[:64].mul_(12.0)
    sharp = inspect(layer, x, remedies=False)
    assert not any("saturated" in note for note in calm.notes)
    assert any("saturated in 1 layers" in note for note in sharp.notes)
