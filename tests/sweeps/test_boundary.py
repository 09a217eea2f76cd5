"""The largest depth that trains: few questions, and an answer with an honest error."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from chione.base import ChioneError, SpecError
from chione.sweeps.bisection import Bisection, ladder
from chione.sweeps.boundary_constant import depth_constant
from chione.sweeps.boundary_depth import boundary_depth
from chione.sweeps.boundary_scales import DepthScales, depth_scales
from chione.sweeps.boundary_search import constants, search, summarise
from chione.sweeps.plan import SweepPlan
from chione.sweeps.training import Outcome

DEPTHS = ladder(1, 300, 1.12)


def networks_that_train_to(boundary, *, fall=0.0, seed=0):
    """A train function: P(trains) = 1 / (1 + (L / boundary)^(1 / fall)), or a sharp edge."""
    rng = np.random.default_rng(seed)
    asked = []

    def train(trainings):
        out = []
        for t in trainings:
            asked.append(t)
            z = math.log(t.depth / boundary(t))
            chance = float(z <= 0.0) if fall == 0.0 else 1.0 / (1.0 + math.exp(z / fall))
            good = rng.random() < chance
            steps_to = ((0.25, 3), (0.5, 9)) if good else ((0.25, 30),)
            out.append(Outcome("done", 1.0, 0.6 if good else 0.3, 0.5, (1.0,), steps_to))
        return out

    train.asked = asked
    return train


def plan_of(sigmas, **changes):
    given = {"sigma_w": sigmas, "depth": DEPTHS, "seeds": 3, "rate": [0.1], "data": "synthetic"}
    return SweepPlan("tanh", **{**given, **changes})


def found_by(plan, scales, train):
    hunts, trials = search(plan, scales, train, share=0.5, data="synthetic")
    return summarise(plan, scales, hunts, trials, share=0.5)


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


# ---- the depth at which half of the networks train -------------------------------------------


def test_the_stated_error_of_a_noisy_boundary_covers_the_truth():
    """400 searches with a soft edge: departures in units of the stated error."""
    rng = np.random.default_rng(5)
    z = []
    for k in range(400):
        edge, fall = math.exp(rng.uniform(1.5, 4.8)), rng.uniform(0.03, 0.25)
        plan = plan_of([1.5], seeds=3)
        scales = [DepthScales("chaotic", edge / 6.0 * math.exp(rng.normal(0.0, 0.5)), math.nan)]
        train = networks_that_train_to(lambda t, e=edge: e, fall=fall, seed=k)
        found = found_by(plan, scales, train)
        z.append(math.log(found.depth[0] / edge) / found.log_error[0])
    z = np.array(z)
    assert abs(z.mean()) < 0.25
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.25
    assert np.mean(np.abs(z) < 2.0) > 0.92


def test_outcomes_that_are_separated_leave_the_gap_between_them():
    narrow = boundary_depth([(20, 3, 3), (22, 0, 3)], 1, 300)
    wide = boundary_depth([(10, 3, 3), (40, 0, 3)], 1, 300)
    assert 19.5 < narrow.depth < 22.5
    assert 16.0 < wide.depth < 25.0
    # anywhere in the gap is alike: the deviation of a uniform law, a little more for soft edges
    assert 0.8 < wide.log_error / (math.log(4.0) / math.sqrt(12.0)) < 1.3
    assert wide.lower < wide.depth < wide.upper


def test_more_networks_make_the_boundary_sharper():
    few = boundary_depth([(15, 2, 3), (20, 2, 3), (25, 1, 3), (35, 0, 3)], 1, 300)
    many = boundary_depth([(15, 20, 30), (20, 20, 30), (25, 10, 30), (35, 0, 30)], 1, 300)
    assert many.log_error < 0.5 * few.log_error


# ---- the constant ----------------------------------------------------------------------------


def test_the_constant_is_recovered_within_its_error():
    """200 sets of boundaries with errors and scatter of their own."""
    rng = np.random.default_rng(2)
    z = []
    for _ in range(200):
        n, a, scatter = rng.integers(3, 10), math.exp(rng.normal(1.6, 0.3)), rng.uniform(0.0, 0.3)
        s = rng.uniform(0.03, 0.15, n)
        y = math.log(a) + scatter * rng.standard_normal(n) + s * rng.standard_normal(n)
        x = np.linspace(0.5, 4.0, n)
        found, error, *_ = depth_constant(y, s, x, np.zeros(n, dtype=int))
        z.append(math.log(found / a) / (error / found))
    z = np.array(z)
    assert abs(z.mean()) < 0.25
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.2
    assert np.mean(np.abs(z) < 2.0) > 0.93


def test_without_scatter_the_constant_is_the_weighted_mean():
    rng = np.random.default_rng(0)
    s = np.full(40, 0.05)
    y = math.log(6.0) + 0.05 * rng.standard_normal(40)
    a, error, scatter, exponent, exponent_error = depth_constant(
        y, s, np.linspace(0, 4, 40), np.zeros(40, dtype=int)
    )
    assert a == pytest.approx(math.exp(y.mean()), rel=2e-3)
    assert error / a == pytest.approx(0.05 / math.sqrt(40), rel=0.25)
    assert scatter < 0.04
    assert abs(exponent - 1.0) < 3.0 * exponent_error


def test_the_constant_is_where_the_likelihood_is_largest():
    """Another route: the scatter held at its mean, the likelihood maximised by SciPy."""
    y, s = np.array([1.6, 1.9, 1.75, 2.2]), np.array([0.05, 0.1, 0.07, 0.1])
    beyond = np.array([0, 0, 0, 1])
    a, _, scatter, *_ = depth_constant(y, s, np.arange(4.0), beyond)
    from scipy.stats import norm

    def minus_log(m):
        size = np.hypot(s, scatter)
        seen = norm.logpdf(y[:3], m, size[:3]).sum()
        return -(seen + norm.logsf(y[3], m, size[3]))

    best = minimize_scalar(minus_log, bounds=(0.0, 4.0), method="bounded").x
    assert math.log(a) == pytest.approx(best, abs=0.05)


def test_boundaries_beyond_the_depths_tried_pull_the_constant_their_way():
    y, s = np.array([1.7, 1.8, 1.75]), np.full(3, 0.05)
    x = np.array([1.0, 2.0, 3.0])
    without, *_ = depth_constant(y, s, x, np.zeros(3, dtype=int))

    def with_one(at, side):
        beyond = np.array([0, 0, 0, side])
        return depth_constant(np.append(y, at), np.append(s, 0.0), np.append(x, 4.0), beyond)[0]

    assert with_one(0.5, 1) == pytest.approx(without, rel=0.02)  # it says nothing new
    assert with_one(3.0, -1) == pytest.approx(without, rel=0.02)
    assert with_one(2.4, 1) > 1.05 * without
    assert with_one(1.1, -1) < without / 1.05


def test_a_law_with_another_exponent_is_told_by_exponent_and_scatter():
    x = np.linspace(0.5, 4.0, 8)
    y = 2.0 - 0.5 * x  # depth as the root of xi
    _, _, scatter, exponent, error = depth_constant(y, np.full(8, 0.05), x, np.zeros(8, dtype=int))
    assert exponent == pytest.approx(0.5, abs=1e-9)
    assert error < 0.2
    assert scatter > 0.4


def test_sides_are_fitted_apart_and_one_boundary_makes_no_constant():
    sides = ("ordered", "ordered", "chaotic", "chaotic", "divergent")
    xi = {"xi_c": np.array([2.0, 4.0, 3.0, 9.0, np.nan]),
          "xi_chi": np.array([2.0, 4.0, 1.5, 4.5, 2.0])}  # fmt: skip
    depth = np.array([10.0, 20.0, 24.0, 72.0, 5.0])
    found = constants(sides, xi, depth, np.full(5, 0.02), np.zeros(5, dtype=int), 1000)
    a = {(c.side, c.scale): c.a for c in found}
    assert set(a) == {(s, x) for s in ("ordered", "chaotic") for x in ("xi_c", "xi_chi")}
    assert a["ordered", "xi_c"] == pytest.approx(5.0, rel=1e-3)
    assert a["chaotic", "xi_c"] == pytest.approx(8.0, rel=1e-3)
    assert a["chaotic", "xi_chi"] == pytest.approx(16.0, rel=1e-3)


def test_boundaries_beyond_the_width_are_left_out_in_a_fit_of_their_own():
    xi = np.array([2.0, 4.0, 8.0, 400.0])
    depth = np.array([10.0, 20.0, 40.0, 130.0])  # the last one is limited by something else
    found = constants(
        ("ordered",) * 4, {"xi_c": xi}, depth, np.full(4, 0.02), np.zeros(4, dtype=int), 64
    )
    by_reach = {c.restricted: c for c in found}
    assert set(by_reach) == {False, True}
    assert (by_reach[True].count, by_reach[False].count) == (3, 4)
    assert by_reach[True].a == pytest.approx(5.0, rel=1e-3)
    assert by_reach[False].a < 4.0
    assert "where 6 xi_c is at most the width" in by_reach[True].sentence


# ---- the scales of theory --------------------------------------------------------------------


def slope_of_tanh(w, b, dropout=0.0):
    """C'(c*) and chi_perp by Gauss-Hermite sums and plain iteration."""
    z, p = np.polynomial.hermite_e.hermegauss(80)
    p = p / p.sum()
    keep, q, c = 1.0 - dropout, 1.0, 0.4
    for _ in range(3000):
        q = w**2 / keep * (p @ np.tanh(math.sqrt(q) * z) ** 2) + b**2

    def pair(f, c):
        u, v = z[:, None], c * z[:, None] + math.sqrt(max(1.0 - c * c, 0.0)) * z[None, :]
        return float(p @ (f(math.sqrt(q) * u) * f(math.sqrt(q) * v)) @ p)

    for _ in range(400):
        c = min((w**2 * pair(np.tanh, c) + b**2) / q, 1.0)
    slope = lambda h: np.cosh(h) ** -2.0  # noqa: E731
    chi = w**2 / keep * float(p @ slope(math.sqrt(q) * z) ** 2)
    return w**2 * pair(slope, c), chi


@pytest.mark.parametrize(("w", "dropout"), [(0.8, 0.0), (1.6, 0.0), (0.8, 0.1), (1.6, 0.1)])
def test_depth_scales_of_tanh_are_those_of_plain_sums(w, dropout):
    found = depth_scales("tanh", w, 0.1, dropout)
    slope, chi = slope_of_tanh(w, 0.1, dropout)
    assert found.xi_c == pytest.approx(-1.0 / math.log(slope), rel=1e-3)
    assert found.xi_chi == pytest.approx(1.0 / abs(math.log(chi)), rel=1e-6)
    assert found.side == ("ordered" if chi < 1.0 else "chaotic")


def test_where_lengths_diverge_gradients_alone_give_a_scale():
    found = depth_scales("relu", 2.0, 0.05)
    assert (found.side, found.xi_chi) == ("divergent", pytest.approx(1.0 / math.log(2.0)))
    assert math.isnan(found.xi_c)
    critical = depth_scales("relu", math.sqrt(2.0), 0.0)
    assert critical.shorter == math.inf
    assert replace(found, xi_chi=math.nan).shorter == math.inf
