"""`chione network`: presets, files, JSON, pictures, and what is wrong said in one sentence."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from chione.cli import app
from chione.networks import Network, resnet


def run(*args):
    return CliRunner().invoke(app.main, ["network", *map(str, args)])


@pytest.mark.parametrize("preset", ["mlp", "resnet", "densenet", "convnet", "mixer"])
def test_every_preset_has_a_page(preset):
    out = run(preset, "--depth", 3, "--width", 16, "--no-simulate")
    assert out.exit_code == 0, out.output
    assert "gradient" in out.output
    assert "Trains:" in out.output


def test_a_described_preset_is_a_file_that_gives_the_same_page(tmp_path):
    text = run("resnet", "--depth", 4, "--width", 16, "--norm", "layer", "--describe").output
    assert Network.from_dict(json.loads(text)) == resnet(depth=4, width=16, norm="layer")
    path = tmp_path / "mine.json"
    path.write_text(text)
    page = run(path, "--networks", 3).output
    assert (
        page
        == run("resnet", "--depth", 4, "--width", 16, "--norm", "layer", "--networks", 3).output
    )


def test_json_figure_and_file(tmp_path):
    figure, saved = tmp_path / "f.png", tmp_path / "found.json"
    out = run("resnet", "--depth", 2, "--width", 16, "--networks", 2, "--json",
              "--figure", figure, "--out", saved)  # fmt: skip
    assert out.exit_code == 0, out.output
    found = json.loads(out.stdout)
    assert found["command"] == "network"
    assert found["theory"]["q"]["value"][-1] == pytest.approx(4.0)
    assert figure.stat().st_size > 1000
    assert json.loads(saved.read_text())["result"]["kind"] == "diagnosis.NetworkAnalysis"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON: line 1"),
        ("[]", "a network must be an object"),
        ('{"layers": [{"kind": "dens"}]}', "layers[0]: kind must be one of"),
        ('{"layers": [{"kind": "dense", "sigmaw": 1}]}', "layers[0]: there is no field 'sigmaw'"),
        (
            '{"layers": [{"kind": "repeat", "times": 2, "layers": '
            '[{"kind": "dense", "out": -1}]}]}',
            "layers[0].layers[0]: out must be at least 1",
        ),
        ('{"layers": [{"kind": "pooling"}]}', "layers[0]: this layer needs positions"),
        ('{"layers": [{"kind": "nonlinearity", "activation": "tanj"}]}', "did you mean 'tanh'"),
        ('{"layers": [{"kind": "dropout", "keep": 2}]}', "layers[0]: keep must be a probability"),
        ('{"layers": [], "inputs": 3}', "there is no field 'inputs'"),
        ('{"layers": [], "input": {"inputs": [[1, 2], [2, 1]]}}', "input: inputs must be a matrix"),
    ],
)
def test_a_wrong_file_gets_a_sentence_with_its_place(text, said, tmp_path):
    path = tmp_path / "net.json"
    path.write_text(text)
    out = run(path, "--no-simulate")
    assert out.exit_code in (1, 2)
    assert said in " ".join(out.output.split())
    assert "Traceback" not in out.output


def test_what_does_not_close_asks_for_a_simulation():
    out = run("resnet", "--placement", "post", "--depth", 3, "--width", 16, "--no-simulate")
    assert out.exit_code == 1
    assert "layers[1]#1.layers[1]" in out.output
    assert run("resnet", "--placement", "post", "--depth", 3, "--width", 16).exit_code == 0


def test_options_that_a_preset_lacks_are_refused():
    out = run("convnet", "--scheme", "fixup")
    assert out.exit_code == 2
    assert "--scheme is no option of the preset 'convnet'" in " ".join(out.output.split())
    out = run("nothing-like-this")
    assert out.exit_code == 2
    assert "neither a preset" in " ".join(out.output.split())
