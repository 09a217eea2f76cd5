"""Lengths on the activation's own scale, and next to folds. Oracles: mpmath at 40 digits."""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chione.base import Status
from chione.theory import fixed_points, mean_field, phase_diagram
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.meanfield.stable_lengths import LengthSolver
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import moments

sys.path.insert(0, str(Path(__file__).parent))
from piecewise_oracle import CLOSED, root_near

FAMILIES = {"erf": "erf({k!r}*x)", "sin": "sin({k!r}*x)", "exp(-x*x/2)": "exp(-({k!r}*x)**2/2)"}


def tanh_square(q):
    s = mp.sqrt(q)
    return mp.quad(lambda z: mp.tanh(s * z) ** 2 * mp.npdf(z), [-14, -5, -2, 0, 2, 5, 14])


def assert_root(point, exact):
    value, error = mp.mpf(float(point.q.value)), point.q.error
    assert abs(value - exact) <= error
    assert error <= mp.mpf("1e-11") * exact


@mp.workdps(40)
def test_cosine_of_a_nearly_silent_network_settles_at_the_variance_of_its_weights():
    (point,) = fixed_points("cos", sigma_w=1e-7).points
    assert_root(point, root_near(CLOSED["cos"], mp.mpf(1e-7) ** 2, mp.mpf(0), 1e-14))


@mp.workdps(40)
@pytest.mark.parametrize(("spec", "unit"), [("1e-7*tanh(1e7*x)", 1e-7), ("1e7*tanh(1e-7*x)", 1e7)])
def test_a_change_of_unit_changes_the_unit_of_the_length_alone(spec, unit):
    zero, point = fixed_points(spec, sigma_w=1.5).points
    assert (zero.q.value, zero.stability, point.stability) == (0.0, "unstable", "stable")
    own = root_near(tanh_square, mp.mpf(1.5) ** 2, mp.mpf(0), 0.8)
    # a * phi(k x) with a k = 1 as float64 holds them
    assert_root(point, own * mp.mpf(unit) ** 2)
    diagram = phase_diagram(spec, sigma_w=[1.5], sigma_b=[0.0])
    assert abs(mp.mpf(float(diagram.q_star[0, 0])) / (own * mp.mpf(unit) ** 2) - 1) < 1e-13


def test_a_large_constant_sets_the_length():
    (point,) = fixed_points("tanh(x)+1e7", sigma_w=1.0).points
    # q = 1e14 + E tanh^2 = 1e14 + 1 - 1e-7
    assert abs(point.q.value - (1e14 + 1.0)) <= point.q.error < 2.0


@mp.workdps(60)
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.sampled(3)
def test_random_units_and_sigmas_have_the_fixed_points_of_mpmath(seed):
    rng = np.random.default_rng(seed)
    name = list(FAMILIES)[seed % len(FAMILIES)]
    a, k = (float(f"{10 ** rng.uniform(-8, 8):.3g}") for _ in range(2))
    w = float(10 ** rng.uniform(-1, 0.7)) / (a * k)
    b = float(10 ** rng.uniform(-3, 1)) / k * float(seed % 2)
    spec = f"{a!r}*" + FAMILIES[name].format(k=k)
    w2, b2, a2, k2 = (mp.mpf(x) ** 2 for x in (w, b, a, k))
    points = [p for p in fixed_points(spec, sigma_w=w, sigma_b=b).points if p.q.value > 0.0]
    assert points or (b == 0.0 and w * a * k <= 1.13)
    for p in points:
        assert_root(p, root_near(lambda q: a2 * CLOSED[name](k2 * q), w2, b2, p.q.value))
    layers = LengthMap(moments(spec), np.array([w * w]), np.array([b * b]))
    lengths = LengthSolver(layers, 1.0 / k**2)
    q = float(lengths(np.array([w * w])).q[0, 0])
    assert q == 0.0 or any(abs(q - p.q.value) <= 1e-11 * q for p in points)


@mp.workdps(40)
@pytest.mark.parametrize("away", [1e-3, 1e-6, 1e-9, 1e-11])
def test_just_above_the_critical_sigma_the_small_length_is_found(away):
    # E erf^2 has slope 4 / pi at zero
    w = float(mp.sqrt(mp.pi) / 2) * (1.0 + away)
    zero, point = fixed_points("erf", sigma_w=w).points
    exact = root_near(CLOSED["erf"], mp.mpf(w) ** 2, mp.mpf(0), 0.8 * away)
    assert abs(mp.mpf(point.q.value) - exact) <= point.q.error
    assert zero.stability == "unstable"


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.floats(-8, 8),
    st.floats(-8, 8),
    st.floats(-6, 6),
    st.sampled_from(["tanh", "sin", "sigmoid"]),
)
def test_a_bounded_map_never_diverges(a, k, w, name):
    found = fixed_points(f"{10.0**a!r}*{name}({10.0**k!r}*x)", sigma_w=10.0**w)
    assert found.status == Status.OK
    assert found.growth.value <= 1e-9


