"""Pictures of models and steps: each panel has a title, and what is drawn stands in a key."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

import chione as ch

X = torch.randn(16, 24, generator=torch.Generator().manual_seed(1))
Y = torch.arange(16) % 5


def tower(width: int = 24) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(24, width), torch.nn.Tanh(), torch.nn.Linear(width, width),
        torch.nn.Tanh(), torch.nn.Linear(width, 5),
    )  # fmt: skip


def loss(out: torch.Tensor) -> torch.Tensor:
    return cross_entropy(out, Y)


def watched():
    model = tower()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with ch.torch.Monitor(model, every=1, warn=False) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(X)).backward()
            optimizer.step()
    return monitor.record


PICTURES = {
    "inspect": lambda: ch.torch.inspect(tower(), X),
    "jacobian": lambda: ch.torch.jacobian_spectrum(tower(), X[0]),
    "precision": lambda: ch.torch.precision(tower(), X, loss=loss),
    "step": lambda: ch.torch.first_step(tower(), X, loss, "sgd", lr=0.1, draws=2),
    "rate": lambda: ch.torch.largest_learning_rate(tower(), X, loss),
    "coordinates": lambda: ch.torch.coord_check(
        tower, X, loss, "adam", lr=1e-3, widths=(16, 32), seeds=2
    ),
    "monitor": watched,
}


@pytest.fixture(scope="module")
def drawn():
    return {name: make().plot() for name, make in PICTURES.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_every_panel_has_a_title(drawn, name):
    titles = [ax.get_title(loc="left") for ax in drawn[name].axes]
    assert titles and all(titles)


def key(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_formats_differ_in_mark_and_dash_and_the_key_names_the_lines(drawn):
    ax = drawn["precision"].axes[-1]
    assert "lines: theory" in key(ax)
    dots = [line for line in ax.lines if line.get_label() in key(ax)[:-1]]
    assert len({line.get_marker() for line in dots}) == len(dots) == 4
    dashes = {
        str(line._unscaled_dash_pattern) for line in ax.lines if not line.get_marker().strip("None")
    }
    assert len(dashes) >= 4


def test_the_key_of_a_monitor_says_which_end_of_the_colours_is_which(drawn):
    for ax in drawn["monitor"].axes:
        words = key(ax)
        assert any(w.startswith("first: 0") for w in words)
        assert any(w.startswith("last: ") for w in words)


def test_lines_of_a_learning_rate_differ_without_colour(drawn):
    (ax,) = drawn["rate"].axes
    upright = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert len(upright) == len({line.get_linestyle() for line in upright}) >= 2


def test_the_band_of_a_coordinate_check_is_named(drawn):
    changes, slopes = drawn["coordinates"].axes
    assert "the same at every width" in key(slopes)
    assert changes.get_legend().get_title().get_text() == "layer"
