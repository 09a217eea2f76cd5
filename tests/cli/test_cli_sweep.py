"""chione sweep: ranges and lists, files, refusals, interruptions."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import click
import numpy as np
import pytest
from click.testing import CliRunner

import chione as ch
from chione.cli import main
from chione.cli.values import Values, Words, split_formulas

QUICK = ["--width", "8", "--steps", "4", "--data", "synthetic", "--workers", "1"]


def run(*arguments, code=0):
    done = CliRunner().invoke(main, ["sweep", *arguments])
    assert done.exit_code == code, done.output
    assert "failed inside" not in done.stderr
    return done


def refused(*arguments, code=2):
    return " ".join(run(*QUICK, *arguments, code=code).stderr.split())


# ---- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("0.5:4:8", Values(), np.linspace(0.5, 4.0, 8)),
        ("0.5", Values(), [0.5]),
        ("2,1,1.5", Values(), [1.0, 1.5, 2.0]),
        ("0,0.5:1:3", Values(), [0.0, 0.5, 0.75, 1.0]),
        ("10:300:5", Values(whole=True, geometric=True, minimum=1), [10, 23, 55, 128, 300]),
        ("1:4:9", Values(whole=True, geometric=True, minimum=1), [1, 2, 3, 4]),
        ("1e-4:1e-1:4", Values(geometric=True), [1e-4, 1e-3, 1e-2, 1e-1]),
        ("7", Values(whole=True, minimum=1), [7]),
    ],
)
def test_values_are_numbers_lists_and_ranges(text, kind, wanted):
    found = kind.convert(text, None, None)
    assert np.allclose(found, wanted, rtol=1e-9)
    assert all(type(x) is (int if "whole" in repr(vars(kind)) and kind._whole else float)
               for x in found)  # fmt: skip


def test_a_range_of_depths_without_a_count_has_twelve_in_equal_ratios():
    found = Values(whole=True, geometric=True, minimum=1).convert("10:300", None, None)
    ratios = np.diff(np.log(found))
    assert (found[0], found[-1], len(found)) == (10, 300, 12)
    assert ratios == pytest.approx(np.full(11, np.log(30) / 11), rel=0.15)  # whole numbers


@pytest.mark.parametrize(
    "text", ["", "a", "1:2:1", "2:1", "1:2:3:4", "1:inf:3", "nan", "-1", "0:3:4", "1:2:9999999",
             "1,", "1e999", "1::3", ":", "0.5"],
)  # fmt: skip
def test_what_is_no_value_is_refused_in_a_sentence(text):
    kind = Values(whole=True, geometric=True, minimum=1)
    with pytest.raises(click.BadParameter, match="is no whole number and no range FROM:TO:COUNT"):
        kind.convert(text, None, None)


def test_the_shell_completes_the_last_word_of_a_list():
    found = Words(lambda: ("sgd", "momentum", "adam")).shell_complete(None, None, "sgd,m")
    assert [x.value for x in found] == ["sgd,momentum"]


def test_formulas_keep_the_commas_inside_their_brackets():
    assert split_formulas(("tanh,relu", "max(x, 0)")) == ("tanh", "relu", "max(x, 0)")
    assert Words(lambda: ("a", "b")).convert("b, a", None, None) == ("b", "a")


# ---- answers ---------------------------------------------------------------------------------


def test_a_sweep_prints_its_price_first_and_then_its_numbers():
    done = run("tanh", "--sigma-w", "0.6,1.2", "--depth", "2:6:3", *QUICK)
    assert done.stderr.startswith("6 trainings: ")
    assert "accuracy on the training set" in done.stdout
    assert "6 done" in done.stdout


def test_json_is_the_result_of_the_function_of_the_same_name():
    done = run("tanh", "--sigma-w", "0.6,1.2", "--depth", "2,5", "--rate", "0.01,0.1", "--json",
               *QUICK)  # fmt: skip
    found = json.loads(done.stdout)
    wanted = ch.sweep("tanh", sigma_w=[0.6, 1.2], depth=[2, 5], rate=[0.01, 0.1], width=8, steps=4,
                      data="synthetic", workers=1)  # fmt: skip
    assert found["command"] == "sweep"
    assert found["kind"] == "SweepResult"
    assert found["mean"]["accuracy"] == wanted.to_dict()["mean"]["accuracy"]
    assert found["best_rate"] == wanted.to_dict()["best_rate"]


def test_a_plan_is_priced_and_nothing_is_trained(tmp_path):
    out = tmp_path / "runs.sqlite"
    arguments = ["tanh", "--depth", "10:300", "--sigma-w", "0.5:4:24", "--out", str(out), "--plan"]
    assert run(*arguments).stdout.startswith("288 trainings: ")
    price = json.loads(run(*arguments, "--json").stdout)["cost"]
    assert price["trainings"] == 288
    assert price["flops"] > 1e12
    assert price["seconds"] > 10.0
    assert not out.exists()


def test_files_are_written_and_read_back(tmp_path):
    out, picture = tmp_path / "runs.sqlite", tmp_path / "map.png"
    arguments = ["tanh", "--sigma-w", "0.6,1.2", "--depth", "2,5", *QUICK]
    done = run(*arguments, "--out", str(out), "--figure", str(picture), "--export",
               str(tmp_path / "result.npz"))  # fmt: skip
    assert f"Wrote {picture}" in done.stderr.replace("\n", " ")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert ch.load(tmp_path / "result.npz").outcome.ravel().tolist() == ["done"] * 4
    again = run(*arguments, "--out", str(out), "--export", str(tmp_path / "runs.csv"))
    assert again.stderr.startswith("0 trainings (4 more are known)")
    assert again.stdout == done.stdout
    with (tmp_path / "runs.csv").open(newline="") as f:
        assert len(list(csv.DictReader(f))) == 4


# ---- refusals --------------------------------------------------------------------------------


def test_bad_data_end_in_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    x, own = rng.standard_normal((30, 4)), tmp_path / "own.npz"
    assert "There is no task 'nonsense'" in refused("tanh", "--data", "nonsense")
    assert "does not exist" in refused("tanh", "--data", str(tmp_path / "no.npz"))
    np.savez(own, x=x)
    assert "it has no y" in refused("tanh", "--data", str(own))
    np.savez(own, x=x, y=np.zeros((30, 2)))
    assert "must be of shape (30,)" in refused("tanh", "--data", str(own))
    np.savez(own, x=x, y=np.arange(29))
    assert "must be of shape (30,)" in refused("tanh", "--data", str(own))
    own.write_bytes(b"PK\x03\x04 damaged")
    assert "cannot be read" in refused("tanh", "--data", str(own))


def test_bad_ledgers_end_in_a_sentence_and_stay_as_they_were(tmp_path):
    one = ["tanh", "--sigma-w", "1", "--depth", "2"]
    out = tmp_path / "runs.sqlite"
    assert "does not exist" in refused(*one, "--out", str(tmp_path / "no" / "runs.sqlite"))
    assert "is a folder" in refused(*one, "--out", str(tmp_path))
    out.write_text("notes of mine\n")
    assert "is no ledger" in refused(*one, "--out", str(out))
    assert out.read_text() == "notes of mine\n"
    out.unlink()
    run(*one, "--out", str(out), *QUICK)
    file = sqlite3.connect(out)
    file.execute("PRAGMA user_version = 99")
    file.commit()
    file.close()
    before = out.read_bytes()
    assert "is a ledger of version 99" in refused(*one, "--out", str(out))
    assert out.read_bytes() == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_ledger_that_may_not_be_written_ends_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    assert "refused" in refused("tanh", "--out", str(tmp_path / "runs.sqlite"), code=1)


def test_other_bad_usage_ends_in_a_sentence(tmp_path):
    assert "'foo' is none of sigmas, pytorch" in refused("tanh", "--scheme", "he,foo")
    assert "does not read sigma_w" in refused("tanh", "--scheme", "he", "--sigma-w", "1,2")
    assert "must end in one of .csv" in refused("tanh", "--export", str(tmp_path / "a.xlsx"))
    assert "scheduler must be an address" in refused("tanh", "--scheduler", "nonsense")
    assert "tahn" in refused("tahn")
    big = ["tanh", "--width", "2000", "--depth", "300", "--steps", "1000", "--data", "synthetic"]
    text = " ".join(run(*big, code=2).stderr.split())
    assert "above the limit of 60 s" in text
    assert "--effort" in text


def test_trainings_that_fail_are_told_with_an_exit_code(tmp_path, monkeypatch):
    def fails(members, task):
        raise ch.SpecError("the weights ran away")

    monkeypatch.setattr("chione.sweeps.jobs.train", fails)
    done = run("tanh", "--sigma-w", "1", "--depth", "2,3", *QUICK, code=1)
    assert "2 of 2 trainings failed. The first: the weights ran away" in done.stderr


# ---- interruptions ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_an_interrupt_keeps_everything_and_the_same_command_goes_on(tmp_path, how):
    out = tmp_path / "runs.sqlite"
    command = [sys.executable, "-m", "chione", "sweep", "tanh", "--sigma-w", "0.5:2:6", "--depth",
               "10:40:4", "--data", "synthetic", "--seeds", "8", "--steps", "40", "--workers", "2",
               "--out", str(out)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while finished(out) < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(getattr(signal, how))
    stdout, stderr = process.communicate(timeout=60)
    kept = finished(out)
    assert 20 <= kept < 192
    if how == "SIGINT":
        assert process.returncode == 130, stderr
        assert f"Interrupted; {kept} of 192 trainings are kept in" in stderr
        assert "The same command goes on from there" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    assert f"({kept} more are known)" in done.stderr
    other = subprocess.run(
        [*command[:-1], str(tmp_path / "other.sqlite")], capture_output=True, text=True,
        timeout=280, check=True,
    )  # fmt: skip
    assert other.stdout == done.stdout


def finished(path):
    """Rows of a ledger, read while a sweep writes."""
    try:
        file = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return file.execute("SELECT count(*) FROM runs").fetchone()[0]
        finally:
            file.close()
    except sqlite3.OperationalError:
        return 0


def test_the_default_depths_are_those_of_the_range_that_help_names():
    from chione.sweeps.sweep import DEFAULT_DEPTH, DEFAULT_SIGMA_W

    kind = Values(whole=True, geometric=True, minimum=1)
    assert kind.convert("4:40", None, None) == DEFAULT_DEPTH
    assert Values().convert("0.5:4:12", None, None) == pytest.approx(DEFAULT_SIGMA_W)