@pytest.mark.parametrize(
    ("spec", "w", "status", "growth"),
    [
        ("1e8*relu(x)", 1.6e-8, Status.DIVERGENT, 1.28),
        ("1e12*tanh(1e-12*x) + 0.8*x", 1.3, Status.DIVERGENT, 0.64 * 1.69),
        ("x + x*log1p(abs(x))", 5.0, Status.DIVERGENT, np.inf),  # V / q keeps rising
        ("x/log(2+abs(x))", 1e3, Status.OVERFLOW, 0.0),  # it falls below 1 beyond float64
        ("x**2", 0.7, Status.OK, np.inf),  # zero attracts
        ("exp(x)", 1.0, Status.DIVERGENT, np.inf),
        ("sqrt(abs(x))", 30.0, Status.OK, 0.0),
    ],
)
def test_growth_is_claimed_where_it_lasts(spec, w, status, growth):
    found = fixed_points(spec, sigma_w=w)
    assert found.status == status
    assert found.growth.value == pytest.approx(growth, rel=1e-6)
    diagram = phase_diagram(spec, sigma_w=[w], sigma_b=[0.0], q0=1e-3)
    assert diagram.status[0, 0] == status


@pytest.mark.parametrize(
    "spec", ["tanh", "gelu", "1e5*sin(1e-3*x)", "x+sin(x)", "relu", "exp(-x*x)"]
)
def test_the_profile_is_the_mean_square_to_a_factor_of_two(spec):
    profile, q = growth_profile(moments(spec).phi), np.geomspace(1e-8, 1e8, 33)
    ours = np.interp(np.log2(q), profile.log2_q, profile.log2_square)
    assert np.all(np.abs(ours - np.log2(moments(spec).square(q).value)) < 0.6)


@pytest.mark.parametrize(
    ("name", "w", "b", "value"),
    [("hardswish", 1.418, 0.67, 2.87915713), ("softshrink", 1.36, 0.5, 0.649662)],
)
def test_cells_next_to_a_fold_have_the_root_of_mpmath(name, w, b, value):
    with mp.workdps(40):
        exact = root_near(CLOSED[name], mp.mpf(w) ** 2, mp.mpf(b) ** 2, value)
        assert abs(exact - value) < 1e-6
        d = phase_diagram(name, sigma_w=[w], sigma_b=[b])
        assert abs(mp.mpf(float(d.q_star[0, 0])) - exact) <= d.errors["q_star"][0, 0]
        assert d.errors["q_star"][0, 0] < 1e-11


@pytest.mark.parametrize("name", ["softshrink", "hardshrink", "hardswish", "squared_relu"])
@pytest.mark.parametrize("digits", [1, 3, 5, 7, 9, 11])
def test_the_error_next_to_a_fold_covers_the_root(name, digits):
    square = CLOSED[name]
    with mp.workdps(40):
        q = mp.mpf("0.9")
        h = q * mp.mpf(10) ** -13
        w2 = 2 * h / (square(q + h) - square(q - h))  # V' = 1 at q
        b2 = q - w2 * square(q)
        if b2 < 0:
            pytest.skip("no real bias makes this length a fold")
        w = float(mp.sqrt(w2 * (1 - mp.mpf(10) ** -digits)))
        b = float(mp.sqrt(b2))
        d = phase_diagram(name, sigma_w=[w], sigma_b=[b], q0=1e-2)
        value, error = float(d.q_star[0, 0]), float(d.errors["q_star"][0, 0])
        exact = root_near(square, mp.mpf(w) ** 2, mp.mpf(b) ** 2, value * 0.999)
        assert abs(mp.mpf(value) - exact) <= error
        assert error <= 1e-12 * 10 ** (digits / 2) * value
        low = fixed_points(name, sigma_w=w, sigma_b=b).points[0]
        assert abs(mp.mpf(low.q.value) - exact) <= low.q.error


@pytest.mark.parametrize(("name", "chi"), [("relu", 1.28), ("leaky_relu(slope=0.1)", None)])
def test_scale_free_lengths_that_diverge_have_their_susceptibility(name, chi):
    chi = 1.6**2 * (1 + 0.01) / 2 if chi is None else chi
    m = mean_field(name, sigma_w=1.6)
    assert m.phase == "divergent"
    for e in (m.chi_parallel, m.chi_perp):
        assert abs(e.value - chi) <= e.error < 1e-12
    assert "from every input" in m.sentence


@pytest.mark.parametrize("name", ["gelu", "silu", "softplus", "elu", "x+0.3*tanh(x)"])
def test_activations_that_are_straight_far_out_have_the_limit_of_their_slopes(name):
    # E phi'^2 -> (s_+^2 + s_-^2) / 2
    sides = {"x+0.3*tanh(x)": (1.0, 1.0)}.get(name, (1.0, 0.0))
    exact = 2.2**2 * 0.5 * (sides[0] ** 2 + sides[1] ** 2)
    m = mean_field(name, sigma_w=2.2, sigma_b=0.1)
    assert m.phase == "divergent"
    for e in (m.chi_parallel, m.chi_perp):
        assert abs(e.value - exact) <= e.error < 1e-6
    d = phase_diagram(name, sigma_w=[2.2], sigma_b=[0.1])
    assert abs(d.chi_perp[0, 0] - exact) <= d.errors["chi_perp"][0, 0]


def test_lengths_that_grow_faster_than_exponentially_have_no_susceptibility():
    m = mean_field("squared_relu", sigma_w=2.0, sigma_b=2.0)
    assert (m.phase, m.chi_perp.status) == ("divergent", Status.DIVERGENT)
