"""c* at q* = 0: against polynomials, arc-cosine kernels and mpmath's double integrals, and against
trajectories, which share no code with it but the activation.
"""

import mpmath as mp
import numpy as np
import pytest

from chione.base import Status
from chione.theory import mean_field, phase_diagram, trajectory


def root(kernel, start):
    with mp.workdps(30):
        return float(mp.findroot(lambda c: kernel(c) - c, start))


def slope(kernel, c):
    with mp.workdps(30):
        return float(mp.diff(kernel, c))


def quartic(c):  # E x^4 y^4 = 9 + 72 c^2 + 24 c^4
    return (9 + 72 * c**2 + 24 * c**4) / 105


def one_sided_square(c):  # the arc-cosine kernel of order 2, over its value at c = 1
    t = mp.acos(c)
    return (3 * mp.sin(t) * mp.cos(t) + (mp.pi - t) * (1 + 2 * mp.cos(t) ** 2)) / (3 * mp.pi)


def two_sided_square(c):  # 4/3 z^2 right and 1/3 z^2 left; the sides meet with the kernel at -c
    own, across = one_sided_square(c), one_sided_square(-c)
    return ((4**2 + 1) * own + 2 * 4 * across) / (4**2 + 1 + 2 * 4 * one_sided_square(mp.mpf(-1)))


def square(c):
    return (2 * c**2 + 1) / 3


def cube(c):  # E x^3 y^3 = 9 c + 6 c^3
    return (9 * c + 6 * c**3) / 15


LIMITS = [
    ("quadratic", square, 0.5),
    ("exp(x)-1-x", square, 0.5),
    ("x*tanh(x)", square, 0.5),
    ("x**3+x**2", square, 0.5),
    ("squared_relu", one_sided_square, 0.4),
    ("where(x>0, x**3, x**2)", one_sided_square, 0.4),
    ("x*relu(x)+x**2/3", two_sided_square, 0.4),
    ("x**4", quartic, 0.1),
    ("(x*tanh(x))**2", quartic, 0.1),
]


@pytest.mark.parametrize(("name", "kernel", "near"), LIMITS)
def test_c_star_is_the_fixed_point_of_the_leading_power(name, kernel, near):
    m = mean_field(name, sigma_w=0.3, q0=0.1)
    c = root(kernel, near)
    chi = slope(kernel, c)
    assert m.q_star.value == 0.0
    assert abs(m.c_star.value - c) <= m.c_star.error < 1e-12
    assert abs(m.one_minus_c_star.value - (1.0 - c)) <= m.one_minus_c_star.error
    assert abs(m.xi_c.value + 1.0 / np.log(chi)) <= m.xi_c.error < 1e-10
    assert f"their correlation settles at {c:.4g}" in m.sentence


@pytest.mark.parametrize("name", ["cubic", "tanhshrink", "x-sin(x)", "x*sin(x)**2"])
def test_odd_cubes_lose_all_correlation_at_the_rate_of_the_cube(name):
    m = mean_field(name, sigma_w=0.3, q0=0.1)
    assert (m.c_star.value, m.c_star.error, m.one_minus_c_star.value) == (0.0, 0.0, 1.0)
    assert abs(m.xi_c.value + 1.0 / np.log(slope(cube, 0.0))) <= m.xi_c.error < 1e-12


def test_a_power_that_is_no_whole_number_is_what_two_integrals_say():
    m = mean_field("relu(x)**1.5", sigma_w=0.3, q0=0.1)
    c = m.c_star.value
    # by polar coordinates: x = r cos(u - t/2), y = r cos(u + t/2), c = cos t; r integrates out
    with mp.workdps(20):
        t = mp.acos(c)

        def angular(t):
            end = mp.pi / 2 - t / 2
            return mp.quad(lambda u: (mp.cos(u - t / 2) * mp.cos(u + t / 2)) ** 1.5, [-end, 0, end])

        assert abs(angular(t) / angular(0) - c) <= 2.0 * m.c_star.error


@pytest.mark.parametrize("name", ["softshrink", "hardshrink", "relu(x-1)", "relu(x-1e-7)"])
def test_an_activation_that_is_zero_around_zero_leaves_no_correlation(name):
    m = mean_field(name, sigma_w=0.3, q0=1e-16)
    assert (m.q_star.value, m.c_star.value, m.xi_c.status) == (0.0, 0.0, Status.INSTANT)


@pytest.mark.parametrize(("name", "kernel", "near"), [LIMITS[0], LIMITS[4], LIMITS[7]])
def test_a_trajectory_ends_there(name, kernel, near):
    # at the unstable length a power has the same map, and lengths leave it only by rounding
    q = {"quadratic": 1 / 3, "squared_relu": 2 / 3}.get(name) or 105 ** (-1 / 3)
    limit = mean_field(name, sigma_w=0.3, q0=0.1)
    c = trajectory(name, sigma_w=1.0, depth=31, q0=q, c0=0.9).c
    left = abs(c - limit.c_star.value)
    rate = slope(kernel, limit.c_star.value)
    first = np.flatnonzero(left < 1e-3)[0]  # then as rate^l, so that Aitken's rule finds the limit
    x, y, z = c[first - 2 : first + 1]
    aitken = x - (y - x) ** 2 / (z - 2.0 * y + x)
    assert abs(aitken - limit.c_star.value) <= 4.0 * left[first - 2] ** 2
    assert abs((z - y) / (y - x) / rate - 1.0) <= 8.0 * left[first - 2]


def test_slopes_at_zero_keep_correlations_or_leave_the_map_of_a_leaky_relu():
    kept, bent = mean_field("tanh", sigma_w=0.9), mean_field("leaky_relu", sigma_w=0.9)
    assert kept.c_star.status == kept.one_minus_c_star.status == Status.CONTINUUM
    assert "keep their correlation" in kept.sentence
    assert (bent.c_star.value, bent.one_minus_c_star.value) == (1.0, 0.0)
    assert "become alike" in bent.sentence
    mixed = mean_field("where(x>0, x, x**2)", sigma_w=0.9)
    assert mixed.c_star.value == 1.0


def test_a_phase_diagram_says_the_same():
    d = phase_diagram("squared_relu", sigma_w=[0.3, 0.4], sigma_b=[0.0, 0.1], q0=0.1)
    m = mean_field("squared_relu", sigma_w=0.4, q0=0.1)
    assert d.c_star[0].tolist() == [m.c_star.value] * 2
    assert d.one_minus_c_star[0].tolist() == [m.one_minus_c_star.value] * 2
    assert d.xi_c[0, 1] == m.xi_c.value
    assert d.c_star[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("typed", "name"),
    [("x*tanh(softplus(x))", "mish"), ("x*sigmoid(x)", "silu"), ("x*ndtr(x)", "gelu"),
     ("expm1(x)", None), ("softplus(x)-log(2)", None), ("x+x**2", None)],
)  # fmt: skip
def test_rounding_of_a_formula_is_no_kink_at_zero(typed, name):
    """Deep layers are linear and keep every correlation, however the activation is written."""
    assert mean_field(typed, 0.8, 0.0).c_star.status == Status.CONTINUUM
    if name is not None:
        assert mean_field(name, 0.8, 0.0).c_star.status == Status.CONTINUUM


def test_a_kink_at_zero_counts_however_weak():
    assert mean_field("x if x > 0 else 0.9999*x", 0.8, 0.0).c_star.value == 1.0
