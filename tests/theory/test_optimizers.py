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
    value, root = limit + excess * half, math.sqrt(CALM.layers)
    if name == "order":
        return replace(CALM, difference=-value / root)
    if name == "faint":
        return replace(CALM, contrast=-value / root)
    if name == "stiff":
        power = 4.0 if optimizer == "adam" else 2.0
        return replace(CALM, stiffness=value - power * math.log(CALM.layers))
    if optimizer == "adam":
        return replace(CALM, forgotten=1.0, relative=value)
    return replace(CALM, forgotten=value)


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
    assert trainability(replace(with_("chaos", "adam", 2.0), forgotten=9.0)).answer == "no"
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
    chaos = replace(with_("chaos", "adam", 2.0), spread=3.0)
    assert trainability(chaos, "adam").answer == "no"


def test_a_measured_passage_has_no_answer_by_optimiser():
    found = trainability(Passage(0.0, 0.0, 0.0, -8.0))
    assert (found.answer, dict(found.optimizers)) == ("doubtful", {})


def test_an_unknown_optimiser_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"optimizer.*sgd.*momentum.*adam.*lion"):
        trainability(CALM, "lion")


def test_momentum_comes_further_than_plain_descent_and_adam_further_still():
    assert rules.ORDER["sgd"][0] < rules.ORDER["momentum"][0] < rules.ORDER["adam"][0]
    # ten times the steps: log 10 in d at ten to thirty layers
    for layers in (10, 30):
        further = (rules.ORDER["momentum"][0] - rules.ORDER["sgd"][0]) / math.sqrt(layers)
        assert further == pytest.approx(math.log(10.0), abs=1.3)


def test_the_same_loss_of_difference_is_worse_in_a_deeper_network():
    answers = [
        trainability(replace(CALM, difference=-4.0, layers=n), "momentum").answer
        for n in (4.0, 40.0, 90.0)
    ]
    assert answers == ["yes", "doubtful", "no"]


def test_adam_leaves_the_chaos_of_few_layers_but_not_a_gradient_that_explodes():
    lost = replace(CALM, forgotten=12.0, relative=8.0)
    assert trainability(lost).optimizers == {"sgd": "no", "momentum": "no", "adam": "yes"}
    assert trainability(replace(lost, relative=13.0), "adam").answer == "no"


def test_an_even_activation_is_firm_at_few_layers_only():
    assert trainability(replace(CALM, even=True, layers=6.0), "adam").answer == "yes"
    deep = trainability(replace(CALM, even=True, layers=7.0), "adam")
    assert deep.answer == "doubtful" and "even activation" in deep.reason
