"""The documentation builds without a warning and without a broken link."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_documentation_builds_without_warnings_or_broken_links(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-j", "2"]
    run = subprocess.run(
        [*command, "-b", "html", "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "ten-minute start" in (tmp_path / "html" / "start.html").read_text(encoding="utf-8")
    check = [sys.executable, str(DOCS / "link_check.py"), str(tmp_path / "html")]
    links = subprocess.run(check, capture_output=True, text=True, check=False)
    assert links.returncode == 0, links.stdout + links.stderr
