"""Slopes over the width, on models whose code has known ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import chione as ch  # noqa: E402 - needs torch
from chione.torch import coord_check  # noqa: E402

nn = torch.nn
N_IN = 10
X = torch.randn(8, N_IN, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TARGET = torch.randn(8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
WIDTHS = (64, 128, 256, 512)
THIRDS = [0, 0.5, 0.5, 0.5]
SCHEMES = {  # a, b, c, and slopes of rms(dh) as measured at widths 128 to 2048 with tanh
    "standard": ([0] * 4, THIRDS, 0, (-0.51, 0.48, 0.48, 0.98)),
    "standard, slow": ([0] * 4, THIRDS, 1, (-1.5, -0.52, -0.52, -0.01)),
    "NTK": (THIRDS, [0] * 4, 0, (-0.51, -0.51, -0.51, -0.01)),
    "muP": ([-0.5, 0, 0, 0.5], [0.5] * 4, 0, (-0.01, -0.01, -0.01, -0.01)),
    "mean-field": ([0, 1, 1, 1], [0] * 4, -1, (-1.0, -1.5, -2.0, -2.0)),
}


def linear_loss(out):
    """Its gradient at the output does not depend on the model, as in the table."""
    return (out * TARGET[: len(out)].to(out)).mean()


class Scaled(nn.Module):
    """W = multiplier times w."""

    def __init__(self, into, out, std, multiplier):
        super().__init__()
        self.w = nn.Parameter(std * torch.randn(out, into))
        self.multiplier = multiplier

    def forward(self, x):
        return self.multiplier * (x @ self.w.T)


def maker(a, b):
    def make(n):
        sizes = [N_IN, n, n, n, 1]
        layers = []
        for i in range(4):
            std = n ** -b[i] / (N_IN**0.5 if i == 0 else 1.0)
            layers += [Scaled(sizes[i], sizes[i + 1], std, n ** -a[i]), nn.Tanh()]
        return nn.Sequential(*layers[:-1]).double()

    return make


def sgd(c, rate=1e-5):
    return lambda model, n: torch.optim.SGD(model.parameters(), lr=rate * n**-c)


def some(schemes, often):
    """Those that are seen often by default, the others among the slow tests."""
    return [pytest.param(s, marks=[] if s in often else [pytest.mark.slow]) for s in schemes]


@pytest.mark.parametrize("scheme", some(SCHEMES, ("standard", "NTK", "muP")))
def test_slopes_under_sgd_are_those_of_the_table(scheme):
    a, b, c, wanted = SCHEMES[scheme]
    found = coord_check(maker(a, b), X, linear_loss, sgd(c), widths=WIDTHS, seeds=5)
    assert np.all(np.abs(found.slopes.value - wanted) <= found.slopes.error + 0.06)
    assert np.all(found.slopes.error < 0.35)
    assert found.parametrization.parametrization == ch.parametrization(a, b, c)
    assert found.parametrization.parametrization.name == scheme.split(",")[0]
    assert found.flat == (scheme == "muP"), str(found)


ADAM = {  # a, b, c of each layer
    "standard": ([0] * 4, THIRDS, (0, 0, 0, 0)),
    "standard, slow": ([0] * 4, THIRDS, (1, 1, 1, 1)),
    "NTK": (THIRDS, [0] * 4, (0, 0, 0, 0)),
    "muP": ([0] * 4, [0, 0.5, 0.5, 1], (0, 1, 1, 1)),
}


@pytest.mark.parametrize("scheme", some(ADAM, ("standard", "muP")))
def test_slopes_under_adam_are_those_of_the_exponents(scheme):
    a, b, c = ADAM[scheme]

    def make(model, n):
        groups = [
            {"params": [p], "lr": 1e-5 * n ** -float(power)}
            for p, power in zip(model.parameters(), c, strict=True)
        ]
        return torch.optim.Adam(groups, eps=1e-30)

    theory = ch.parametrization(a, b, c, optimizer="adam")
    found = coord_check(maker(a, b), X, linear_loss, make, widths=WIDTHS, seeds=5)
    wanted = (*theory.update_slopes, theory.output_slopes[1])
    if scheme != "NTK":  # there ten inputs move the first layer as much as 300 channels the others
        assert np.all(np.abs(found.slopes.value - wanted) <= found.slopes.error + 0.1)
    assert found.parametrization.parametrization == theory
    assert found.flat == (scheme == "muP"), str(found)


@pytest.mark.slow
def test_error_bars_hold_what_other_seeds_find():
    """Of 12 independent checks of the same code, each against the mean of all."""
    make, slopes, errors = maker(*SCHEMES["muP"][:2]), [], []
    for k in range(12):

        def other(n, k=k):
            torch.manual_seed(1000 * k + torch.initial_seed() % 1000)
            return make(n)

        found = coord_check(other, X, linear_loss, sgd(0), widths=(32, 64, 128), seeds=4)
        slopes.append(found.slopes.value)
        errors.append(found.slopes.error)
    off = np.abs(np.array(slopes) - np.mean(slopes, axis=0))
    assert np.mean(off <= errors) > 0.95
    assert np.mean(errors) < 8.0 * np.mean(off)  # and they are not far too wide


def conv(n):
    return nn.Sequential(
        nn.Conv1d(1, n, 3),
        nn.ReLU(),
        nn.Conv1d(n, n, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * n, 3),
    )  # fmt: skip


def test_models_of_pytorch_grow_in_words_and_in_the_picture(tmp_path):
    labels = torch.arange(8) % 3
    found = coord_check(
        {n: (lambda n=n: conv(n)) for n in (16, 64, 256)},
        X.float()[:, None],
        lambda out: nn.functional.cross_entropy(out, labels),
        "adam",
        lr=1e-4,
        seeds=3,
    )
    assert found.operations == ("convolution", "convolution", "linear")
    assert found.readings[1].startswith("grows like n^0.9") or "n^1.0" in found.readings[1]
    text = str(found)
    assert "Widths 16, 64, 256; 3 models each; Adam(lr=0.0001)" in text
    assert "Not flat: in one step wider models move more at" in text
    assert "falls with the width" in " ".join(text.split())
    assert found.changes.shape == (3, 3, 3)
    found.plot(str(tmp_path / "check.png"))
    assert len(found.plot().axes) == 2


def zero_head(n):
    model = nn.Sequential(nn.Linear(N_IN, n), nn.Tanh(), nn.Linear(n, 1)).double()
    nn.init.zeros_(model[2].weight)
    return model


def test_a_head_of_zeros_needs_two_steps():
    one = coord_check(zero_head, X, linear_loss, 0.1, widths=(16, 32, 64), seeds=3)
    assert one.readings[0] == "does not move in 1 step"
    assert math.isnan(one.slopes.value[0])
    assert "not named" in one.notes[0]
    two = coord_check(zero_head, X, linear_loss, 0.1, widths=(16, 32, 64), seeds=3, steps=2)
    assert math.isfinite(two.slopes.value[0])


def test_changes_at_rounding_and_overflow_are_told():
    def single(n):
        return zero_head(n).float()

    found = coord_check(single, X.float(), linear_loss, 3e-3, widths=(16, 32), seeds=2, steps=2)
    assert "close to rounding" in found.notes[-1]

    def large(n):
        return nn.Sequential(nn.Linear(N_IN, n), nn.Tanh(), nn.Linear(n, 1))

    def steep(out):
        return 1e10 * linear_loss(out)

    found = coord_check(large, X.float(), steep, 1e30, widths=(16, 32), seeds=2)
    assert "overflows at some width" in " ".join(found.readings)


def test_noise_is_no_flatness():
    found = coord_check(
        maker(*SCHEMES["muP"][:2]), X[:1], linear_loss, sgd(0), widths=(8, 16), seeds=2
    )
    noisy = found.slopes.error > 0.25
    assert np.any(noisy)
    assert not any(
        r.startswith("flat") for r, bad in zip(found.readings, noisy, strict=True) if bad
    )


def shifted(n):
    return nn.Sequential(*[nn.Identity()] * n, nn.Linear(N_IN, 1)).double()


@pytest.mark.parametrize(
    ("models", "options", "error", "message"),
    [
        (zero_head, {}, ValueError, "widths must be given"),
        (zero_head, {"widths": (16,)}, ValueError, "two widths or more"),
        (zero_head, {"widths": (16, 32), "seeds": 1}, ValueError, "two seeds or more"),
        (3, {"widths": (16, 32)}, TypeError, "models must be a function of the width"),
        (shifted, {"widths": (1, 2)},
         ValueError, "no layer of the same name"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_said(models, options, error, message):
    with pytest.raises(error, match=message):
        coord_check(models, X, linear_loss, 0.1, **options)


def test_nothing_of_the_caller_is_touched():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    coord_check(zero_head, X, linear_loss, "sgd", lr=0.1, widths=(16, 32), seeds=2)
    assert torch.equal(before, torch.random.get_rng_state())
