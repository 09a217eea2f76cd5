"""The comparison of initialisations: rates are tuned apart, hopeless cells are cut short."""

import math

import numpy as np
import pytest

import chione as ch
from chione.sweeps.bundle import train
from chione.sweeps.ledger import Ledger
from chione.sweeps.scheme_design import SCHEMES_COMPARED, design_of
from chione.sweeps.scheme_search import measured
from chione.sweeps.schemes import which_initialisation
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Outcome, Training

SMALL = {
    "depths": (3,), "width": 12, "steps": 20, "n_seeds": 2, "optimizers": ("adam",),
    "rates": {"adam": (1e-3, 1e-2)}, "batch": 32,
    "data": "synthetic",
}  # fmt: skip


def compare(rule, **changes):
    """What a rule in place of training gives, and the trainings that were asked for."""
    given = {**SMALL, "schemes": tuple(SCHEMES_COMPARED), "tuning_seeds": (100,), **changes}
    names = ("depths", "schemes", "optimizers", "rates", "n_seeds", "tuning_seeds")
    places = [given.pop(name) for name in names]
    run = Recorded(rule)
    return measured(design_of(["tanh"], *places, **given), run), run.asked


class Recorded:
    """Trains nothing: outcomes by a rule, and a list of what was asked for."""

    def __init__(self, rule):
        self.rule, self.asked = rule, []

    def __call__(self, trainings):
        self.asked += trainings
        return [self.rule(t) for t in trainings]


def outcome(loss, test, status="done"):
    return Outcome(status, loss=loss, test_accuracy=test, steps_to=((0.5, 3), (0.9, 11)))


def test_every_scheme_trains_at_its_own_best_rate_on_seeds_of_their_own():
    def rule(t):  # he likes the small rate, the others the large one
        good = (t.rate < 5e-3) == (t.scheme == "he")
        return outcome(0.2 if good else 1.0, 0.8)

    found, asked = compare(rule)
    by_scheme = dict(zip(found.scheme, found.rate[0, 0, 0], strict=True))
    assert by_scheme.pop("he") == 1e-3
    assert set(by_scheme.values()) == {1e-2}
    tuning = [t for t in asked if t.seed == 100]
    counted = [t for t in asked if t.seed != 100]
    assert len(tuning) == 2 * len(SCHEMES_COMPARED)
    assert len(counted) == 2 * len(SCHEMES_COMPARED)
    assert {(t.scheme, t.rate) for t in counted if t.scheme == "he"} == {("he", 1e-3)}
    assert {t.seed for t in counted} == {0, 1}


def test_a_hopeless_cell_is_confirmed_by_one_network_and_then_left():
    def rule(t):
        return outcome(2.29 if t.scheme == "he" else 0.2, 0.1 if t.scheme == "he" else 0.8)

    found, asked = compare(rule, schemes=("he", "lsuv"))
    he, lsuv = found.test_accuracy[0, 0, 0]
    assert he[0] == 0.1
    assert math.isnan(he[1])
    assert list(lsuv) == [0.8, 0.8]
    assert sum(t.scheme == "he" for t in asked) == 3


def test_a_cell_that_looks_hopeless_and_then_trains_gets_all_its_seeds():
    def rule(t):
        return outcome(2.29, 0.5 if t.seed == 0 else 0.1)

    found, _ = compare(rule, schemes=("he",))
    assert list(found.test_accuracy[0, 0, 0, 0]) == [0.5, 0.1]


RATES = {"adam": (1.0, 2.0, 3.0, 4.0, 5.0)}


def test_greater_depths_search_from_the_best_rate_of_the_depth_before():
    def rule(t):  # the best rate is the fourth at depth 3, the first at depth 9
        return outcome(0.1 + abs(t.rate - (4.0 if t.depth == 3 else 1.0)), 0.8)

    found, asked = compare(rule, schemes=("he",), depths=(9, 3), rates=RATES)
    tried = {d: [t.rate for t in asked if t.seed == 100 and t.depth == d] for d in (3, 9)}
    assert tried == {3: [1.0, 2.0, 3.0, 4.0, 5.0], 9: [3.0, 4.0, 5.0, 2.0, 1.0]}
    assert list(found.depth) == [9, 3]
    assert list(found.rate[0, :, 0, 0]) == [1.0, 4.0]
    found, asked = compare(
        lambda t: outcome(0.1 + abs(t.rate - 3.0), 0.8), schemes=("he",), depths=(3, 9), rates=RATES
    )
    assert [t.rate for t in asked if t.seed == 100 and t.depth == 9] == [2.0, 3.0, 4.0]
    assert list(np.isnan(found.tuning_loss[0, 1, 0, 0])) == [True, False, False, False, True]


