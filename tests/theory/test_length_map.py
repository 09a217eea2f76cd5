"""Fixed points of any map of lengths, where the map is not one layer of weights."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp
import numpy as np
import pytest

from chione.base import EPS, Estimate, Status
from chione.theory import chi_parallel, chi_perp, length_map
from chione.theory.meanfield.fixed_points import fixed_points_of, settle
from chione.theory.meanfield.length_map import AbstractLengthMap, LengthMap, carried
from chione.theory.moments.moments import moments


@dataclass(frozen=True)
class Cubic(AbstractLengthMap):
    """V(q) = q + s (q - a)(q - b)(q - c), whose fixed points are its roots."""

    s: float
    a: float
    b: float
    c: float
    off: float = 0.0  # what V is wrong by, and says so

    def value(self, q):
        q = np.asarray(q, dtype=np.float64)
        terms = self.s * (q - self.a) * (q - self.b) * (q - self.c)
        error = 4.0 * EPS * (q + np.abs(terms)) + abs(self.off)
        return Estimate.exact(q + terms) + Estimate(0.0 * q + self.off, error)

    def slope(self, q):
        q = np.asarray(q, dtype=np.float64)
        x, y, z = q - self.a, q - self.b, q - self.c
        return Estimate.exact(1.0 + self.s * (x * y + y * z + x * z))

    def gradient(self, q):
        return Estimate.exact(0.5 + 0.0 * np.asarray(q))

    def scan(self):
        grid = np.geomspace(1e-3, 1e3, 161)
        return grid, self.value(grid)

    def growth(self):
        return Estimate.exact(np.inf if self.s > 0.0 else -np.inf)

    def fate(self):
        return Status.DIVERGENT if self.s > 0.0 else Status.NONE


def test_a_map_with_three_crossings_has_them_all_with_their_slopes():
    found = fixed_points_of(Cubic(-0.05, 0.3, 1.7, 4.1))
    assert [p.stability for p in found.points] == ["stable", "unstable", "stable"]
    for p, root in zip(found.points, (0.3, 1.7, 4.1), strict=True):
        assert abs(p.q.value - root) <= p.q.error <= 1e-13
        others = [root - x for x in (0.3, 1.7, 4.1) if x != root]
        slope = 1.0 - 0.05 * others[0] * others[1]
        assert abs(p.chi_parallel.value - slope) <= p.chi_parallel.error <= 1e-12
        assert p.chi_perp.value == 0.5


@pytest.mark.parametrize(("s", "kind"), [(0.02, "above"), (-0.02, "below")])
def test_a_map_that_touches_the_diagonal_is_half_stable_there(s, kind):
    # (q + 1)(q - 2)^2 times s: above the diagonal where s > 0
    found = fixed_points_of(Cubic(s, -1.0, 2.0, 2.0))
    (point,) = found.points
    side = "below" if kind == "above" else "above"  # the side that is attracted
    assert point.stability == f"half-stable from {side}"
    assert abs(point.q.value - 2.0) <= point.q.error <= 1e-6


def test_two_crossings_between_neighbours_of_the_scan_are_told_apart():
    found = fixed_points_of(Cubic(-0.02, -1.0, 2.0, 2.001))
    assert [p.stability for p in found.points] == ["unstable", "stable"]
    for p, root in zip(found.points, (2.0, 2.001), strict=True):
        assert abs(p.q.value - root) <= p.q.error <= 1e-9


@pytest.mark.parametrize("off", [1e-9, -1e-9])
def test_an_error_of_the_map_is_one_of_its_fixed_points_over_the_distance_of_the_slope(off):
    found = fixed_points_of(Cubic(-0.05, 0.3, 1.7, 4.1, off))
    for p, root in zip(found.points, (0.3, 1.7, 4.1), strict=True):
        moved = abs(off) / abs(1.0 - p.chi_parallel.value)
        assert 0.9 * moved <= abs(p.q.value - root) <= p.q.error <= 1.01 * moved


def test_lengths_settle_on_the_side_of_the_input():
    layer = Cubic(-0.05, 0.3, 1.7, 4.1)
    points = fixed_points_of(layer)
    low, high = (settle(layer, points, q) for q in (1.6, 1.8))
    assert (round(low[0].q.value, 9), low[1]) == (0.3, True)
    assert (round(high[0].q.value, 9), high[1]) == (4.1, True)


def test_a_map_without_attraction_says_what_becomes_of_lengths():
    assert fixed_points_of(Cubic(0.05, -1.0, -2.0, 3.0)).status == Status.DIVERGENT
    assert fixed_points_of(Cubic(-0.05, -1.0, -2.0, -3.0)).status == Status.NONE


@mp.workdps(30)
@pytest.mark.parametrize("q", [1e-8, 0.3, 2.5, 40.0])
def test_the_map_of_erf_and_its_slopes_are_those_of_mpmath(q):
    layer = LengthMap.of("erf", 1.7, 0.4)
    w2, b2, x = mp.mpf(1.7) ** 2, mp.mpf(0.4) ** 2, mp.mpf(q)

    def exact(y):
        return w2 * 2 / mp.pi * mp.asin(2 * y / (1 + 2 * y)) + b2

    gradient = w2 * 4 / mp.pi / mp.sqrt(1 + 4 * x)
    for e, true in (
        (layer.value(q), exact(x)),
        (layer.slope(q), mp.diff(exact, x)),
        (layer.gradient(q), gradient),
    ):
        assert abs(mp.mpf(e.value) - true) <= mp.mpf(e.error)
        assert e.error <= 1e-13 * abs(e.value)


@pytest.mark.parametrize("spec", ["tanh", "gelu", "leaky_relu", "x*tanh(x)", "sign"])
def test_a_map_answers_for_arrays_what_the_three_functions_answer(spec):
    q = np.array([0.2, 1.0, 7.0])
    layer = LengthMap.of(spec, 1.3, 0.2)
    assert layer.value(q) == length_map(spec, q, sigma_w=1.3, sigma_b=0.2)
    assert layer.slope(q) == chi_parallel(spec, q, sigma_w=1.3)
    assert layer.gradient(q) == chi_perp(spec, q, sigma_w=1.3)


@pytest.mark.parametrize(
    ("spec", "square"), [("tanh", 1.0), ("prelu", (1.0 + 0.25**2) / 2.0), ("x*x", 0.0)]
)
def test_at_zero_both_slopes_are_the_mean_of_the_squares_from_both_sides(spec, square):
    layer = LengthMap.of(spec, 1.5, 0.0)
    for chi in (layer.slope(0.0), layer.gradient(0.0)):
        assert abs(chi.value - 1.5**2 * square) <= chi.error + 1e-300


@mp.workdps(40)
@pytest.mark.parametrize(("sigma_w", "off"), [(1.2, 0.0), (1.7, 0.0), (1.7, 1e-6)])
def test_a_length_carried_through_layers_knows_its_error(sigma_w, off):
    layer = LengthMap.of("erf", sigma_w, 0.3)
    w2, b2 = mp.mpf(sigma_w) ** 2, mp.mpf(0.3) ** 2
    exact, q = mp.mpf(2.0) + off, Estimate(2.0, off)
    first = q.error
    for _ in range(25):
        exact = w2 * 2 / mp.pi * mp.asin(2 * exact / (1 + 2 * exact)) + b2
        q = carried(layer, q)
        assert abs(mp.mpf(q.value) - exact) <= q.error
    assert q.error <= max(0.1 * first, 2e-13)  # what the start errs by is forgotten


@pytest.mark.parametrize("spec", ["tanh", "relu", "0.3*tanh(x) + 0.1"])
def test_a_map_of_many_layers_answers_for_each_what_its_own_map_answers(spec):
    m, rng = moments(spec), np.random.default_rng(3)
    w2, b2, q = (10.0 ** rng.uniform(-2.0, 1.0, 12) for _ in range(3))
    many = LengthMap(m, w2, b2)
    for name in ("value", "slope", "gradient"):
        together = getattr(many, name)(q)
        for i in range(12):
            alone = getattr(LengthMap(m, float(w2[i]), float(b2[i])), name)(float(q[i]))
            assert together.value[i] == pytest.approx(alone.value, rel=1e-14)
            assert together.error[i] == pytest.approx(alone.error, rel=1e-9)


def test_one_scan_of_mean_squares_holds_the_fixed_points_of_all_pairs():
    m, w2, b2 = moments("tanh"), np.array([0.5, 2.0, 9.0]), np.array([1e-4, 0.3, 25.0])
    grid, square, complete = LengthMap(m, w2, b2).mean_squares()
    assert complete
    assert np.all(np.abs(square.value - m.square(grid).value) <= square.error)
    for w in w2:
        for b in b2:
            for point in fixed_points_of(LengthMap(m, float(w), float(b))).points:
                assert grid[0] <= point.q.value <= grid[-1]
