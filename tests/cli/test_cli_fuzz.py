"""Hostile values for every option of every command: a sentence or an answer, within limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("fuzz_child.py")


def reports(folder: Path, seed: int, count: int, seconds: int) -> list[dict]:
    """What the child said; it ends in any case."""
    done = subprocess.run(
        [sys.executable, str(CHILD), str(seed), str(count), str(folder)],
        capture_output=True, text=True, timeout=seconds,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
             "MPLCONFIGDIR": str(folder.parent)},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, (lines[-1:], done.stderr[-500:])
    return [line for line in lines if "given" in line]


def complaint(report: dict) -> str:
    """What is wrong with the answer to one command, or nothing."""
    if report["code"] not in (0, 1, 2):
        return f"exit code {report['code']}"
    for word in ("failed inside", "Traceback", "Warning"):
        if word in report["stderr"]:
            return report["stderr"][-200:]
    if report["warnings"]:
        return str(report["warnings"][:2])
    if report["cpu"] > 60.0:
        return f"{report['cpu']:.0f} s"
    if report["code"] == 2 and "Error: " not in report["stderr"]:
        return "bad usage without a sentence"
    if report["code"] == 0 and report["stdout"]:
        json.loads(report["stdout"])
    return ""


def check(folder: Path, seed: int, count: int, seconds: int) -> None:
    found = reports(folder, seed, count, seconds)
    assert len(found) == count
    assert [(r["given"], c) for r in found if (c := complaint(r))] == []


@pytest.mark.slow
def test_three_hundred_hostile_commands_end_in_a_sentence_or_an_answer(tmp_path):
    check(tmp_path, seed=1, count=300, seconds=900)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(2, 12))
def test_three_thousand_hostile_commands_end_in_a_sentence_or_an_answer(tmp_path, seed):
    check(tmp_path, seed=seed, count=300, seconds=3000)
