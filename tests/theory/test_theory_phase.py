"""Fixed points, phases, depth scales and power laws: closed forms, mpmath, plain iteration."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import ndtr

from chione.activations import activation
from chione.base import Status
from chione.theory import fixed_points, length_map, mean_field, phase_diagram, trajectory

Z = np.arange(-300, 301) / 25.0  # trapezoid: exponentially accurate for analytic integrands
P = np.exp(-0.5 * Z**2) / np.exp(-0.5 * Z**2).sum()
PLAIN = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "gelu": (
        lambda x: x * ndtr(x),
        lambda x: ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    ),
    "sin": (np.sin, np.cos),
}


def exact_root(square, w, b, start):
    """Root of the length map to 30 digits; `square` is E phi^2 as an mpmath function."""
    with mp.workdps(40):
        w2, b2 = mp.mpf(w) ** 2, mp.mpf(b) ** 2
        return mp.findroot(lambda q: w2 * square(q) + b2 - q, start)


def mp_square(f):
    def square(q):
        s = mp.sqrt(q)
        g = lambda z: f(s * z) ** 2 * mp.exp(-z * z / 2)  # noqa: E731
        return mp.quad(g, [-14, -5, -2, 0, 2, 5, 14]) / mp.sqrt(2 * mp.pi)

    return square


ROOTS = [
    ("tanh", mp_square(mp.tanh), 1.3, 0.3, 0.6),
    ("tanh", mp_square(mp.tanh), 2.7, 0.05, 4.0),
    ("silu", mp_square(lambda x: x / (1 + mp.exp(-x))), 1.2, 0.4, 0.4),
    ("softplus", mp_square(lambda x: mp.log(1 + mp.exp(x))), 1.0, 0.5, 1.3),
    ("gelu", mp_square(lambda x: x * mp.ncdf(x)), 1.5, 0.1, 0.024),
    ("erf", lambda q: 2 / mp.pi * mp.asin(2 * q / (1 + 2 * q)), 1.9, 0.2, 2.0),
]


@pytest.mark.parametrize(("name", "square", "w", "b", "start"), ROOTS)
@pytest.mark.sampled(5)
def test_fixed_point_agrees_with_thirty_digits(name, square, w, b, start):
    exact = exact_root(square, w, b, start)
    found = min(
        fixed_points(name, sigma_w=w, sigma_b=b).points, key=lambda p: abs(p.q.value - exact)
    )
    assert abs(found.q.value - exact) <= 1e-12 * exact
    assert abs(found.q.value - exact) <= found.q.error
    with mp.workdps(30):
        slope = mp.mpf(w) ** 2 * mp.diff(square, exact, h=mp.mpf("1e-12"))
    assert abs(found.chi_parallel.value - slope) <= found.chi_parallel.error + mp.mpf("1e-15")


@pytest.mark.parametrize(
    ("name", "w", "b"),
    [("tanh", 1.5, 0.1), ("tanh", 2.2, 0.6), ("sin", 1.6, 0.2), ("tanh", 1.36, 0.2)],
)
def test_c_star_and_xi_c_agree_with_plain_sums(name, w, b):
    f, df = PLAIN[name]
    m = mean_field(name, sigma_w=w, sigma_b=b)
    assert m.phase == "chaotic"
    q = m.q_star.value
    u1 = np.sqrt(q) * Z[:, None]

    def second(c):
        return np.sqrt(q) * (c * Z[:, None] + np.sqrt(1 - c * c) * Z)

    low, high = 0.0, 1.0 - 1e-3
    for _ in range(60):
        c = 0.5 * (low + high)
        image = (w * w * (P @ (f(u1) * f(second(c))) @ P) + b * b) / q
        low, high = (c, high) if image > c else (low, c)
    slope = w * w * (P @ (df(u1) * df(second(c))) @ P)
    conditioning = 1e-13 / (1 - slope)
    assert abs(m.c_star.value - c) <= conditioning
    assert abs(m.c_star.value - c) <= m.c_star.error + conditioning / 10
    assert abs(m.one_minus_c_star.value + m.c_star.value - 1) < 1e-15
    xi = -1 / np.log(slope)
    assert abs(m.xi_c.value - xi) <= 1e-11 * xi + m.xi_c.error
    assert abs(m.xi_q.value + 1 / np.log(m.chi_parallel.value)) < 1e-13 * m.xi_q.value


def test_known_numbers_of_the_problem_set():
    m = mean_field("tanh", sigma_w=1.3, sigma_b=0.3)
    assert (m.phase, m.c_star.value) == ("ordered", 1.0)
    assert abs(m.q_star.value - 0.607047) < 5e-7
    assert abs(m.chi_perp.value - 0.939807) < 5e-7


def test_gelu_has_its_half_stable_point_where_theory_puts_it():
    with mp.workdps(40):
        k = (3 + mp.sqrt(17)) / 2
        square = mp_square(lambda x: x * mp.ncdf(x))
        slope = mp_square(lambda x: mp.ncdf(x) + x * mp.npdf(x))
        w2 = 1 / slope(k)
        w, b = float(mp.sqrt(w2)), float(mp.sqrt(k - w2 * square(k)))
    near = [
        p for p in fixed_points("gelu", sigma_w=w, sigma_b=b).points if abs(p.q.value - k) < 1e-3
    ]
    assert near  # one half-stable point, or two that rounding of the sigmas has parted
    for p in near:
        assert abs(p.q.value - float(k)) <= 1e-6
        assert abs(p.chi_parallel.value - 1.0) < 1e-6
        assert abs(p.chi_perp.value - 1.0) < 1e-6


def test_relu_lengths_stay_settle_or_diverge():
    stay = mean_field("relu", sigma_w=np.sqrt(2.0), q0=0.3)
    assert stay.fixed_points.status == Status.CONTINUUM
    assert stay.q_star.status == Status.CONTINUUM
    assert abs(stay.q_star.value - 0.6) < 1e-15
    settle = mean_field("relu", sigma_w=1.2, sigma_b=0.1)
    assert abs(settle.q_star.value - 0.01 / 0.28) <= settle.q_star.error
    gone = mean_field("relu", sigma_w=1.5, sigma_b=0.1)
    assert gone.phase == "divergent"
    assert gone.q_star.status == Status.DIVERGENT
    assert np.isnan(gone.q_star.value)
    assert abs(gone.fixed_points.growth.value - 1.125) < 1e-12
    assert "1.125x a layer" in gone.sentence


def test_inputs_beyond_the_unstable_point_are_told_apart():
    large = mean_field("gelu", sigma_w=1.5, sigma_b=0.1)
    small = mean_field("gelu", sigma_w=1.5, sigma_b=0.1, q0=0.5)
    assert large.q_star.value == small.q_star.value
    assert (large.reached, small.reached) == (False, True)
    assert "below 0.5802" in large.sentence
    assert trajectory("gelu", sigma_w=1.5, sigma_b=0.1, depth=60).q[-1] > 100.0
    settled = trajectory("gelu", sigma_w=1.5, sigma_b=0.1, depth=80, q0=0.5).q[-1]
    assert abs(settled - small.q_star.value) < 1e-9


def test_two_stable_lengths_are_chosen_by_the_input():
    points = fixed_points("gelu_tanh", sigma_w=1.41, sigma_b=0.4).points
    assert [p.stability for p in points] == ["stable", "unstable", "stable"]
    low = mean_field("gelu_tanh", sigma_w=1.41, sigma_b=0.4, q0=0.1)
    high = mean_field("gelu_tanh", sigma_w=1.41, sigma_b=0.4, q0=9.0)
    assert low.q_star.value == points[0].q.value
    assert high.q_star.value == points[2].q.value


def test_a_soft_threshold_has_a_stable_zero_and_an_unstable_point():
    points = fixed_points("sign(x)*max(abs(x)-1, 0)", sigma_w=3.0).points
    assert [p.stability for p in points] == ["stable", "unstable"]
    assert points[0].q.value == 0.0
    assert abs(points[1].q.value - 0.7764) < 5e-5
    assert abs(points[1].chi_parallel.value - 2.308) < 5e-4


def test_depth_scales_that_do_not_exist_say_why():
    critical = mean_field("relu", sigma_w=np.sqrt(2.0))
    assert critical.xi_c.status == Status.CRITICAL
    instant = mean_field("sign", sigma_w=1.0, sigma_b=0.1)
    assert (instant.xi_q.value, instant.xi_q.status) == (0.0, Status.INSTANT)
    fading = mean_field("tanh", sigma_w=0.9)
    assert fading.c_star.status == Status.CONTINUUM


def test_c_star_of_sign_solves_its_arcsine_law():
    m = mean_field("sign", sigma_w=1.0, sigma_b=0.1)
    c = m.c_star.value
    assert abs((2 / np.pi * np.arcsin(c) + 0.01) / 1.01 - c) < 1e-14


@pytest.mark.parametrize(("name", "w", "b"), [("relu", 2**0.5, 0.0), ("erf", None, None)])
def test_the_power_law_of_correlations_is_what_iteration_finds(name, w, b):
    if name == "erf":  # a point of the critical line, in closed form
        q = 0.7
        w2 = np.pi * np.sqrt(1 + 4 * q) / 4
        square = 2 / np.pi * np.arctan(2 * q / np.sqrt(1 + 4 * q))
        w, b = np.sqrt(w2), np.sqrt(q - w2 * square)
    m = mean_field(name, sigma_w=w, sigma_b=b)
    law = next(p for p in m.power_laws if p.quantity == "1 - c")
    gap, layers = 0.1, 200_000
    for _ in range(layers):
        theta = 2 * np.arcsin(np.sqrt(gap / 2))
        if name == "relu":
            gap = gap - (np.sin(theta) - theta * np.cos(theta)) / np.pi
        else:
            x, d = 2 * q / (1 + 2 * q), 2 * q / (1 + 2 * q) * gap
            # asin(x) - asin(x - d) without cancellation
            y = x - d
            s = x * np.sqrt(1 - y * y) - y * np.sqrt(1 - x * x)
            gap = w * w * 2 / np.pi * np.arcsin(s) / q
    assert abs(gap * layers**law.exponent / law.amplitude.value - 1) < 5e-3


def test_tanh_fades_like_half_over_depth():
    law = mean_field("tanh", sigma_w=1.0).power_laws[0]
    assert (law.quantity, law.exponent) == ("q", 1.0)
    assert abs(law.amplitude.value - 0.5) < 1e-12


def test_relu_power_law_has_its_known_amplitude():
    law = mean_field("relu", sigma_w=np.sqrt(2.0)).power_laws[-1]
    assert abs(law.amplitude.value - 4.5 * np.pi**2) < 1e-11


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_trajectory_agrees_with_plain_iteration(name):
    f, df = PLAIN[name]
    w, b, q0, c0 = 1.35, 0.25, 0.8, 0.3
    t = trajectory(name, sigma_w=w, sigma_b=b, depth=6, q0=q0, c0=c0)
    q, q12 = w * w * q0 + b * b, w * w * q0 * c0 + b * b
    chis = []
    for l in range(6):
        c = q12 / q
        assert abs(t.q[l] / q - 1) < 1e-12
        assert abs(t.c[l] - c) < 1e-11
        chis.append(w * w * (P @ df(np.sqrt(q) * Z) ** 2))
        u1 = np.sqrt(q) * Z[:, None]
        u2 = np.sqrt(q) * (c * Z[:, None] + np.sqrt(1 - c * c) * Z)
        q, q12 = (
            w * w * (P @ f(np.sqrt(q) * Z) ** 2) + b * b,
            w * w * (P @ (f(u1) * f(u2)) @ P) + b * b,
        )
    assert np.allclose(t.chi, chis, rtol=1e-12)
    assert t.gradient[-1] == 1.0
    assert abs(t.gradient[0] / np.prod(chis[:-1]) - 1) < 1e-11


def test_chi_parallel_is_never_below_minus_one_half():
    for name in ("cos", "gaussian", "sin", "quadratic"):
        for w in (0.5, 2.0, 8.0):
            for p in fixed_points(name, sigma_w=w, sigma_b=0.3).points:
                assert p.chi_parallel.value >= -0.5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sigma_w": -1.0}, "sigma_w must be 0 or above"),
        ({"sigma_w": float("nan")}, "sigma_w must be finite"),
        ({"sigma_w": 1.0, "sigma_b": -0.1}, "sigma_b must be 0 or above"),
        ({"sigma_w": 1.0, "q0": 0.0}, "q0 must be above 0"),
    ],
)
def test_bad_parameters_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        mean_field("tanh", **kwargs)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean"):
        mean_field("tahn", sigma_w=1.0)


def test_an_activation_without_variance_limit_is_infinite_not_large():
    m = mean_field("exp(x*x)", sigma_w=1.0, sigma_b=0.6)
    assert m.phase == "divergent"
    assert np.isnan(m.q_star.value)


def test_the_catalogue_has_no_unexplained_gap():
    for name in ("linear", "abs", "relu6", "hardsigmoid", "celu", "arctan", "step", "cubic"):
        m = mean_field(activation(name), sigma_w=1.1, sigma_b=0.2)
        for e in (m.q_star, m.chi_parallel, m.chi_perp, m.xi_q, m.xi_c, m.c_star):
            assert np.isfinite(e.value) or e.status != Status.OK


@pytest.mark.parametrize(
    ("name", "w", "b"), [("tanh", 1.3, 0.3), ("gelu_tanh", 1.41, 0.4), ("selu", 1.0, 0.0)]
)
def test_the_error_of_a_root_is_where_the_sign_of_v_minus_q_is_certain(name, w, b):
    for p in fixed_points(name, sigma_w=w, sigma_b=b).stable:
        if p.q.value == 0.0:
            continue
        noise = length_map(name, p.q.value, sigma_w=w, sigma_b=b).error
        assert p.q.error * abs(1 - p.chi_parallel.value) >= 0.9 * noise
        assert p.q.error < 1e-9 * p.q.value


@pytest.mark.parametrize("w", [1.0, 4.147])
def test_an_odd_fast_oscillation_forgets_all_but_the_bias(w):
    # siren's kernel is exponentially small away from c = 1, so C(c) = sigma_b^2 / q*
    b = 0.6459
    m = mean_field("siren", sigma_w=w, sigma_b=b)
    exact = b * b / m.q_star.value
    assert abs(m.c_star.value - exact) <= m.c_star.error
    assert abs(m.c_star.value - exact) <= 1e-12


def test_silent_and_nearly_silent_networks_have_their_small_lengths():
    assert mean_field("tanh", sigma_w=0.0, sigma_b=0.0).q_star.value == 0.0
    (point,) = fixed_points("tanh", sigma_w=1e-3, sigma_b=1e-7).points
    assert abs(point.q.value / (1e-14 / (1 - 1e-6)) - 1) < 1e-12


def test_sigmas_may_stand_in_their_places_as_in_analyze():
    assert mean_field("tanh", 1.5, 0.1) == mean_field("tanh", sigma_w=1.5, sigma_b=0.1)


@pytest.mark.parametrize("spec", ["1e300*x", "exp(x**2)", "tanh", "relu", "sign", "step", "exp"])
def test_weights_of_zero_leave_the_bias_whatever_the_activation(spec):
    diagram = phase_diagram(spec, sigma_w=[0.0], sigma_b=[0.0, 0.3, 1e8])
    assert np.all(diagram.q_star[:, 0] == np.array([0.0, 0.3, 1e8]) ** 2)
    assert np.all(diagram.status == Status.OK)
    for field in ("chi_parallel", "chi_perp", "xi_q", "xi_c"):
        assert np.all(getattr(diagram, field) == 0.0), field
    (point,) = fixed_points(spec, sigma_w=0.0, sigma_b=0.3).points
    assert (point.q.value, point.chi_parallel.value, point.chi_perp.value) == (0.3**2, 0.0, 0.0)
    field = mean_field(spec, sigma_w=0.0, sigma_b=0.3)
    assert field.q_star.value == 0.3**2
    assert field.phase == "ordered"
