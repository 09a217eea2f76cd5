"""The gain of a normalisation is read off its output, whatever its class is called."""

import pytest

torch = pytest.importorskip("torch")

from chione.torch import inspect  # noqa: E402 - needs torch

nn = torch.nn
WIDTH = 32


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


class LlamaRMSNorm(ByHand):  # the name of one whose gain is w
    def forward(self, x):
        return nn.functional.rms_norm(x, (WIDTH,), 1 + self.weight)


class Plain(ByHand):
    def forward(self, x):
        return nn.functional.rms_norm(x, (WIDTH,), self.weight)


@pytest.mark.parametrize("kind", [ByHand, LlamaRMSNorm])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_a_gain_of_one_plus_w_is_found(kind, value):
    torch.manual_seed(0)
    norm = kind()
    nn.init.constant_(norm.weight, value)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), norm, nn.Linear(WIDTH, WIDTH))
    row = inspect(model, torch.randn(16, WIDTH), remedies=False)["1"]
    assert row.expected.mean_square == pytest.approx((1 + value) ** 2, rel=1e-3)
    assert row.mean_square == pytest.approx((1 + value) ** 2, rel=1e-3)


def test_a_gain_of_w_stays_one_of_w():
    norm = Plain()
    nn.init.constant_(norm.weight, 0.5)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), norm, nn.Linear(WIDTH, WIDTH))
    row = inspect(model, torch.randn(16, WIDTH), remedies=False)["1"]
    assert row.expected.mean_square == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("name", ["gemma", "gemma2", "llama", "t5"])
@pytest.mark.slow
def test_norms_of_transformers_have_theory_beside_what_was_measured(name):
    pytest.importorskip("transformers")
    from doctor_models import MODELS

    torch.manual_seed(0)
    report = inspect(*MODELS[name](), remedies=False)
    norms = [layer for layer in report.layers if layer.kind == "norm"]
    assert len(norms) >= 5
    for layer in norms:
        assert layer.expected.mean_square == pytest.approx(layer.mean_square, rel=0.1)
