"""analyze, phase and gain from the command line: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import chione
from chione.base import Status, Table
from chione.cli import main


def run(*args: str):
    return CliRunner().invoke(main, list(args))


SMALL = ("--depth", "10", "--width", "80", "--networks", "4")


def test_analyze_prints_the_page():
    out = run("analyze", "gelu", "--sigma-w", "1.3", "--sigma-b", "0.3", *SMALL)
    assert out.exit_code == 0, out.stderr
    assert "gelu, sigma_w = 1.3" in out.stdout
    assert "over 10 layers" in out.stdout
    assert "+-" in out.stdout
    assert out.stderr == ""


def test_analyze_gives_json_with_value_error_and_status():
    out = run("analyze", "tanh", "--sigma-w", "1.3", "--sigma-b", "0.3", "--json", *SMALL)
    assert out.exit_code == 0, out.stderr
    document = json.loads(out.stdout)
    for key in ("q_star", "c_star", "chi_parallel", "chi_perp", "xi_q", "xi_c"):
        assert {"value", "error", "status"} <= set(document[key])
    assert document["q_star"]["value"] == pytest.approx(0.607047, abs=5e-7)
    assert document["chi_perp"]["value"] == pytest.approx(0.939807, abs=5e-7)
    assert document["command"] == "analyze"
    assert document["parameters"]["sigma_w"] == 1.3


def test_analyze_draws_the_page(tmp_path):
    path = tmp_path / "page.png"
    out = run("analyze", "tanh", "--sigma-w", "1.3", "--no-simulate", "--figure", str(path))
    assert out.exit_code == 0, out.stderr
    assert out.stderr == f"Wrote {path}\n"
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_analyze_without_sigmas_compares_with_pytorch():
    out = run("analyze", "tanh", *SMALL)
    assert out.exit_code == 0, out.stderr
    for name in ("recommended", "torch.nn.Linear default", "torch calculate_gain"):
        assert name in out.stdout


@pytest.mark.parametrize("network", [("relu", "1.6", "0"), ("gelu", "1.5", "0.1")])
def test_a_verdict_is_an_answer_also_where_lengths_diverge(network):
    name, sigma_w, sigma_b = network
    out = run("analyze", name, "--sigma-w", sigma_w, "--sigma-b", sigma_b, *SMALL, "--json")
    assert out.exit_code == 0
    document = json.loads(out.stdout)
    assert not document["reached"] and document["trains"] in ("yes", "doubtful", "no")
    assert "lengths diverge" in document["survives"]["reason"]
    assert out.stderr == ""


def test_an_activation_that_grows_too_fast_has_no_answer():
    out = run("analyze", "exp(x**2)", "--sigma-w", "1.0", "--no-simulate")
    assert out.exit_code == 1
    assert "Traceback" not in out.output
    assert out.stderr.startswith("Error: ") and out.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tanh", "--sigma-w", "-1"), "below 0"),
        (("tanh", "--sigma-w", "nan"), "not a finite number"),
        (("tanh", "--sigma-w", "two"), "not a number"),
        (("tanh", "--sigma-b", "0.1"), "without sigma_w"),
        (("tanh", "--depth", "0"), "is below 1, the smallest accepted value"),
        (("tanh", "--width", "-3"), "is below 1, the smallest accepted value"),
        (("tanh", "--networks", "1"), "is below 2, the smallest accepted value"),
        (("tanh", "--weights", "cauchy"), "'gaussian'"),
        (("tanh", "--figure", "page.gif"), ".png, .svg, .pdf"),
        (("gelo",), "gelu"),
        (("__import__('os').system('true')",), ""),
        (("x.real",), ""),
        (("log(x)",), ""),
        ((), "Missing argument"),
        (("tanh", "--sigma_w", "1"), "No such option"),
    ],
)
def test_bad_usage_ends_with_code_2_and_a_sentence(arguments, message):
    out = run("analyze", *arguments)
    assert out.exit_code == 2
    assert out.stdout == ""
    assert message in out.stderr
    assert "Error: " in out.stderr and "Traceback" not in out.stderr


GRID = ("--sigma-w", "0.5:3:12", "--sigma-b", "0:1:7")
FIELDS = ("q_star", "chi_parallel", "chi_perp", "c_star", "xi_q", "xi_c")


def test_phase_writes_arrays_and_a_picture(tmp_path):
    data, picture, line = (tmp_path / name for name in ("phase.npz", "phase.png", "line.npz"))
    files = ("--out", str(data), "--figure", str(picture), "--line", str(line))
    out = run("phase", "tanh", *GRID, *files)
    assert out.exit_code == 0, out.stderr
    with np.load(data) as held:
        assert all(held[name].shape == (7, 12) for name in (*FIELDS, "phase"))
        row, column = 2, 5
        w, b = held["sigma_w"][column], held["sigma_b"][row]
        q = held["q_star"][row, column]
    with np.load(line) as held:
        assert held["sigma_w"].ndim == 1 and held["sigma_w"].shape == held["q"].shape
    # the fixed point again, by plain Gauss-Hermite with enough nodes for a smooth function
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    image = w**2 * (weight @ np.tanh(np.sqrt(q) * x) ** 2) / weight.sum() + b**2
    assert abs(image - q) < 1e-7
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_phase_writes_the_same_numbers_in_every_format(tmp_path):
    xarray = pytest.importorskip("xarray")
    for ending in ("npz", "csv", "nc"):
        assert run("phase", "tanh", *GRID, "--out", str(tmp_path / f"p.{ending}")).exit_code == 0
    with np.load(tmp_path / "p.npz") as held:
        arrays = {name: held[name] for name in FIELDS}
    with (tmp_path / "p.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert {line["status"] for line in table} <= {s.word for s in Status}
    assert table[0]["status"] == "ok"
    with xarray.open_dataset(tmp_path / "p.nc", engine="scipy") as dataset:
        assert dataset["q_star"].dims == ("sigma_b", "sigma_w")
        for name, array in arrays.items():
            np.testing.assert_array_equal(dataset[name].values, array)
            column = np.array([float(line[name] or "nan") for line in table]).reshape(7, 12)
            np.testing.assert_array_equal(column, array)


def test_phase_prints_the_shares_of_the_phases():
    out = run("phase", "tanh", *GRID, "--json")
    document = json.loads(out.stdout)
    assert sum(document["share"].values()) == pytest.approx(1.0)
    assert {"ordered", "chaotic"} <= set(document["share"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("tanh", "--sigma-w", "3:1:10"),
        ("tanh", "--sigma-b", "-1:1:10"),
        ("tanh", "--out", "phase.xlsx"),
        ("tahn",),
    ],
)
def test_bad_usage_of_phase_ends_with_code_2(arguments):
    out = run("phase", *arguments)
    assert out.exit_code == 2
    assert "Traceback" not in out.stderr


def test_gain_of_one_activation_says_what_to_use():
    out = run("gain", "relu", "--depth", "100")
    assert out.exit_code == 0, out.stderr
    assert "1.41421" in out.stdout
    document = json.loads(run("gain", "relu", "--json").stdout)
    (row,) = document["rows"]
    assert row["recommended"]["sigma_w"] == pytest.approx(2**0.5, rel=1e-12)
    assert row["calculate_gain"]["sigma_w"] == pytest.approx(2**0.5)


def test_gain_draws_what_initialisations_cost_for_one_activation_and_for_all(tmp_path):
    for name in (("tanh",), ()):
        page = tmp_path / "gain.svg"
        out = run("gain", *name, "--figure", str(page))
        assert out.exit_code == 0
        assert page.read_text().startswith("<?xml")


def test_gain_of_an_activation_without_an_edge_of_chaos_ends_with_code_1():
    out = run("gain", "quadratic")
    assert out.exit_code == 1
    assert "quadratic" in out.stdout


def test_the_command_line_is_a_program_too():
    out = subprocess.run(
        [sys.executable, "-m", "chione", "analyze", "tanh", "--sigma-w", "-1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.returncode == 2
    assert "Traceback" not in out.stderr


EVERY_COMMAND_WITH_DATA = {
    "analyze": ("tanh", "--sigma-w", "1.3", "--no-simulate", "--depth", "4"),
    "phase": ("tanh", *GRID),
    "gain": ("relu",),
    "criticality": ("relu",),
    "stability": ("selu",),
    "simulate": ("tanh", "--sigma-w", "1.3", "--depth", "2", "--width", "20", "--networks", "2"),
    "spectrum": ("tanh", "--depth", "4", "--q-star", "0.5"),
    "hessian": ("--ratio", "0.5", "--energy", "0.3"),
}


@pytest.mark.parametrize("command", EVERY_COMMAND_WITH_DATA)
def test_out_is_data_in_every_format_and_comes_back(tmp_path, command):
    pytest.importorskip("xarray")
    back = {}
    for ending in ("npz", "json", "nc", "csv"):
        path = tmp_path / f"result.{ending}"
        out = run(command, *EVERY_COMMAND_WITH_DATA[command], "--out", str(path))
        assert out.exit_code == 0, out.stderr
        assert f"Wrote {path}" in out.stderr
        back[ending] = chione.load(path)
    assert back["npz"] == back["json"] == back["nc"]
    assert isinstance(back["csv"], Table) and len(back["csv"].rows) > 0
    shown = run("show", str(tmp_path / "result.json"))
    assert shown.exit_code == 0, shown.stderr


@pytest.mark.parametrize("command", EVERY_COMMAND_WITH_DATA)
def test_the_help_says_which_formats_there_are(command):
    text = " ".join(run(command, "--help").output.split())
    assert all(ending in text for ending in (".npz", ".nc", ".json", ".csv"))


def test_the_points_of_the_whole_catalogue_are_one_table(tmp_path):
    path = tmp_path / "points.csv"
    assert run("criticality", "--out", str(path)).exit_code == 0
    table = chione.load(path)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    gelu = max(row["k_star"] for row in rows if row["activation"] == "gelu")
    assert gelu == pytest.approx((3 + 17**0.5) / 2, abs=1e-9)
    (sigmoid,) = (row for row in rows if row["activation"] == "sigmoid")
    assert sigmoid["universality"] == "none" and sigmoid["k_star"] is None
