"""Plans: what they mean, what they cost, and what they refuse."""

import itertools
import math

import numpy as np
import pytest

import chione as ch
from chione.sweeps.costs import flops
from chione.sweeps.jobs import jobs_of, weight
from chione.sweeps.plan import AXES, SweepPlan
from chione.sweeps.prices import price_of, price_of_plan
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training


def test_a_plan_is_every_combination_of_its_values_with_seeds_fastest():
    plan = SweepPlan(
        ["tanh", "relu"], sigma_w=[2.0, 1.0, 1.5], depth=[7, 3], rate=[0.1, 0.01], seeds=3
    )
    found = plan.trainings()
    wanted = list(
        itertools.product(["tanh", "relu"], [3, 7], [1.0, 1.5, 2.0], [0.01, 0.1], [0, 1, 2])
    )
    assert [(t.activation, t.depth, t.sigma_w, t.rate, t.seed) for t in found] == wanted
    assert plan.count == len(found) == 72
    assert plan.shape == (2, 1, 1, 1, 1, 1, 2, 1, 3, 2, 3)
    place = np.ravel_multi_index((1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1), plan.shape)
    assert (found[place].activation, found[place].sigma_w, found[place].seed) == ("relu", 2.0, 1)
    assert len({t.key for t in found}) == 72


def test_numbers_of_any_kind_make_the_same_trainings():
    plain = SweepPlan("tanh", sigma_w=[0.5, 1.0], depth=[4, 8], seeds=2)
    for sigma_w, depth, seeds in (
        (np.array([1.0, 0.5]), np.array([8, 4]), [0, 1]),
        ((1, 0.5), range(4, 9, 4), np.int64(2)),
        (np.array([0.5, 1.0], np.float32), np.array([4, 8], np.int32), np.arange(2)),
    ):
        other = SweepPlan("tanh", sigma_w=sigma_w, depth=depth, seeds=seeds)
        assert other == plain
        assert [t.key for t in other.trainings()] == [t.key for t in plain.trainings()]


def test_a_scheme_with_rules_of_its_own_has_no_sigmas_in_its_identity():
    one, two = (SweepPlan("tanh", scheme="he", sigma_w=w, depth=3) for w in (1.0, 2.0))
    assert one.trainings() == two.trainings()
    assert SweepPlan("tanh", sigma_w=2.0).trainings()[0].sigma_w == 2.0


def test_each_optimiser_has_a_usual_rate():
    assert SweepPlan("tanh", optimizer="adam").rate == (0.001,)
    assert SweepPlan("tanh", optimizer=["sgd", "adam"]).rate == (0.001, 0.05)
    assert SweepPlan("tanh", optimizer="adam", rate=0.3).rate == (0.3,)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sigma_w": -1.0}, r"sigma_w must lie in \[0, 1e\+09\], but it is -1.0"),
        ({"sigma_w": math.nan}, "sigma_w must be"),
        ({"sigma_w": []}, "sigma_w has no value"),
        ({"sigma_w": [1.0, 1.0]}, "sigma_w has the value 1.0 twice"),
        (
            {"sigma_w": [[1.0, 2.0]]},
            r"sigma_w must be a list of numbers, but its shape is \(1, 2\)",
        ),
        ({"sigma_w": "1:2"}, "sigma_w must be a number or a list of numbers, but it is '1:2'"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"depth": 2.5}, "depth must be an integer"),
        ({"width": True}, "width must be an integer"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": [0.1, -0.1]}, "rate must be above 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), but it is 1.0"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": [0, -1]}, "seeds must be at least 0"),
        ({"optimizer": "rmsprop"}, "optimizer must be one of sgd, momentum, adam"),
        ({"scheme": ["he", "hi"]}, "scheme must be one of sigmas, pytorch"),
        ({"weights": "cauchy"}, "weights must be one of gaussian, orthogonal"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64"),
        ({"width": 10**400}, "width must be at most 1000000000"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"data": 3}, "data must be the name of a task or of an .npz file"),
        ({"scheme": "he", "sigma_w": [1.0, 2.0]}, "scheme 'he' draws weights by a rule of its own"),
        ({"activation": "tahn"}, "tahn"),
        ({"activation": np.tanh}, "activation must be a name or a formula"),
        ({"activation": ["tanh", "tanh"]}, "activation has the value 'tanh' twice"),
        ({"activation": "x" + "+x" * 200}, "at most 200 characters"),
    ],
)
def test_what_makes_no_plan_is_refused_in_a_sentence(given, sentence):
    with pytest.raises((ch.SpecError, ValueError, TypeError), match=sentence):
        SweepPlan(**{"activation": "tanh", **given})


