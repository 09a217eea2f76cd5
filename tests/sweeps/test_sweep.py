"""Sweeps: their numbers, their statistics, the theory beside them, and what is kept."""

import csv
import dataclasses
import importlib.util
import math

import numpy as np
import pytest

import chione as ch
from chione.sweeps import Outcome, SweepPlan
from chione.sweeps import sweep as sweep_function
from chione.sweeps.bundle import train
from chione.sweeps.depth_scales import scales_over
from chione.sweeps.results import collected
from chione.sweeps.sweep import DEFAULT_DEPTH, plan_of
from chione.sweeps.tasks import load_task

SMALL = {"sigma_w": [0.6, 1.2], "depth": [2, 5], "width": 11, "steps": 12, "batch": 7,
         "data": "synthetic", "workers": 1}  # fmt: skip


def made_up(plan, outcome):
    """A result whose outcomes are a function of the training."""
    found = {k: outcome(t) for k, t in enumerate(plan.trainings())}
    found = {k: x for k, x in found.items() if x is not None}
    return collected(plan, found, classes=10, inputs=64, digest="d")


# ---- numbers ---------------------------------------------------------------------------------


def test_each_entry_of_the_result_is_the_training_of_its_coordinates():
    found = ch.sweep("tanh", **SMALL, seeds=2, rate=[0.02, 0.2])
    task = load_task("synthetic")
    assert found.each["loss"].shape == (1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2)
    for place in np.ndindex(found.outcome.shape):
        at = dict(zip(("activation", "scheme", "weights", "optimizer", "dropout", "width", "depth",
                       "sigma_b", "sigma_w", "rate", "seed"), place, strict=True))  # fmt: skip
        values = {name: getattr(found, name)[k].item() for name, k in at.items()}
        one = ch.sweeps.Training(**values, steps=12, batch=7, data="synthetic")
        (alone,) = train([one], task)
        assert found.each["loss"][place] == alone.loss
        assert found.each["accuracy"][place] == alone.accuracy
        assert found.each["test_accuracy"][place] == alone.test_accuracy
        assert found.outcome[place] == alone.status == "done"


def test_networks_in_order_fail_and_networks_at_the_edge_learn():
    found = ch.sweep("tanh", sigma_w=[0.5, 1.2], depth=16, steps=60, data="synthetic")
    failed, learned = found.mean["accuracy"].squeeze()
    assert failed < 0.2 < 0.5 < learned


# ---- statistics ------------------------------------------------------------------------------


def test_means_and_standard_errors_are_over_seeds_at_the_best_rate():
    accuracy = {(0.1, 0): 0.2, (0.1, 1): 0.5, (0.1, 2): 0.8, (0.3, 0): 0.3, (0.3, 1): 0.4,
                (0.3, 2): 0.9}  # fmt: skip
    plan = SweepPlan("tanh", rate=[0.1, 0.3], seeds=3)
    found = made_up(
        plan, lambda t: Outcome("done", 1.0, accuracy[t.rate, t.seed], 1.0 - t.rate * (t.seed + 1))
    )
    assert found.best_rate.item() == 0.3
    assert found.mean["accuracy"].item() == pytest.approx((0.3 + 0.4 + 0.9) / 3)
    mean = (0.3 + 0.4 + 0.9) / 3
    spread = math.sqrt(sum((a - mean) ** 2 for a in (0.3, 0.4, 0.9)) / 2 / 3)
    assert found.stderr["accuracy"].item() == pytest.approx(spread)
    # the test set has no say in the choice, but is told at the rate that was chosen
    assert found.mean["test_accuracy"].item() == pytest.approx(1.0 - 0.3 * 2)
    assert found.counted.item() == 3


def test_of_rates_that_do_equally_well_the_lower_loss_is_taken():
    plan = SweepPlan("tanh", rate=[0.1, 0.2, 0.3])
    loss = {0.1: 0.7, 0.2: 0.4, 0.3: 0.5}
    found = made_up(plan, lambda t: Outcome("done", loss[t.rate], 0.9, 0.8))
    assert found.best_rate.item() == 0.2
    assert found.mean["loss"].item() == 0.4


