"""`python -m benchmarks`: its harness, its references, and the page that it writes. No times."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.neural_tangents import client
from benchmarks.speed import (
    by_hand,
    formulas,
    harness,
    kernels,
    page,
    references,
    rooms,
    spectra_by_hand,
    table,
    worker,
)
from benchmarks.speed.case import Case, Way

NAMES = rooms.names()
OPTIONS = argparse.Namespace(quick=True, rounds=1, ways=None, alone=False)
KEPT = Path(__file__).parents[1] / "benchmarks" / "speed.json"


def told(case, options=OPTIONS):
    """What a worker tells about a case, in this process."""
    lines = []
    worker.measure(case, lambda kind, way, **what: lines.append((kind, way, what)), options)
    return lines


def row(ways, **more):
    """A row as the harness makes it; times are given as lists of [wall, cpu]."""
    empty = {"part": 1.0, "first": [], "again": [], "error": None, "peak_mb": None, "note": ""}
    known = {"case": "c", "room": "maps", "what": "work", "unit": "", "count": 1, "goal": 0.0}
    return {**known, **more, "ways": [{**empty, **way} for way in ways]}


def test_names_of_cases_are_unique_and_fit_a_shell():
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_case_builds_its_inputs(name):
    ways = rooms.case(name).ways(True)
    assert ways[0].name == "chione"
    assert all(0.0 < way.part <= 1.0 for way in ways)
    assert len({way.name for way in ways}) == len(ways)


def test_a_case_runs_in_a_process_of_its_own_and_every_way_is_timed_and_checked():
    found = harness.run(rooms.case("expectation-smooth"), "expectations", quick=True, rounds=2)
    assert [way["name"] for way in found["ways"]] == [
        "chione", "scipy quad", "NumPy, Gauss-Hermite 100",
    ]  # fmt: skip
    for way in found["ways"]:
        assert len(way["first"]) == 1
        assert len(way["again"]) >= 2
        assert min(way["first"][0]) > 0.0
    errors = [way["error"] for way in found["ways"]]
    assert errors[0] < 1e-14 and errors[1] < 1e-10 < errors[2] * 10  # each has its own
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "scipy quad" in table.text([found])


def test_ways_take_turns_and_every_call_has_new_numbers():
    seen = []
    ways = [Way(name, lambda k, name=name: seen.append((name, k))) for name in "ab"]
    told(
        Case("c", "work", lambda quick: ways), argparse.Namespace(**{**vars(OPTIONS), "rounds": 3})
    )
    assert [name for name, _ in seen[:4]] == ["a", "b", "a", "b"]
    for name in "ab":
        numbers = [k for who, k in seen if who == name]
        assert numbers == list(range(len(numbers)))
    changes = sum(one[0] != two[0] for one, two in pairwise(seen))
    assert changes == 2 * (2 + 3) - 1


def test_a_long_call_is_not_repeated():
    calls = []
    slow = Way("a", calls.append, clock=lambda run, k, loops: worker_sample(run(k), 60.0))
    lines = told(Case("c", "work", lambda quick: [slow]))
    assert calls == [0]
    assert [kind for kind, _, _ in lines] == ["way", "started", "first"]


def worker_sample(value, seconds):
    """A sample that claims to have taken so long."""
    from benchmarks.speed.case import Sample

    return Sample(seconds, seconds, value)


def test_the_time_to_prepare_belongs_to_the_first_call():
    way = Way(
        "a", lambda k: 1.0, prepare=lambda k: 2.0, clock=lambda run, k, n: worker_sample(0, run(k))
    )
    lines = told(Case("c", "work", lambda quick: [way]))
    assert ("first", 0, {"wall": 3.0, "cpu": 3.0}) in lines
    quarter = told(Case("c", "work", lambda quick: [replace(way, part=0.25)]))
    assert ("first", 0, {"wall": 1.5, "cpu": 1.5}) in quarter  # shown as 2 + 1 / 0.25
    assert ("again", 0, {"wall": 1.0, "cpu": 1.0}) in lines


def test_a_missing_peer_is_skipped_and_named(monkeypatch):
    monkeypatch.delenv(client.VARIABLE, raising=False)
    lines = told(rooms.case("relu-1000-depth-10"))
    skipped = [(way, what["why"]) for kind, way, what in lines if kind == "skipped"]
    assert [way for way, _ in skipped] == [2]
    assert "--neural-tangents" in skipped[0][1]
    assert {way for kind, way, _ in lines if kind == "again"} == {0, 1}


def test_an_environment_without_neural_tangents_is_told(monkeypatch):
    monkeypatch.setenv(client.VARIABLE, sys.executable)
    with pytest.raises(Exception, match=r"serve\.py tells why"):
        client.Server().ask("versions")
    monkeypatch.setenv(client.VARIABLE, "/no/such/python")
    assert client.versions() == {}


def test_a_worker_that_takes_too_long_is_stopped_and_the_row_says_so():
    case = replace(rooms.case("expectation-smooth"), limit=0.05)
    found = harness.run(case, "expectations", quick=True, rounds=1)
    assert found["ways"][0]["note"].startswith("stopped after")
    assert "stopped" in table.text([found])


def test_a_failure_of_chione_leaves_the_peers_their_times():
    def fail(k):
        raise ArithmeticError("no answer")

    lines = told(Case("c", "work", lambda quick: [Way("chione", fail), Way("peer", lambda k: k)]))
    assert ("failed", 0, {"why": "ArithmeticError: no answer"}) in lines
    assert any(kind == "again" and way == 1 for kind, way, _ in lines)


def test_ratios_and_scaled_parts():
    ours = {"name": "chione", "first": [[4.0, 3.0]], "again": [[1.0, 0.5], [3.0, 1.5], [2.0, 1.0]]}
    peer = {"name": "peer", "part": 0.25, "first": [[1.0, 1.0]], "again": [[0.5, 0.5]]}
    lines = table.rows(row([ours, peer], unit="value", count=2))
    assert lines[0][:5] == ["work (a value)", "chione", "2 s", "1 s ± 50%", "500 ms"]
    assert lines[1][1:6] == ["peer", "≈ 2 s", "≈ 1 s", "≈ 1 s", "2.0 x"]
    once = {"name": "peer", "first": [[6.0, 6.0]]}
    assert table.rows(row([ours, once]))[1][5] == "2.0 x (first)"


def test_losses_are_told():
    ours = {"name": "chione", "first": [[4.0, 4.0]], "again": [[1.0, 1.0]], "error": 1e-15}
    peer = {"name": "a peer", "first": [[1.0, 1.0]], "again": [[2.0, 2.0]], "error": 1e-3}
    text = table.losses([row([ours, peer])])
    assert text == "- work, the first call: 4.0 times as long as a peer (errors 1e-15 and 1e-03)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2.5e-9, "2.5 ns"), (9.999e-4, "1 ms"), (0.02, "20 ms"), (90.0, "90 s"), (600.0, "10 min"),
     (36000.0, "10 h")],
)  # fmt: skip
def test_seconds_are_shown_in_their_unit(value, shown):
    assert table.seconds(value) == shown


def test_the_integrated_reference_equals_the_closed_form_of_relu():
    x = kernels.inputs(3, 0)
    closed = references.relu_kernels(x, math.sqrt(2.0), 0.1, 4)
    integrated = references.deep_kernels(formulas.FORMULAS["relu"], x, math.sqrt(2.0), 0.1, 4)
    by_numpy = by_hand.arc_cosine(x, math.sqrt(2.0), 0.1, 4)
    for a, b, c in zip(closed, integrated, by_numpy, strict=True):
        assert references.relative(b, a) < 1e-12
        assert references.relative(c, a) < 1e-7  # arccos next to 1


@pytest.mark.parametrize("q", [1.3, 100.0])
def test_the_reference_of_one_variable_is_right_where_the_function_is_narrow(q):
    with mpmath.workdps(20):
        points = [-12, -1, -0.1, 0, 0.1, 1, 12]
        root = mpmath.sqrt(q)
        exact = mpmath.quad(lambda z: mpmath.sech(root * z) ** 4 * mpmath.npdf(z), points)
    f = formulas.FORMULAS["tanh"]
    assert references.single(lambda h: f.slope(h) ** 2, q) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("name", formulas.FORMULAS)
def test_slopes_of_the_formulas_are_their_derivatives(name):
    f, x = formulas.FORMULAS[name], np.linspace(-3.03, 3.05, 41)
    assert np.allclose(f.slope(x), (f.value(x + 1e-6) - f.value(x - 1e-6)) / 2e-6, atol=1e-8)


def test_gauss_hermite_by_hand_agrees_with_the_reference_on_a_smooth_function():
    f, c = formulas.FORMULAS["gelu"], np.array([-0.4, 0.3, 0.9])
    exact = [references.double(f.value, 0.8, 1.1, r) for r in c]
    assert np.allclose(by_hand.kernel(f.value, 0.8, 1.1, c), exact, rtol=1e-12)
    x = kernels.inputs(2, 0)
    ours = by_hand.hermite_kernels(f.value, f.slope, x, 1.0, 0.1, 3, n=60)
    for found, true in zip(ours, references.deep_kernels(f, x, 1.0, 0.1, 3), strict=True):
        assert references.relative(found, true) < 1e-9


def test_the_page_is_what_the_kept_samples_say():
    text = page.PAGE.read_text(encoding="utf-8")
    for name, block in page.blocks(json.loads(KEPT.read_text(encoding="utf-8"))).items():
        assert f"<!-- {name} -->\n{block}\n<!-- end -->" in text


def test_the_page_is_written_from_samples_alone(tmp_path):
    copy = tmp_path / "speed.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    known = json.loads(KEPT.read_text(encoding="utf-8"))
    known["cases"] = [row([{"name": "chione", "first": [[0.001, 0.002]]}], what="a new case")]
    page.write(known, copy)
    assert "| a new case | chione | 1 ms |  | 2 ms |  |  |  |" in copy.read_text(encoding="utf-8")


def test_spectra_by_hand_agree_with_closed_forms():
    x = np.linspace(-3.3, 3.3, 12)
    arc = 2.0 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)  # two coins: the arcsine law
    two = spectra_by_hand.cauchy(arc)
    # away from the axis the masses at Chebyshev's places are the law to rounding
    z = x + 0.3j
    direct = 1.0 / np.sqrt(z * z - 4.0)
    direct *= np.sign((direct * z).real)
    assert np.allclose(two(z)[0], direct, rtol=1e-12)
    four = spectra_by_hand.sum_by_newton(two, two, x)
    assert np.allclose(four, spectra_by_hand.coins(4, x), rtol=1e-9)
    fixed = spectra_by_hand.sum_by_fixed_point(two, two, x, 1e-6, 20_000)
    assert np.allclose(fixed, four, rtol=1e-4)
    lam = np.linspace(0.1, 3.9, 9)
    one = spectra_by_hand.master_density(np.array([1.0]), np.array([1.0]), 1.0, 1, lam, 60, 1e-13)
    assert np.allclose(one, np.sqrt(lam * (4.0 - lam)) / (2.0 * np.pi * lam), rtol=1e-10)
    two_layers = spectra_by_hand.master_density(
        np.array([1.0]), np.array([1.0]), 1.0, 2, lam, 60, 1e-13
    )
    assert np.allclose(two_layers, spectra_by_hand.product_of_wisharts(1.0, lam), rtol=1e-10)
