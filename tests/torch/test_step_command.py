"""`chione step` on files of a user."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from chione.cli import main  # noqa: E402
from chione.torch import coord_check, first_step, largest_learning_rate  # noqa: E402

FILE = """
import torch
from helper import SCALE

def make(n=32):
    print("made")
    layers = torch.nn.Linear(12, n), torch.nn.Tanh(), torch.nn.Linear(n, 5)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)

def own_loss(out):
    return SCALE * (out - 1.0).square().mean()

def own_optimizer(parameters):
    return torch.optim.SGD(parameters, lr=0.2, momentum=0.9)

def per_width(model, n):
    return torch.optim.SGD(model.parameters(), lr=1.0 / n)

def words():
    return torch.nn.Sequential(torch.nn.Embedding(11, 16), torch.nn.Linear(16, 11))

def broken_loss(out):
    raise RuntimeError("no labels")

number = 3
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "net.py").write_text(FILE)
    (tmp_path / "helper.py").write_text("SCALE = 2.0\n")

    def call(factory, *options, shape="3,4"):
        arguments = ["step", f"{tmp_path}/net.py:{factory}", "--input-shape", shape, *options]
        return CliRunner().invoke(main, arguments)

    return call


def model():
    torch.manual_seed(0)
    layers = torch.nn.Linear(12, 32), torch.nn.Tanh(), torch.nn.Linear(32, 5)
    net = torch.nn.Sequential(torch.nn.Flatten(), *layers)
    return net, torch.randn(16, 3, 4, generator=torch.Generator().manual_seed(0))


def own_loss(out):
    return 2.0 * (out - 1.0).square().mean()


def test_it_prints_what_first_step_finds(run):
    net, x = model()
    found = first_step(net, x, own_loss, lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9))
    result = run("make", "--batch", "16", "--loss", "own_loss", "--optimizer", "own_optimizer")
    assert result.exit_code == 0
    assert result.stdout == f"{found}\n"
    assert "One step on the first input alone, beside theory" in result.stdout


def test_json_holds_the_numbers_and_the_options(run):
    net, x = model()
    found = first_step(net, x, own_loss, "adam", lr=1e-3, steps=2, draws=0)
    result = run("make", "--batch", "16", "--loss", "own_loss", "--optimizer", "adam", "--lr",
                 "1e-3", "--steps", "2", "--draws", "0", "--json")  # fmt: skip
    document = json.loads(result.stdout)
    assert document["command"] == "step"
    assert document["parameters"]["optimizer"] == "adam"
    assert document["result"] == json.loads(json.dumps(found.to_dict()))


def test_the_largest_learning_rate_is_one_option_away(run, tmp_path):
    net, x = model()
    found = largest_learning_rate(net, x, own_loss)
    figure = tmp_path / "rate.png"
    result = run(
        "make", "--batch", "16", "--loss", "own_loss", "--largest", "--figure", str(figure)
    )
    assert result.stdout == f"{found}\n"
    assert figure.stat().st_size > 1000


def test_widths_ask_for_a_coordinate_check(run):
    def make(n):
        layers = torch.nn.Linear(12, n), torch.nn.Tanh(), torch.nn.Linear(n, 5)
        return torch.nn.Sequential(torch.nn.Flatten(), *layers)

    _, x = model()
    options = ("--batch", "16", "--loss", "own_loss", "--widths", "8,16,32", "--seeds", "2")
    found = coord_check(make, x, own_loss, "sgd", lr=0.1, widths=(8, 16, 32), seeds=2)
    assert run("make", *options, "--lr", "0.1").stdout == f"{found}\n"
    result = run("make", *options, "--optimizer", "per_width")
    assert "Widths 8, 16, 32; 2 models each; SGD(lr=0.125)" in result.stdout


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_tokens_and_random_targets(run, loss):
    options = ("--tokens", "11", "--batch", "4", "--lr", "0.1", "--loss", loss)
    result = run("words", *options, shape="7")
    assert result.exit_code == 0
    assert "embedding" in result.stdout
    again = run("words", *options, shape="7")
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        ("make", (), "--optimizer sgd needs its learning rate, as in --lr 0.01"),
        (
            "make",
            ("--lr", "0.1", "--loss", "nothing"),
            "a loss is cross_entropy, mse or a",
        ),
        ("make", ("--lr", "0.1", "--loss", "number"), "'number' in .* is no function"),
        ("make", ("--lr", "0.1", "--loss", "broken_loss"), "RuntimeError: no labels"),
        ("make", ("--lr", "0.1", "--optimizer", "own_optimizer"), "sets its rates itself"),
        ("make", ("--largest", "--widths", "8,16"), "ask one at a time"),
        ("number", ("--lr", "0.1"), "gives an object of type int, not a torch.nn.Module"),
        ("missing", ("--lr", "0.1"), "defines no 'missing'"),
        ("words", ("--lr", "0.1"), "rejects the batch in layer '0'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, factory, options, message):
    import re

    result = run(factory, *options)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split()))
    assert "Traceback" not in result.output
