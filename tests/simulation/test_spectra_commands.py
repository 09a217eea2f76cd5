"""The commands `chione spectrum` and `chione hessian`, and their pictures."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from chione.cli.app import main


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_spectrum_writes_json_a_curve_and_a_figure(tmp_path):
    out, figure = tmp_path / "s.csv", tmp_path / "s.png"
    result = run(
        "spectrum", "tanh", "--depth", "8", "--q-star", "0.5", "--weights", "orthogonal",
        "--networks", "1", "--width", "150", "--out", str(out), "--figure", str(figure), "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert np.isclose(answer["moments"]["value"][0], 1.0)
    assert answer["simulation"]["ks_distance"] < 0.05
    assert figure.stat().st_size > 5000
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    density = np.array([float(r["density_of_log_lambda"]) for r in rows])
    y = np.array([float(r["log_lambda"]) for r in rows])
    assert abs(np.sum(0.5 * (density[1:] + density[:-1]) * np.diff(y)) - 1.0) < 0.01


def test_spectrum_finds_the_critical_point_with_a_variance():
    result = run("spectrum", "erf_scaled", "--depth", "100", "--variance", "0.25",
                 "--weights", "orthogonal", "--json")  # fmt: skip
    assert np.isclose(json.loads(result.stdout)["variance"], 0.25)


def test_hessian_tells_the_negative_share(tmp_path):
    figure = tmp_path / "h.png"
    result = run("hessian", "--ratio", "0.25", "--energy", "0.3", "--sample", "200",
                 "--figure", str(figure), "--json")  # fmt: skip
    answer = json.loads(result.stdout)
    assert np.isclose(answer["negative_fraction"]["value"], 0.17024308, rtol=1e-6)
    assert figure.stat().st_size > 5000


def test_hessian_of_a_relu_layer_tells_its_atom_and_counts_no_rounding_as_negative(tmp_path):
    curve = tmp_path / "h.csv"
    result = run("hessian", "--ratio", "3.5", "--energy", "0.6", "--structure", "relu",
                 "--sample", "200", "--json", "--out", str(curve), "--points", "60")  # fmt: skip
    answer = json.loads(result.stdout)
    assert np.allclose(answer["atoms"], [[0.0, 3 / 7]])
    assert np.isclose(answer["negative_fraction"]["value"], 1 / 7)
    assert abs(answer["sampled_negative_fraction"] - 1 / 7) < 0.015
    assert answer["onset"]["base"] == answer["negative_fraction"]["value"]
    rows = list(csv.DictReader(curve.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 60
    assert float(rows[-1]["cdf"]) == 1.0
    assert float(rows[0]["density"]) == float(rows[-1]["density"]) == 0.0


@pytest.mark.parametrize("picture", ["density", "index", "critical_energy"])
def test_hessian_draws_density_index_and_critical_energy(picture, tmp_path):
    figure = tmp_path / "h.png"
    result = run("hessian", "--ratio", "0.5", "--energy", "0.1", "--picture", picture,
                 "--figure", str(figure))  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "critical energy  0.011271243 (energy = 8.872 times it)" in result.output
    assert figure.stat().st_size > 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ("hessian", "--ratio", "1", "--energy", "1", "--structure", "gelu"),
        ("spectrum", "step", "--depth", "2", "--q-star", "1"),
        ("spectrum", "tanh", "--depth", "2", "--q-star", "0"),
        ("spectrum", "tanh", "--depth", "2"),
        ("hessian", "--ratio", "0", "--energy", "1"),
    ],
)
def test_bad_input_ends_in_one_sentence_and_no_traceback(arguments):
    result = run(*arguments)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    assert "Error" in result.output
