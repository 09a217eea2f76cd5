"""The house holds: what an import loads, which room may know which."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import chione

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "matplotlib", "click", "rich", "xarray", "sklearn", "jax", "scipy.integrate"}


def loaded_by(statement: str) -> set[str]:
    """Modules in memory after the statement, in a fresh process."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines())


def test_importing_chione_loads_no_framework():
    assert not loaded_by("import chione") & HEAVY


def test_the_help_of_the_command_line_loads_neither_numpy_nor_a_framework():
    modules = loaded_by(
        "from click.testing import CliRunner\nfrom chione.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
    )
    assert not modules & {"torch", "matplotlib", "rich", "xarray", "numpy", "scipy"}


def test_no_room_of_the_science_loads_a_framework():
    modules = loaded_by("import chione.diagnosis")  # the highest room of the science
    below = {"gaussian", "activations", "networks", "theory", "simulation"}
    assert {f"chione.{room}" for room in below} <= modules
    assert not modules & {"torch", "matplotlib", "click", "rich", "xarray", "jax"}


def test_simulation_never_meets_the_theory_or_its_quadrature():
    modules = loaded_by("import chione.simulation")
    strangers = {m for m in modules if m.startswith(("chione.theory", "chione.gaussian"))}
    assert not strangers


def test_theory_never_meets_the_simulation():
    assert not {m for m in loaded_by("import chione.theory") if m.startswith("chione.simulation")}


@pytest.mark.parametrize("name", chione.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(chione, name) is not None


def test_every_public_name_has_a_docstring():
    bare = [
        name
        for name in chione.__all__
        if callable(getattr(chione, name)) and not getattr(chione, name).__doc__
    ]
    assert not bare


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'chi_three'"):
        _ = chione.chi_three


def test_every_command_of_the_table_is_a_file_with_a_command():
    from chione.cli.app import COMMANDS

    for name in COMMANDS:
        assert import_module(f"chione.cli.{name}").command.help


def test_the_import_contract_holds():
    tool = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("import-linter belongs to the extra `dev`; the checks before a merge run it")
    out = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
