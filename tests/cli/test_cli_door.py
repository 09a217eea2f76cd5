"""What every command has in common: help, exit codes, one sentence for an error, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from chione.base import ConvergenceError, MissingExtraError, SpecError
from chione.cli import app, main
from chione.cli.output import echo_json
from chione.cli.parameters import FIGURE, NON_NEGATIVE, FiniteFloat, Range


def run(*args: str):
    return CliRunner().invoke(main, list(args))


@pytest.fixture
def failing(monkeypatch):
    """A function that runs a command which raises the given error."""

    def invoke(error: BaseException, *options: str):
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setitem(app.COMMANDS, "activations", "fails")
        monkeypatch.setattr("chione.cli.activations.command", command)
        return run(*options, "activations")

    return invoke


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_help_of_every_command_shows_one_example(name):
    out = run(name, "--help")
    assert out.exit_code == 0
    assert f"Example: chione {name}" in out.output


def test_the_help_lists_every_command():
    out = run("--help").output
    assert all(name in out for name in app.COMMANDS)


def test_an_unknown_command_is_answered_with_the_nearest_one():
    out = run("activation")
    assert out.exit_code == 2
    assert "Did you mean 'activations'?" in out.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("analyze", "gelu", "--depth", "1e3"), "'1e3' is not a whole number; write 1000."),
        (("analyze", "gelu", "--depth", "2.5"), "'2.5' is not a whole number."),
        (("analyze", "gelu", "--depth", "0"), "0 is below 1, the smallest accepted value."),
        (("explore", "gelu", "--port", "70000"), "70000 is above 65535, the largest accepted"),
        (("explore", "gelu", "--out", "page"), "'page' must end in .html."),
        (("show", "missing.npz"), "There is no file 'missing.npz'; check its name."),
        (("freeprob", "missing.npy"), "There is no file 'missing.npy'; check its name."),
        (("analyze", "gleu"), "did you mean 'gelu'? `chione activations` lists the names"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    out = run(*arguments)
    assert out.exit_code == 2
    assert out.stdout == ""
    assert words in out.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("sigma_w must be 0 or above."), 2),
        (TypeError("wrong kind."), 2),
        (SpecError("no such activation."), 2),
        (ConvergenceError("there is no fixed point."), 1),
        (MissingExtraError("xarray", "data", "Writing .nc"), 1),
        (PermissionError(13, "Permission denied"), 1),
        (FileNotFoundError(2, "No such file or directory", "missing.npz"), 2),
        (ZeroDivisionError("a slip of our own"), 1),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_an_exit_code(failing, error, code):
    out = failing(error)
    assert out.exit_code == code
    assert out.stdout == ""
    assert out.stderr.startswith("Error: ")
    assert out.stderr.count("\n") == 1
    assert "Traceback" not in out.stderr


def test_the_traceback_is_there_for_those_who_ask(failing):
    out = failing(ValueError("wrong."), "--traceback")
    assert out.exit_code == 2
    assert "Traceback" in out.stderr


def test_interrupting_a_command_says_so_and_ends_as_shells_expect(failing):
    out = failing(KeyboardInterrupt())
    assert out.exit_code == 130
    assert out.stderr == "Interrupted.\n"
    assert "Traceback" not in out.stderr


def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -c 'from chione.cli import main; main()' activations"
    reader = "sh -c 'exec <&-; sleep 1'"  # closes its end before anything is written
    out = subprocess.run(
        f"{command} | {reader}", shell=True, capture_output=True, text=True, timeout=60
    )
    assert out.stderr == ""


def test_the_listing_of_activations_as_json_has_formula_and_kinks():
    out = run("activations", "--json")
    document = json.loads(out.stdout)
    assert document["command"] == "activations"
    assert document["activations"]["relu"]["kinks"] == [0.0]
    assert "tanh" in run("activations").output


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "abc", "", "-0.1"])
def test_a_number_must_be_finite_and_not_below_the_minimum(text):
    with pytest.raises(click.BadParameter):
        NON_NEGATIVE.convert(text, None, None)


def test_a_number_may_be_negative_where_nothing_forbids_it():
    assert FiniteFloat().convert("-2.5e3", None, None) == -2500.0


@pytest.mark.parametrize(
    "text", ["1:2", "2:1:10", "1:1:5", "0:nan:5", "0:1:1", "0:1:2.5", "-1:1:5", "0:1:3:4", "x"]
)
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(click.BadParameter):
        Range(minimum=0.0).convert(text, None, None)


def test_a_range_is_two_ends_and_a_count():
    assert Range().convert("0.5:4:200", None, None) == (0.5, 4.0, 200)


def test_a_file_that_could_not_be_written_is_refused_before_the_work(tmp_path):
    for bad in (tmp_path / "a.gif", tmp_path / "missing" / "a.png"):
        with pytest.raises(click.BadParameter):
            FIGURE.convert(str(bad), None, None)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(click.BadParameter, match="is a folder"):
        FIGURE.convert(str(tmp_path / "b.png"), None, None)


def test_json_has_null_instead_of_nan(capsys):
    echo_json("phase", {"n": np.int64(3)}, {"q": np.array([1.0, np.nan]), "x": np.inf})
    document = json.loads(capsys.readouterr().out)
    assert document["q"] == [1.0, None]
    assert document["x"] is None
    assert document["parameters"] == {"n": 3}


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.ismount("/proc"), reason="needs /proc")
def test_a_read_only_folder_is_found_before_the_computation(monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("the computation began")

    monkeypatch.setattr("chione.diagnosis.analyze", never)
    # /proc refuses every new file, whoever asks
    out = run("analyze", "tanh", "--sigma-w", "1.3", "--figure", "/proc/page.png")
    assert out.exit_code == 2
    assert "the folder '/proc' cannot be written" in " ".join(out.stderr.split())


def test_completion_offers_activations_and_entries():
    from click.shell_completion import ShellComplete

    complete = ShellComplete(main, {}, "chione", "_CHIONE_COMPLETE")
    names = {item.value for item in complete.get_completions(["analyze"], "hard")}
    assert {"hardtanh", "hardswish"} <= names and not any(n.startswith("tanh") for n in names)
    entries = {item.value for item in complete.get_completions(["reproduce"], "poole")}
    assert entries == {"poole-figure-1", "poole-figure-2"}


def test_only_the_progress_module_imports_rich():
    room = Path(app.__file__).parents[1]
    users = {p.name for p in room.rglob("*.py") if "from rich" in p.read_text(encoding="utf-8")}
    assert users == {"progress.py"}
