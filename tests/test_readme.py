"""What README.md and llms.txt show is what the program says."""

from __future__ import annotations

import importlib.util
import math
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import chione as ch
from chione.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
AGAIN = "; run `python docs/front.py`"

_spec = importlib.util.spec_from_file_location("front", ROOT / "docs" / "front.py")
front = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(front)


def same(shown, printed):
    """Equal words; sampled numbers within their standard error, the others to their last digit.

    Another machine adds in another order. Error bounds, such as 7e-16, are of that size only.
    """
    assert NUMBER.sub("#", shown).split() == NUMBER.sub("#", printed).split(), AGAIN
    old, new = shown.split(), printed.split()
    for k, (x, y) in enumerate(zip(old, new, strict=True)):
        spread = float(new[k + 2]) if new[k + 1 : k + 2] == ["+-"] else 0.0
        for u, v in zip(NUMBER.findall(x), NUMBER.findall(y), strict=True):
            loose = re.fullmatch(r"\d(\.\d)?e-\d+", v) or new[k - 1] == "+-"
            close = math.isclose(float(u), float(v), rel_tol=1.0 if loose else 1e-9, abs_tol=spread)
            assert close, (x, y, AGAIN)


def test_the_page_in_the_readme_is_what_the_command_in_it_prints():
    shown = re.search(r"<!-- made: page -->\n\n```text\n(.*?)\n```", README, re.S)[1]
    printed = front.page(README)
    assert len(re.findall(r"\+- ", printed)) >= 4  # simulated networks stand beside the theory
    same(shown, printed)


@pytest.mark.slow
def test_the_table_and_the_examples_in_the_readme_are_what_they_print():
    pytest.importorskip("torch")
    shown = re.search(r"<!-- made: table -->\n\n(.*?)\n\n<!-- end -->", README, re.S)[1]
    printed = front.table()
    for old, new in zip(shown.splitlines(), printed.splitlines(), strict=True):
        assert NUMBER.sub("#", old) == NUMBER.sub("#", new), AGAIN
        for x, y in zip(NUMBER.findall(old), NUMBER.findall(new), strict=True):
            assert math.isclose(float(x), float(y), rel_tol=0.1, abs_tol=0.01), (old, new, AGAIN)
    blocks = front.RUNNABLE.findall(README)
    assert blocks
    for code, _ in blocks:
        assert front._filled(code) in README, AGAIN


def test_the_map_for_language_models_is_up_to_date():
    shown = (ROOT / "llms.txt").read_text(encoding="utf-8")
    assert shown == front.llms(), "run `python docs/front.py llms.txt`"
    for target in re.findall(r"\]\((.*?)\)", shown):
        assert (ROOT / target).is_file(), target


@pytest.mark.parametrize("call", [c for c in front.CALLS if "torch" not in c])
def test_every_call_that_the_map_names_runs(call):
    assert isinstance(eval(call, {"ch": ch}), ch.AbstractResult | ch.Network)


@pytest.mark.parametrize("call", [c for c in front.CALLS if "torch" in c])
def test_every_call_of_torch_that_the_map_names_runs(call):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)]
    model, batch = torch.nn.Sequential(*layers), torch.randn(6, 8)
    assert isinstance(eval(call, {"ch": ch, "model": model, "batch": batch}), ch.AbstractResult)


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


def test_every_file_that_the_readme_links_is_there():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / target).is_file(), target