def test_all_rates_are_tried_before_a_cell_is_hopeless_and_depths_beyond_are_not():
    def rule(t):
        learns = t.depth == 3 or (t.depth == 5 and t.rate == 1.0)
        return outcome(0.1 + abs(t.rate - 4.0) / 10 if learns else 2.3, 0.8 if learns else 0.1)

    given = {"schemes": ("he",), "rates": RATES}
    found, asked = compare(rule, depths=(3, 5), **given)
    assert list(found.median[0, :, 0, 0]) == [0.8, 0.8]
    assert len([t for t in asked if t.depth == 5 and t.seed == 100]) == 5
    found, asked = compare(rule, depths=(3, 7, 9), **given)
    assert list(found.median[0, :, 0, 0]) == [0.8, 0.1, 0.0]
    assert len([t for t in asked if t.depth == 7 and t.seed == 100]) == 5
    assert not [t for t in asked if t.depth == 9]
    assert np.isnan(found.rate[0, 2, 0, 0])


def test_a_scheme_that_diverges_at_every_rate_counts_as_untrained():
    def rule(t):
        return outcome(math.nan, 0.0, "diverged") if t.scheme == "he" else outcome(0.2, 0.8)

    found, _ = compare(rule, schemes=("he", "lsuv"))
    assert math.isnan(found.rate[0, 0, 0, 0])
    assert found.tally("lsuv", "he").better == 1
    assert list(found.median[0, 0, 0]) == [0.0, 0.8]


def test_networks_that_are_trained_give_the_outcomes_of_train():
    found = which_initialisation(["tanh", "relu"], schemes=("he", "chione"), **SMALL)
    task = load_task("synthetic")
    at = (1, 0, 0, 0)
    losses = [
        train([Training("relu", 1.0, 0.0, 3, 12, scheme="he", optimizer="adam", rate=rate,
                        steps=20, batch=32, data="synthetic", seed=100)], task)[0].loss
        for rate in (1e-3, 1e-2)
    ]  # fmt: skip
    assert found.tuning_loss[at] == pytest.approx(losses, rel=1e-12)
    assert found.rate[at] == (1e-3, 1e-2)[int(np.argmin(losses))]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schemes": ("lecun",)}, "schemes must be some of pytorch, .*'lecun'"),
        ({"optimizers": ("sgd",)}, "rates must hold learning rates for 'sgd'"),
        ({"tuning_seeds": (1,)}, "tuning_seeds must be seeds beside 0 to 1"),
        ({"n_seeds": 0}, "n_seeds"),
        ({"depths": (0,)}, "depth"),
        (
            {"optimizers": ("adam", "sgd"), "rates": {"adam": (1e-3,), "sgd": (1e-2, 1e-1)}},
            "equally many",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, words):
    with pytest.raises((ch.SpecError, ValueError), match=words):
        which_initialisation(["tanh"], **{**SMALL, **changes})


def test_an_interrupted_comparison_goes_on_and_gives_the_same_table(tmp_path, monkeypatch):
    given = {**SMALL, "schemes": ("he", "lsuv")}
    whole = which_initialisation(["tanh", "relu"], **given)
    trained = []

    def counting(trainings, task):
        trained.extend(trainings)
        if len(trained) > 9:
            raise KeyboardInterrupt
        return train(trainings, task)

    monkeypatch.setattr("chione.sweeps.jobs.train", counting)
    path = tmp_path / "runs.sqlite"
    with pytest.raises(KeyboardInterrupt):
        which_initialisation(["tanh", "relu"], out=path, **given)
    monkeypatch.setattr("chione.sweeps.jobs.train", train)
    with Ledger(path) as book:
        assert book.counts()["done"] == 8
    assert which_initialisation(["tanh", "relu"], out=path, **given) == whole


def test_a_network_that_fails_is_told_and_counts_as_untrained(monkeypatch):
    def broken(trainings, task):
        if any(t.scheme == "he" and t.seed == 1 for t in trainings):
            raise ValueError("a broken layer")
        return train(trainings, task)

    monkeypatch.setattr("chione.sweeps.jobs.train", broken)
    given = {**SMALL, "steps": 60, "rates": {"adam": (1e-2,)}}
    found = which_initialisation(["tanh"], schemes=("he", "lsuv"), **given)
    (sentence,) = found.failures
    assert sentence.startswith("he, tanh, 3 layers, adam, seed 1: ")
    assert "a broken layer" in sentence
    assert sentence in str(found)
    assert found.test_accuracy[0, 0, 0, 0, 1] == 0.0
    assert np.all(found.test_accuracy[0, 0, 0, 1] > 0.2)