def counted_flops(depth, width, inputs, classes, batch):
    """Operations of every product of a step, written out layer by layer."""
    shapes = [(width, inputs)] + [(width, width)] * (depth - 1) + [(classes, width)]
    total = 0
    for layer, (rows, columns) in enumerate(shapes):
        total += 2 * rows * (columns + 1) * batch  # signal, with a column of biases
        total += 2 * rows * (columns + 1) * batch  # gradient of weights and biases
        total += 2 * rows * columns * batch * (layer > 0)  # error handed down
    return total


@pytest.mark.parametrize("size", [(1, 7, 5, 3, 11), (4, 16, 64, 10, 32), (30, 100, 64, 10, 64)])
def test_operations_of_a_step_are_those_of_its_products(size):
    depth, width, inputs, classes, batch = size
    one = Training("tanh", 1.0, 0.0, depth=depth, width=width, steps=3, batch=batch)
    # errors are handed down without the biases, a share of 1 over the width of one product of three
    assert flops(one, inputs, classes) / 3 == pytest.approx(counted_flops(*size), rel=0.4 / width)


def test_the_cost_of_a_plan_is_the_sum_over_its_trainings():
    plan = SweepPlan(
        ["tanh", "relu"], sigma_w=[1.0, 2.0, 3.0], depth=[3, 9], width=[8, 40], steps=17,
        optimizer=["sgd", "adam"], rate=0.01, seeds=2, batch=13,
    )  # fmt: skip
    task = load_task("synthetic")
    whole, summed = price_of_plan(plan, task), price_of(plan.trainings(), task)
    assert whole.trainings == summed.trainings == 96
    counted = sum(17 * counted_flops(t.depth, t.width, 64, 10, 13) for t in plan.trainings())
    assert whole.flops == pytest.approx(counted, rel=0.02)
    assert summed.flops == pytest.approx(whole.flops, rel=1e-12)
    assert whole.seconds == pytest.approx(summed.seconds, rel=1e-12)
    assert whole.gigabytes == summed.gigabytes
    assert whole.ledger_bytes == pytest.approx(summed.ledger_bytes)


def test_a_cost_is_said_in_trainings_operations_seconds_and_bytes():
    plan = SweepPlan("tanh", sigma_w=np.linspace(0.5, 4.0, 24), depth=range(10, 310, 20), steps=200)
    text = str(price_of_plan(plan, load_task("synthetic")))
    assert text.startswith("360 trainings: ")
    for word in (" FLOP", " of CPU time", " of memory", " of ledger"):
        assert word in text


def test_the_largest_plan_still_has_a_price():
    plan = SweepPlan("tanh", width=10**9, depth=10**9, steps=10**9, seeds=1000)
    price = price_of_plan(plan, load_task("synthetic"))
    assert price.seconds > 1e30
    assert "longer than the universe is old" in str(price)


def test_jobs_hold_every_training_once_and_only_what_trains_together():
    task = load_task("synthetic")
    plan = SweepPlan(
        ["tanh", "relu"], sigma_w=np.linspace(1.0, 2.0, 7), depth=[2, 30], width=[16, 64], seeds=3
    )
    trainings = plan.trainings()
    for workers in (1, 2, 50):
        jobs = jobs_of(trainings, task, workers=workers)
        assert sorted(t.key for job in jobs for t in job) == sorted(t.key for t in trainings)
        assert all(len({t.bundle for t in job}) == 1 for job in jobs)
        weights = [weight(job, task) for job in jobs]
        assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("width", [16, 100, 300])
def test_no_training_is_left_over_whatever_their_number(width):
    task = load_task("synthetic")
    for count in range(1, 40):
        plan = SweepPlan("tanh", depth=40, width=width, steps=300, seeds=count)
        jobs = jobs_of(plan.trainings(), task, workers=4)
        assert sorted(t.seed for job in jobs for t in job) == list(range(count))


def test_a_long_sweep_has_jobs_of_a_few_seconds_and_enough_of_them():
    task = load_task("synthetic")
    plan = SweepPlan("tanh", sigma_w=np.linspace(1.0, 2.0, 100), depth=[20, 40], width=64, seeds=10)
    jobs = jobs_of(plan.trainings(), task, workers=2)
    assert len(jobs) >= 32
    assert max(weight(job, task) for job in jobs) <= 6.0


def test_the_axes_of_a_plan_are_its_fields():
    plan = SweepPlan("tanh")
    assert all(isinstance(getattr(plan, name), tuple) for name in AXES)
