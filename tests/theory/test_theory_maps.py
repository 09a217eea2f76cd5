"""Maps, slopes and the quantity 1 - c, against closed forms, mpmath and plain trapezoid sums."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, ndtr

from chione.activations import activation
from chione.base import Status
from chione.theory import (
    chi_parallel,
    chi_perp,
    correlation_map,
    derivative_kernel,
    kernel,
    kernel_map,
    length_map,
    length_slope,
    one_minus_correlation_map,
    second_moment,
)
from chione.theory.moments.compiled_kernel import angle
from chione.theory.moments.moments import moments

Z = np.arange(-300, 301) / 25.0  # trapezoid: exponentially accurate for analytic integrands
P = np.exp(-0.5 * Z**2) / np.exp(-0.5 * Z**2).sum()
SMOOTH = {
    "tanh": np.tanh,
    "gelu": lambda x: x * ndtr(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": erf,
    "exp(-x*x/2)": lambda x: np.exp(-(x**2) / 2),
    "x*sin(x)": lambda x: x * np.sin(x),
}


def plain_kernel(f, q1, q2, c):
    """E f(u1) f(u2) on a square grid of standard Gaussians."""
    u1 = np.sqrt(q1) * Z[:, None]
    u2 = np.sqrt(q2) * (c * Z[:, None] + np.sqrt(1 - c * c) * Z)
    return P @ (f(u1) * f(u2)) @ P


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("c", [-0.8, 0.0, 0.3, 0.97])
def test_kernel_agrees_with_a_plain_double_sum(name, c):
    res = kernel(name, 0.9, 1.7, c)
    exact = plain_kernel(SMOOTH[name], 0.9, 1.7, c)
    assert abs(res.value - exact) <= 2e-13 * max(1.0, abs(exact))
    assert abs(res.value - exact) <= res.error + 4e-15 * max(1.0, abs(exact))


def arccosine(gap):
    """1 - C(c) of ReLU at criticality, from 1 - c, to 40 digits."""
    with mp.workdps(40):
        c = 1 - mp.mpf(gap)
        theta = mp.acos(c)
        return 1 - (mp.sin(theta) + (mp.pi - theta) * c) / mp.pi


@pytest.mark.parametrize("gap", [1e-14, 1e-11, 1e-7, 1e-3, 0.2, 1.0, 1.9])
@pytest.mark.parametrize("name", ["relu", "max(x, 0)"])
def test_one_minus_c_keeps_its_digits_down_to_1e_14(gap, name):
    res = one_minus_correlation_map(name, gap, q=0.7, sigma_w=np.sqrt(2.0))
    exact = float(arccosine(gap))
    assert abs(res.value - exact) <= 1e-12 * exact
    assert abs(res.value - exact) <= res.error


@pytest.mark.parametrize("gap", [1e-14, 1e-8, 1e-2, 0.5])
def test_one_minus_c_of_a_jump_has_a_square_root(gap):
    res = one_minus_correlation_map("sign", gap, q=2.0, sigma_w=1.0)
    with mp.workdps(40):
        exact = float(1 - 2 / mp.pi * mp.asin(1 - mp.mpf(gap)))
    assert abs(res.value - exact) <= min(1e-11 * exact, res.error)


@pytest.mark.parametrize("gap", [1e-13, 1e-6, 0.1])
def test_one_minus_c_of_erf_matches_its_closed_form(gap):
    q, w2, b2 = 0.8, 1.7, 0.05
    res = one_minus_correlation_map("erf(x)", gap, q=q, sigma_w=np.sqrt(w2), sigma_b=np.sqrt(b2))
    with mp.workdps(40):
        w, b = mp.mpf(np.sqrt(w2)) ** 2, mp.mpf(np.sqrt(b2)) ** 2
        x = 2 * mp.mpf(q) / (1 + 2 * mp.mpf(q))
        top, low = mp.asin(x), mp.asin(x * (1 - mp.mpf(gap)))
        exact = w * 2 / mp.pi * (top - low) / (w * 2 / mp.pi * top + b)
    assert abs(res.value - exact) <= 1e-12 * exact
    assert abs(res.value - exact) <= res.error


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "selu", "hardtanh", "softsign", "cos"])
@pytest.mark.parametrize("q", [0.02, 1.3, 20.0])
@pytest.mark.sampled(5)
def test_the_compiled_map_agrees_with_the_uncompiled_one(name, q):
    compiled = kernel_map(activation(name), q)
    for gap in (1e-9, 3e-3, 0.4, 1.2):
        drop = one_minus_correlation_map(name, gap, q=q, sigma_w=1.0)
        average = drop.value * float(second_moment(name, q).value) / (q * gap)
        scale = float(chi_perp(name, q, sigma_w=1.0).value)
        assert abs(compiled.average(angle(gap)) - average) <= scale * (compiled.error + 1e-12)
        slope = derivative_kernel(name, q, q, 1.0 - gap)
        wanted = slope.error + scale * (compiled.error + 1e-15 / np.sqrt(gap))
        assert abs(compiled.slope(angle(gap)) - slope.value) <= wanted


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "elu", "sigmoid", "gelu", "step"])
@pytest.mark.parametrize("q", [1e-4, 0.6, 40.0])
def test_chi_parallel_is_the_slope_of_the_length_map(name, q):
    w = 1.3
    res = chi_parallel(name, q, sigma_w=w)
    steps = q * np.array([-3, -2, -1, 1, 2, 3]) * 2e-3
    rule = np.array([-1, 9, -45, 45, -9, 1]) / (60 * 2e-3 * q)  # sixth order
    v = length_map(name, q + steps, sigma_w=w, sigma_b=0.2, method="quadrature").value
    assert abs(res.value - rule @ v) <= 1e-10 * np.abs(rule) @ np.abs(v) * q + 1e-12 / q * 1e-2


@pytest.mark.parametrize("q", [1e-8, 1e-3, 1.0, 1e4, 1e8])
def test_slope_of_erf_keeps_its_digits_at_every_length(q):
    res = length_slope("erf(x)", q)
    with mp.workdps(40):
        exact = mp.diff(lambda x: 2 / mp.pi * mp.asin(2 * x / (1 + 2 * x)), mp.mpf(q), h=q * 1e-12)
    assert abs(res.value - exact) <= 1e-12 * exact
    assert abs(res.value - exact) <= res.error


def test_slope_of_sigmoid_has_no_cancellation_at_small_lengths():
    # E s^2 = 1/4 + q (s'^2 + s s'') + ..., s'' = 0 at zero and s' = 1/4
    res = length_slope("sigmoid", 1e-10)
    assert abs(res.value - 1 / 16) <= 1e-10
    assert res.error < 1e-14


@given(st.floats(0.05, 3.0), st.floats(0.0, 2.0), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_relu_lengths_are_linear(sigma_w, sigma_b, q):
    exact = sigma_w**2 * q / 2 + sigma_b**2
    for method in ("closed", "quadrature"):
        res = length_map("relu", q, sigma_w=sigma_w, sigma_b=sigma_b, method=method)
        assert abs(res.value - exact) <= res.error + 2e-16 * exact


@given(st.floats(-1.0, 1.0), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
@settings(max_examples=30, deadline=None)
def test_kernels_are_symmetric_and_bounded(c, q1, q2):
    one, two = kernel("elu", q1, q2, c), kernel("elu", q2, q1, c)
    assert abs(one.value - two.value) <= one.error + two.error
    bound = np.sqrt(second_moment("elu", q1).value * second_moment("elu", q2).value)
    assert abs(one.value) <= bound * (1 + 1e-12)


def test_arrays_broadcast_and_agree_with_scalars():
    c = np.array([[0.1, 0.5, -0.2]])
    q1 = np.array([[0.5], [2.0]])
    many = kernel("hardtanh", q1, 1.1, c)
    assert many.value.shape == many.error.shape == many.status.shape == (2, 3)
    assert many.value[1, 2] == kernel("hardtanh", 2.0, 1.1, -0.2).value


def test_correlation_map_at_one_is_one_for_equal_lengths():
    res = correlation_map("tanh", 1.0, q=0.8, sigma_w=1.5, sigma_b=0.3)
    assert abs(res.value - 1.0) <= res.error


def test_the_slope_of_a_jump_is_infinite_and_says_so():
    res = chi_perp("sign", [0.5, 2.0], sigma_w=1.0)
    assert np.all(np.isnan(res.value))
    assert np.all(res.status == Status.INFINITE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: length_map("tanh", 1.0, sigma_w=-1.0), "sigma_w must be 0 or above"),
        (lambda: length_map("tanh", float("nan"), sigma_w=1.0), "but it is nan"),
        (lambda: length_map("tanh", 1j, sigma_w=1.0), "complex128"),
        (lambda: kernel("tanh", 1.0, 1.0, 1.2), r"c must lie in \[-1, 1\]"),
        (lambda: kernel("tanh", -1.0, 1.0, 0.2), "variances, 0 or above"),
        (lambda: kernel("mish", 1.0, 1.0, 0.2, method="closed"), "No closed form"),
        (lambda: one_minus_correlation_map("tanh", 2.5, q=1.0, sigma_w=1.0), "must lie in"),
        (lambda: correlation_map("tanh", 0.5, q=0.0, sigma_w=1.0), "q must be above 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("q", [0.05, 0.4, 3.0, 100.0])
def test_slope_of_a_shifted_step_is_the_density_at_its_jump(q):
    # E phi^2 = P(h > 1/2), whose derivative is k / (2 q) times the density at k
    res = length_slope("where(x > 0.5, 1, 0)", q)
    exact = 0.25 / q * np.exp(-0.125 / q) / np.sqrt(2 * np.pi * q)
    assert abs(res.value - exact) <= min(res.error, 1e-12 * exact)


@pytest.mark.parametrize("name", ["hardtanh", "relu6", "leaky_relu", "hardsigmoid", "shifted_relu"])
@pytest.mark.parametrize("q", [0.5, 2.0, 9.0])
def test_both_forms_of_the_slope_agree_at_kinks(name, q):
    m = moments(name)
    once = m._once(np.array(q))
    second = m._with_masses(m._curvature(np.array(q)), np.array(q), 0)
    first = once.value / q
    assert abs(second.value - first) <= second.error + once.error / q
    assert abs(second.value - first) <= 1e-12 * abs(first)
