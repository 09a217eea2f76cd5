"""K(1) - K(c) of two close inputs, without the digits that a difference of kernels loses."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation, from_callable
from chione.theory import kernel, length_slope
from chione.theory.depth.trajectory import trajectory
from chione.theory.moments.kernel_drop import drop_for_curves, kernel_drop
from chione.theory.moments.near_drop import near_drop


def arc_cosine_drop(q: float, gap: float, slope: float) -> mp.mpf:
    """Of a leaky relu: (1 - a)^2 times that of relu, and 2 a of the straight line."""
    with mp.workdps(150):
        c, a = 1 - mp.mpf(gap), mp.mpf(slope)
        relu = (mp.sqrt(1 - c * c) + (mp.pi - mp.acos(c)) * c) / (2 * mp.pi)
        return mp.mpf(q) * ((1 - a) ** 2 * (mp.mpf(1) / 2 - relu) + a * mp.mpf(gap))


@pytest.mark.parametrize("q", [1e-8, 0.3, 40.0])
@pytest.mark.parametrize("gap", [0.04, 1e-3, 1e-6, 1e-11, 1e-40])
def test_the_drop_of_a_leaky_relu_is_the_arc_cosine_formula(q: float, gap: float) -> None:
    found = near_drop(from_callable(lambda x: np.maximum(x, 0.1 * x), kinks=[0.0]), q, gap)
    truth = arc_cosine_drop(q, gap, 0.1)
    assert found is not None
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-12 * found.value


@pytest.mark.parametrize(("q", "gap"), [(0.5, 0.01), (3.0, 1e-4), (2.0, 1e-9)])
def test_the_drop_of_a_sine_is_the_closed_form(q: float, gap: float) -> None:
    found = near_drop(activation("sin(x)"), q, gap)
    with mp.workdps(40):
        full, g = mp.mpf(q), mp.mpf(gap)
        # E sin u1 sin u2 = e^{-q} sinh(q c)
        truth = mp.exp(-full) * (mp.sinh(full) - mp.sinh(full * (1 - g)))
    assert found is not None
    assert abs(mp.mpf(found.value) - truth) <= found.error


@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-9, 1e-60])
def test_the_drop_at_a_jump_is_the_arcsine(gap: float) -> None:
    found = near_drop(activation("sign(x)"), 0.7, gap)
    with mp.workdps(90):
        truth = 1 - 2 / mp.pi * mp.asin(1 - mp.mpf(gap))
    assert found is not None
    assert abs(mp.mpf(found.value) - truth) <= found.error


@pytest.mark.parametrize(
    "text",
    ["tanh(x)", "clip(x,-1,1)", "where(x>0, x, exp(x)-1)", "x*abs(x)", "log(1+exp(x))", "x*sin(x)"],
)
@pytest.mark.parametrize("q", [0.2, 5.0, 1e3])
def test_the_drop_agrees_with_the_difference_of_two_kernels(text: str, q: float) -> None:
    phi = activation(text)
    for gap in (0.04, 5e-3, 3e-4):
        found = near_drop(phi, q, gap)
        if found is None:  # the rule in y does not resolve so long a distance
            continue
        top, rest = kernel(phi, q, q, 1.0), kernel(phi, q, q, 1.0 - gap)
        rounding = 2e-16 * abs(top.value)  # of 1 - gap
        allowed = found.error + top.error + rest.error + rounding
        assert abs(found.value - (top.value - rest.value)) <= allowed


def test_where_the_rule_does_not_hold_nothing_is_returned() -> None:
    assert near_drop(activation("floor(x)"), 3.0, 0.04) is None  # one y reaches over two jumps
    assert near_drop(activation("tanh(x)"), 300.0, 0.04) is None  # or over all of the bend
    assert near_drop(activation("tanh(x)"), 1.0, 0.3) is None
    assert near_drop(activation("sqrt(abs(x))"), 1.0, 1e-3) is None  # no mean square slope


def test_a_drop_of_a_curve_asks_a_user_function_a_bounded_number_of_times() -> None:
    asked = 0

    def phi(x: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += np.size(x)
        return np.maximum(x, 0.1 * x)

    act = from_callable(phi)
    drop_for_curves(act, 0.8, 1e-6)  # panels of the activation are found once
    asked = 0
    drop_for_curves(act, 0.8, 1e-7)
    assert 0 < asked < 60_000


def test_lengths_and_distances_that_rest_are_not_asked_about_again() -> None:
    asked = 0

    def phi(x: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += np.size(x)
        return np.clip(x, -1.0, 1.0)

    act = from_callable(phi)
    first = trajectory(act, 1.5, 0.2, depth=200)
    asked = 0
    longer = trajectory(act, 1.5, 0.2, depth=260)
    assert abs(longer.one_minus_c[-1] - first.one_minus_c[-1]) < 1e-13
    assert asked < 600_000  # without it each further layer asks for some 30,000


def test_a_curve_says_where_no_rule_follows_the_activation() -> None:
    # at lengths of 1e5 a period is a thousandth of a deviation
    curves = trajectory(activation("x+0.5*sin(3*x)"), 1.5, 0.1, depth=20)
    assert np.all(curves.errors["c"][:8] < 1e-6)
    assert curves.errors["c"][-1] > 0.1
    # the oscillation is a smaller and smaller part of the kernel: c hardly moves
    assert np.all(np.abs(curves.c[8:] - curves.c[8]) <= 1e-3)


@pytest.mark.parametrize("gap", [0.02, 1e-5])
def test_the_drop_with_an_error_bar_is_the_same(gap: float) -> None:
    phi = activation("tanh(x)")
    assert kernel_drop(phi, 0.9, gap) == near_drop(phi, 0.9, gap)


@pytest.mark.parametrize("q", [1e7, 1e10])
def test_the_slope_of_an_unresolved_oscillation_is_taken_without_a_derivative(q: float) -> None:
    # E phi^2 = q + 1/8 but for terms e^{-4.5 q}: its slope is 1
    found = length_slope(activation("x+0.5*sin(3*x)"), q)
    assert abs(found.value - 1.0) <= found.error <= 1e-4


def test_a_function_of_single_numbers_can_be_handed_in_by_vectorize() -> None:
    phi = from_callable(np.vectorize(lambda x: x if x > 0.0 else 0.1 * x))
    assert phi.value(np.empty(0)).shape == (0,)
    assert abs(drop_for_curves(phi, 0.5, 1e-4).value / arc_cosine_drop(0.5, 1e-4, 0.1) - 1) < 1e-11
