"""The comparison of initialisations: rates are tuned apart, hopeless cells are cut short."""

import math

import numpy as np
import pytest

import chione as ch
from chione.sweeps.schemes import SCHEMES_COMPARED, which_initialisation
from chione.sweeps.training import Outcome

SMALL = {
    "depths": (3,), "width": 12, "steps": 20, "n_seeds": 2, "optimizers": ("adam",),
    "rates": {"adam": (1e-3, 1e-2)}, "batch": 32,
    "data": "synthetic",
}  # fmt: skip


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

    run = Recorded(rule)
    found = which_initialisation(["tanh"], run=run, **SMALL)
    by_scheme = dict(zip(found.scheme, found.rate[0, 0, 0], strict=True))
    assert by_scheme.pop("he") == 1e-3
    assert set(by_scheme.values()) == {1e-2}
    tuning = [t for t in run.asked if t.seed == 100]
    counted = [t for t in run.asked if t.seed != 100]
    assert len(tuning) == 2 * len(SCHEMES_COMPARED)
    assert len(counted) == 2 * len(SCHEMES_COMPARED)
    assert {(t.scheme, t.rate) for t in counted if t.scheme == "he"} == {("he", 1e-3)}
    assert {t.seed for t in counted} == {0, 1}


def test_a_hopeless_cell_is_confirmed_by_one_network_and_then_left():
    def rule(t):
        return outcome(2.29 if t.scheme == "he" else 0.2, 0.1 if t.scheme == "he" else 0.8)

    run = Recorded(rule)
    found = which_initialisation(["tanh"], schemes=("he", "lsuv"), run=run, **SMALL)
    he, lsuv = found.test_accuracy[0, 0, 0]
    assert he[0] == 0.1
    assert math.isnan(he[1])
    assert list(lsuv) == [0.8, 0.8]
    assert sum(t.scheme == "he" for t in run.asked) == 3


def test_a_cell_that_looks_hopeless_and_then_trains_gets_all_its_seeds():
    def rule(t):
        return outcome(2.29, 0.5 if t.seed == 0 else 0.1)

    found = which_initialisation(["tanh"], schemes=("he",), run=Recorded(rule), **SMALL)
    assert list(found.test_accuracy[0, 0, 0, 0]) == [0.5, 0.1]


def test_a_scheme_that_diverges_at_every_rate_counts_as_untrained():
    def rule(t):
        return outcome(math.nan, 0.0, "diverged") if t.scheme == "he" else outcome(0.2, 0.8)

    found = which_initialisation(["tanh"], schemes=("he", "lsuv"), run=Recorded(rule), **SMALL)
    assert math.isnan(found.rate[0, 0, 0, 0])
    assert found.tally("lsuv", "he").better == 1
    assert list(found.median[0, 0, 0]) == [0.0, 0.8]


def test_networks_that_are_trained_give_the_outcomes_of_train():
    from chione.sweeps.bundle import train
    from chione.sweeps.tasks import load_task
    from chione.sweeps.training import Training

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
        which_initialisation(["tanh"], run=Recorded(None), **{**SMALL, **changes})
