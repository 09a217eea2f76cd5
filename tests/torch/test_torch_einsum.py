"""Contractions with a matrix of parameters are dense layers."""

import copy

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch

nn = torch.nn


class Contracted(nn.Module):
    def __init__(self, equation, swapped, turned=False):
        super().__init__()
        self.equation, self.swapped, self.turned = equation, swapped, turned
        self.body, self.head = nn.Linear(40, 60), nn.Linear(50, 3)
        shape = (60, 50) if swapped else (50, 60)
        self.mix = nn.Parameter(torch.randn(shape) / 5.0)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        pair = (self.mix, h) if self.turned else (h, self.mix)
        return self.head(torch.tanh(torch.einsum(self.equation, *pair)))


@pytest.mark.parametrize(
    ("equation", "swapped", "turned"),
    [
        ("bi,oi->bo", False, False),
        ("bi, io -> bo", True, False),
        ("...d,df->...f", True, False),
        ("fd,...d->...f", False, True),
    ],
)
def test_a_contraction_has_the_rows_of_the_same_linear_layer(equation, swapped, turned):
    torch.manual_seed(0)
    model, x = Contracted(equation, swapped, turned), torch.randn(64, 40)
    linear = nn.Linear(60, 50, bias=False)
    with torch.no_grad():
        linear.weight.copy_(model.mix.T if swapped else model.mix)
    same = nn.Sequential(model.body, nn.Tanh(), linear, nn.Tanh(), model.head)
    one, two = (inspect(m, x, remedies=False).layers for m in (model, same))
    assert [row.name for row in one] == ["body", "mix", "head"]
    for a, b in zip(one, two, strict=True):
        assert a.expected.mean_square == pytest.approx(b.expected.mean_square, rel=1e-6)
        assert a.mean_square == pytest.approx(b.mean_square, rel=1e-4)
    assert (one[1].fan_in, one[1].fan_out) == (60, 50)
    before, twin = model.mix.detach().clone(), copy.deepcopy(same)
    initialize_(model, x)
    initialize_(twin, x)
    assert not torch.equal(model.mix, before)
    drawn, expected = model.mix.detach().std(), twin[2].weight.detach().std()
    assert float(drawn) == pytest.approx(float(expected), rel=0.08)  # 3000 draws each


@pytest.mark.parametrize("equation", ["bi,io->b", "bi,bi->bi", "bi,io->ob"])
def test_what_is_no_dense_map_of_the_last_axis_stays_without_a_rule(equation):
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Parameter(torch.randn(6, 6))

        def forward(self, x):
            return torch.einsum(equation, x, self.mix)

    row = inspect(Other(), torch.randn(6, 6), remedies=False).layers[0]
    assert row.kind == "unknown"
