"""Jacobians formed by backward passes side by side: against passes one by one and torch's own."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from chione.torch import jacobian_spectrum, normal_  # noqa: E402 - needs torch
from chione.torch.capture import products  # noqa: E402
from chione.torch.spectra.jacobian import jacobian_operator  # noqa: E402

nn = torch.nn


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(activation=nn.Tanh, sizes=(30, 50, 40, 20), sigma_w=1.5):
    layers = []
    for i, (n, m) in enumerate(pairwise(sizes)):
        layer = nn.Linear(n, m).double()
        normal_(layer.weight, sigma_w, generator=seeded(i))
        layers += [layer, activation()]
    return nn.Sequential(*layers)


def inputs(n=30, seed=9):
    return torch.randn(1, n, generator=seeded(seed), dtype=torch.float64)


def matrix(model, x):
    """The Jacobian by torch's own function, which shares nothing with ours."""
    return torch.autograd.functional.jacobian(model, x).reshape(-1, x.numel())


class Halves(torch.autograd.Function):
    """A backward pass that looks at numbers, which a mapped one cannot."""

    @staticmethod
    def forward(ctx, x):
        return 0.5 * x

    @staticmethod
    def backward(ctx, g):
        return 0.5 * g if float(g.detach().abs().max()) >= 0.0 else g


class Writes(nn.Module):
    """Overwrites what it is given and keeps a count in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        x *= 1.5
        return x.sin_()


class Halving(nn.Module):
    def forward(self, x):
        return Halves.apply(x)


SIDE_BY_SIDE = {
    "conv": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(),
                                   nn.Conv2d(3, 4, 3, groups=1), nn.GELU(), nn.MaxPool2d(2),
                                   nn.Flatten()), (1, 2, 13, 11)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True), (1, 5, 8)),
    "lstm": (lambda: nn.Sequential(nn.LSTM(5, 6, 2, batch_first=True), First()), (1, 7, 5)),
    "batch norm": (lambda: nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.Tanh()),
                   (3, 3, 9)),
    "overwrites": (lambda: nn.Sequential(nn.Linear(6, 9), Writes(), nn.Linear(9, 5)), (1, 6)),
    "looks at numbers": (lambda: nn.Sequential(nn.Linear(6, 9), Halving(), nn.Tanh()), (1, 6)),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.Linear(9, 5)), (1, 6)),
}  # fmt: skip


class First(nn.Module):
    def forward(self, x):
        return x[0]


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_rows_side_by_side_are_the_rows_one_by_one(name, mode, monkeypatch):
    make, shape = SIDE_BY_SIDE[name]
    torch.manual_seed(3)
    model, x = make().double(), torch.randn(shape).double()
    model.train(mode == "train")
    with jacobian_operator(model, x) as operator:
        together = operator.dense()
        batched = operator.products == operator.outputs + 1  # one to check
    monkeypatch.setattr(products, "_ROWS_BYTES", 0)
    with jacobian_operator(model, x) as operator:
        alone = operator.dense()
        assert operator.products == operator.outputs
    assert batched == (name != "looks at numbers")
    assert torch.allclose(together, alone, rtol=1e-13, atol=1e-15 * float(alone.abs().max()))
    assert float(alone.abs().max()) > 0.0


def test_rows_that_a_mapped_pass_gets_wrong_are_taken_one_by_one(monkeypatch):
    model, x = nn.Sequential(network(), nn.LayerNorm(20)).double(), inputs()  # no chain
    pull = products.JacobianOperator._pull_rows

    def wrong(self, first, part):
        pull(self, first, part)
        part[0] *= 1.0 + 1e-9

    exact = torch.linalg.svdvals(matrix(model, x))
    monkeypatch.setattr(products.JacobianOperator, "_pull_rows", wrong)
    found = jacobian_spectrum(model, x, method="dense")
    assert abs(found.largest.value - float(exact[0])) <= found.largest.error
    assert found.products > found.outputs + 1


def test_the_memory_of_rows_side_by_side_is_bounded(monkeypatch):
    counts = []
    pull = products.JacobianOperator._pull_rows

    def counted(self, first, part):
        counts.append(part.shape[0])
        pull(self, first, part)

    monkeypatch.setattr(products.JacobianOperator, "_pull_rows", counted)
    monkeypatch.setattr(products, "_ROWS_BYTES", 1 << 16)
    model = nn.Sequential(nn.Linear(10, 400), nn.Tanh(), nn.Linear(400, 30)).double()
    with jacobian_operator(model, inputs(10)) as operator:
        together = operator.dense()
    assert counts == [5] * 6  # 5 rows x 4 tensors x 400 entries x 8 bytes = 64000 <= 65536
    assert torch.allclose(together, matrix(model, inputs(10)), rtol=1e-13, atol=1e-16)
