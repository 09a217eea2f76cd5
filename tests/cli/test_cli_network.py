"""`chione network`: presets, files, JSON, pictures, and what is wrong said in one sentence."""

from __future__ import annotations

import inspect
import json

import pytest
from click.testing import CliRunner

import chione
from chione.cli import app
from chione.cli.presets import PRESETS
from chione.networks import Network, resnet

UNTOLD = ("grid", "inputs")  # matrices and extents, which a file says better


def run(*args):
    return CliRunner().invoke(app.main, ["network", *map(str, args)])


@pytest.mark.parametrize("preset", ["mlp", "resnet", "densenet", "convnet", "mixer"])
def test_every_preset_has_a_page(preset):
    out = run(preset, "--depth", 3, "--width", 16, "--no-simulate")
    assert out.exit_code == 0, out.output
    assert "gradient" in out.output
    assert "Trains:" in out.output


SMALL = {
    "transformer": ("--depth", 2, "--width", 24, "--heads", 2, "--tokens", 4),
    "gpt2": ("--depth", 2, "--width", 24, "--heads", 2, "--tokens", 4),
    "llama": ("--depth", 2, "--width", 24, "--heads", 2, "--tokens", 4, "--kv-heads", 1),
    "bert": ("--depth", 2, "--width", 24, "--heads", 2, "--tokens", 4),
    "vit": ("--depth", 2, "--width", 24, "--heads", 2, "--image", 8, "--patch", 4),
    "lstm": ("--width", 8, "--steps", 2, "--cell", "gru"),
    "convnext": ("--depth", 1, "--width", 4, "--image", 32, "--classes", 3),
}


@pytest.mark.parametrize("preset", SMALL)
def test_every_known_model_has_a_page_at_a_small_size(preset):
    out = run(preset, *SMALL[preset], "--no-simulate")
    assert out.exit_code == 0, out.output
    assert "Trains:" in out.output


def test_the_list_names_every_preset_and_its_options():
    out = run("--list")
    assert out.exit_code == 0
    for name in PRESETS:
        assert f"\n{name} " in out.output
        builder = inspect.signature(getattr(chione.networks, name)).parameters
        line = next(line for line in out.output.splitlines() if line.startswith(f"{name} "))
        assert set(line.split()) >= {p for p in builder if p not in UNTOLD}


def test_options_reach_the_builder_with_their_names():
    out = run("transformer", "--depth", 2, "--width", 24, "--heads", 4, "--tokens", 3, "--causal",
              "--mlp", "swiglu", "--init", "neox", "--residual-scale", 0.5, "--no-final-norm",
              "--kv-heads", 2, "--rope", 100, "--qk-norm", "--scale", "linear",
              "--describe")  # fmt: skip
    expected = chione.networks.transformer(
        2, 24, 4, tokens=3, causal=True, mlp="swiglu", init="neox", residual_scale=0.5,
        final_norm=False, kv_heads=2, rope=100.0, qk_norm=True, scale="linear",
    )  # fmt: skip
    assert Network.from_dict(json.loads(out.output)) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gpt2", "--scheme", "stable"), "the preset 'gpt2' has no --scheme; it has --depth"),
        (("resnet", "--heads", 3), "the preset 'resnet' has no --heads"),
        (("transformer", "--norm", "batch"), "norm must be one of pre, post, deepnorm, none"),
        (("gpt2", "--heads", 5), "5 heads do not divide 768 channels"),
        (("gpt2", "--init", "gpt3"), "init must be one of gpt2"),
        (("gpt3",), "'gpt3' is neither a preset (mlp, resnet"),
        (("vit", "--patch", 7), "patch must divide image"),
    ],
)
def test_a_wrong_option_of_a_preset_gets_a_sentence(words, said):
    out = run(*words, "--no-simulate")
    assert out.exit_code == 2
    assert said in " ".join(out.output.split())


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


def test_rows_of_a_population_are_marked():
    out = run("resnet", "--placement", "post", "--depth", 3, "--width", 16, "--no-simulate")
    assert out.exit_code == 0, out.output
    assert "p: by a population of sampled channels; all else by the closed rules" in out.output
    assert any(line.rstrip().endswith(" p") for line in out.output.splitlines())


def test_options_that_a_preset_lacks_are_refused():
    out = run("convnet", "--scheme", "fixup")
    assert out.exit_code == 2
    assert "the preset 'convnet' has no --scheme; it has --depth" in " ".join(out.output.split())
    out = run("nothing-like-this")
    assert out.exit_code == 2
    assert "neither a preset" in " ".join(out.output.split())
