"""Start-up times of the package and of the command line, each in a fresh process.

python -m pytest benchmarks/bench_startup.py --benchmark-enable
"""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "import chione (at most 0.5 s)": ["-c", "import chione"],
    "chione --help (at most 0.3 s)": ["-m", "chione", "--help"],
    "chione analyze tanh (at most 3 s)": ["-m", "chione", "analyze", "tanh"],
}


@pytest.mark.parametrize("name", CASES)
def test_start_up(benchmark, name):
    benchmark.pedantic(
        subprocess.run,
        args=([sys.executable, *CASES[name]],),
        kwargs={"check": True, "capture_output": True},
        rounds=5,
        warmup_rounds=1,
    )
