"""Blocks that repeat: fixed points, phases, depth scales and the laws of great depth."""

import math
from itertools import islice

import mpmath as mp
import numpy as np
import pytest
from block_oracle import MP_FORMS, expectation, pre_norm, within

import chione as ch
from chione.base import Status, UnsupportedLayerError
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Gate,
    Input,
    Maxout,
    Network,
    Noise,
    Nonlinearity,
    Norm,
    Repeat,
    Residual,
)
from chione.theory import BlockMap, block_phase
from chione.theory.layers.block import chain
from chione.theory.layers.walk import propagate

KAPPA = 2.0 * math.sqrt(2.0) / (3.0 * math.pi)  # of relu: 1 - f(c) = e - kappa e^(3/2)


def relu_gap(eps):
    """1 - f(c) of relu's cosine map at 1 - c = eps, accurate near zero."""
    if eps < 1e-3:
        root = math.sqrt(2.0 * eps)
        # expansion of sin t - t cos t with cos t = 1 - eps
        t = root * (1.0 + eps / 12.0 + 3.0 * eps**2 / 160.0 + 5.0 * eps**3 / 896.0)
        bent = t**3 / 3.0 - t**5 / 30.0 + t**7 / 840.0 - t**9 / 45360.0
        return eps - bent / math.pi
    t = math.acos(1.0 - eps)
    return eps - (math.sin(t) - t * math.cos(t)) / math.pi


def relu_residual(v, scale=1.0):
    return [Residual([Nonlinearity("relu"), Dense(math.sqrt(2.0 * v))], scale=scale)]


# ---- plain blocks -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("phi", ["tanh", "erf", "gelu", "relu", "silu", "sin", "sigmoid"])
def test_a_plain_block_has_the_numbers_of_mean_field_at_random_sigmas(phi):
    rng = np.random.default_rng([3, *map(ord, phi)])
    for _ in range(5):
        w, b = rng.uniform(0.4, 2.2), rng.uniform(0.05, 0.6)
        plain = ch.mean_field(phi, w, b, q0=1.0)
        found = block_phase([Dense(w, b), Nonlinearity(phi)], q0=w * w + b * b)
        if not plain.reached:
            assert found.phase == "exploding"
            assert found.growth.value == pytest.approx(
                plain.fixed_points.growth.value, abs=found.growth.error + 1e-6
            )
            continue
        assert found.phase == plain.phase
        for name in ("q_star", "chi_parallel", "chi_perp", "one_minus_c_star", "xi_q", "xi_c"):
            mine, theirs = getattr(found, name), getattr(plain, name)
            if theirs.status == Status.OK:
                room = mine.error + theirs.error
                assert abs(mine.value - theirs.value) <= room + 1e-15, (w, b, name)
                assert mine.error <= 1e-8 * max(1.0, abs(mine.value))


def test_settled_lengths_are_within_their_errors_also_where_the_map_is_nearly_flat():
    for w, b in ((1.1, 0.0), (1.02, 0.05), (1.6, 0.3)):
        found = block_phase([Dense(w, b), Nonlinearity("tanh")]).q_star
        with mp.workdps(30):
            w2, b2 = mp.mpf(w) ** 2, mp.mpf(b) ** 2

            def miss(q, w2=w2, b2=b2):
                return w2 * expectation(lambda h: mp.tanh(h) ** 2, q) + b2 - q

            exact = mp.findroot(miss, (found.value * 0.99, found.value * 1.01), tol=1e-22)
        assert within(found, exact)
        assert found.error < 1e-12


@pytest.mark.parametrize("phi", ["gelu_tanh", "gelu"])
def test_all_lengths_that_a_block_keeps_are_those_of_the_plain_theory(phi):
    for w, b in ((1.41, 0.4), (math.sqrt(1.98305826), math.sqrt(0.17292239)), (1.3, 0.0)):
        plain = ch.fixed_points(phi, sigma_w=w, sigma_b=b)
        found = block_phase([Dense(w, b), Nonlinearity(phi)])
        known = [p.q.value for p in plain.points]
        assert [p.q.value for p in found.points] == pytest.approx(known, rel=1e-4, abs=1e-12)
        assert [p.stability for p in found.points] == [p.stability for p in plain.points]


