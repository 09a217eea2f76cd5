"""What the README shows is what the program says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from chione.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_page_in_the_readme_is_what_the_command_in_it_prints():
    command = re.search(r"bin/chione (analyze .*)", README).group(1)
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL).group(1).splitlines()
    out = CliRunner().invoke(main, [*shlex.split(command), "--no-simulate"])
    assert out.exit_code == 0, out.stderr
    assert shown[:7] == out.stdout.splitlines()[:7]  # title, verdict, fixed points

    def theory(lines):
        """Name and value of each row; errors and measurements may differ in the last digit."""
        cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
        return {(*row[:2], row[2] if len(row) > 2 else "") for row in cells if len(row) >= 2}

    rows = [row for row in theory(out.stdout.splitlines()) if row[0].startswith(("q", "c", "xi"))]
    assert len(rows) >= 8
    assert set(rows) <= theory(shown)


@pytest.mark.parametrize("line", re.findall(r"^    chione (.*?)(?:\s+#.*)?$", README, re.MULTILINE))
def test_every_command_in_the_readme_is_understood(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(line)
    few = ["--sigma-w", "1,2", "--data", "synthetic", "--workers", "1"]
    smaller = {
        "phase": ["--sigma-w", "0.5:3:20", "--sigma-b", "0:1:10"],
        "sweep": [*few, "--depth", "2,3"],
        "boundary": [*few, "--depth", "1:6", "--steps", "20", "--seeds", "1"],
    }.get(name, [])
    if name == "show":  # the line above it in README has written the file
        grid = ("--sigma-w", "0.5:3:4", "--sigma-b", "0:1:3")
        CliRunner().invoke(main, ["phase", "tanh", *grid, "--out", arguments[0]])
    out = CliRunner().invoke(main, [name, *arguments, *smaller])
    assert out.exit_code == 0, out.output