def test_a_training_that_diverged_classifies_nothing_and_is_counted():
    plan = SweepPlan("tanh", seeds=4)
    found = made_up(
        plan,
        lambda t: (
            Outcome("diverged", math.nan, 0.0, 0.0) if t.seed == 0 else Outcome("done", 0.5, 0.8)
        ),
    )
    assert found.mean["accuracy"].item() == pytest.approx(0.6)
    assert found.mean["loss"].item() == 0.5
    assert found.diverged.item() == 0.25
    assert found.counted.item() == 4


def test_trainings_that_failed_or_are_missing_are_left_out_and_said():
    plan = SweepPlan("tanh", sigma_w=[1.0, 2.0], seeds=3)

    def outcome(t):
        if t.sigma_w == 2.0:
            return None
        return Outcome("failed", message="no memory") if t.seed == 0 else Outcome("done", 1.0, 0.7)

    found = made_up(plan, outcome)
    assert found.counted.squeeze().tolist() == [2, 0]
    assert found.mean["accuracy"].squeeze()[0] == pytest.approx(0.7)
    assert np.isnan(found.mean["accuracy"].squeeze()[1])
    assert np.isnan(found.best_rate.squeeze()[1])
    assert found.outcome.squeeze()[1].tolist() == ["missing"] * 3
    assert found.problems == ("1 trainings: no memory",)
    assert "no memory" in str(found)
    assert found.plot() is not None


def test_one_seed_has_no_standard_error():
    found = made_up(SweepPlan("tanh"), lambda t: Outcome("done", 1.0, 0.7, 0.6))
    assert np.isnan(found.stderr["accuracy"].item())


# ---- theory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_depth_scales_are_those_of_mean_field_theory(name):
    w, b = [0.8, 1.7], [0.1, 0.3]
    xi_c, xi_chi = scales_over(name, w, b)
    assert xi_c.shape == (2, 2)
    for i, sigma_b in enumerate(b):
        for j, sigma_w in enumerate(w):
            one = ch.mean_field(name, sigma_w=sigma_w, sigma_b=sigma_b)
            if np.isfinite(float(one.chi_perp)):
                wanted = 1.0 / abs(math.log(float(one.chi_perp)))
                assert xi_chi[i, j] == pytest.approx(wanted, rel=1e-9)
            if np.isfinite(float(one.xi_c)):
                assert xi_c[i, j] == pytest.approx(float(one.xi_c), rel=1e-9)


@pytest.mark.parametrize("name", ["tanh", "relu", "erf"])
@pytest.mark.parametrize("keep", [0.95, 0.7])
def test_dropout_ends_the_depth_scale_of_correlations_where_iteration_does(name, keep):
    sigma_w, sigma_b = {"tanh": 1.3, "relu": 1.1, "erf": 1.2}[name], 0.2
    phi = ch.activation(name)
    q, c = 1.0, 0.4
    for _ in range(3000):  # plain iteration of both maps, masks drawn apart for two inputs
        q = sigma_w**2 / keep * ch.second_moment(phi, q).value + sigma_b**2
    gaps = []
    for _ in range(120):
        c = float(sigma_w**2 * ch.kernel(phi, q, q, c).value + sigma_b**2) / q
        gaps.append(c)
    steps = np.abs(np.diff(gaps))
    known = np.flatnonzero(steps > 1e-11)[-8:]
    measured = -1.0 / np.log(steps[known[-1]] / steps[known[-2]])
    xi_c, xi_chi = scales_over(name, [sigma_w], [sigma_b], dropout=1.0 - keep)
    assert xi_c.item() == pytest.approx(measured, rel=1e-3)
    chi = sigma_w**2 / keep * ch.derivative_second_moment(phi, q).value
    assert xi_chi.item() == pytest.approx(1.0 / abs(math.log(float(chi))), rel=1e-8)


def test_agreement_counts_the_cells_in_which_theory_and_training_say_the_same():
    plan = SweepPlan("tanh", sigma_w=[0.5, 0.9, 1.1], depth=[3, 30])
    xi = scales_over("tanh", plan.sigma_w, plan.sigma_b)[0][0]

    def outcome(t):
        learns = t.depth < 6.0 * xi[plan.sigma_w.index(t.sigma_w)]
        learns ^= (t.sigma_w, t.depth) == (0.5, 30)  # one cell does otherwise
        return Outcome("done", 1.0, 0.9 if learns else 0.1, 0.5)

    found = made_up(plan, outcome)
    assert found.threshold == pytest.approx(0.5)
    assert found.agreement()["xi_c"] == pytest.approx(5 / 6)
    assert "83 % for xi_c" in str(found)


