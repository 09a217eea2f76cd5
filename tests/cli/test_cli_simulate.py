"""`chione simulate` from the outside: table, JSON, files, exit codes, sentences."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from threading import Timer

import numpy as np
import pytest
from click.testing import CliRunner

from chione.cli.app import main

SMALL = ["simulate", "tanh", "--sigma-w", "1.5", "--sigma-b", "0.1", "--networks", "8"]


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_the_table_shows_theory_simulation_and_z():
    result = call(*SMALL, "--depth", "5", "--width", "80", "--check")
    assert result.exit_code == 0, result.output
    assert "tanh, sigma_w = 1.5, sigma_b = 0.1: 8 networks of depth 5, width 80" in result.stdout
    assert "All 25 comparisons agree" in result.stdout
    header = next(line for line in result.stdout.splitlines() if line.startswith("observable"))
    assert header.split() == ["observable", "layer", "theory", "simulated", "z"]


def test_json_is_one_object_with_simulation_and_comparison():
    result = call(*SMALL, "--widths", "30,40,50", "--observe", "all", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["command"] == "simulate"
    assert document["parameters"]["widths"] == [30, 30, 40, 50]
    assert document["simulation"]["observables"]["lengths"]["dims"] == ["layer", "input"]
    assert document["comparison"]["agrees"] is True


def test_files_are_written_in_every_format(tmp_path):
    for ending in ("npz", "csv", "nc"):
        if ending == "nc":
            pytest.importorskip("xarray")
        out, figure = tmp_path / f"run.{ending}", tmp_path / "run.png"
        arguments = ["--depth", "2", "--width", "20", "--out", str(out), "--figure", str(figure)]
        result = call(*SMALL, *arguments)
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 100
        assert figure.read_bytes()[:4] == b"\x89PNG"
    with np.load(tmp_path / "run.npz") as data:
        assert data["lengths"].shape == (2, 2)


def test_the_circle_and_the_way_to_the_gaussian_are_drawn(tmp_path):
    circle, limit = tmp_path / "circle.png", tmp_path / "limit.svg"
    arguments = ["--depth", "2", "--width", "30", "--circle", str(circle), "--limit", str(limit)]
    result = call(*SMALL, *arguments)
    assert result.exit_code == 0, result.output
    assert circle.read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in limit.read_text()


def test_check_exits_with_1_when_networks_contradict_the_theory(monkeypatch):
    import chione.diagnosis.compare as room

    honest = room.infinite_width

    def of_other_networks(network, gram, pairs):
        return honest(replace(network, sigma_w=1.2 * network.sigma_w), gram, pairs)

    monkeypatch.setattr(room, "infinite_width", of_other_networks)
    result = call(*SMALL, "--depth", "4", "--width", "300", "--check")
    assert result.exit_code == 1
    assert "Contradiction in lengths (layer" in result.stdout
    assert call(*SMALL, "--depth", "4", "--width", "300").exit_code == 0  # only --check judges


def test_check_needs_something_to_compare():
    overflows = ["simulate", "exp", "--sigma-w", "90", "--networks", "3", "--width", "30"]
    result = call(*overflows, "--depth", "2", "--observe", "ntk", "--check")
    assert result.exit_code == 1
    assert "Nothing could be compared" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--width", "0"], "0 is below 1, the smallest accepted value"),
        (["--widths", "10,x"], "not a list of whole numbers"),
        (["--widths", "10,0"], "width must be at least 1"),
        (["--widths", "10,20", "--depth", "3"], "names 2 layers"),
        (["--networks", "0"], "0 is below 1, the smallest accepted value"),
        (["--observe", "legnths"], "observe must be one of lengths"),
        (["--c0", "1.5"], "c0 must lie in [-1, 1]"),
        (["--c0", "nan"], "not a finite number"),
        (["--sigma-w", "-1"], "below 0"),
        (["--weights", "delta", "--check"], "no Gaussian limit"),
        (["--weights", "uniform", "--sampler", "matrix-free"], "sampler='dense'"),
        (["--out", "run.pickle"], "must end in one of .npz, .csv, .nc, .json"),
        (["--input-width", "1"], "width"),
        (["--engine", "proceses"], "'proceses' is not one of 'here', 'threads', 'processes'"),
        (["--scheduler", "tcp://a:1", "--engine", "threads"], "belongs to --engine dask"),
        (["--scheduler", "somewhere"], "or a distributed.Client, but it is 'somewhere'"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(arguments, sentence):
    result = call(*SMALL, *arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_every_engine_prints_the_same_numbers():
    plain = call(*SMALL, "--depth", "3", "--width", "30", "--json")
    for engine in ("here", "threads", "processes"):
        other = call(*SMALL, "--depth", "3", "--width", "30", "--json", "--engine", engine)
        assert other.exit_code == 0
        assert other.stdout == plain.stdout


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch):
    pytest.importorskip("distributed", reason="the extra 'sweeps' is not installed")
    from chione.base.engines import cluster

    monkeypatch.setattr(cluster, "_ANSWER", 1.5)
    result = call(*SMALL, "--depth", "3", "--width", "30", "--scheduler", "tcp://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no dask scheduler answers at 'tcp://127.0.0.1:9'")
    assert len(result.stderr.splitlines()) == 1


def test_delta_weights_are_simulated_without_a_theory():
    result = call(*SMALL, "--depth", "3", "--width", "30", "--weights", "delta", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["comparison"] is None


_UNTIL_READY = """
import signal, sys
import chione.simulation.measuring as room
from chione.cli import main

