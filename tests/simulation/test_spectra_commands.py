"""The commands `chione spectrum` and `chione hessian`, and their pictures."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import ndtr

from chione.cli.app import main
from chione.cli.spectrum import _bands
from chione.theory.spectra.jacobian import jacobian_spectrum


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


def test_rounding_of_networks_is_no_distance():
    result = run("spectrum", "tanh", "--q-star", "1", "--depth", "64", "--networks", "2",
                 "--width", "300", "--json")  # fmt: skip
    told = json.loads(result.stdout)["simulation"]
    assert told["ks_distance"] == told["distance"] < 3.0 * told["expected"] < 0.02
    assert told["unresolved"] > 300
    assert told["sentence"].startswith("372 of 600 singular values lie below rounding")
    relu = run("spectrum", "relu", "--q-star", "1", "--depth", "4", "--weights", "orthogonal",
               "--networks", "2", "--width", "300")  # fmt: skip
    assert "300 of 600 singular values are exactly 0: 0.5000 of the mass" in relu.output
    assert "they agree." in relu.output
    assert "Rank: 0.5 of the singular values are not 0." in relu.output


@pytest.mark.parametrize(
    "arguments",
    [("linear", "--depth", "3", "--q-star", "1", "--weights", "orthogonal"),
     ("gelu", "--depth", "3", "--q-star", "1e3"), ("softplus", "--depth", "2", "--q-star", "0.1"),
     ("tanh", "--depth", "6400", "--sigma-w", "3", "--sigma-b", "0.1")],
)  # fmt: skip
def test_spectrum_prints_sentences_and_never_nan(arguments):
    result = run("spectrum", *arguments)
    assert result.exit_code == 0, result.output
    assert not {"nan", "NaN", "None"} & set(result.output.replace(",", " ").split())
    lines = result.output.splitlines()
    at = next(i for i, line in enumerate(lines) if "below which a share lies" in line)
    assert lines[at + 1].split() == ["5%", "25%", "50%", "75%", "95%"]
    if arguments[0] == "linear":
        assert lines[at + 2].split() == ["1"] * 5
    if arguments[0] == "tanh":  # beyond float64
        s = jacobian_spectrum("tanh", depth=6400, sigma_w=3.0, sigma_b=0.1)
        ten = 0.5 * s.log_quantile(0.05).value / np.log(10.0)
        mantissa, power = lines[at + 2].split()[0].split("e")
        assert int(power) < -1000
        assert abs(int(power) + np.log10(float(mantissa)) - ten) < 0.01
    if arguments[0] == "gelu":  # a fifth of the mass lies where the derivative leaves float64
        s = jacobian_spectrum("gelu", depth=3, q_star=1e3)
        five = 0.5 * s.log_quantile(0.05).value / np.log(10.0)
        mantissa, power = lines[at + 2].split()[0].split("e")
        assert abs(int(power) + np.log10(float(mantissa)) - five) < 0.01
    if arguments[0] == "softplus":
        assert "none: no bias makes this q_star a fixed point" in result.output


def test_spectrum_tells_the_mass_of_its_bands():
    s = jacobian_spectrum("leaky_relu(0.1)", depth=2, q_star=1.0, widths=[800, 800, 1600])
    bands = _bands(s)
    assert [b["log_low"] for b in bands] == [a for a, _ in s.log_support]
    assert np.allclose([b["mass"] for b in bands], 0.25, atol=1e-6)
    # half of the slopes are lambda, a point mass that parts the band of the others
    s = jacobian_spectrum("selu", depth=1, q_star=0.5, weights="orthogonal")
    low, high = _bands(s)
    ((place, mass),) = s.atoms
    assert np.exp(low["log_high"]) == np.exp(high["log_low"]) == pytest.approx(place, rel=1e-12)
    assert mass == pytest.approx(0.5, abs=1e-12)
    # phi' = lambda alpha exp(h) is below lambda where h < -log(alpha)
    below = float(ndtr(-np.log(1.6732632423543772) / np.sqrt(0.5)))
    assert low["mass"] == pytest.approx(below, abs=1e-9)
    assert low["mass"] + high["mass"] == pytest.approx(0.5, abs=1e-9)


def test_spectrum_finds_the_critical_point_with_a_variance():
    result = run("spectrum", "erf_scaled", "--depth", "100", "--variance", "0.25",
                 "--weights", "orthogonal", "--json")  # fmt: skip
    assert np.isclose(json.loads(result.stdout)["variance"], 0.25)


def test_spectrum_of_different_widths_samples_networks_of_those_widths(tmp_path):
    figure = tmp_path / "s.png"
    result = run(
        "spectrum", "leaky_relu(0.1)", "--depth", "2", "--q-star", "1", "--weights", "orthogonal",
        "--widths", "200,200,400", "--networks", "1", "--figure", str(figure), "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["atoms"] == [[0.0, 0.5]]
    assert answer["parameters"]["widths"] == [200.0, 200.0, 400.0]
    assert [round(b["mass"], 12) for b in answer["bands"]] == [0.25, 0.25]
    assert answer["simulation"]["ks_distance"] < 0.02
    assert figure.stat().st_size > 5000


@pytest.mark.parametrize(
    ("widths", "more", "message"),
    [
        ("5,3", (), "widths must hold 3 numbers"),
        ("5,x,3", (), "is not a list such as 500,300,500"),
        ("5,0,3", (), "above 0"),
        ("5,2.5,3", ("--networks", "1"), "needs whole numbers in --widths"),
    ],
)
def test_widths_that_cannot_be_are_refused_in_one_sentence(widths, more, message):
    result = run("spectrum", "tanh", "--depth", "2", "--q-star", "1", "--widths", widths, *more)
    assert result.exit_code != 0
    assert message in result.output


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
