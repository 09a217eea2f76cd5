"""Every entry of the gallery holds its own checks; files and pictures are the same each time."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from chione.cli import main
from chione.gallery import ENTRIES, Check, Variable, find, write
from chione.gallery.entry import worst

QUICK = ("order-chaos", "edge-of-chaos-curves", "length-map-fixed-points", "problem-set",
         "problem-set-3e", "problem-set-5d",
         "critical-correlation-functions", "glorot-figure-6", "glorot-figure-7", "jacobian-table-1",
         "hessian-densities", "hessian-index", "hessian-structures", "length-decay",
         "poole-figure-1",
         "selu-stability", "forward-backward-balance", "universality-classes",
         "jacobian-figure-3", "which-initialisation")  # fmt: skip


# What a check of these kinds compares has no size of its own: distances of distributions, signs.
WITHOUT_SIZE = ("begins on the axis", "largest distance", "epsilon_c", "sigma_b = 0",
                "has no critical point",
                "lengths diverge", "falls below the diagonal", "no activation is below",
                "of the three regimes", "V / K^2", "simulated", "sigma_w^2 q / 2")  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.sampled(3)
def test_entry_holds_its_checks_and_they_would_notice_a_theory_that_is_off_by_a_tenth(name):
    made = find(name).make(True)
    assert made.checks
    assert [c.sentence for c in made.checks if not c.passed] == []
    for check in made.checks:
        if not any(words in check.claim for words in WITHOUT_SIZE):
            assert check.tolerance < 0.1 * abs(check.expected), check.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ENTRIES) - set(QUICK)))
def test_longer_entry_holds_its_checks(name):
    made = find(name).make(True)
    assert [c.sentence for c in made.checks if not c.passed] == []


FACTORS = {
    "poole-figure-1": ("chione.theory.length_map", "simulated lengths", 1.1),
    "poole-figure-2": ("chione.theory.correlation_map", "simulated correlations", 0.8),
    "four-point-vertex": ("chione.theory.finite_width", "tanh, and relu", 1.3),
    "hessian-index": ("chione.gallery.hessian.hessian_spectrum", "counted", 1.2),
}


class Scaled:
    """A result whose numbers are all off by a factor."""

    def __init__(self, result, factor):
        self._result, self._factor = result, factor

    def __getattr__(self, name):
        found = getattr(self._result, name)
        if name == "negative_fraction":
            return Scaled(found, self._factor)
        return self._factor * found if name in ("value", "relative_vertex") else found


@pytest.mark.slow
@pytest.mark.parametrize("name", FACTORS)
def test_simulations_contradict_a_theory_that_is_off_by_a_factor(monkeypatch, name):
    import importlib

    where, claim, factor = FACTORS[name]
    room, function = where.rsplit(".", 1)
    honest = getattr(importlib.import_module(room), function)
    monkeypatch.setattr(where, lambda *a, **o: Scaled(honest(*a, **o), factor))
    (check,) = (c for c in find(name).make(True).checks if claim in c.claim)
    assert not check.passed, check.sentence


def test_a_check_notices_what_is_wrong_and_what_is_missing():
    assert Check("", 1.0, 1.0 + 1e-9, 1e-8).passed
    assert not Check("", 1.0, 1.1, 1e-8).passed
    assert not Check("", float("nan"), 1.0, 1.0).passed


def test_the_worst_element_is_the_one_shown():
    check = worst("x", [1.0, 2.0, 3.0], [1.0, 2.5, 3.1], [1.0, 1.0, 0.01])
    assert (check.found, check.expected) == (3.0, 3.1)
    assert not check.passed
    assert not worst("x", [1.0, np.nan], [1.0, 1.0], 10.0).passed
    assert worst("x", [1.0], [1.0], 0.0).passed
    equal = worst("2 (l - 1)", [0.0, 2.0, 4.0], [0.0, 2.0, 4.0], 1e-10)
    assert equal.expected == 4.0  # 0 against 0 would say nothing


def test_data_of_every_variable_is_labelled():
    made = find("problem-set").make(True)
    sizes: dict[str, int] = {}
    for variable in made.data.values():
        assert variable.words
        for dim, size in zip(variable.dims, variable.values.shape, strict=True):
            assert sizes.setdefault(dim, size) == size


def test_a_variable_needs_a_name_for_each_axis():
    with pytest.raises(ValueError, match="each of the 2 axes"):
        Variable(("x",), np.zeros((2, 3)), "zeros")


def test_files_are_the_same_each_time(tmp_path):
    entry = find("hessian-densities")
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    one, two = (write(entry, entry.make(True), folder) for folder in (first, second))
    assert [p.suffix for p in one][:4] == [".png", ".svg", ".npz", ".txt"]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_the_command_lists_makes_and_checks(tmp_path):
    run = CliRunner()
    listed = run.invoke(main, ["reproduce", "--list"])
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in ENTRIES)
    made = run.invoke(
        main, ["reproduce", "problem-set", "--quick", "--check", "--out", str(tmp_path / "x")]
    )
    assert made.exit_code == 0
    assert "holds: chi of tanh" in made.stdout
    assert (tmp_path / "x" / "problem-set.png").stat().st_size > 10_000
    assert "Checks:" in (tmp_path / "x" / "problem-set.txt").read_text()


def test_the_command_reports_a_check_that_fails(monkeypatch):
    entry = find("problem-set")
    made = entry.make(True)
    wrong = replace(made, checks=(Check("wrong", 1.0, 2.0, 0.1),))
    monkeypatch.setitem(ENTRIES, "problem-set", replace(entry, make=lambda quick: wrong))
    result = CliRunner().invoke(main, ["reproduce", "problem-set", "--check"])
    assert result.exit_code == 1
    assert "FAILS: wrong" in result.stdout


def test_an_unknown_entry_is_answered_with_the_nearest():
    result = CliRunner().invoke(main, ["reproduce", "pool-figure-1"])
    assert result.exit_code == 2
    assert "Did you mean 'poole-figure-1'?" in result.stderr
    neither = CliRunner().invoke(main, ["reproduce"])
    assert neither.exit_code == 2
    assert "--all" in neither.stderr