# a background job of a shell has SIGINT ignored, and Python then leaves it so
signal.signal(signal.SIGINT, signal.default_int_handler)
plain = room._rows

def first(*arguments):
    room._rows = plain
    out = plain(*arguments)
    print("ready", file=sys.stderr, flush=True)
    return out

room._rows = first
main()
"""


def interrupted(*arguments):
    """Run `chione simulate` in a child, send it SIGINT half a second after its first network."""
    process = subprocess.Popen(
        [sys.executable, "-c", _UNTIL_READY, "simulate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = Timer(120.0, process.kill)  # whatever happens below, the child ends
    end.start()
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        time.sleep(0.5)  # some of the networks, about 0.3 ms each
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=10)
        end.cancel()
    return process.returncode, stdout, stderr


MANY = (
    *[
        "tanh",
        "--sigma-w",
        "1.5",
        "--width",
        "40",
        "--depth",
        "3",
        "--networks",
        "2000000",
        "--effort",
        "100",
    ],
)


def test_an_interrupt_reports_the_networks_that_were_finished(tmp_path):
    out = tmp_path / "run.npz"
    code, stdout, stderr = interrupted(
        *MANY, "--workers", "2", "--observe", "lengths", "--out", str(out), "--json"
    )
    assert code == 130, stderr
    document = json.loads(stdout)
    held = document["parameters"]["n_networks"]
    assert 0 < held < 2_000_000
    assert any(f"{held} of 2000000 networks" in w for w in document["warnings"])
    with np.load(out) as data:
        assert json.loads(str(data["parameters"]))["n_networks"] == held


def test_an_interrupted_table_does_not_speak_for_the_networks_that_were_not_run():
    code, stdout, stderr = interrupted(*MANY)
    assert code == 130
    said = re.search(r"hold (\d+) of 2000000 networks", stderr)
    assert said is not None and int(said[1]) > 0
    assert f"of the {said[1]} networks that were run" in " ".join(stdout.split())


def test_a_device_is_refused_where_nothing_would_use_it():
    result = call(*SMALL, "--device", "cuda")
    assert result.exit_code == 2
    assert "backend 'numpy' runs on the CPU, but device is 'cuda'" in result.stderr


@pytest.mark.parametrize("columns", ["40", "60"])
def test_the_table_folds_to_the_width_of_the_screen(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    result = call(*SMALL, "--depth", "3", "--width", "40")
    table = result.stdout.split("\n\n")[1]
    assert max(map(len, table.splitlines())) <= int(columns)
    assert "theory:" in table or "theory" in table.splitlines()[0]
