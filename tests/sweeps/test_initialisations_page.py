"""The page of measured initialisations says what its file holds."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bench_which_initialisation as bench
import chione as ch

TABLE = bench.kept()
TEXT = bench.PAGE.read_text(encoding="utf-8")
PLACE = re.compile(r"<!-- (\S+) -->\n(.*?)\n<!-- end -->", re.S)


def rows(text):
    """Cells of a table without its head."""
    lines = [x for x in text.splitlines() if x.startswith("|")][2:]
    return [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]


def test_every_table_of_the_page_is_that_of_the_file():
    written = dict(PLACE.findall(TEXT))
    made = bench.blocks(TABLE)
    assert set(written) == set(made)
    for name, text in made.items():
        assert written[name] == text, name


@pytest.mark.parametrize("optimizer", TABLE.optimizer)
def test_medians_on_the_page_follow_from_the_seeds_in_the_file(optimizer):
    found = rows(dict(PLACE.findall(TEXT))[f"accuracy-{optimizer}"])
    assert len(found) == len(TABLE.activation) * len(TABLE.depth)
    o = TABLE.optimizer.index(optimizer)
    for name, depth, *cells in found:
        a, d = TABLE.activation.index(name), list(TABLE.depth).index(int(depth))
        for k, cell in enumerate(cells):
            seeds = np.sort(TABLE.test_accuracy[a, d, o, k])
            if cell == "-":
                assert np.isnan(seeds).sum() >= len(TABLE.seed) - 1
                continue
            median, low, high = (float(x) for x in re.findall(r"\d\.\d\d", cell))
            middle = seeds[len(seeds) // 2]
            assert (median, low, high) == pytest.approx((middle, seeds[0], seeds[-1]), abs=0.00501)


@pytest.mark.parametrize("ours", bench.OURS)
def test_the_summary_counts_the_cells_of_the_file(ours):
    written = rows(dict(PLACE.findall(TEXT))[f"{ours.replace(' ', '-')}-tally"])
    i = TABLE.scheme.index(ours)
    cells = np.prod(TABLE.test_accuracy.shape[:3])
    assert [line[0] for line in written] == [s for s in TABLE.scheme if s not in bench.OURS]
    for other, total, *by_depth in written:
        j = TABLE.scheme.index(other)
        counted = [0, 0, 0, 0]
        for at in np.ndindex(TABLE.test_accuracy.shape[:3]):
            counted[verdict(TABLE.test_accuracy[at][i], TABLE.test_accuracy[at][j])] += 1
        numbers = [int(x) for x in re.findall(r"\d+", total)]
        assert numbers == counted
        assert sum(numbers) == cells
        parts = np.array([[int(x) for x in re.findall(r"\d+", text)] for text in by_depth])
        assert list(parts.sum(axis=0)) == counted


def verdict(a, b):
    """0 better, 1 level, 2 worse, 3 neither trains; by plain counting of pairs."""
    a, b = ([x for x in v if not np.isnan(x)] or [0.0] for v in (a, b))
    middle = [float(np.median(v)) for v in (a, b)]
    if max(middle) <= 0.2:
        return 3
    a, b = ([max(x, 0.2) for x in v] for v in (a, b))
    gap = float(np.median(a)) - float(np.median(b))
    wins = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    if gap > 0.01 and wins >= 0.9 * len(a) * len(b):
        return 0
    return 2 if gap < -0.01 and wins <= 0.1 * len(a) * len(b) else 1


def test_every_loss_is_told():
    for ours in bench.OURS:
        name = ours.replace(" ", "-")
        told = rows(dict(PLACE.findall(TEXT))[f"{name}-losses"])
        i = TABLE.scheme.index(ours)
        lost = set()
        for a, d, o in np.ndindex(TABLE.test_accuracy.shape[:3]):
            accuracies = TABLE.test_accuracy[a, d, o]
            if any(
                verdict(accuracies[i], accuracies[j]) == 2
                for j, other in enumerate(TABLE.scheme)
                if other not in bench.OURS
            ):
                lost.add((TABLE.activation[a], str(TABLE.depth[d]), TABLE.optimizer[o]))
        assert {tuple(line[:3]) for line in told} == lost


def test_the_file_holds_the_design_that_the_page_tells():
    for word in (*TABLE.activation, *TABLE.scheme):
        assert word in TEXT
    assert list(TABLE.depth) == [10, 30, 50, 100]
    assert len(TABLE.seed) == 5
    for o, name in enumerate(TABLE.optimizer):
        assert name in TEXT.lower()
        for rate in TABLE.rates[o]:
            assert np.format_float_positional(rate, trim="-") in TEXT


@pytest.mark.parametrize(
    ("name", "depth", "law"), [("relu", 10, "gaussian"), ("tanh", 30, "orthogonal")]
)
def test_what_was_trained_as_our_advice_is_what_is_advised_today(name, depth, law):
    scheme = "chione" if law == "gaussian" else "chione orthogonal"
    (kept,) = (r for r in TABLE.advice.rows if r[:3] == (name, float(depth), scheme))
    best = ch.gain(name, depth=depth, width=TABLE.width, weights=law)
    assert kept[3] == best.activation
    today = (best.first_layer * best.sigma_w, best.sigma_w, best.sigma_b)
    assert kept[4:] == pytest.approx(today, abs=2e-3)