@pytest.mark.parametrize("phi", ["tanh", "elu", "softsign"])
def test_lengths_at_a_slope_of_one_fade_by_the_known_power(phi):
    found = block_phase([Dense(1.0), Nonlinearity(phi)])
    law = next(law for law in found.laws if law.quantity == "q")
    plain = ch.mean_field(phi, 1.0).power_laws[0]
    assert law.exponent.value == -plain.exponent
    assert abs(law.amplitude.value - plain.amplitude.value) <= (
        law.amplitude.error + plain.amplitude.error
    )
    assert law.amplitude.error < 1e-5
    assert found.lengths == "fade" and found.phase == "critical"


def test_maxout_of_two_pieces_is_critical_at_one_with_the_law_of_relu():
    found = block_phase([Maxout(2, 1.0), Dense(1.0)])
    assert (found.lengths, found.phase) == ("stay", "critical")
    law = found.laws[-1].amplitude
    assert abs(law.value - 9.0 * math.pi**2 / 2.0) <= law.error


# ---- residual sums without norms ----------------------------------------------------------------


@pytest.mark.parametrize("v", [0.03, 0.5, 1.0, 7.3])
def test_relu_residuals_grow_exponentially_and_correlate_by_their_power_law(v):
    found = block_phase(relu_residual(v))
    assert (found.lengths, found.phase) == ("grow exponentially", "exploding")
    for e in (found.growth, found.chi_perp):
        assert abs(e.value - (1.0 + v)) <= e.error < 1e-12 * (1.0 + v)
    law = found.laws[-1]
    exact = 9.0 * math.pi**2 * (1.0 + v) ** 2 / (2.0 * v**2)
    assert law.exponent.value == -2.0
    assert abs(law.amplitude.value - exact) <= law.amplitude.error < 1e-6 * exact


def test_the_law_of_relu_residuals_is_that_of_the_exact_map_at_great_depth():
    eps = 0.5
    for _ in range(20000):
        eps = (eps + relu_gap(eps)) / 2.0
    law = block_phase(relu_residual(1.0)).laws[-1].amplitude.value / 20000.0**2
    assert eps == pytest.approx(4.429e-7, rel=3e-4)  # measured on the exact map
    assert law == pytest.approx(4.441e-7, rel=2e-4)
    assert law == pytest.approx(eps, rel=5e-3)
    walked = [e for _, e in islice(chain(BlockMap(relu_residual(1.0)), 1.0, 0.5), 501)]
    eps = 0.5
    for step in walked:
        assert step == pytest.approx(eps, rel=1e-10)
        eps = (eps + relu_gap(eps)) / 2.0


@pytest.mark.parametrize("depth", [10, 1000])
def test_a_branch_scale_of_one_over_root_depth_bounds_lengths_and_gradients(depth):
    block = BlockMap(relu_residual(1.0, scale=depth**-0.5))
    factor = block.value(1.0).value
    assert factor == pytest.approx(1.0 + 1.0 / depth, rel=1e-14)
    assert factor**depth < math.e


def test_tanh_residuals_grow_linearly_with_gradients_like_the_exponential_of_a_root():
    w, b = 1.3, 0.4
    found = block_phase([Residual([Nonlinearity("tanh"), Dense(w, b)])])
    v = w**2 + b**2
    assert found.lengths == "grow linearly"
    assert abs(found.growth.value - v) <= found.growth.error < 1e-7
    law = next(law for law in found.laws if law.quantity == "P_0 / P_L")
    # E tanh'^2 at large q: the integral of sech^4 is 4/3
    exact = 2.0 * w**2 * (4.0 / 3.0) / math.sqrt(2.0 * math.pi) / math.sqrt(v)
    assert law.exponent.value == 0.5
    assert abs(law.amplitude.value - exact) <= law.amplitude.error < 1e-6
    root = mp.findroot(lambda e: v * e - w**2 * (1 - 2 / mp.pi * mp.asin(1 - e)), 0.9)
    gap = found.one_minus_c_star
    assert abs(gap.value - float(root)) <= gap.error < 1e-6


