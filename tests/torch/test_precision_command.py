"""`chione precision` on files of a user."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from chione.cli import main  # noqa: E402
from chione.torch import precision  # noqa: E402

FILE = """
import torch

def make():
    print("made")
    layers = torch.nn.Linear(12, 32), torch.nn.Tanh(), torch.nn.Linear(32, 5)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)

def tiny(out):
    return 1e-7 * out.square().mean()

def words():
    return torch.nn.Sequential(torch.nn.Embedding(11, 16), torch.nn.Linear(16, 11))
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "net.py").write_text(FILE)

    def call(factory, *options, shape="3,4"):
        arguments = ["precision", f"{tmp_path}/net.py:{factory}", "--input-shape", shape, *options]
        return CliRunner().invoke(main, arguments)

    return call


def model():
    torch.manual_seed(0)
    layers = torch.nn.Linear(12, 32), torch.nn.Tanh(), torch.nn.Linear(32, 5)
    net = torch.nn.Sequential(torch.nn.Flatten(), *layers)
    return net, torch.randn(16, 3, 4, generator=torch.Generator().manual_seed(0))


def test_its_numbers_are_those_of_the_function(run):
    done = run("make", "--batch", "16", "--loss", "tiny", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    mine = precision(*model(), lambda out: 1e-7 * out.square().mean()).to_dict()
    assert answer["result"] == json.loads(json.dumps(mine))
    assert answer["parameters"]["loss"] == "tiny" and "made" in done.stderr


def test_the_page_ends_with_the_loss_scale_and_the_epsilon(run):
    done = run("make", "--loss", "tiny", "--format", "float16")
    assert done.exit_code == 0
    assert "with a loss scale" not in done.stdout and "Loss scales from 2^" in done.stdout
    assert "Adam: " in done.stdout and "bfloat16:" not in done.stdout


def test_tokens_and_a_picture(run, tmp_path):
    done = run("words", "--tokens", "11", "--figure", str(tmp_path / "a.png"), shape="6")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "float7"), "'float7' is not one of"),
        (("--loss", "nowhere"), "defines no 'nowhere'"),
        (("--tolerance", "-1"), "--tolerance"),
    ],
)
def test_wrong_options_are_usage_errors(run, options, words):
    done = run("make", *options)
    assert done.exit_code == 2 and words in done.stderr
