"""What a search for the boundary says: depths, constants and depth scales with honest errors."""

import math
from dataclasses import replace

import numpy as np
import pytest
from boundary_networks import found_by, networks_that_train_to, plan_of
from scipy.optimize import minimize_scalar

from chione.sweeps.boundary_constant import depth_constant
from chione.sweeps.boundary_depth import boundary_depth
from chione.sweeps.boundary_scales import DepthScales, depth_scales
from chione.sweeps.boundary_search import constants

# ---- the depth at which half of the networks train -------------------------------------------


def test_the_stated_error_of_a_noisy_boundary_covers_the_truth():
    """150 searches with a soft edge: departures in units of the stated error."""
    rng = np.random.default_rng(5)
    z = []
    for k in range(150):
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
    """100 sets of boundaries with errors and scatter of their own."""
    rng = np.random.default_rng(2)
    z = []
    for _ in range(100):
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
    xi = np.array([2.0, 4.0, 8.0, 40.0])
    depth = np.array([10.0, 20.0, 40.0, 80.0])  # the last one is limited by something else
    found = constants(
        ("ordered",) * 4, {"xi_c": xi}, depth, np.full(4, 0.02), np.zeros(4, dtype=int), 64
    )
    by_reach = {c.restricted: c for c in found}
    assert set(by_reach) == {False, True}
    assert (by_reach[True].count, by_reach[False].count) == (3, 4)
    assert by_reach[True].a == pytest.approx(5.0, rel=1e-3)
    assert by_reach[False].a < 4.5
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
