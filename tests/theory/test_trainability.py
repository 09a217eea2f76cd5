"""The rule of the verdict: each threshold from both sides, and what it says."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import trainability

CALM = {"gradient": 0.0, "relative": 0.0, "length": 0.0, "difference": 0.0}
RANK = {"yes": 0, "doubtful": 1, "no": 2}


@pytest.mark.parametrize(
    ("name", "inside", "beyond", "answers", "problem"),
    [
        ("gradient", -5.9, -6.1, ("yes", "doubtful"), "vanishing gradient"),
        ("gradient", 5.9, 6.1, ("yes", "doubtful"), "exploding gradient"),
        # Adam's epsilon is 1e-8 in size, 1e-16 in the mean square
        ("gradient", math.log(1.1e-16), math.log(0.9e-16), ("doubtful", "no"),
         "vanishing gradient"),
        # the largest single is 3.4e38
        ("gradient", math.log(3.3e38), math.log(3.5e38), ("doubtful", "no"), "exploding gradient"),
        ("length", -5.9, -6.1, ("yes", "doubtful"), "vanishing signal"),
        ("length", math.log(3.3e38), math.log(3.5e38), ("doubtful", "no"), "exploding signal"),
        ("relative", 5.9, 6.1, ("yes", "doubtful"), "exploding gradient"),
        ("relative", 11.9, 12.1, ("doubtful", "no"), "exploding gradient"),
        ("difference", -5.9, -6.1, ("yes", "doubtful"), "collapsed inputs"),
        ("difference", -17.9, -18.1, ("doubtful", "no"), "collapsed inputs"),
    ],
)  # fmt: skip
def test_each_threshold_turns_the_answer(name, inside, beyond, answers, problem):
    before, after = (trainability(Passage(**{**CALM, name: x})) for x in (inside, beyond))
    assert (before.answer, after.answer) == answers
    assert after.problem == problem
    assert after.reason.endswith(".") and "nan" not in after.reason


def test_the_worse_a_passage_the_worse_its_answer():
    grid = (0.0, 4.0, 8.0, 14.0, 20.0, 40.0, 100.0)
    for g, s, m, d in product(grid, repeat=4):
        here = trainability(Passage(-g, s, m, -d))
        for worse in (
            Passage(-g - 7, s, m, -d),
            Passage(-g, s + 7, m, -d),
            Passage(-g, s, m, -d - 7),
        ):
            assert RANK[trainability(worse).answer] >= RANK[here.answer]


@pytest.mark.parametrize(
    ("gradient", "problem", "words"),
    [
        (math.nan, "exploding signal", "not finite"),
        (math.inf, "no gradient", "no gradient to follow"),
        (-math.inf, "no gradient", "no gradient to follow"),
    ],
)
def test_what_is_no_number_does_not_train(gradient, problem, words):
    found = trainability(Passage(gradient, 0.0, 0.0, 0.0))
    assert (found.answer, found.problem) == ("no", problem)
    assert words in found.reason


def test_a_scale_leaves_the_relative_gradient_as_it_is():
    g, q = np.array([-9.0, -6.0, -3.0, 0.0]), np.array([1.0, -2.0, -5.0, -8.0])
    way = Passage.of(g, q, -1.0)
    assert (way.gradient, way.length) == (-9.0, -9.0)
    assert way.relative == 0.0  # units that shrink: every relative change arrives whole
    doubled = Passage.of(g, q + 3.0, -1.0)
    assert doubled == way


def test_where_a_normalisation_follows_only_the_relative_gradient_counts():
    g, q = np.array([9.0, 5.0, 0.0]), np.array([-9.0, -5.0, 0.0])
    free = Passage.of(g, q, 0.0)
    tamed = Passage.of(g, q, 0.0, normalised=[True, True, False])
    assert free.gradient == 9.0 and tamed.gradient == 0.0
    assert tamed.length == 0.0


def test_one_input_alone_is_not_judged_by_a_difference():
    assert trainability(Passage(0.0, 0.0, 0.0, math.nan)).answer == "yes"
