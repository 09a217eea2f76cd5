"""The largest depth that trains: few questions, and the same answer as a grid."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from boundary_networks import DEPTHS, found_by, networks_that_train_to, plan_of

import chione as ch
from chione.base import ChioneError, SpecError
from chione.sweeps.bisection import Bisection, ladder
from chione.sweeps.boundary_scales import DepthScales, depth_scales
from chione.sweeps.boundary_search import search
from chione.sweeps.training import Outcome

# ---- the ladder and the search ---------------------------------------------------------------


@pytest.mark.parametrize("ends", [(1, 2), (1, 300), (7, 8), (3, 1000)])
@pytest.mark.parametrize("ratio", [1.01, 1.15, 2.0, 10.0])
def test_a_ladder_ends_where_it_should_and_no_step_is_longer_than_the_ratio(ends, ratio):
    rungs = ladder(*ends, ratio)
    assert (rungs[0], rungs[-1]) == ends
    assert all(b > a for a, b in pairwise(rungs))
    # rounded to whole numbers, each by less than a half
    assert all(b - 0.5 <= ratio * (a + 0.5) for a, b in pairwise(rungs))


@pytest.mark.parametrize(
    ("ends", "ratio"), [((0, 5), 1.2), ((5, 5), 1.2), ((9, 3), 1.2), ((1, 9), 1.0), ((1, 9), 99.0)]
)
def test_a_ladder_of_nothing_is_refused(ends, ratio):
    with pytest.raises(SpecError, match="must"):
        ladder(*ends, ratio)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 60])
def test_bisection_finds_every_edge_from_every_start_in_few_questions(size):
    for edge in range(-1, size):  # the last rung that trains
        for start in range(size):
            hunt, asked = Bisection(size, start, 5), []
            while (rung := hunt.next) is not None:
                asked.append(rung)
                hunt.tell(rung, rung <= edge)
            assert (hunt.trains, hunt.fails) == (edge, edge + 1)
            assert len(set(asked)) == len(asked)
            assert len(asked) <= 4 + 2 * math.log2(size + 1)
            assert hunt.censored == (1 if edge == size - 1 else -1 if edge == -1 else 0)


def test_a_good_start_saves_questions():
    def questions(start, edge):
        hunt, n = Bisection(60, start, 5), 0
        while (rung := hunt.next) is not None:
            hunt.tell(rung, rung <= edge)
            n += 1
        return n

    near = [questions(e + d, e) for e in range(10, 50) for d in (-2, -1, 0, 1, 2)]
    far = [questions(0, e) for e in range(10, 50)]
    assert np.mean(near) < np.mean(far) - 1.0


def test_a_sharp_boundary_is_found_within_its_error_and_ten_times_cheaper_than_a_grid():
    sigmas = [0.6, 0.8, 1.4, 2.0, 3.0]
    scales = [depth_scales("tanh", w, 0.05) for w in sigmas]
    edge = {w: 5.3 * s.xi_c for w, s in zip(sigmas, scales, strict=True)}
    plan = plan_of(sigmas)
    train = networks_that_train_to(lambda t: edge[t.sigma_w])
    found = found_by(plan, scales, train)
    gap = np.abs(np.log(found.depth / [edge[w] for w in sigmas]))
    assert np.all(gap < 0.1)  # no further than the rungs on either side
    assert np.all(gap < 2.0 * found.log_error)
    assert len(train.asked) == found.trainings
    assert found.grid == len(DEPTHS) * len(sigmas) * 3
    assert found.saved > 7.0
    keys = [t.key for t in train.asked]
    assert len(set(keys)) == len(keys)  # nothing is trained twice


def test_what_the_networks_say_is_the_same_in_a_full_grid():
    """Bisection against all rungs of the ladder, one by one, with a noiseless edge."""
    for edge in (1.0, 2.5, 17.0, 120.0, 299.0):
        plan = plan_of([1.5])
        scales = [DepthScales("chaotic", 9.0, 5.0)]
        hunts, _ = search(
            plan, scales, networks_that_train_to(lambda t, e=edge: e), share=0.5, data="synthetic"
        )
        trained = [d for d in DEPTHS if d <= edge]
        assert DEPTHS[hunts[0].trains] == trained[-1]


@pytest.mark.parametrize(("edge", "sign"), [(0.5, -1), (1e9, 1)])
def test_a_boundary_beyond_the_ladder_is_told_as_that(edge, sign):
    plan = plan_of([1.2, 2.0])
    scales = [DepthScales("chaotic", 20.0, 10.0)] * 2
    found = found_by(plan, scales, networks_that_train_to(lambda t: edge))
    assert found.censored.tolist() == [sign, sign]
    assert found.depth.tolist() == [300.0 if sign > 0 else 1.0] * 2
    assert found.constants == ()
    assert ("> 300" if sign > 0 else "< 1") in str(found)


def test_one_rate_that_trains_is_enough_and_a_majority_of_seeds_decides():
    plan = plan_of([1.5], rate=[0.01, 0.1], seeds=3, depth=(4, 8, 16))

    def train(trainings):
        return [
            Outcome("done", 1.0, 0.6, 0.5, (1.0,), ((0.5, 3),))
            if t.rate == 0.1 and (t.depth == 4 or (t.depth == 8 and t.seed < 2) or t.seed == 0)
            else Outcome("diverged", accuracy=0.0)
            for t in trainings
        ]

    hunts, trials = search(plan, [DepthScales("chaotic", 1.4, 1.0)], train, share=0.5, data="d")
    assert hunts[0].trains == 1
    assert {t.depth: t.trained for t in trials}.items() <= {4: 3, 8: 2, 16: 1}.items()
    assert all(t.accuracy == pytest.approx(0.6 * t.trained / 3) for t in trials)


def test_a_training_that_failed_is_an_error_and_no_answer():
    def train(trainings):
        return [Outcome("failed", message="out of memory") for _ in trainings]

    with pytest.raises(ChioneError, match="out of memory"):
        search(plan_of([1.5]), [DepthScales("ordered", 3.0, 3.0)], train, share=0.5, data="d")


# ---- real trainings --------------------------------------------------------------------------

SMALL = {"sigma_w": [0.6, 1.2], "depth": (1, 12), "ratio": 1.5, "width": 16, "steps": 40,
         "batch": 16, "seeds": 1, "rate": [0.1], "data": "synthetic"}  # fmt: skip


def test_an_interrupted_search_goes_on_from_its_ledger_with_the_same_numbers(tmp_path, monkeypatch):
    from chione.sweeps import trainer

    whole = ch.boundary("tanh", **SMALL)
    ledger, honest, bundles = tmp_path / "runs.sqlite", trainer.run_job, []

    def dies_in_the_second_round(task, job):
        bundles.append(len(job))
        if len(bundles) == 3:
            raise KeyboardInterrupt
        return honest(task, job)

    monkeypatch.setattr(trainer, "run_job", dies_in_the_second_round)
    with pytest.raises(KeyboardInterrupt):
        ch.boundary("tanh", **SMALL, out=ledger)
    first = sum(bundles[:2])
    monkeypatch.setattr(trainer, "run_job", lambda task, job: bundles.append(len(job)) or
                        honest(task, job))  # fmt: skip
    bundles.clear()
    assert ch.boundary("tanh", **SMALL, out=ledger) == whole
    assert sum(bundles) == whole.trainings - first
    bundles.clear()
    assert ch.boundary("tanh", **SMALL, out=ledger) == whole
    assert bundles == []  # all of it is known


def test_a_bundle_that_fails_takes_no_neighbour_along(monkeypatch):
    from chione.base.engines import engine
    from chione.sweeps import trainer
    from chione.sweeps.tasks import load_task

    def fails_at_one(task, job):
        if any(t.sigma_w == 1.2 for t in job):
            raise MemoryError("no room")
        return [Outcome("done", accuracy=t.sigma_w) for t in job]

    monkeypatch.setattr(trainer, "run_job", fails_at_one)
    plan = plan_of([0.6, 1.2, 2.0], depth=(2,), seeds=2)
    with engine(None) as runner:
        out = trainer.Trainer(load_task("synthetic"), runner)(plan.trainings())
    by_sigma = {t.sigma_w: o for t, o in zip(plan.trainings(), out, strict=True)}
    assert [by_sigma[w].status for w in (0.6, 1.2, 2.0)] == ["done", "failed", "done"]
    assert "no room" in by_sigma[1.2].message


def test_the_boundary_of_small_networks_is_where_a_grid_has_it():
    """Every depth of the ladder trained by a sweep, with no bisection and no early stop."""
    found = ch.boundary("tanh", **SMALL)
    from chione.sweeps.bundle import train
    from chione.sweeps.tasks import load_task

    task = load_task("synthetic")
    for k, w in enumerate(SMALL["sigma_w"]):
        rungs = ladder(*SMALL["depth"], SMALL["ratio"])
        plan = plan_of([w], depth=rungs, seeds=1, width=16, steps=40, batch=16)
        trains = [any(s >= 0.5 for s, _ in train([t], task)[0].steps_to) for t in plan.trainings()]
        edges = [i for i in range(len(rungs) - 1) if trains[i] and not trains[i + 1]]
        if found.censored[k] == 0:
            near = [math.sqrt(rungs[i] * rungs[i + 1]) for i in edges]
            assert min(abs(math.log(found.depth[k] / d)) for d in near) < math.log(1.5)
        else:
            assert trains[-1] if found.censored[k] > 0 else not trains[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": 0.6}, "share must be one of 0.25"),
        ({"depth": 7}, "depth must be two whole numbers"),
        ({"depth": (9, 3)}, "LOW < HIGH"),
        ({"depth": (1, 10**400)}, "LOW < HIGH"),
        ({"depth": (1.5, 9)}, "depth must be an integer"),
        ({"depth": "1:9"}, "depth must be two whole numbers"),
        ({"ratio": 1.0}, "ratio must lie between"),
        ({"ratio": "fine"}, "ratio must be one real number"),
        ({"ratio": 1.0 + 1e-9}, "ratio must lie between"),
        ({"sigma_w": []}, "sigma_w has no value"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"width": [16, 32]}, "width must be one value"),
        ({"sigma_w": [1.0, 1.0]}, "twice"),
        ({"optimizer": "lion"}, "optimizer must be one of"),
        ({"data": "mnits"}, "There is no task"),
        ({"width": 10**6, "sigma_w": [1.0]}, "would take about"),
    ],
)
def test_bad_input_gets_one_sentence(changes, words):
    with pytest.raises((ChioneError, ValueError, TypeError), match=words):
        ch.boundary("tanh", **{**SMALL, **changes})


def test_the_command_prints_draws_and_keeps(tmp_path):
    from click.testing import CliRunner

    from chione.cli import main

    sizes = ["--depth", "1:12", "--ratio", "1.5", "--width", "16", "--steps", "40", "--batch", "16",
             "--seeds", "1", "--rate", "0.1", "--data", "synthetic"]  # fmt: skip
    files = {name: str(tmp_path / name) for name in ("b.png", "b.json", "runs.sqlite")}
    run = CliRunner().invoke(
        main,
        ["boundary", "tanh", "--sigma-w", "0.6,1.2", *sizes, "--figure", files["b.png"],
         "--export", files["b.json"], "--out", files["runs.sqlite"]],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "6 xi_c" in run.stdout
    assert ch.load(files["b.json"]) == ch.boundary("tanh", **SMALL)
    assert (tmp_path / "b.png").stat().st_size > 10_000
    bad = CliRunner().invoke(main, ["boundary", "tanh", "--depth", "40"])
    assert bad.exit_code == 2
    assert "LOW:HIGH" in bad.stderr


# ---- networks that are watched ---------------------------------------------------------------


def test_an_observer_sees_every_step_and_changes_nothing():
    from chione.sweeps.bundle import train
    from chione.sweeps.tasks import load_task

    task = load_task("synthetic")
    plan = plan_of([1.2], depth=(3,), seeds=6, width=16, steps=5, batch=8)
    runs = [replace(t, data="synthetic", dtype="float64") for t in plan.trainings()]
    seen = []

    def observe(steps, members, weights):
        seen.append((steps, tuple(t.seed for t in members), weights[0].copy()))

    watched = train(runs, task, observe)
    alone = train(runs, task)
    assert [o.losses for o in watched] == [o.losses for o in alone]
    for seed in range(6):
        assert [s for s, members, _ in seen if seed in members] == [0, 1, 2, 3, 4, 5]
    first = next(w for s, _, w in seen if s == 0)
    last = next(w for s, _, w in seen if s == 5)
    assert first.shape[1:] == (16, task.inputs + 1)
    assert np.all(first != last)


def test_layer_statistics_are_those_of_a_forward_pass():
    from chione.sweeps.bundle import train
    from chione.sweeps.initial import draw
    from chione.sweeps.observed import LayerStatistics
    from chione.sweeps.tasks import load_task

    task = load_task("synthetic")
    (run,) = plan_of([1.2], depth=(3,), seeds=1, width=16, steps=4, batch=8).trainings()
    run = replace(run, dtype="float64", sigma_b=0.3)
    seen = LayerStatistics(task, every=2, inputs=50)
    (outcome,) = train([run], task, seen)
    assert seen.steps(run).tolist() == [0, 2, 4]
    start, h = draw(run, None, task), task.x_test
    for layer in range(3):
        h = np.tanh(h @ start.matrices[layer].T + start.biases[layer])
        row = seen.layers(run)[0, layer]
        assert row[:2] == pytest.approx([h[:50].mean(), h[:50].std()], abs=1e-12)
        assert row[2:] == pytest.approx(np.quantile(h[:50], [0.02, 0.98]), abs=1e-12)
    assert seen.errors(run)[-1] == pytest.approx(1.0 - outcome.test_accuracy, abs=1e-12)
