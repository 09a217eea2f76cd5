"""What is not followed is named."""

import pytest

torch = pytest.importorskip("torch")

from chione.torch import inspect  # noqa: E402 - needs torch

nn = torch.nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(16, 5)
        self.mix = nn.Parameter(torch.randn(16, 16) / 4)

    def forward(self, x):
        x = torch.einsum("bi,ij,j->bj", torch.tanh(self.body(x)), self.mix, self.mix[0])
        return self.one(x), self.two(x)


def test_second_outputs_and_weights_without_a_rule_are_named():
    report = inspect(Two(), torch.randn(8, 8), remedies=False)
    notes = " ".join(report.notes)
    assert "returns 2 tensors; gradients start from the one of shape (8, 3)" in notes
    assert "'mix' (einsum)" in notes


def test_nothing_is_said_of_a_model_that_is_followed():
    assert inspect(nn.Linear(8, 3), torch.randn(8, 8), remedies=False).notes == ()
