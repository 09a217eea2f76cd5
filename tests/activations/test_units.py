"""A function in other units has the same features in other places, and the same moments scaled."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special

import chione as ch
from chione.activations import activation, from_callable
from chione.activations.units import Units, natural_units

SCALES = (1e-8, 3e-5, 1e-3, 7e2, 1e5, 1e8)


def erf_square(a, b, q):
    """E (a erf(b h))^2 by Williams' arcsine formula."""
    a, b, q = mp.mpf(a), mp.mpf(b), mp.mpf(q)
    x = 2 * b * b * q
    return a * a * 2 / mp.pi * mp.asin(x / (1 + x))


def erf_slope(a, b, q):
    """Its derivative in q, written out."""
    a, b, q = mp.mpf(a), mp.mpf(b), mp.mpf(q)
    x = 2 * b * b * q
    return a * a * 4 * b * b / mp.pi / ((1 + x) * mp.sqrt(1 + 2 * x))


def near(estimate, truth):
    assert estimate.status == ch.Status.OK
    assert abs(mp.mpf(estimate.value) - truth) <= estimate.error, (estimate, truth)
    assert estimate.error <= 1e-11 * abs(truth)


@pytest.mark.parametrize("steep", SCALES)
@pytest.mark.parametrize("size", (1e-7, 1.0, 1e6))
def test_a_scaled_error_function_has_its_closed_form_moments(size, steep):
    phi = from_callable(lambda x: size * special.erf(steep * x))
    assert phi.kinks == ()
    with mp.workdps(40):
        for q in (steep**-2, 0.01 * steep**-2, 1e4 * steep**-2):
            near(ch.second_moment(phi, q), erf_square(size, steep, q))
            near(ch.length_slope(phi, q), erf_slope(size, steep, q))


@pytest.mark.parametrize("unit", SCALES)
def test_kinks_are_found_in_the_units_of_the_function(unit):
    phi = from_callable(lambda x: np.clip(x, -unit, 2.0 * unit))
    assert phi.kinks == pytest.approx((-unit, 2.0 * unit), rel=1e-12)
    assert phi.one_sided(1, phi.kinks[0]) == pytest.approx((0.0, 1.0), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("tanh(1e7*x)", 1e-7),
        ("1e-6*gelu(1e6*x)", 1e-6),
        ("exp(-(1e-6*x)**2)", 1e6),
        ("hypot(x,1e5)", 1e5),
        ("tanh(1e-7*x)+1e7", 1e7),
        ("softplus(1e6*x)", 1e-6),
    ],
)
def test_the_unit_of_the_argument_is_where_the_function_bends(text, scale):
    assert scale / 8.0 < activation(text).units.argument < 8.0 * scale


@pytest.mark.parametrize("text", ["tanh(x)", "0.5*x*(1+erf(x/sqrt(2)))", "sin(30*x)", "relu(x)+0"])
def test_ordinary_functions_keep_their_units(text):
    assert activation(text).units == Units()


def test_units_are_powers_of_two_so_that_no_digit_changes():
    f = lambda x: 1e-7 * np.tanh(1e7 * x)  # noqa: E731
    units = natural_units(f)
    assert np.frexp(units.argument)[0] == np.frexp(units.value)[0] == 0.5
    x = np.linspace(-3e-7, 3e-7, 101)
    assert np.array_equal(units.inside(f)(x / units.argument) * units.value, f(x))


def test_a_sine_far_quicker_than_its_gaussian_ends_in_a_status_and_holds_one_half():
    found = ch.second_moment("sin(1e6*x)", 1.0)
    assert found.status == ch.Status.INEXACT
    assert abs(found.value - 0.5) <= found.error < 0.1
    assert abs(ch.second_moment("sin(1e6*x)", 1e-8).value - 0.5) < 1e-13