def test_an_error_that_a_limit_with_logarithms_leaves_is_told():
    found = block_phase([Residual([Nonlinearity("softsign"), Dense(1.0)])])
    assert abs(found.growth.value - 1.0) <= found.growth.error < 0.02


# ---- norms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phi", "w1", "w2"), [("gelu", 1.2, 1.1), ("tanh", 0.7, 1.5), ("silu", 1.6, 0.8)]
)
def test_pre_norm_blocks_grow_linearly_with_hyperbolic_gradients(phi, w1, w2):
    found = block_phase([pre_norm(phi, w1, w2)])
    f, q = MP_FORMS[phi], mp.mpf(w1) ** 2
    with mp.workdps(20):
        v = mp.mpf(w2) ** 2 * expectation(lambda h: f(h) ** 2, q)
        chi = mp.mpf(w2) ** 2 * q * expectation(lambda h: mp.diff(f, h) ** 2, q)
    assert (found.lengths, found.phase) == ("grow linearly", "polynomial")
    assert within(found.growth, v)
    assert abs(found.gradient_exponent.value - float(chi / v)) <= (
        found.gradient_exponent.error + 1e-14
    )
    assert found.gradient_exponent.error < 1e-10
    # the exact product over a great depth
    q = 1.0 + float(v) * np.arange(1, 400001)
    logs = np.cumsum(np.log1p(float(chi) / q[::-1]))[::-1]
    steep = (logs[1000] - logs[200000]) / np.log(q[200000] / q[1000])
    assert found.gradient_exponent.value == pytest.approx(steep, rel=2e-3)


def test_relu_after_a_norm_makes_gradients_times_lengths_constant():
    block = pre_norm("relu", 1.3, 0.9)
    found = block_phase([block])
    assert abs(found.gradient_exponent.value - 1.0) <= found.gradient_exponent.error < 1e-11
    walked = propagate(Network([Repeat(60, [block])], Input(512)))
    home = walked.backward()
    products = []
    for k in (0, 20, 59):
        place = f"layers[0]#{k}"
        k_matrix = walked.streams[place].second_moments().value
        products.append(k_matrix[0, 0] * home[place].second_moments().value[0, 0])
    assert products == pytest.approx([products[0]] * 3, rel=1e-12)


def test_relu_after_a_norm_correlates_as_a_power_of_the_logarithm_of_depth():
    law = block_phase([pre_norm("relu", 1.0, 1.0)]).laws[-1]
    assert (law.quantity, law.form, law.exponent.value) == (
        "1 - c",
        "power of the logarithm",
        -2.0,
    )
    exact = 4.0 / KAPPA**2
    assert abs(law.amplitude.value - exact) <= law.amplitude.error < 1e-5 * exact
    v, eps, at = 0.5, 0.9, {}
    for k in range(1, 300001):
        q = 1.0 + v * (k - 1)
        eps = (q * eps + v * relu_gap(eps)) / (q + v)
        at[k] = eps**-0.5
    # (1 - c)^(-1/2) gains 1 / sqrt A an e-fold of depth
    gained = (at[300000] - at[30000]) / math.log(10.0)
    assert gained == pytest.approx(law.amplitude.value**-0.5, rel=0.06)


@pytest.mark.parametrize("phi", ["gelu", "tanh", "silu", "relu"])
@pytest.mark.parametrize("skip", [1.0, (2 * 24) ** 0.25])
def test_post_norm_gradients_have_the_factor_a2_plus_chi_over_a2_plus_v(phi, skip):
    w1, w2 = 1.4, 0.9
    found = block_phase([Residual([Dense(w1), Nonlinearity(phi), Dense(w2)], skip=skip), Norm()])
    f, q = MP_FORMS[phi], mp.mpf(w1) ** 2
    with mp.workdps(20):
        v = mp.mpf(w2) ** 2 * expectation(lambda h: f(h) ** 2, q)
        if phi == "relu":
            chi = v
        else:
            chi = mp.mpf(w2) ** 2 * q * expectation(lambda h: mp.diff(f, h) ** 2, q)
        a2 = mp.mpf(skip) ** 2
        exact = float((a2 + chi) / (a2 + v))
    assert abs(found.chi_perp.value - exact) <= found.chi_perp.error + 1e-14
    assert found.q_star.value == 1.0
    assert found.phase == ("critical" if phi == "relu" else "chaotic")


