"""Each optimiser has limits of its own: both sides of each, and what holds for all three."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chione.theory.depth import trainability as rules
from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import OPTIMIZERS, trainability

CALM = Passage(
    gradient=0.0, relative=0.0, length=0.0, difference=0.0, stiffness=6.0, contrast=5.0,
    forgotten=0.0, layers=10.0, spread=0.2,
)  # fmt: skip


def with_(name, optimizer, excess):
    """A passage that is beyond one limit by so many half widths."""
    table = {"order": rules.ORDER, "chaos": rules.FORGOTTEN, "stiff": rules.STIFF,
             "faint": rules.FAINT}[name]  # fmt: skip
    limit, half = table[optimizer]
    value = limit + excess * half
    if name == "order":
        depth = 0.1 * CALM.layers if optimizer == "adam" else math.log(CALM.layers)
        return replace(CALM, difference=depth - value)
    faint = "length" if optimizer == "adam" else "contrast"
    field = {"chaos": "forgotten", "stiff": "stiffness", "faint": faint}[name]
    return replace(CALM, **{field: -value if name == "faint" else value})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["order", "chaos", "stiff", "faint"])
def test_each_limit_has_a_yes_a_doubt_and_a_no(name, optimizer):
    answers = [
        trainability(with_(name, optimizer, x), optimizer).answer
        for x in (-1.01, -0.99, 0.99, 1.01)
    ]
    assert answers == ["yes", "doubtful", "doubtful", "no"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [("order", "collapsed inputs"), ("chaos", "exploding gradient"),
     ("stiff", "exploding signal"), ("faint", "vanishing signal")],
)  # fmt: skip
def test_what_is_wrong_is_named_and_told(name, problem):
    found = trainability(with_(name, "adam", 2.0), "adam")
    assert (found.answer, found.problem) == ("no", problem)
    assert found.reason.endswith(".") and "nan" not in found.reason


def test_a_gradient_that_fades_or_grows_is_named_before_the_signal():
    faint = replace(with_("faint", "sgd", 2.0), gradient=-9.0)
    assert trainability(faint, "sgd").problem == "vanishing gradient"
    stiff = replace(with_("stiff", "sgd", 2.0), relative=9.0)
    assert trainability(stiff, "sgd").problem == "exploding gradient"


def test_without_an_optimiser_the_answer_is_what_holds_for_all():
    assert trainability(CALM).answer == "yes"
    assert trainability(with_("chaos", "adam", 2.0)).answer == "no"
    depends = trainability(with_("order", "momentum", 1.1))
    assert depends.optimizers == {"sgd": "no", "momentum": "no", "adam": "yes"}
    assert depends.answer == "doubtful"
    assert depends.reason.startswith("Adam trains it, momentum and plain gradient descent do not: ")


def test_answers_of_all_three_are_there_whichever_is_asked():
    way = with_("order", "momentum", 1.1)
    assert {trainability(way, o).answer for o in OPTIMIZERS} == {"no", "yes"}
    for o in OPTIMIZERS:
        found = trainability(way, o)
        assert found.answer == found.optimizers[o]
        assert found.to_dict()["optimizers"] == dict(trainability(way).optimizers)


def test_what_no_number_holds_trains_with_none():
    for way in (replace(CALM, gradient=math.nan), replace(CALM, gradient=-math.inf),
                replace(CALM, length=-40.0), replace(CALM, length=-math.inf)):  # fmt: skip
        assert trainability(way).optimizers == dict.fromkeys(OPTIMIZERS, "no")


def test_networks_that_spread_widely_are_never_a_firm_yes():
    wide = replace(CALM, spread=3.0)
    assert trainability(wide, "adam").answer == "doubtful"
    assert "3.0 times itself" in trainability(wide, "adam").reason
    assert trainability(replace(with_("chaos", "adam", 2.0), spread=3.0), "adam").answer == "no"


def test_a_measured_passage_has_no_answer_by_optimiser():
    found = trainability(Passage(0.0, 0.0, 0.0, -8.0))
    assert (found.answer, dict(found.optimizers)) == ("doubtful", {})


def test_an_unknown_optimiser_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"optimizer.*sgd.*momentum.*adam.*lion"):
        trainability(CALM, "lion")


def test_momentum_comes_further_than_plain_descent_and_adam_further_still():
    assert rules.ORDER["sgd"][0] < rules.ORDER["momentum"][0] < rules.ORDER["adam"][0]
    assert rules.STIFF["sgd"][0] < rules.STIFF["momentum"][0]
    # ten times the steps
    assert rules.ORDER["momentum"][0] - rules.ORDER["sgd"][0] == pytest.approx(
        math.log(10.0), abs=0.8
    )
