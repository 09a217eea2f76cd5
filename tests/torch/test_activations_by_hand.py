"""An activation written out in several operations is one activation, with its name."""

import pytest

torch = pytest.importorskip("torch")

from chione.torch import inspect  # noqa: E402 - needs torch

nn = torch.nn
F = nn.functional
B = 1.5


class Net(nn.Module):
    def __init__(self, function, depth=4, width=64):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.beta = nn.Parameter(torch.tensor([B]))
        self.function = function

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.function(layer(x), self.beta)
        return self.layers[-1](x)


class Swish(nn.Module):
    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(B))

    def forward(self, x, beta=None):
        return x * torch.sigmoid(self.beta * x)


def report(function, depth=4):
    torch.manual_seed(0)
    x = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    return inspect(Net(function, depth), x, remedies=False)


SWISH = {
    "number": lambda x, b: x * torch.sigmoid(B * x),
    "gate first": lambda x, b: torch.sigmoid(x * B) * x,
    "parameter": lambda x, b: x * torch.sigmoid(b * x),
    "view of it": lambda x, b: x * torch.sigmoid(b.view(1, 1) * x),
    "module": Swish(),
    "quotient": lambda x, b: x / (1 + torch.exp(-B * x)),
    "reciprocal": lambda x, b: x * torch.reciprocal(1 + torch.exp(-b * x)),
    "in place": lambda x, b: x.clone().mul_(torch.sigmoid(x * B)),
    "torch.mul": lambda x, b: torch.mul(x, torch.special.expit(b * x)),
    "precision": lambda x, b: x * torch.sigmoid(B * x.float()).to(x.dtype),
    "tanh": lambda x, b: 0.5 * x * (1 + torch.tanh(0.5 * B * x)),
    "minus": lambda x, b: x - x * torch.sigmoid(-B * x),
}


@pytest.mark.parametrize("spelling", SWISH)
def test_swish_in_any_spelling_is_silu_with_its_beta(spelling):
    found = report(SWISH[spelling])
    assert [layer.activation for layer in found.layers[:-1]] == ["silu(beta=1.5)"] * 3
    assert all(layer.saturation >= 0.0 for layer in found.layers[:-1])


OTHERS = {
    "silu": lambda x, b: x / (1 + torch.exp(-x)),
    "quick_gelu": lambda x, b: x * torch.sigmoid(1.702 * x),
    "gelu": lambda x, b: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "gelu_tanh": lambda x, b: (
        0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    ),
    "mish": lambda x, b: x * torch.tanh(F.softplus(x)),
    "softsign": lambda x, b: x / (1 + x.abs()),
    "sigmoid": lambda x, b: 1 / (1 + torch.exp(-x)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_activations_written_by_hand_are_found_too(name):
    found = report(OTHERS[name])
    assert [layer.activation for layer in found.layers[:-1]] == [name] * 3


def test_theory_goes_through_a_function_that_has_no_name():
    found = report(lambda x, b: x + torch.sin(3 * x) ** 2 / 3, depth=3)
    # Weights of PyTorch's default have variance 1 / (3 n), as have the biases of a wide layer 0.
    z = torch.linspace(-9.0, 9.0, 200001, dtype=torch.float64)
    density = torch.exp(-z * z / 2) * (z[1] - z[0]) / (2 * torch.pi) ** 0.5
    first, second = found.layers[:2]
    h = first.expected.mean_square**0.5 * z
    moment = float((density * (h + torch.sin(3 * h) ** 2 / 3) ** 2).sum())
    expected = second.sigma_w**2 * moment + second.sigma_b**2
    assert second.expected.mean_square == pytest.approx(expected, rel=1e-3)
    assert second.activation == "x + pow(sin(x*3), 2)/3"


def test_products_of_two_signals_stay_products():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.gate, self.down = (nn.Linear(64, 64) for _ in range(3))

        def forward(self, x):
            return self.down(self.up(x) * torch.sigmoid(B * self.gate(x)))

    found = inspect(Gated(), torch.randn(8, 64), remedies=False)
    assert (found["gate"].activation, found["up"].activation) == ("sigmoid", None)


def test_the_advice_for_swish_is_that_of_its_own_sigma_w():
    fix = inspect(Net(SWISH["number"], 30), torch.randn(16, 64)).verdict.fix
    assert "for silu(beta=1.5) it sets" in fix
    assert "sigmoid" not in fix
