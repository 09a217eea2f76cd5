"""Hostile arguments for every public callable: a sentence or an answer, within limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("api_fuzz_child.py")


def complaints(seed: int, count: int, seconds: int) -> list[dict]:
    """What was wrong with the ends of the calls; the child ends in any case."""
    done = subprocess.run(
        [sys.executable, str(CHILD), str(seed), str(count)],
        capture_output=True, text=True, timeout=seconds,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, (lines[-1:], done.stderr[-500:])
    found = [line for line in lines if "complaint" in line]
    assert len(found) == count
    return [line for line in found if line["complaint"]]


@pytest.mark.slow
def test_a_hundred_and_fifty_hostile_calls_end_in_a_sentence_or_an_answer():
    assert complaints(seed=1, count=150, seconds=900) == []


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(2, 12))
def test_three_thousand_hostile_calls_end_in_a_sentence_or_an_answer(seed):
    assert complaints(seed, count=300, seconds=6000) == []