def test_a_scheme_with_rules_of_its_own_has_no_depth_scales():
    found = made_up(
        SweepPlan("tanh", scheme="he", depth=[3, 9]), lambda t: Outcome("done", 1.0, 0.5)
    )
    assert np.isnan(found.xi_c).all()
    assert found.agreement() is None


# ---- what is kept ----------------------------------------------------------------------------


def test_a_sweep_with_a_ledger_goes_on_where_it_was(tmp_path):
    out, told = tmp_path / "runs.sqlite", []
    whole = ch.sweep("tanh", **SMALL)
    ch.sweep("tanh", **(SMALL | {"depth": [2]}), out=out)

    def progress(done, total, left):
        told.append((done, total))
        assert left >= 0.0

    again = ch.sweep("tanh", **SMALL, out=out, progress=progress)
    assert told == [(4, 4)]
    assert again == whole
    told.clear()
    assert ch.sweep("tanh", **SMALL, out=out, progress=progress) == whole
    assert told == []


def test_an_interrupted_sweep_loses_only_what_was_on_its_way(tmp_path):
    out, many = tmp_path / "runs.sqlite", SMALL | {"sigma_w": np.linspace(0.5, 2.0, 9)}

    def interrupt(done, total, left):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ch.sweep("tanh", **many, out=out, progress=interrupt)
    told = []
    found = ch.sweep("tanh", **many, out=out, progress=lambda *now: told.append(now[:2]))
    assert told[0][0] > 4  # what the first call did is there
    assert found == ch.sweep("tanh", **many)


def test_processes_give_the_numbers_of_one_process():
    here = ch.sweep(["tanh", "relu"], **SMALL)
    assert ch.sweep(["tanh", "relu"], **(SMALL | {"workers": 2})) == here


@pytest.mark.slow
def test_a_cluster_gives_the_numbers_of_one_process(tmp_path):
    pytest.importorskip("distributed")
    many = SMALL | {"depth": [2, 3, 4, 5], "rate": [0.02, 0.1]}
    there = ch.sweep("tanh", **(many | {"engine": "dask", "workers": 2}), out=tmp_path / "a.sqlite")
    assert there == ch.sweep("tanh", **many)


def test_one_bad_training_takes_no_neighbour_along(tmp_path, monkeypatch):
    def fails(members, task):
        if any(t.sigma_w == 0.6 for t in members):
            raise ch.SpecError("this one cannot be drawn")
        return train(members, task)

    monkeypatch.setattr("chione.sweeps.jobs.train", fails)
    found = ch.sweep("tanh", **SMALL, out=tmp_path / "runs.sqlite")
    assert found.outcome[..., 0, 0, 0].ravel().tolist() == ["failed"] * 2
    assert found.outcome[..., 1, 0, 0].ravel().tolist() == ["done"] * 2
    assert found.problems == ("2 trainings: this one cannot be drawn",)
    monkeypatch.undo()
    assert ch.sweep("tanh", **SMALL, out=tmp_path / "runs.sqlite") == ch.sweep("tanh", **SMALL)


def test_data_of_ones_own_are_known_by_what_is_in_the_file(tmp_path):
    rng = np.random.default_rng(3)
    x, y, out = rng.standard_normal((40, 6)), np.arange(40) % 4, tmp_path / "runs.sqlite"
    own = SMALL | {"data": tmp_path / "own.npz"}
    np.savez(tmp_path / "own.npz", x=x, y=y)
    first = ch.sweep("tanh", **own, out=out)
    assert first.classes == 4 and first.inputs == 6
    np.savez(tmp_path / "own.npz", x=x[::-1], y=y)
    other = ch.sweep("tanh", **own, out=out)
    assert other != first  # not the numbers of the other file
    np.savez(tmp_path / "again.npz", x=x, y=y)
    told = []
    ch.sweep("tanh", **(own | {"data": tmp_path / "again.npz"}), out=out, progress=told.append)
    assert told == []  # the same data under another name are known


# ---- costs and calls -------------------------------------------------------------------------


