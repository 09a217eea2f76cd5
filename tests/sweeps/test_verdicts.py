"""A thousand trained networks: the page says what stored files say, and both can be made again."""

from __future__ import annotations

import math
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import bench_verdicts_plain as bench  # noqa: E402
from chione.sweeps.tasks import load_task  # noqa: E402
from chione.theory.depth import trainability as rules  # noqa: E402
from verdicts import features, labels  # noqa: E402
from verdicts.networks import COUNT, OPTIMIZERS, everything, half, networks  # noqa: E402

PAGE = (ROOT / "docs" / "trainability.md").read_text(encoding="utf-8")


@cache
def nets():
    """By number; made when a test asks, since each run of any test reads this file."""
    return {net.number: net for net in everything()}


def block(name):
    return re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE, re.S)[1]


def counted(side):
    """The confusion matrix from the stored lines, without the benchmark's own counting."""
    said, out = features.read(), {}
    for number, row in labels.read().items():
        if half(number) != side:
            continue
        answer = rules.trainability(features.way(said[number]), nets()[number].optimizer).answer
        best = max(share for _, _, share, _ in row["runs"])
        key = answer, best >= 0.75
        out[key] = out.get(key, 0) + 1
    return out


@pytest.mark.parametrize("side", ["development", "held", "fresh"])
def test_the_page_shows_the_confusion_matrix_of_the_stored_files(side):
    found, text = counted(side), block(f"verdicts-{side}")
    for word in ("yes", "doubtful", "no"):
        row = f"| {word} | {found.get((word, True), 0)} | {found.get((word, False), 0)} |"
        assert row in text, row
    total = sum(found.values())
    assert f"{total} networks" in text


def test_the_page_shows_the_limits_of_the_code():
    assert block("limits") == bench.limits()
    for table in (rules.ORDER, rules.FORGOTTEN, rules.STIFF, rules.FAINT):
        assert set(table) == set(OPTIMIZERS)


def test_the_limits_stand_in_one_file():
    tables = re.compile(r'^[A-Z]+ = \{"sgd": \(', re.M)
    found = {
        p.name: len(tables.findall(p.read_text("utf-8"))) for p in (ROOT / "src").rglob("*.py")
    }
    assert {name: n for name, n in found.items() if n} == {"trainability.py": 4}


def test_the_answers_are_as_good_as_the_page_claims():
    # far below what was measured, far above what guessing or the rule without optimisers gives
    found = counted("fresh")
    firm = [found.get((w, y), 0) for w in ("yes", "no") for y in (True, False)]
    assert firm[0] / (firm[0] + firm[1]) > 0.85
    assert firm[3] / (firm[2] + firm[3]) > 0.93
    assert sum(firm) / sum(found.values()) > 0.85


def test_the_sample_is_what_it_is_said_to_be():
    first = networks()
    assert len(first) == COUNT and len(nets()) == 2 * COUNT
    assert {n.optimizer for n in first} == set(OPTIMIZERS)
    widths, depths = (np.array([getattr(n, k) for n in first]) for k in ("width", "depth"))
    assert widths.min() == 64 and 448 <= widths.max() <= 512 and set(widths % 16) == {0}
    assert depths.min() == 3 and 95 <= depths.max() <= 100
    logs = np.log(depths)
    assert abs(np.median(logs) - 0.5 * math.log(300.0)) < 0.1
    assert len({n.activation for n in nets().values()}) >= 40
    assert 440 < sum(n.half == "held" for n in nets().values()) < 560


def test_labels_follow_their_rule():
    for number, row in labels.read().items():
        net, runs = nets()[number], row["runs"]
        assert [r[0] for r in runs] == list(labels.RATES[net.optimizer][: len(runs)])
        reached = [share >= labels.LEARNED for _, _, share, _ in runs]
        assert row["trains"] == any(reached) == reached[-1]
        assert not any(reached[:-1]) and (row["trains"] or len(runs) == 3)
        assert all(steps <= labels.STEPS for *_, steps in runs)


def _quick(trains):
    """Small networks whose training takes little, from the newest labels."""
    known = labels.read()
    fits = [
        k
        for k in sorted(known, reverse=True)
        if known[k]["trains"] == trains and nets()[k].width * nets()[k].depth < 700
        and sum(r[3] for r in known[k]["runs"]) < 400
    ]  # fmt: skip
    return fits[:3]


@pytest.mark.parametrize("trains", [True, False])
def test_a_few_networks_trained_again_have_their_label(trains):
    known, task = labels.read(), load_task("digits")
    chosen = _quick(trains)
    assert len(chosen) == 3
    for number in chosen:
        again = labels.label(nets()[number], task)
        assert again["trains"] == known[number]["trains"], number
        for new, old in zip(again["runs"], known[number]["runs"], strict=True):
            assert new[:3] == old[:3]
            assert abs(new[3] - old[3]) <= 3  # rounding of another machine


@pytest.mark.parametrize("start", [0, 1, 2])
def test_a_few_features_asked_again_are_as_stored(start):
    said = features.read()
    for number in sorted(said)[start::97]:
        net = nets()[number]
        if net.depth > 40:
            continue
        again = features.features(net)
        for name, value in said[number].items():
            new = float(again[name])
            assert new == pytest.approx(value, rel=1e-4, abs=1e-4, nan_ok=True), (number, name)
