"""What a type checker sees: every public name with its own type, misspelt arguments as errors."""

import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

import chione as ch

STUB = Path(ch.__file__).with_name("__init__.pyi")


def stub():
    """The text of `__init__.pyi` that belongs to the table of exports."""
    by_module = defaultdict(list)
    for name, module in ch._EXPORTS.items():
        by_module[module].append(name)
    lines = ["# Written by tests/test_types.py from the table in __init__.py: do not edit.", ""]
    lines += [f"from chione import {room} as {room}" for room in sorted(ch._ROOMS)]
    for module in sorted(by_module):
        lines += [f"from {module} import {name} as {name}" for name in sorted(by_module[module])]
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", ""])


def test_the_stub_is_the_table_of_exports():
    assert sorted(STUB.read_text().split("\n")) == sorted(stub().split("\n")), (
        'python -c \'import sys; sys.path.insert(0, "tests"); import test_types as t; '
        "t.STUB.write_text(t.stub())' writes it again"
    )


def test_dir_lists_all_names_and_rooms():
    assert set(dir(ch)) == {*ch._EXPORTS, *ch._ROOMS, "__version__"}
    for name in dir(ch):
        if name != "torch":
            assert getattr(ch, name) is not None


def test_the_classes_of_all_results_that_functions_return_are_public():
    for name in ("MeanField", "PhaseDiagram", "Trajectory", "FixedPoints", "JacobianSpectrum"):
        assert issubclass(getattr(ch, name), ch.AbstractResult)
    assert isinstance(ch.mean_field("tanh", sigma_w=1.0), ch.MeanField)


USER = """
import chione as ch

field = ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)
reveal_type(field)
reveal_type(field.q_star)
reveal_type(field.fixed_points.points[0].stability)
reveal_type(ch.load("a.npz"))
reveal_type(ch.analyze("gelu", sigma_w=1.5))
ch.mean_field("tanh", sigmaw=1)
ch.mean_field(3.5, sigma_w=1.0)
ch.trajectory("tanh", sigma_w=1.0, depth="ten")
field.q_start
field.sigma_w = 2.0
ch.MeanFeild
ch.MLP(activation=3, sigma_w=1.0)
ch.mean_field(lambda x: x, sigma_w=1.0)
ch.MLP("tanh", 1.2)
reveal_type(ch.plot(field, field="decays"))
"""


@pytest.mark.slow
def test_mypy_reports_the_users_mistakes_and_knows_every_type(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "user.py"
    program.write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"),
               "--config-file", "", str(program)]  # fmt: skip
    path = str(STUB.parent.parent)
    out = subprocess.run(
        command, capture_output=True, text=True, env={"MYPYPATH": path, "PATH": ""}, timeout=600
    ).stdout
    by_line = defaultdict(list)
    for line in out.splitlines():
        where, _, text = line.partition(": ")
        if where.startswith(str(program)):
            by_line[USER.splitlines()[int(where.split(":")[1]) - 1]].append(text)
    said = {line: " ".join(texts) for line, texts in by_line.items()}
    assert 'Unexpected keyword argument "sigmaw"' in said['ch.mean_field("tanh", sigmaw=1)']
    assert "incompatible type" in said["ch.mean_field(3.5, sigma_w=1.0)"]
    assert "incompatible type" in said['ch.trajectory("tanh", sigma_w=1.0, depth="ten")']
    assert 'no attribute "q_start"' in said["field.q_start"]
    assert "read-only" in said["field.sigma_w = 2.0"]
    assert "no attribute" in said["ch.MeanFeild"]
    assert "incompatible type" in said["ch.MLP(activation=3, sigma_w=1.0)"]
    assert "ch.mean_field(lambda x: x, sigma_w=1.0)" not in said
    assert 'ch.MLP("tanh", 1.2)' not in said
    assert "MeanField" in said["reveal_type(field)"]
    assert "Estimate" in said["reveal_type(field.q_star)"]
    assert "str" in said["reveal_type(field.fixed_points.points[0].stability)"]
    assert "AbstractResult" in said['reveal_type(ch.load("a.npz"))']
    assert "Analysis" in said['reveal_type(ch.analyze("gelu", sigma_w=1.5))']
    assert "Figure" in said['reveal_type(ch.plot(field, field="decays"))']


def test_every_name_of_the_table_is_where_it_says():
    for name, module in ch._EXPORTS.items():
        assert hasattr(import_module(module), name), name
