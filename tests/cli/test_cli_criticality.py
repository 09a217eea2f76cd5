"""The commands `criticality` and `stability`."""

import json

from click.testing import CliRunner

from chione.cli import main


def run(*args):
    return CliRunner().invoke(main, list(args))


def test_one_activation_prints_its_point_its_reason_and_its_laws():
    out = run("criticality", "gelu")
    assert out.exit_code == 0
    assert "3.5615528128" in out.output
    assert "1.98305825744" in out.output
    assert "attracts lengths from above" in out.output
    assert "at large depth" in out.output


def test_the_catalogue_is_a_table_without_nan():
    out = run("criticality")
    assert out.exit_code == 0
    assert "nan" not in out.output.lower()
    assert len(out.output.splitlines()) > 40
    data = json.loads(run("criticality", "--json").stdout)
    assert {row["activation"] for row in data["activations"]} >= {"tanh", "softplus", "sign"}


def test_no_solution_is_an_answer_with_its_reason_and_exit_code_one():
    out = run("criticality", "sigmoid")
    assert out.exit_code == 1
    assert "-4" in out.output
    out = run("criticality", "sigmoid", "--json")
    assert out.exit_code == 1
    assert json.loads(out.stdout)["points"] == []
    assert "phi(0) = 0.5" in out.stderr


def test_json_carries_points_and_laws():
    data = json.loads(run("criticality", "tanh", "--json").stdout)
    assert data["points"][0]["fading"]["amplitude"]["value"] == 0.5 or (
        abs(data["points"][0]["fading"]["amplitude"]["value"] - 0.5) < 1e-12
    )
    assert data["large_depth"][0]["gradient"]["exponent"] > 0.99


def test_pictures_are_written_and_equal_on_repeat(tmp_path):
    first, second = tmp_path / "one.svg", tmp_path / "two.svg"
    for path in (first, second):
        assert run("criticality", "gelu", "--figure", str(path)).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert run("stability", "selu", "--figure", str(tmp_path / "three.png")).exit_code == 0
    assert (tmp_path / "three.png").stat().st_size > 5000


def test_a_picture_wants_one_activation(tmp_path):
    out = run("criticality", "--figure", str(tmp_path / "a.png"))
    assert out.exit_code == 2
    assert "name it" in out.output


def test_stability_prints_the_saddle_of_selu():
    out = run("stability", "selu")
    assert out.exit_code == 0
    assert "saddle (eigenvalues 1.07675, 0.69113)" in out.output
    data = json.loads(run("stability", "selu", "--json").stdout)
    assert [p["stability"] for p in data["points"]] == ["attracts", "saddle"]


def test_a_jumping_activation_has_no_stability_and_says_why():
    out = run("stability", "step")
    assert out.exit_code == 2
    assert "jumps" in out.output