def test_correlations_of_pre_and_post_norm_rest_where_those_of_their_branch_do():
    pre = block_phase([pre_norm("gelu", 1.2, 1.1)]).one_minus_c_star
    post = block_phase([Residual([Dense(1.2), Nonlinearity("gelu"), Dense(1.1)]), Norm()])

    def branch(c):
        q = 1.2**2
        kernel = ch.theory.kernel("gelu", q, q, c).value
        return kernel / ch.theory.kernel("gelu", q, q, 1.0).value - c

    low, high = 0.5, 0.999
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if branch(middle) > 0.0 else (low, middle)
    for gap in (pre, post.one_minus_c_star):
        assert abs(gap.value - (1.0 - low)) <= gap.error + 1e-11
        assert gap.error < 1e-10


def test_correlations_approach_their_rest_at_the_stated_depth_scale():
    layers = [Residual([Dense(1.6), Nonlinearity("gelu"), Dense(1.1)]), Norm()]
    found = block_phase(layers)
    steps = [e for _, e in islice(chain(BlockMap(layers), 1.0, 0.5), 601)]
    away = [e - found.one_minus_c_star.value for e in steps]
    measured = -100.0 / math.log(abs(away[600] / away[500]))
    assert found.xi_c.value == pytest.approx(measured, rel=1e-4)


def test_large_batches_explode_whatever_the_weights_and_skips_tame_them_to_a_power():
    exact = math.pi / (math.pi - 1.0)
    for w in (0.5, 1.7):
        found = block_phase([Dense(w), Norm("batch"), Nonlinearity("relu")])
        assert abs(found.chi_perp.value - exact) <= found.chi_perp.error < 1e-11
        assert abs(found.c_star.value - 1.0 / math.pi) <= found.c_star.error < 1e-11
        assert found.phase == "chaotic"
        branch = [Norm("batch"), Nonlinearity("relu"), Dense(w)]
        skipped = block_phase([Residual(branch)])
        assert skipped.growth.value == pytest.approx(w * w / 2.0, rel=1e-11)
        assert skipped.gradient_exponent.value == pytest.approx(exact, rel=1e-10)


# ---- dropout, noise, gates ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "exact", "law"), [(0.999, 0.02198, 0.02231), (0.9, 0.3729, 0.4806)]
)
def test_dropout_keeps_relu_inputs_apart(keep, exact, law):
    layers = [Nonlinearity("relu"), Dropout(keep), Dense(math.sqrt(2.0 * keep))]
    found = block_phase(layers)
    low, high = 1e-6, 0.999  # 1 - c = 1 - p f(c), by halving
    for _ in range(100):
        middle = 0.5 * (low + high)
        grows = 1.0 - keep + keep * relu_gap(middle) > middle
        low, high = (middle, high) if grows else (low, middle)
    gap = found.one_minus_c_star
    assert abs(gap.value - low) <= gap.error + 1e-12
    assert gap.error < 1e-10
    assert gap.value == pytest.approx(exact, rel=3e-4)
    lead = found.one_minus_c_leading
    assert lead.value == pytest.approx(law, rel=3e-4)
    assert lead.status == Status.INEXACT
    assert abs(lead.value - gap.value) <= lead.error


def test_dropout_of_a_smooth_activation_follows_its_square_root_law():
    # chi_perp = 1 at q = 1: sigma_w^2 E phi'^2 = p, sigma_b^2 = 1 - sigma_w^2 E phi^2 / p
    keep = 0.9999
    phi = MP_FORMS["tanh"]
    with mp.workdps(20):
        steep = expectation(lambda h: mp.diff(phi, h) ** 2, 1)
        square = expectation(lambda h: phi(h) ** 2, 1)
        bend = expectation(lambda h: mp.diff(phi, h, 2) ** 2, 1)
    w2 = keep / float(steep)
    b2 = 1.0 - w2 * float(square) / keep
    found = block_phase([Nonlinearity("tanh"), Dropout(keep), Dense(math.sqrt(w2), math.sqrt(b2))])
    assert found.q_star.value == pytest.approx(1.0, rel=1e-10)
    d = w2 * (1.0 / keep - 1.0) * float(square)
    law = math.sqrt(2.0 * d / (w2 * float(bend)))
    assert found.one_minus_c_leading.value == pytest.approx(law, rel=1e-3)
    assert found.one_minus_c_star.value == pytest.approx(law, rel=0.05)
    assert found.chi_perp.value == pytest.approx(1.0, abs=1e-9)


