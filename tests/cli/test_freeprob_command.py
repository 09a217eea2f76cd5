"""`chione freeprob`: what it prints, writes and refuses."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from chione import freeprob as fp
from chione.cli import main


def run(*args: str):
    return CliRunner().invoke(main, ["freeprob", *args])


def test_a_sum_is_described_drawn_and_written(tmp_path):
    figure, data = tmp_path / "f.png", tmp_path / "f.csv"
    out = run("mp(0.5) + semicircle(1)", "--figure", str(figure), "--out", str(data))
    assert out.exit_code == 0, out.stderr
    assert out.stdout.startswith("marchenko_pastur(0.5) + semicircle(1): fills (-1.3214539, 3.66")
    assert "moments         1, 2.5, 5.75, 15.625" in out.stdout
    assert figure.read_bytes()[:4] == b"\x89PNG"
    table = np.genfromtxt(data, delimiter=",", names=True)
    law = fp.marchenko_pastur(0.5) + fp.semicircle(1.0)
    np.testing.assert_allclose(table["density"], law.density(table["x"]).value, atol=1e-12)


def test_numbers_of_the_json_are_those_of_the_measure():
    out = run("coin^4", "--json")
    assert out.exit_code == 0, out.stderr
    found = json.loads(out.stdout)
    assert found["support"][0] == pytest.approx([-(12.0**0.5), 12.0**0.5], rel=1e-12)
    assert found["free_cumulants"]["value"] == pytest.approx([0.0, 4.0, 0.0, -4.0], abs=1e-12)
    assert found["moments"]["value"] == pytest.approx([0.0, 4.0, 0.0, 28.0], abs=1e-12)
    assert found["parameters"]["formula"] == "coin^4"
    assert found["quantiles"]["value"][2] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".txt"])
def test_eigenvalues_come_from_files(tmp_path, ending):
    values = np.array([0.0, 1.0, 1.0, 4.0])
    path = tmp_path / f"eigenvalues{ending}"
    if ending == ".npy":
        np.save(path, values)
    elif ending == ".npz":
        np.savez(path, values=values)
    else:
        np.savetxt(path, values)
    out = run(f"{path} + point(1)", "--json")
    assert out.exit_code == 0, out.stderr
    found = json.loads(out.stdout)
    assert found["atoms"] == [[1.0, 0.25], [2.0, 0.5], [5.0, 0.25]]
    assert found["moments"]["value"][0] == pytest.approx(2.5)


def test_a_matrix_is_put_beside_the_measure():
    out = run("mp(0.5) + coin", "--matrix", "200", "--json")
    assert out.exit_code == 0, out.stderr
    assert json.loads(out.stdout)["matrix"]["distance"] < 0.02
    assert "One matrix of size 200" in run("mp(0.5) + coin", "--matrix", "200").stdout


def mean_of(formula):
    out = run(formula, "--json")
    assert out.exit_code == 0, out.stderr
    return json.loads(out.stdout)["moments"]["value"][0]


def test_laws_of_networks_have_names():
    from chione.theory.spectra import derivative_law, jacobian_spectrum

    slope = float(derivative_law("tanh", 0.5).moments(1)[0])
    mean = jacobian_spectrum("tanh", depth=3, q_star=0.5).mean
    assert mean_of("slope(tanh, 0.5)") == pytest.approx(slope, rel=1e-12)
    assert mean_of("jacobian(tanh, 3, q_star=0.5) + 2") == pytest.approx(mean + 2, rel=1e-12)


@pytest.mark.slow
def test_laws_of_networks_are_added():
    from chione.theory.spectra import derivative_law, jacobian_spectrum

    mean = jacobian_spectrum("tanh", depth=3, q_star=0.5).mean
    mean += float(derivative_law("tanh", 0.5).moments(1)[0])
    found = mean_of("slope(tanh, 0.5) + jacobian(tanh, 3, q_star=0.5)")
    assert found == pytest.approx(mean, rel=1e-12)


def test_names_are_listed():
    out = run("--names")
    assert out.exit_code == 0
    for name in ("semicircle", "mp", "coin", "jacobian"):
        assert any(line.startswith(name) for line in out.stdout.splitlines())


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        ("mp(0.5) +", "breaks off"),
        ("mp(0.5) + nothing", "not known"),
        ("missing.npy", "missing.npy"),
        ("jacobian(tanh, 2.5)", "whole number"),
        ("jacobian(nothing, 2, q_star=1)", "nothing"),
        ("semicircle(1) * semicircle(1)", "[0, inf)"),
        ("coin^0.5", "t >= 1"),
        ("2", "not a measure"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(formula, part):
    out = run(formula)
    assert out.exit_code in (1, 2)
    assert part in out.stderr
    assert out.stderr.startswith("Error: ")
    assert out.stderr.count("\n") == 1
    assert out.stdout == ""


def test_a_file_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "matrix.npy"
    np.save(path, np.eye(3))
    out = run(f"{path}")
    assert out.exit_code == 2
    assert "eigvalsh" in out.stderr
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert run(f"{path}").exit_code == 2


def test_spikes_give_outliers_or_stay():
    out = run("point(1) * mp(0.5)", "--spike", "4", "--spike", "1.5", "--json")
    assert out.exit_code == 0, out.stderr
    above, none = json.loads(out.stdout)["outliers"]
    assert above["place"]["value"] == pytest.approx(14.0 / 3.0, rel=1e-12)
    assert above["side"] == "above"
    assert none["side"] == "none"
    text = run("point(1) * mp(0.5)", "--spike", "4", "--spike", "1.5").stdout
    assert "an outlier at 4.6666667" in text
    assert "A spike at 1.5 gives no outlier" in text
    assert "spikes above 1.7071068 come out above the edge at 2.9142136" in text


def test_edges_have_exponents_and_a_tracy_widom_scale():
    edges = json.loads(run("semicircle(1)", "--json").stdout)["edges"]
    assert [e["side"] for e in edges] == ["lower", "upper"]
    for edge in edges:
        assert edge["exponent"]["value"] == pytest.approx(0.5, abs=1e-6)
        assert edge["scale"]["value"] == pytest.approx(1.0, rel=1e-6)
    assert "density ~ |x - a|^-0.5" in run("mp(1)").stdout
