"""When one initialisation counts as better than another, and what a table of them says."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import chione as ch
from chione.sweeps.scheme_table import LEAST, PAIRINGS, UNTRAINED, SchemeTable, compared

GUESSES = [0.1, 0.08, 0.12, 0.11, 0.19]


def table(**changes):
    """Two activations, two depths, one optimiser, three schemes, five seeds."""
    rng = np.random.default_rng(3)
    accuracy = 0.9 + 0.002 * rng.standard_normal((2, 2, 1, 3, 5))
    accuracy[0, 0, 0, 1] -= 0.3  # the second scheme is worse in the first cell,
    accuracy[1, 1, 0, 1] += 0.08  # better in the last
    accuracy[0, 1, 0] = GUESSES  # where nothing trains
    accuracy[0, 1, 0, 2, 1:] = np.nan
    given = {
        "activation": ("tanh", "x*sigmoid(x)"),
        "depth": np.array([10, 30]),
        "optimizer": ("adam",),
        "scheme": ("he", "lsuv", "chione"),
        "seed": np.arange(5),
        "rates": np.array([[1e-3, 1e-2]]),
        "rate": np.full((2, 2, 1, 3), 1e-3),
        "tuning_loss": np.ones((2, 2, 1, 3, 2)),
        "test_accuracy": accuracy,
        "steps_to": np.where(np.isnan(accuracy), np.nan, 50.0),
        "width": 100,
        "batch": 64,
        "steps": 150,
        "data": "digits",
    }
    return SchemeTable(**{**given, **changes})


def test_a_cell_is_better_only_with_a_gap_and_nine_pairings_in_ten():
    a = np.array([0.90, 0.91, 0.92, 0.93, 0.94])
    assert compared(a, a - 0.05) == 1
    assert compared(a - 0.05, a) == -1
    assert compared(a, a - 0.005) == 0  # below the least gap
    assert compared(a, [0.5, 0.5, 0.92, 0.99, 0.99]) == 0
    assert compared(a, [0.89, 0.89, 0.89, 0.89, 0.99]) == 0  # 20 of 25 pairings


def test_pairings_are_counted_exactly():
    a, b = np.array([0.90, 0.91, 0.92, 0.93, 0.94]), np.array([0.80, 0.81, 0.82, 0.83, 0.92])
    # 22 wins and one tie of 25 pairings are nine tenths; a hair less is not
    assert compared(a, b) == 1
    assert compared(b, a) == -1
    assert compared(a, [*b[:4], 0.9200001]) == 0


def test_two_guesses_are_level_whatever_their_difference():
    assert compared(GUESSES, [0.05] * 5) == 0
    assert compared(GUESSES, [np.nan] * 5) == 0
    assert compared([0.9] * 5, [0.1, np.nan, np.nan, np.nan, np.nan]) == 1


def test_the_criterion_is_never_laxer_than_the_test_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    seen = set()
    for shift, _ in product(np.linspace(-0.06, 0.06, 13), range(20)):
        a = 0.7 + 0.02 * rng.standard_normal(5)
        b = 0.7 + shift + 0.02 * rng.standard_normal(5)
        found = compared(a, b)
        test = mannwhitneyu(a, b, method="exact")
        seen.add(found)
        assert compared(b, a) == -found
        if found:
            assert test.pvalue <= 0.05
            assert (test.statistic > 12.5) == (found > 0)
        elif test.pvalue <= 0.03:
            assert abs(np.median(a) - np.median(b)) <= LEAST
    assert seen == {-1, 0, 1}
    assert PAIRINGS == 0.9
    assert UNTRAINED == 0.2


def test_a_tally_counts_every_cell_once():
    t = table()
    found = t.tally("chione", "lsuv")
    assert (found.better, found.level, found.worse, found.untrained) == (1, 1, 1, 1)
    at = t.tally("chione", "lsuv", depth=10)
    assert (at.better, at.level, at.worse, at.untrained) == (1, 1, 0, 0)
    assert t.tally("lsuv", "chione").worse == found.better


def test_losses_name_the_cell_and_both_medians():
    (gap,) = table().losses("chione")
    assert (gap.activation, gap.depth, gap.other) == ("x*sigmoid(x)", 30, "lsuv")
    assert gap.theirs - gap.ours == pytest.approx(0.08, abs=0.01)


def test_medians_leave_out_seeds_that_were_saved():
    t = table()
    assert t.median[0, 1, 0, 2] == GUESSES[0]
    assert t.median[0, 1, 0, 0] == np.median(GUESSES)
    steps = np.full((2, 2, 1, 3, 5), np.inf)
    steps[..., :3] = [40.0, 30.0, 90.0]
    assert np.all(table(steps_to=steps).median_steps == 90.0)
    steps[..., 2] = np.inf
    assert np.all(np.isinf(table(steps_to=steps).median_steps))


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ch.SpecError, match=r"scheme must be one of he, lsuv, chione, .*'lecun'"):
        table().tally("chione", "lecun")


def test_the_picture_has_a_panel_for_each_depth_and_optimiser():
    figure = table().plot()
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "10 layers, adam",
        "30 layers, adam",
    ]
    one = table().plot(field="adam 30").axes[0]
    he, lsuv, chione = one.lines[:3]
    assert he.get_xdata() == pytest.approx(table().median[:, 1, 0, 0])
    assert chione.get_xdata()[1] < lsuv.get_xdata()[1] - 0.05
