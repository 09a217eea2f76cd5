"""Exponents in the width, measured on models whose code has known ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import chione as ch

N_IN = 10
BATCH = torch.ones(1, N_IN)
SCHEMES = {  # a, b, c, and slopes of rms(dh) as measured at widths 128 to 2048 with tanh
    "standard": ([0] * 4, [0, 0.5, 0.5, 0.5], 0, (-0.51, 0.48, 0.48, 0.98)),
    "standard, slow": ([0] * 4, [0, 0.5, 0.5, 0.5], 1, (-1.5, -0.52, -0.52, -0.01)),
    "NTK": ([0, 0.5, 0.5, 0.5], [0] * 4, 0, (-0.51, -0.51, -0.51, -0.01)),
    "muP": ([-0.5, 0, 0, 0.5], [0.5] * 4, 0, (-0.01, -0.01, -0.01, -0.01)),
    "mean-field": ([0, 1, 1, 1], [0] * 4, -1, (-1.0, -1.5, -2.0, -2.0)),
}


class Scaled(torch.nn.Module):
    """W = multiplier times w."""

    def __init__(self, into, out, std, multiplier, bias=False):
        super().__init__()
        self.w = torch.nn.Parameter(std * torch.randn(out, into))
        self.b = torch.nn.Parameter(torch.randn(out)) if bias else None
        self.multiplier = multiplier

    def forward(self, x):
        y = self.multiplier * (x @ self.w.T)
        return y if self.b is None else y + self.b


def maker(a, b, bias=False):
    def make(n):
        sizes = [N_IN, n, n, n, 1]
        layers = []
        for i in range(4):
            std = n ** -b[i] / (N_IN**0.5 if i == 0 else 1.0)
            layers += [Scaled(sizes[i], sizes[i + 1], std, n ** -a[i], bias), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers[:-1])

    return make


def sgd(c, rate=0.1):
    return lambda model, n: torch.optim.SGD(model.parameters(), lr=rate * n**-c, weight_decay=0.1)


def adam(c):
    return lambda model, n: torch.optim.AdamW(model.parameters(), lr=0.01 * n**-c)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_exponents_and_slopes_are_those_of_the_code(scheme, bias):
    a, b, c, slopes = SCHEMES[scheme]
    found = ch.torch.parametrization(
        maker(a, b, bias), (64, 128, 256, 512), optimizer=sgd(c), batch=BATCH, seeds=6
    )
    assert found.roles == ("input", "hidden", "hidden", "output")
    for measured, wanted in (
        (found.weights, np.add(a, b)), (found.rates, 2.0 * np.array(a) + c)
    ):  # fmt: skip
        assert np.all(np.abs(measured.value - wanted) <= measured.error + 0.03)
        assert np.all(measured.error < 0.2)
    if not bias:  # random biases keep features alive that the table's networks lose
        assert np.all(np.abs(found.updates.value - slopes) <= found.updates.error + 0.06)
    assert found.parametrization == ch.parametrization(a, b, c)
    assert found.parametrization.name == scheme.split(",")[0]


@pytest.mark.parametrize(
    ("b", "c", "regime"),
    [([0, 0.5, 0.5, 0.5], 1, "unstable"), ([0, 0.5, 0.5, 1], (0, 1, 1, 1), "feature learning")],
)
def test_adam_is_read_with_groups_of_its_own(b, c, regime):
    def make(model, n):
        powers = np.broadcast_to(c, 4)
        groups = [
            {"params": [p], "lr": 0.01 * n ** -float(power)}
            for p, power in zip(model.parameters(), powers, strict=True)
        ]
        return torch.optim.Adam(groups)

    found = ch.torch.parametrization(
        maker([0] * 4, b), (64, 128, 256), optimizer=make, batch=BATCH, seeds=4
    )
    assert found.parametrization == ch.parametrization([0] * 4, b, c, optimizer="adam")
    assert found.parametrization.regime == regime


def linear(n):
    sizes = (N_IN, n, n, 3)
    layers = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), torch.nn.LayerNorm(n), *layers[1:])


def test_models_of_pytorch_are_in_the_standard_parametrisation():
    """U(-1/sqrt(n), 1/sqrt(n)) everywhere; the batch has one example per row of tokens."""
    tokens = torch.randn(2, 5, N_IN)
    found = ch.torch.parametrization(linear, (64, 256), optimizer=0.01, batch=tokens)
    assert found.parametrization.name == "standard"
    assert found.parametrization.r == -1
    assert "standard" in str(found)
    assert found.modules == ("0", "3", "4")


def test_nothing_of_the_caller_is_touched():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    ch.torch.parametrization(linear, (16, 32), optimizer=0.01, batch=torch.ones(1, N_IN), seeds=2)
    assert torch.equal(before, torch.random.get_rng_state())


def zeroed(n):
    model = linear(n)
    torch.nn.init.zeros_(model[-1].weight)
    return model


@pytest.mark.parametrize(
    ("make", "widths", "optimizer", "error", "message"),
    [
        (linear, (64,), 0.1, ValueError, "two widths or more"),
        (zeroed, (16, 32), 0.1, ValueError, "'4' cannot be fitted: its weights or its gradient"),
        (lambda n: torch.nn.Linear(N_IN, n), (16, 32), 0.1, ValueError, "of the role 'output'"),
        (linear, (16, 32), lambda m, n: torch.optim.RMSprop(m.parameters()), TypeError,
         "must make an SGD, Adam or AdamW of torch.optim, but it made RMSprop"),
        (linear, (16, 32), -1.0, ValueError, "optimizer must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said(make, widths, optimizer, error, message):
    with pytest.raises(error, match=message):
        ch.torch.parametrization(make, widths, optimizer=optimizer, batch=BATCH)
