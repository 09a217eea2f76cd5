"""The page that adds a layer kind is a patch: applied to a copy of the package, it works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-layer-kind.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```\{code-block\} (python|diff)\n:caption: (\S+)\n\n(.*?)```", re.S)
FOUR = ["networks", "theory/layers", "simulation/layers", "torch/layers"]


def patched(text, diff):
    """The text with the lines of a diff put behind those before them, which stand there once."""
    before, added = [], []
    for line in [*diff.splitlines(), " "]:
        if line.startswith("+"):
            added.append(line[1:])
            continue
        if added:
            place = "".join(f"{x}\n" for x in before)
            assert text.count(place) == 1, place
            text = text.replace(place, place + "".join(f"{x}\n" for x in added))
            before, added = [], []
        before.append(line[1:])
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package with its layer tests, the page applied to it."""
    root = tmp_path_factory.mktemp("newcomer")
    plain = shutil.ignore_patterns("__pycache__")
    for part in ("src/chione", "tests/layers"):
        shutil.copytree(ROOT / part, root / part, ignore=plain)
    for part in ("pyproject.toml", "tests/conftest.py", "docs/networks.md"):
        (root / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, root / part)
    for kind, name, text in BLOCK.findall(PAGE):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text if kind == "python" else patched(path.read_text("utf-8"), text), "utf-8"
        )
    return root


def run(copy, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_kind_is_four_files_one_list_and_what_tests_and_readers_need():
    new = {name for kind, name, _ in BLOCK.findall(PAGE) if kind == "python"}
    touched = {name for kind, name, _ in BLOCK.findall(PAGE) if kind == "diff"}
    assert new == {*(f"src/chione/{room}/shift.py" for room in FOUR), "newcomer.py"}
    assert {name for name in touched if name.startswith("src")} == {"src/chione/networks/kinds.py"}
    assert len(touched) == 5


def test_the_new_kind_is_described_read_walked_and_simulated(copy):
    out = run(copy, "newcomer.py")
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    assert any(re.match(r"shift +256 channels at 3 positions +by 2", x) for x in lines)
    assert [x for x in lines if x.startswith("layers[")] == ["layers[2] True", "layers[3] True"]
    assert any(x in ("yes", "doubtful", "no") for x in lines)
    assert "{'layers[6]': 'population'}" in lines
    compared = [x for x in lines if x.startswith(("second_moments", "iid"))]
    assert len(compared) == 4 and all(x.endswith("True") for x in compared)


def test_the_tests_of_all_kinds_take_it_in(copy):
    files = [
        f"tests/layers/{name}.py" for name in ("test_kinds", "test_layer_theory", "test_samplers")
    ]
    wanted = "shift or test_kinds or every_closed_kind or file_of_its_name"
    out = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *files)
    assert out.returncode == 0, out.stdout
    assert int(re.search(r"(\d+) passed", out.stdout).group(1)) > 100


def test_a_slip_in_its_rule_turns_its_case_red(copy):
    rule = copy / "src/chione/theory/layers/shift.py"
    right = rule.read_text()
    rule.write_text(right.replace("_gradient(g, home)", "_gradient(g, source)"))
    try:
        out = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "50_digits and shift",
                  "tests/layers/test_layer_theory.py")  # fmt: skip
    finally:
        rule.write_text(right)
    assert "1 failed" in out.stdout


def test_its_call_in_torch_is_its_layer(copy):
    pytest.importorskip("torch")
    code = (
        "import torch\nfrom chione.torch.layers.shift import shift_call\n"
        "from chione.networks.shift import Shift\nx = torch.zeros(2, 8, 5, 7)\n"
        "assert shift_call(x, -2, 2, 2) == Shift(3)\nassert shift_call(x, 1, 1, 2) is None\n"
        "assert shift_call(x, 5, -2, 2) is None\n"
    )
    out = run(copy, "-c", code)
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("tool", ["check", "format --check"])
def test_its_files_are_in_the_style_of_the_house(copy, tool):
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff belongs to the extra `dev`")
    files = [f"src/chione/{room}/shift.py" for room in FOUR]
    command = [ruff, *tool.split(), *files, "src/chione/networks/kinds.py"]
    out = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout
