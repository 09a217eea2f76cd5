"""Arithmetic on estimates: the interval of the result holds every value of the operands."""

from __future__ import annotations

import json
import math
import operator

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chione.base import EPS, Estimate, Status, missing

mpmath.mp.dps = 40
numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0.0 or abs(x) > 1e-6)
parts = st.floats(-1.0, 1.0)
estimates = st.builds(
    lambda v, e: Estimate(v, abs(v) * e + 1e-12), numbers, st.sampled_from([0.0, 1e-12, 1e-3, 0.4])
)


def inside(result: Estimate, truth: mpmath.mpf) -> bool:
    return abs(mpmath.mpf(result.value) - truth) <= mpmath.mpf(result.error)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
@settings(max_examples=300, deadline=None)
@given(a=estimates, b=estimates, s=parts, t=parts)
def test_the_bound_holds_for_every_value_within_the_errors(op, a, b, s, t):
    result = op(a, b)
    x = mpmath.mpf(a.value) + mpmath.mpf(s) * a.error
    y = mpmath.mpf(b.value) + mpmath.mpf(t) * b.error
    if op is operator.truediv and abs(b.value) <= b.error:
        assert result.error == math.inf or math.isnan(result.value)
        return
    assert inside(result, op(x, y))


@settings(max_examples=300, deadline=None)
@given(a=estimates.filter(lambda a: a.value > 2.0 * a.error), s=parts)
def test_the_bound_holds_for_functions_of_one_estimate(a, s):
    x = mpmath.mpf(a.value) + mpmath.mpf(s) * a.error
    assert inside(a.sqrt(), mpmath.sqrt(x))
    assert inside(a.log(), mpmath.log(x))
    for power in (-2.0, -0.5, 0.5, 2.0, 3.0):
        assert inside(a**power, x**power)
    if a.value < 300.0:
        assert inside(a.exp(), mpmath.exp(x))


def test_errors_of_exact_numbers_are_rounding_alone():
    third = 1.0 / Estimate.exact(3.0)
    assert 0.0 < third.error <= 2.0 * EPS / 3.0
    assert inside(third, mpmath.mpf(1) / 3)
    assert (Estimate.exact(2.0) - 2.0).error == 0.0


def test_a_divisor_that_may_be_zero_leaves_no_bound():
    assert (1.0 / Estimate(1e-9, 1e-8)).error == math.inf
    assert (Estimate(0.0, 0.0) * Estimate(1.0, math.inf)).error == math.inf


def test_a_missing_value_stays_missing_and_says_why():
    result = 2.0 * missing(Status.INFINITE) + Estimate(1.0, 0.1)
    assert math.isnan(result.value) and result.status == Status.INFINITE
    assert f"{result}" == "infinite"


def test_arrays_broadcast_and_keep_one_status_an_element():
    a = Estimate(np.ones((3, 1)), np.full((3, 1), 0.1), np.array([[0], [1], [2]], dtype=np.int8))
    b = a * np.array([1.0, 2.0])
    assert np.array([1.0, 2.0]) * a == b and np.float64(2.0) * a == 2.0 * a
    assert b.value.shape == b.error.shape == b.status.shape == (3, 2)
    assert list(b.status[:, 1]) == [0, 1, 2]
    assert b[1].error == pytest.approx([0.1, 0.2])
    assert b[1, 1].value == 2.0 and b[1, 1].status == Status.INEXACT


def test_equality_never_raises_and_agrees_with_the_hash():
    a = Estimate(np.array([1.0, np.nan, -0.0]), np.zeros(3), np.zeros(3, dtype=np.int8))
    b = Estimate(np.array([1.0, np.nan, 0.0]), np.zeros(3), 0)
    assert a == b and hash(a) == hash(b)
    assert a != Estimate(np.array([1.0, 2.0, 0.0]), np.zeros(3))
    assert a != "text" and Estimate(1.0, 0.1) != Estimate(1.0, 0.2)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.5956199132912, 9e-12), "0.595619913291 +- 9e-12"),
        (Estimate(1.0, 0.0), "1 (exact)"),
        (Estimate(665.4216, 0.3), "665.4 +- 3e-01"),
        (missing(Status.NOT_COMPUTED), "not computed"),
    ],
)
def test_printing_shows_the_digits_that_are_known(estimate, text):
    assert str(estimate) == text
    assert f"{estimate:.3f}" == (f"{estimate.value:.3f}" if estimate.ok else text)


def test_the_representation_is_short():
    assert repr(Estimate(0.5, 1e-16)) == "Estimate(0.5, error=1.0e-16)"
    assert len(repr(Estimate(np.ones((300, 300)), np.ones((300, 300))))) < 80


def test_complex_values_travel_and_print_as_pairs():
    z = Estimate(1.5 - 2.25j, 1e-6)
    assert repr(z) == "Estimate((1.5-2.25j), error=1.0e-06)"
    assert format(z) == "1.5-2.25j +- 1e-06"
    assert z.to_dict() == {"value": [1.5, -2.25], "error": 1e-6, "status": "ok"}
    many = Estimate(np.array([1j, np.nan]), np.array([0.0, 0.0]), np.zeros(2, np.int8))
    assert list(many.status) == [Status.OK, Status.NOT_COMPUTED]
    assert many.to_dict()["value"][0] == [0.0, 1.0]
    assert json.dumps(many.to_dict(), allow_nan=False)
    assert many == many[[0, 1]]
    assert many[0] != Estimate(2j, 0.0)
    assert hash(z) == hash(Estimate(1.5 - 2.25j, 1e-6))
    assert z != Estimate(1.5, 1e-6)


def test_errors_of_complex_arithmetic_are_bounds():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 200)) + 1j * rng.normal(size=(2, 200))
    da, db = 1e-7 * np.exp(2j * np.pi * rng.random((2, 200)))
    x, y = Estimate(a, 1.0001 * abs(da)), Estimate(b, 1.0001 * abs(db))
    true_x, true_y = a + da, b + db
    for found, exact in (
        (x + y, true_x + true_y),
        (x - y, true_x - true_y),
        (x * y, true_x * true_y),
        (x / y, true_x / true_y),
        (-x, -true_x),
        (x.abs(), abs(true_x)),
        (2.0 * x + 1j, 2.0 * true_x + 1j),
    ):
        assert np.all(abs(found.value - exact) <= found.error)
        assert np.all(found.error < 1e-3)
    assert np.iscomplexobj((x * 2.0)[0].value)
    with pytest.raises(TypeError, match=r"sqrt of an Estimate needs real values"):
        x.sqrt()
