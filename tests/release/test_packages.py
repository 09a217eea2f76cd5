"""Wheel and sdist: the same bytes twice, what they hold, and metadata that an index takes."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import chione

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def build(folder):
    """Wheel and sdist of this checkout; the sdist first, the wheel out of it, as for an index."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795824000"}  # 2026-11-28
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    pytest.importorskip("build", reason="needs the extra `release`")
    return [build(tmp_path_factory.mktemp(f"dist{k}")) for k in range(2)]


def test_two_builds_are_the_same_bytes(packages):
    first, second = packages
    assert set(first) == set(second)
    assert {name.rsplit("-")[-1] for name in first} == {
        "any.whl",
        f"{chione.__version__}.tar.gz",
    }
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes(), name


def test_the_wheel_holds_the_package_and_nothing_else(packages):
    (wheel,) = [path for name, path in packages[0].items() if name.endswith(".whl")]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "chione",
        f"chione-{chione.__version__}.dist-info",
    }
    source = ROOT / "src" / "chione"
    here = {
        f"chione/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here == {name for name in names if name.startswith("chione/")}
    assert "chione/py.typed" in names


def test_the_sdist_can_be_tested_and_documented(packages):
    (sdist,) = [path for name, path in packages[0].items() if name.endswith(".tar.gz")]
    root = f"chione-{chione.__version__}"
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{root}/") for name in archive.getnames()}
    for needed in ("pyproject.toml", "LICENSE", "CHANGELOG.md", "SECURITY.md", "llms.txt"):
        assert needed in names
    for folder in ("src/chione/", "tests/", "docs/", "benchmarks/", "recipe/"):
        assert any(name.startswith(folder) for name in names), folder
    assert not any("__pycache__" in name or "/generated/" in name for name in names)


def test_an_index_takes_the_metadata(packages):
    pytest.importorskip("twine", reason="needs the extra `release`")
    files = [str(path) for path in packages[0].values()]
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("PASSED") == 2
