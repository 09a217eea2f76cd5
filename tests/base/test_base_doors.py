"""Doors that every room shares: what comes in is checked, what goes out is honest."""

from __future__ import annotations

import numpy as np
import pytest

from chione import analyze, expectation, kernel, mean_field, phase_diagram, trajectory
from chione.base import CostError, Estimate, Status, checks


def test_a_missing_number_never_calls_itself_ok():
    assert Estimate(float("nan"), 0.0).status == Status.NOT_COMPUTED
    some = Estimate(np.array([1.0, np.nan]), np.array([0.0, 0.0]), np.zeros(2, np.int8))
    assert some.status.tolist() == [Status.OK, Status.NOT_COMPUTED]
    assert Estimate(float("nan"), float("nan"), Status.INFINITE).status == Status.INFINITE


def test_an_unknown_error_of_a_value_is_infinite():
    assert Estimate(1.0, float("nan")).error == np.inf
    some = Estimate(np.array([1.0, 2.0]), np.array([np.nan, 0.5]), np.zeros(2, np.int8))
    assert some.error.tolist() == [np.inf, 0.5]


def test_shapes_that_do_not_go_together_are_named():
    with pytest.raises(ValueError, match=r"q1 \(3,\), q2 \(2,\)"):
        kernel("hardtanh", [1.0, 2.0, 3.0], [1.0, 2.0], 0.5)


def test_breakpoints_are_a_list_of_finite_numbers():
    assert checks.places("breakpoints", [1.0, -1.0]) == (-1.0, 1.0)
    for bad in ([[0.5], [1.0]], "ab", [np.nan], 3.0):
        with pytest.raises((ValueError, TypeError), match="breakpoints must"):
            expectation(np.tanh, 1.0, breakpoints=bad)


@pytest.mark.parametrize("g", [lambda x: x + 1j, lambda x: "x", lambda x: x[:-1], 3.0])
def test_an_integrand_is_a_real_function_of_one_array(g):
    with pytest.raises(TypeError, match="g must"):
        expectation(g, 1.0)


def test_a_square_beyond_all_numbers_is_an_overflow_without_a_warning():
    assert expectation(lambda x: 1e308 + 0.0 * x, 0.0, power=2).status == Status.OVERFLOW


def test_effort_raises_the_limit_of_an_analysis_and_of_a_diagram():
    depth = 10**8
    with pytest.raises(CostError, match="effort="):
        analyze("tanh", 1.5, 0.1, depth=depth)
    with pytest.raises(CostError, match="limit of 10 min"):
        analyze("tanh", 1.5, 0.1, depth=depth, effort=10.0)
    many = np.linspace(0.1, 2.0, 10**5)
    with pytest.raises(CostError, match="limit of 10 min"):
        phase_diagram("tanh", sigma_w=many, sigma_b=many, effort=10.0)


def test_sigmas_in_single_precision_are_followed_in_double():
    single, double = np.float32(1.3), float(np.float32(1.3))
    assert mean_field("tanh", sigma_w=single) == mean_field("tanh", sigma_w=double)
    one, two = (trajectory("tanh", sigma_w=s, depth=5) for s in (single, double))
    assert np.array_equal(one.q, two.q)
    assert mean_field("tanh", sigma_w=1.3, sigma_b=np.int64(1)).to_dict()["sigma_b"] == 1.0
