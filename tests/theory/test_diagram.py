"""Phase diagrams. Rungs: closed forms, the scalar theory, quad and brentq, identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

import chione
from chione.base import Estimate, Status
from chione.theory import kernel, mean_field, phase_diagram
from chione.theory.meanfield.depth_scale import depth_scale
from chione.theory.meanfield.diagram import FIELDS
from chione.theory.moments.pair_kernels import slope_at
from chione.theory.moments.slope_flow import SlopeFlow

W, B = np.array([0.4, 0.9, 1.45, 2.3]), np.array([0.0, 0.35, 1.1])  # unequal on purpose
QUICK = ("tanh", "gelu", "relu", "erf", "sin", "cos", "sigmoid", "selu", "exp", "squared_relu")
SLOW = ("hardtanh", "softsign", "sign", "relu6", "arcsinh", "softplus", "hardshrink", "siren")


def assert_equals_the_scalar_theory(name, diagram, i, j):
    m = mean_field(name, sigma_w=float(diagram.sigma_w[j]), sigma_b=float(diagram.sigma_b[i]))
    assert (m.phase, m.reached) == (diagram.phase[i, j], diagram.reached[i, j])
    assert m.q_star.status == diagram.status[i, j]
    for field in FIELDS:
        one, ours = getattr(m, field), getattr(diagram, field)[i, j]
        assert np.isnan(one.value) == np.isnan(ours), field
        if not np.isnan(ours):
            error = float(diagram.errors[field][i, j])
            assert abs(one.value - ours) <= one.error + 1.0000002 * error, field
            if field in ("q_star", "chi_parallel", "chi_perp"):
                assert abs(one.value - ours) <= 1e-12 * max(abs(one.value), 1e-3), field
            if field in ("c_star", "one_minus_c_star"):
                assert abs(one.value - ours) <= 1e-10, field


@pytest.mark.parametrize("name", QUICK)
def test_every_cell_equals_the_scalar_theory(name):
    diagram = phase_diagram(name, sigma_w=W, sigma_b=B)
    assert diagram.q_star.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            assert_equals_the_scalar_theory(name, diagram, i, j)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_random_cells_equal_the_scalar_theory(name):
    rng = np.random.default_rng(7)
    diagram = phase_diagram(name, sigma_w=rng.uniform(0.3, 5, 17), sigma_b=rng.uniform(0, 3, 13))
    for _ in range(4):
        assert_equals_the_scalar_theory(name, diagram, rng.integers(13), rng.integers(17))


def test_one_huge_array_equals_its_cells_one_by_one():
    w, b = np.linspace(0.0, 3.5, 23), np.linspace(0.0, 2.0, 11)
    whole = phase_diagram("tanh", sigma_w=w, sigma_b=b)
    for i, j in [(0, 0), (0, 22), (10, 0), (3, 15), (7, 11), (10, 22), (0, 7)]:
        one = phase_diagram("tanh", sigma_w=w[j], sigma_b=b[i])
        assert one.phase[0, 0] == whole.phase[i, j]
        for field in FIELDS:
            x, y = getattr(one, field)[0, 0], getattr(whole, field)[i, j]
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14, err_msg=field)


def test_the_order_of_the_sigmas_does_not_matter():
    order, rows = [2, 0, 3, 1], [1, 2, 0]
    a = phase_diagram("tanh", sigma_w=W, sigma_b=B)
    b = phase_diagram("tanh", sigma_w=W[order], sigma_b=B[rows])
    np.testing.assert_array_equal(a.phase[rows][:, order], b.phase)
    np.testing.assert_allclose(a.q_star[rows][:, order], b.q_star, rtol=1e-14)


def test_relu_has_its_closed_form():
    # E relu^2 = q / 2, so q* = sigma_b^2 / (1 - sigma_w^2 / 2), and both slopes are sigma_w^2 / 2
    w, b = np.linspace(0.1, 2.0, 20), np.linspace(0.1, 1.0, 7)
    d = phase_diagram("relu", sigma_w=w, sigma_b=b)
    with np.errstate(divide="ignore"):
        exact = b[:, None] ** 2 / (1.0 - w**2 / 2.0)
    stable = np.broadcast_to(w**2 < 2.0, exact.shape)
    assert np.all(np.abs(d.q_star - exact)[stable] <= d.errors["q_star"][stable])
    np.testing.assert_allclose(d.chi_perp[stable], (w**2 / 2 + 0 * exact)[stable], rtol=1e-14)
    np.testing.assert_allclose(d.chi_parallel[stable], d.chi_perp[stable], rtol=1e-13)
    assert np.all(np.isnan(d.q_star[~stable]))
    assert np.all(d.phase[~stable] == "divergent")
    assert np.all(d.status[~stable] == Status.DIVERGENT)


def test_erf_has_its_closed_form():
    # E erf(h)^2 = (2 / pi) asin(2 q / (1 + 2 q)); E erf'^2 = (4 / pi) / sqrt(1 + 4 q); C by asin
    d = phase_diagram("erf", sigma_w=np.array([2.0, 3.1]), sigma_b=np.array([0.2, 0.5, 0.9]))
    w2, b2, q, c = d.sigma_w**2, d.sigma_b[:, None] ** 2, d.q_star, d.c_star
    v = w2 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) + b2
    np.testing.assert_allclose(v, q, rtol=2e-15)
    np.testing.assert_allclose(d.chi_perp, w2 * 4 / np.pi / np.sqrt(1 + 4 * q), rtol=1e-14)
    image = (w2 * 2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + b2) / q
    np.testing.assert_allclose(image, c, rtol=0, atol=1e-14)
    slope = w2 * 4 / np.pi / np.sqrt((1 + 2 * q) ** 2 - (2 * q * c) ** 2)
    np.testing.assert_allclose(d.xi_c, -1 / np.log(slope), rtol=1e-12)
    assert set(d.phase.ravel()) == {"chaotic"}


def test_sign_has_its_closed_form():
    # E sign(u1) sign(u2) = (2 / pi) asin(c) and q* = sigma_w^2 + sigma_b^2
    w, b = np.array([0.7, 2.0]), np.array([0.0, 0.4, 1.3])
    d = phase_diagram("sign", sigma_w=w, sigma_b=b)
    q = w**2 + b[:, None] ** 2
    np.testing.assert_allclose(d.q_star, q, rtol=1e-15)
    image = (w**2 * 2 / np.pi * np.arcsin(d.c_star) + b[:, None] ** 2) / q
    np.testing.assert_allclose(image, d.c_star, rtol=0, atol=1e-14)
    np.testing.assert_allclose(d.c_star[0], 0.0, atol=1e-15)
    assert np.all(d.phase == "chaotic")
    assert np.all(np.isnan(d.chi_perp))


def test_siren_forgets_all_but_the_biases():
    # E sin(30 u1) sin(30 u2) is below 1e-30 unless c is nearly 1, so c* = sigma_b^2 / q*
    d = phase_diagram("siren", sigma_w=1.3, sigma_b=[0.0, 0.4, 1.2])
    q = 1.3**2 / 2 + d.sigma_b**2
    np.testing.assert_allclose(d.q_star[:, 0], q, rtol=1e-14)
    off = np.abs(d.c_star[:, 0] - d.sigma_b**2 / q)
    assert np.all(off <= d.errors["c_star"][:, 0])
    assert np.all(off <= 1e-10)


def test_a_jump_out_of_reach_leaves_correlations_at_one():
    d = phase_diagram("hardshrink", sigma_w=0.5, sigma_b=0.03)
    assert (d.c_star[0, 0], d.one_minus_c_star[0, 0]) == (1.0, 0.0)
    assert d.errors["c_star"][0, 0] < 1e-18


def test_tanh_agrees_with_quad_and_brentq():
    w, b = 2.2, 0.4
    d = phase_diagram("tanh", sigma_w=w, sigma_b=b)

    def gauss(f):
        g = lambda x: f(x) * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)  # noqa: E731
        return integrate.quad(g, -12, 12, epsabs=1e-14, epsrel=1e-13, limit=200)[0]

    def length(q):
        return w**2 * gauss(lambda x: np.tanh(np.sqrt(q) * x) ** 2) + b**2

    q = optimize.brentq(lambda q: length(q) - q, 0.1, 20.0, xtol=1e-13)
    assert abs(d.q_star[0, 0] - q) < 1e-11
    chi = w**2 * gauss(lambda x: np.cosh(np.sqrt(q) * x) ** -4.0)
    assert abs(d.chi_perp[0, 0] - chi) < 1e-11
    c = d.c_star[0, 0]
    x, p = np.polynomial.hermite_e.hermegauss(140)
    p = p / p.sum()
    shared = np.sqrt(q * c) * x[:, None] + np.sqrt(q * (1 - c)) * x
    pair = p @ (np.tanh(shared) @ p) ** 2
    assert abs((w**2 * pair + b**2) / q - c) < 1e-7  # the product rule is good to that


def test_correlations_satisfy_the_correlation_map():
    d = phase_diagram("hardtanh", sigma_w=[1.7, 3.3], sigma_b=[0.05, 0.5, 1.4])
    assert np.all(d.phase == "chaotic")
    for i, j in np.ndindex(3, 2):
        q, c = float(d.q_star[i, j]), float(d.c_star[i, j])
        image = d.sigma_w[j] ** 2 * kernel("hardtanh", q, q, c).value + d.sigma_b[i] ** 2
        assert abs(image / q - c) < 1e-12
        assert abs(d.one_minus_c_star[i, j] - (1.0 - c)) < 1e-15


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "sign", "selu", "exp(-x*x)*x"])
def test_the_flow_gives_the_kernel_of_the_slopes(name):
    phi = chione.activation(name)
    flow = SlopeFlow(phi, 1e-4, 64.0, 64.0)
    rng = np.random.default_rng(3)
    q, theta = 10.0 ** rng.uniform(-4, 1.8, 12), rng.uniform(0.003, 1.56, 12)
    ours = flow.kernel(q * np.cos(theta), 2.0 * q * np.sin(0.5 * theta) ** 2)
    for a, t, r in zip(q, theta, ours, strict=True):
        other = slope_at(phi, float(a), float(2.0 * np.sin(0.5 * t) ** 2))
        assert abs(r - other.value) <= 1e-12 * abs(other.value) + other.error
    assert flow.error_down_to(float(q.min()) * 1e-6) < 1e-12


def test_close_to_the_critical_line_the_small_quantity_is_kept():
    # c* from c = C(c) of erf, solved for the gap with asin, at chi_perp - 1 from 1e-2 to 1e-8
    b = 0.3
    critical = optimize.brentq(
        lambda w: phase_diagram("erf", sigma_w=w, sigma_b=b).chi_perp[0, 0] - 1.0, 0.9, 1.5
    )
    for away in (1e-2, 1e-4, 1e-6, 1e-8):
        d = phase_diagram("erf", sigma_w=critical + away, sigma_b=b)
        q, w2 = float(d.q_star[0, 0]), (critical + away) ** 2
        gap, chi = float(d.one_minus_c_star[0, 0]), float(d.chi_perp[0, 0])
        # 1 - C over 1 - c, by the difference of arcsines written without cancellation
        s1 = 2 * q / (1 + 2 * q)
        s2 = s1 * (1 - gap)
        angle = np.arctan2(
            s1 * gap * (s1 + s2) / (s1 * np.sqrt(1 - s2**2) + s2 * np.sqrt(1 - s1**2)),
            np.sqrt((1 - s1**2) * (1 - s2**2)) + s1 * s2,
        )
        excess = w2 * 2 / np.pi * angle / (q * gap) - 1.0
        assert abs(excess) < 1e-13
        assert abs(excess) * gap / (chi - 1.0) <= 4.0 * float(d.errors["one_minus_c_star"][0, 0])


def test_rows_and_columns_without_variance():
    d = phase_diagram("tanh", sigma_w=[0.0, 0.5, 2.0], sigma_b=[0.0, 0.7])
    np.testing.assert_allclose(d.q_star[:, 0], [0.0, 0.49], rtol=1e-15)
    assert np.all(d.chi_perp[:, 0] == 0.0)
    assert np.all(d.xi_c[:, 0] == 0.0)
    assert np.all(d.c_star[:, 0] == 1.0)
    assert d.q_star[0, 1] == 0.0
    assert d.chi_perp[0, 1] == 0.25
    assert np.isnan(d.c_star[0, 1])  # deep layers are linear there and keep every correlation
    assert d.c_star[0, 2] == 0.0
    assert d.phase.tolist() == [
        ["ordered", "ordered", "chaotic"],
        ["ordered", "ordered", "chaotic"],
    ]


def test_a_continuum_keeps_the_length_of_the_input():
    d = phase_diagram("relu", sigma_w=np.sqrt(2.0), sigma_b=[0.0, 0.1], q0=3.0)
    assert d.status[:, 0].tolist() == [Status.CONTINUUM, Status.DIVERGENT]
    assert abs(d.q_star[0, 0] - 6.0) < 1e-14
    assert d.phase[:, 0].tolist() == ["critical", "divergent"]


def test_several_attracting_lengths_are_told_apart_by_the_input():
    for q0, reached in ((0.01, True), (100.0, False)):
        d = phase_diagram("softshrink", sigma_w=3.0, sigma_b=[0.0, 0.02], q0=q0)
        m = mean_field("softshrink", sigma_w=3.0, sigma_b=0.02, q0=q0)
        assert bool(d.reached[1, 0]) == m.reached == reached
        assert abs(d.q_star[1, 0] - m.q_star.value) <= 1e-15
        assert d.q_star[0, 0] == 0.0


@settings(max_examples=12, deadline=None)
@given(st.floats(0.1, 3.0), st.floats(0.01, 2.0))
def test_tanh_is_monotone_in_both_sigmas(w, b):
    d = phase_diagram("tanh", sigma_w=[w, 1.1 * w], sigma_b=[b, 1.1 * b])
    assert np.all(np.diff(d.q_star, axis=0) > 0.0)
    assert np.all(np.diff(d.q_star, axis=1) > 0.0)
    assert np.all(np.diff(d.chi_perp, axis=0) < 0.0)  # biases order
    assert np.all(d.chi_parallel < d.chi_perp)
    assert np.all((d.c_star >= 0.0) & (d.c_star <= 1.0))


def test_depth_scales_of_arrays():
    slopes = Estimate(np.array([0.5, -0.5, 1.0, 2.0, 0.0, np.nan]), np.full(6, 1e-15), 0)
    xi = depth_scale(slopes)
    once = 1 / np.log(2)
    np.testing.assert_allclose(xi.value, [once, once, np.nan, np.nan, 0.0, np.nan])
    assert xi.error[0] >= 1e-15 / (0.5 * np.log(2) ** 2)
    assert [Status(int(s)) for s in xi.status] == [
        *(Status.OK, Status.OK, Status.CRITICAL),
        *(Status.DIVERGENT, Status.INSTANT, Status.NOT_COMPUTED),
    ]
    for i in range(6):  # one by one they are the same
        one = depth_scale(Estimate(float(slopes.value[i]), 1e-15))
        assert one == xi[i]


@pytest.mark.parametrize(
    ("sigma_w", "sigma_b", "q0", "error", "message"),
    [
        ([1.0, -0.1], [0.1], 1.0, ValueError, "sigma_w must be 0 or above, but it holds -0.1"),
        ([1.0], [np.nan], 1.0, ValueError, "sigma_b must be finite"),
        ([[1.0]], [0.1], 1.0, ValueError, r"its shape is \(1, 1\)"),
        ([], [0.1], 1.0, ValueError, r"its shape is \(0,\)"),
        ([1j], [0.1], 1.0, TypeError, "sigma_w must hold real numbers"),
        ([1.0], [0.1], 0.0, ValueError, "q0 must be above 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(sigma_w, sigma_b, q0, error, message):
    with pytest.raises(error, match=message):
        phase_diagram("tanh", sigma_w=sigma_w, sigma_b=sigma_b, q0=q0)


def test_a_slope_without_a_mean_square_is_chaotic_in_every_cell():
    # phi' of |x|^(1/2) is not square integrable though nothing jumps; C(c) > c next to c = 1
    d = phase_diagram("abs(x)**0.5", sigma_w=[1.7], sigma_b=[0.04])
    assert d.phase[0, 0] == "chaotic"
    m = mean_field("abs(x)**0.5", sigma_w=1.7, sigma_b=0.04)
    assert (
        abs(d.one_minus_c_star[0, 0] - m.one_minus_c_star.value) <= 2.0 * m.one_minus_c_star.error
    )
    many = phase_diagram("abs(x)**0.5", sigma_w=np.linspace(1.0, 2.0, 9), sigma_b=np.ones(5))
    assert np.all(many.phase == "chaotic")
    assert np.all(np.isnan(many.c_star))  # not computed, and not 1


@pytest.mark.parametrize("name", ["elu", "selu", "celu"])
def test_rounding_at_large_lengths_is_no_fixed_point(name):
    # V(q) - q tends to 1 from below at sigma_w^2 = 2 / slope^2, so lengths grow without bound
    scale = 1.0507009873554805 if name == "selu" else 1.0
    w = np.sqrt(2.0) / scale * (1.0 + 2e-16)
    mean_field(name, sigma_w=1.5, sigma_b=0.1)  # leaves pieces of tables, which are less exact
    d = phase_diagram(name, sigma_w=[w, 1.0], sigma_b=[0.0])
    assert d.phase[0, 0] == "divergent"
    assert mean_field(name, sigma_w=w).phase == "divergent"


def test_without_weights_a_jump_makes_no_chaos():
    assert phase_diagram("sign", sigma_w=[0.0], sigma_b=[1.0]).phase[0, 0] == "ordered"
    assert mean_field("sign", sigma_w=0.0, sigma_b=1.0).phase == "ordered"
