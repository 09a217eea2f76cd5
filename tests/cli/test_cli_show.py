"""`chione show`: what was saved is printed and drawn again, what was damaged is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import chione as ch
from chione.cli import main


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.fixture(scope="module")
def diagram():
    return ch.phase_diagram("tanh", sigma_w=np.linspace(0.5, 3, 9), sigma_b=np.linspace(0, 0.4, 7))


@pytest.mark.parametrize("ending", ["npz", "nc", "json"])
def test_a_saved_result_is_printed_and_drawn_as_the_first_time(tmp_path, diagram, ending):
    path = diagram.save(tmp_path / f"d.{ending}")
    out = run("show", path, "--figure", tmp_path / "again.png")
    assert out.exit_code == 0, out.stderr
    assert out.stdout.strip() == str(diagram).strip()
    ch.plotting.save(ch.plot(diagram), tmp_path / "first.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "first.png").read_bytes()


def test_json_is_one_object_with_the_kind(tmp_path, diagram):
    out = run("show", diagram.save(tmp_path / "d.npz"), "--json")
    document = json.loads(out.stdout)
    assert document["command"] == "show"
    assert document["kind"] == "PhaseDiagram"
    assert np.allclose(document["sigma_w"], diagram.sigma_w)


def test_a_result_is_written_again_in_another_format(tmp_path, diagram):
    path = diagram.save(tmp_path / "d.npz")
    assert run("show", path, "--out", tmp_path / "d.nc").exit_code == 0
    assert ch.load(tmp_path / "d.nc") == diagram


def test_a_table_is_printed_but_not_drawn(tmp_path, diagram):
    path = diagram.save(tmp_path / "d.csv")
    out = run("show", path)
    assert out.exit_code == 0
    assert "sigma_w" in out.stdout
    out = run("show", path, "--figure", tmp_path / "d.png")
    assert out.exit_code == 2
    assert ".npz, .nc or .json" in out.stderr
    assert not (tmp_path / "d.png").exists()


def test_damage_absence_and_wrong_endings_are_one_sentence(tmp_path, diagram):
    path = tmp_path / "d.npz"
    path.write_bytes(diagram.save(tmp_path / "good.npz").read_bytes()[:500])
    for name, code in (("d.npz", 2), ("absent.npz", 2), ("d.pickle", 2)):
        out = run("show", tmp_path / name)
        assert out.exit_code == code
        assert out.stderr.startswith("Error: ")
        assert out.stderr.count("\n") == 1
    out = run("show", tmp_path / "good.npz", "--out", tmp_path / "x.pickle")
    assert out.exit_code == 2
    assert "must end in" in out.stderr


def test_numbers_that_contradict_each_other_are_refused_when_they_are_printed(tmp_path):
    network = ch.MLP(ch.activation("tanh"), 1.5, 0.1, 2, 8)
    run_ = ch.simulate(network, n_networks=2)
    tree = json.loads(run_.save(tmp_path / "a.json").read_text())
    tree["result"]["fields"]["stderr"] = {}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tree))
    for options in (["--json"], ["--figure", tmp_path / "a.png"]):
        out = run("show", path, *options)
        assert out.exit_code == 2
        assert "contradict" in out.stderr


def test_an_unknown_field_is_answered_with_those_there_are(tmp_path, diagram):
    path = diagram.save(tmp_path / "d.npz")
    out = run("show", path, "--figure", tmp_path / "d.png", "--field", "banana")
    assert out.exit_code == 2
    assert "q_star, chi_parallel" in out.stderr
    out = run("show", path, "--figure", tmp_path / "d.png", "--field", "xi_c")
    assert out.exit_code == 0
    assert (tmp_path / "d.png").stat().st_size > 5000


def test_a_result_without_a_picture_says_so(tmp_path):
    path = ch.universality_class("relu").save(tmp_path / "u.json")
    out = run("show", path, "--figure", tmp_path / "u.png")
    assert out.exit_code == 2
    assert "no picture for a Universality" in out.stderr
