"""The house holds: what an import loads, which room may know which."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import chione
from chione.networks import BY_WORD

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


class Imports:
    """Which file imports which, wherever in the file the import stands."""

    def __init__(self, source: Path) -> None:
        self.files = {".".join(p.relative_to(source).with_suffix("").parts): p
                      for p in source.rglob("*.py")}  # fmt: skip
        self.room = {name.split(".")[0] for name in self.files}
        self.trees = {name: ast.parse(p.read_text()) for name, p in self.files.items()}

    def graph(self) -> dict[str, set[str]]:
        return {name: set(self._imported(name)) - {name} for name in self.files}

    def circle(self) -> list[str]:
        """One circle of files, or none."""
        try:
            TopologicalSorter(self.graph()).prepare()
        except CycleError as err:
            return list(err.args[1])
        return []

    def _imported(self, name):
        for module, names in self._statements(name):
            for wanted in names or (None,):
                yield self._file(module, wanted)

    def _statements(self, name):
        """Module and names of each import of our own in a file; no names where it is a module."""
        for x in ast.walk(self.trees[name]):
            if isinstance(x, ast.Import):
                found = [(a.name, ()) for a in x.names]
            elif isinstance(x, ast.ImportFrom):
                assert x.level == 0, f"{name} has a relative import"
                found = [(x.module, [a.name for a in x.names])]
            elif self._is_import_files(x):
                found = [(f"{x.args[0].value}.{word}", ()) for word in BY_WORD]
            else:
                continue
            yield from ((m, names) for m, names in found if m.split(".")[0] in self.room)

    @staticmethod
    def _is_import_files(x) -> bool:
        """A call that imports the file of each layer kind in a room."""
        called = isinstance(x, ast.Call) and isinstance(x.func, ast.Name)
        return called and x.func.id == "import_files" and isinstance(x.args[0], ast.Constant)

    def _file(self, module: str, wanted: str | None) -> str:
        """The file that defines a name: a face that hands it on is looked through."""
        for name in (f"{module}.{wanted}", f"{module}.{wanted}.__init__", module):
            if name in self.files:
                return name
        face = f"{module}.__init__"
        lazy = chione._EXPORTS.get(wanted) if module == "chione" else None
        if lazy:
            return self._file(lazy, wanted)
        for other, names in self._statements(face):
            if wanted in names:
                return self._file(other, wanted)
        return face


def test_no_file_imports_another_in_a_circle():
    imports = Imports(ROOT / "src")
    assert len(imports.files) > 250
    assert "chione.theory.layers.gate" in imports.graph()["chione.theory.layers.walk"]
    assert not imports.circle()


@pytest.mark.parametrize(
    "way",
    [
        "from room.upper import b",
        "import room.upper",
        "from room import b",
        "def f():\n    from room import upper\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.upper import b\n",
    ],
)
def test_a_circle_is_seen_however_it_is_imported(tmp_path, way):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("from room.upper import b\nfrom room.lower import a\n")
    (room / "upper.py").write_text("from room import a\nb = a\n")
    (room / "lower.py").write_text("import math\na = math.pi\n")
    assert not Imports(tmp_path).circle()
    (room / "lower.py").write_text(f"{way}\na = 1\n")
    assert set(Imports(tmp_path).circle()) == {"room.upper", "room.lower"}


def test_the_map_of_free_probability_names_every_file_and_no_other():
    room = import_module("chione.freeprob")
    files = {p.stem for p in Path(room.__file__).parent.glob("*.py")} - {"__init__"}
    words = set(re.findall(r"[a-z_]+", room.__doc__))
    assert files <= words, files - words
    long_names = {w for w in words if "_" in w.strip("_")}
    assert long_names <= files, long_names - files


class Case:
    """A test of a long list, as pytest collects it."""

    def __init__(self, name: str, *marks: pytest.MarkDecorator) -> None:
        self.nodeid, self.marks = name, {m.mark.name: m.mark for m in marks}

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marks.get(name)

    def add_marker(self, name: str) -> None:
        self.marks[name] = getattr(pytest.mark, name).mark


def test_of_a_sampled_test_every_nth_case_runs_by_default(pytestconfig):
    settings = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    every = pytest.mark.sampled(3)
    slow = Case("a.py::long[x]", every, pytest.mark.slow)
    items = [slow, *(Case(f"a.py::long[{k}]", every) for k in range(7))]
    items += [Case(f"a.py::plain[{k}]") for k in range(2)] + [Case("a.py::other[0]", every)]
    settings.pytest_collection_modifyitems(items)
    chosen = [case.nodeid for case in items if "slow" not in case.marks]
    assert chosen == [
        *(f"a.py::long[{k}]" for k in (0, 3, 6)),
        *(f"a.py::plain[{k}]" for k in range(2)),
        "a.py::other[0]",
    ]