def test_noise_keeps_inputs_apart_by_its_own_variance():
    w, s = 0.8, 0.3
    found = block_phase([Nonlinearity("erf"), Dense(w, 0.2), Noise(s)])
    q = found.q_star.value
    again = BlockMap([Nonlinearity("erf"), Dense(w, 0.2), Noise(s)]).gap(q, 0.0)
    assert again.value == pytest.approx(s * s / q, rel=1e-12)
    assert 0.0 < found.c_star.value < 1.0


def test_gates_behind_a_norm_have_their_closed_exponent():
    su, sv, so = 1.3, 1.1, 0.9
    found = block_phase([Residual([Norm("rms"), Gate("silu", sigma_u=su, sigma_v=sv), Dense(so)])])
    f, q = MP_FORMS["silu"], mp.mpf(su) ** 2
    with mp.workdps(20):
        square = expectation(lambda h: f(h) ** 2, q)
        steep = expectation(lambda h: mp.diff(f, h) ** 2, q)
        v = mp.mpf(so) ** 2 * mp.mpf(sv) ** 2 * square
    assert within(found.growth, v)
    exact = float(1 + q * steep / square)
    assert abs(found.gradient_exponent.value - exact) <= found.gradient_exponent.error + 1e-13


def test_gates_without_a_norm_either_fade_or_grow_by_powers_of_their_lengths():
    gate = [Gate("silu", sigma_u=1.3, sigma_v=1.1), Dense(1.0)]
    small, large = block_phase(gate, q0=0.5), block_phase(gate, q0=2.0)
    assert small.lengths == "fade"
    edge = next(p for p in small.points if p.q.value > 0.0)
    assert edge.stability == "unstable"
    assert large.phase == "divergent"
    assert abs(large.growth.value - 2.0) <= large.growth.error < 0.05
    f = MP_FORMS["silu"]
    with mp.workdps(20):
        u = mp.mpf(1.3) ** 2 * mp.mpf(edge.q.value)
        kept = expectation(lambda h: f(h) ** 2, u) * mp.mpf(1.1) ** 2
    assert abs(float(kept) - 1.0) < 1e-13


def test_the_page_of_a_block_names_what_happens():
    found = block_phase([pre_norm("relu", 1.0, 1.0)])
    assert "grow by 0.5 a block" in found.sentence
    assert "P_l / P_L ~ (l / L)^-1" in str(found)
    assert found.to_dict()["lengths"] == "grow linearly"


def test_a_bounded_gate_on_a_growing_stream_has_no_finite_factor():
    su, sv, so = 1.4, 0.5, 2.0
    found = block_phase([Residual([Gate("sigmoid", sigma_u=su, sigma_v=sv), Dense(so)])])
    # E sigmoid^2 -> 1/2, and E sigmoid'^2 K_v grows as the root of q
    assert abs(found.growth.value - (1.0 + so**2 * sv**2 / 2.0)) <= found.growth.error < 1e-4
    assert found.chi_perp.status == Status.INFINITE
    assert found.chi_perp.value != found.chi_perp.value
    assert abs(found.one_minus_c_star.value - 1.0) <= found.one_minus_c_star.error


def test_a_block_whose_map_has_no_value_is_refused_in_a_sentence():
    """A depthwise convolution over edges of zeros makes positions unlike each other."""
    block = [Residual([Convolution(3, depthwise=True), Norm(), Dense(1.0)])]
    with pytest.raises(UnsupportedLayerError, match="map of lengths has a value at no length"):
        block_phase(block, width=4, grid=(4, 4))