def test_a_sweep_beyond_the_limits_is_refused_with_the_effort_that_would_do(tmp_path):
    big = {"sigma_w": np.linspace(0.5, 4.0, 24), "depth": [100, 300], "width": 256, "steps": 500}
    with pytest.raises(ch.CostError, match=r"above the limit of 60 s .* effort="):
        ch.sweep("tanh", **big)
    with pytest.raises(ch.CostError, match=r"above the limit of 60 min"):
        ch.sweep("tanh", **(big | {"steps": 50_000}), out=tmp_path / "runs.sqlite")
    assert not (tmp_path / "runs.sqlite").exists()
    with pytest.raises(ch.CostError, match=r"training .* networks"):
        ch.sweep("tanh", seeds=100_000, rate=np.linspace(0.1, 0.2, 1000))


def test_a_plan_and_the_same_keywords_are_one_call():
    plan = SweepPlan("tanh", **{k: v for k, v in SMALL.items() if k != "workers"})
    assert ch.sweep(plan, workers=1) == ch.sweep("tanh", **SMALL)
    assert ch.sweep(plan, workers=1).plan == plan
    with pytest.raises(ch.SpecError, match="depth was given beside a SweepPlan"):
        ch.sweep(plan, depth=3)


def test_an_activation_alone_is_a_sweep_over_sigmas_and_depths():
    plan = plan_of("tanh", {})
    assert len(plan.sigma_w) == 12 and plan.depth == DEFAULT_DEPTH
    assert plan_of("tanh", {"scheme": "he"}).sigma_w == (1.0,)
    assert plan_of("tanh", {"depth": 3}).depth == (3,)


def test_the_function_stands_at_the_door():
    assert ch.sweep is sweep_function


# ---- files -----------------------------------------------------------------------------------


def test_every_training_is_a_row_of_the_exported_table(tmp_path):
    found = ch.sweep(["tanh", "relu"], **SMALL, seeds=2)
    with found.export(tmp_path / "runs.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 16
    for row, place in zip(rows, np.ndindex(found.outcome.shape), strict=True):
        assert row["activation"] == found.activation[place[0]]
        assert float(row["sigma_w"]) == found.sigma_w[place[8]]
        assert int(row["seed"]) == found.seed[place[10]]
        assert float(row["loss"]) == found.each["loss"][place]
        assert (row["outcome"], row["steps"], row["data"]) == ("done", "12", "synthetic")
    for ending in (".npz", ".json"):
        assert ch.load(found.export(tmp_path / f"result{ending}")) == found


def test_labelled_arrays_are_selected_by_value():
    pytest.importorskip("xarray")
    data = ch.sweep("tanh", **SMALL).to_xarray()
    cell = data["accuracy"].sel(sigma_w=1.2, depth=5).squeeze()
    assert cell.shape == () and 0.0 <= float(cell) <= 1.0
    assert data["each_loss"].dims[-2:] == ("rate", "seed")
    assert data["xi_c"].dims == ("activation", "dropout", "sigma_b", "sigma_w")


def test_parquet_is_written_or_said_to_need_a_package(tmp_path):
    found = made_up(SweepPlan("tanh", seeds=3), lambda t: Outcome("done", 1.0, 0.5, 0.25))
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ch.MissingExtraError, match=r"writing .parquet needs the package"):
            found.export(tmp_path / "runs.parquet")
        return
    import pandas

    frame = pandas.read_parquet(found.export(tmp_path / "runs.parquet"))
    assert len(frame) == 3 and frame["test_accuracy"].tolist() == [0.25] * 3


def test_an_export_of_another_kind_is_refused(tmp_path):
    found = made_up(SweepPlan("tanh"), lambda t: Outcome("done", 1.0, 0.5))
    with pytest.raises(ch.SpecError, match=r"must end in one of .csv, .parquet, .npz, .nc, .json"):
        found.export(tmp_path / "runs.xlsx")
    with pytest.raises((ValueError, OSError), match="does not exist"):
        found.export(tmp_path / "no" / "runs.csv")


def test_a_result_is_frozen_and_changed_by_replacing():
    found = made_up(SweepPlan("tanh"), lambda t: Outcome("done", 1.0, 0.5))
    assert dataclasses.replace(found, steps=7) != found
