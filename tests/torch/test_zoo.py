"""The zoo of trained models: labels follow their rule, can be trained again, and meet verdicts."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from zoo import ENTRIES, LABELS, Run, Task, build, halves, label, train  # noqa: E402
from zoo.labels import labelled  # noqa: E402


def runs_of(name):
    return [
        Run(optimiser, rate, math.inf if ratio is None else ratio, idle)
        for optimiser, rate, ratio, idle in LABELS[name]["runs"]
    ]


def test_every_model_has_the_label_that_the_rule_makes_of_its_losses():
    assert list(LABELS) == list(ENTRIES)
    for name in ENTRIES:
        assert LABELS[name]["label"] == label(runs_of(name)), name
        assert len(runs_of(name)) == 6


def test_the_zoo_holds_both_kinds_in_good_number_and_six_families():
    trainable = [n for n in ENTRIES if LABELS[n]["label"] != "no"]
    assert len(ENTRIES) >= 200
    assert 0.5 < len(trainable) / len(ENTRIES) < 0.75
    for family in ("mlp", "cnn", "residual", "gated", "recurrent", "transformer"):
        here = [n for n in ENTRIES if ENTRIES[n].family == family]
        assert len(here) >= 20
        assert 0.3 < sum(n in trainable for n in here) / len(here) < 0.9


def test_the_two_halves_share_no_model_and_make_the_zoo():
    parts = halves()
    assert sorted([*parts["development"], *parts["held"]]) == sorted(ENTRIES)
    for names in parts.values():
        assert 0.4 < len(names) / len(ENTRIES) < 0.6


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ({"sgd": (0.2, 0.0), "adam": (0.2, 0.0)}, "yes"),
        ({"sgd": (0.2, 0.0), "adam": (0.9, 0.0)}, "yes"),
        ({"sgd": (0.9, 0.0), "adam": (0.6, 0.1)}, "doubtful"),
        ({"sgd": (0.9, 0.0), "adam": (0.61, 0.0)}, "no"),
        ({"sgd": (math.inf, 0.0), "adam": (0.2, 0.11)}, "no"),
    ],
)
def test_a_label_is_made_of_loss_and_idle_numbers(ratios, word):
    assert label(Run(k, 0.1, *v) for k, v in ratios.items()) == word


def test_training_sees_a_head_that_learns_on_features_nobody_trains():
    """The idle share is that of the layer behind which the gradient is cut."""

    class Cut(torch.nn.Module):
        def forward(self, x):
            return x.detach()

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 8, generator=generator)
    task = Task(x, x @ torch.ones(8) / 8**0.5, 1, 1.0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 30), Cut(), torch.nn.Linear(30, 1))
    run = train(model, task, "adam", 0.01)
    assert run.ratio < 0.6
    assert run.idle == pytest.approx((8 * 30 + 30) / (8 * 30 + 30 + 31))
    assert not run.learns


def test_a_model_is_built_the_same_each_time_whatever_was_drawn_before():
    entry = ENTRIES["mlp-tanh-2x64-digits/default"]
    first, task = build(entry)
    before = torch.random.get_rng_state()
    torch.rand(3)
    again, _ = build(entry)
    assert torch.equal(first(task.inputs[:4]), again(task.inputs[:4]))
    torch.random.set_rng_state(before)
    build(entry)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_training_again_gives_the_stored_label():
    """Losses may differ in the last digits between machines, so they are compared to 0.05."""
    quick = [n for n in ENTRIES if ENTRIES[n].initialisation != "chione"]
    for name in random.Random(0).sample(quick, 12):
        again, stored = labelled(ENTRIES[name]), LABELS[name]
        best = [
            min((r for _, _, r, _ in x["runs"] if r is not None), default=9.0)  # none is finite
            for x in (again, stored)
        ]
        assert abs(best[0] - best[1]) < 0.05, name
        if abs(best[1] - 0.6) > 0.05:
            assert again["label"] == stored["label"], name


@pytest.mark.slow
def test_verdicts_agree_with_training():
    """All models: 92 % right (the page has the counts), and a firm word wrong in one of twenty."""
    from bench_verdict import judge

    judged = [judge(n) for n in ENTRIES if ENTRIES[n].initialisation != "chione"]
    assert not [j for j in judged if j.verdict == "error"]
    assert sum(j.agrees for j in judged) / len(judged) >= 0.92
    said_no = [j for j in judged if j.verdict == "no"]
    said_yes = [j for j in judged if j.verdict == "yes"]
    assert len(said_no) > 40 and len(said_yes) > 80
    assert sum(j.label != "no" for j in said_no) / len(said_no) <= 0.05
    assert sum(j.label == "no" for j in said_yes) / len(said_yes) <= 0.05


def test_the_table_counts_each_verdict_once_and_names_what_disagrees():
    from bench_verdict import Judged, disagreements, matrix, tables

    name = "mlp-tanh-2x64-digits/default"
    judged = [
        Judged(name, "mlp", verdict, word, "")
        for verdict, word, times in (
            ("yes", "yes", 4), ("doubtful", "yes", 2), ("doubtful", "no", 1), ("no", "no", 3),
            ("error", "yes", 1),
        )
        for _ in range(times)
    ]  # fmt: skip
    assert matrix(judged) == [[4, 0, 0], [2, 0, 1], [0, 0, 3]]
    text = tables(judged, "All")
    assert "9 of 11 (81.8 +- 11.6 %) judged as they train" in text
    assert "| trainable (yes or doubtful) | 6 | 1 |" in text
    assert disagreements(judged).count(name) == 2


def test_the_comparison_calls_worse_only_what_lies_beyond_the_noise():
    pytest.importorskip("anyinit")
    from bench_initialize import compared, counts, mean_error

    row = {
        "default": {"losses": [0.20, 0.22, 0.18, 0.21, 0.19]},
        "near": {"losses": [0.21, 0.23, 0.18, 0.22, 0.19]},
        "far": {"losses": [0.30, 0.31, 0.29, 0.32, 0.28]},
    }
    mean, error = mean_error(row["default"])
    assert (mean, error) == pytest.approx((0.2, 0.0158114 / 5**0.5), rel=1e-5)
    assert compared(row, "far") == pytest.approx(0.1 / 0.01, rel=1e-5)
    assert counts([compared(row, how) for how in ("near", "far")]) == (0, 1, 1)
    assert compared(row, "default", "far") == -compared(row, "far")
