"""A slope that is steeper than the panels of the kink search is no jump."""

from __future__ import annotations

import mpmath as mp
import pytest
from scipy import special

import chione as ch
from chione.activations import from_callable

STEEP = (3e2, 1.4e4, 1e5)


def holds(estimate, truth):
    assert estimate.status == ch.Status.OK
    assert abs(mp.mpf(float(estimate.value)) - truth) <= estimate.error <= 1e-7 * abs(truth)


@mp.workdps(40)
@pytest.mark.parametrize("steep", STEEP)
@pytest.mark.parametrize("q", [0.04, 1.0, 9.0])
def test_a_steep_error_function_beside_a_straight_line_has_its_closed_form(steep, q):
    phi = from_callable(lambda x: x + special.erf(steep * x))
    assert phi.kinks == ()
    b, v = mp.mpf(steep), mp.mpf(q)
    x = 2 * b * b * v
    cross = 2 * b / mp.sqrt(mp.pi * (1 + x))  # E erf'(b h)
    holds(ch.second_moment(phi, q), v + 2 / mp.pi * mp.asin(x / (1 + x)) + 2 * v * cross)
    square = 4 * b * b / mp.pi / mp.sqrt(1 + 2 * x)
    holds(ch.derivative_second_moment(phi, q), 1 + square + 2 * cross)


@mp.workdps(40)
@pytest.mark.parametrize("steep", STEEP)
@pytest.mark.parametrize("at", [-1.7, 0.3, 2.0])
def test_a_steep_step_away_from_zero_is_continuous(steep, at):
    phi = from_callable(lambda x: special.erf(steep * (x - at)))
    assert phi.kinks == ()
    b, m = mp.mpf(steep), mp.mpf(at)
    width = 1 + 4 * b * b
    truth = 4 * b * b / mp.pi / mp.sqrt(width) * mp.exp(-2 * b * b * m * m / width)
    holds(ch.derivative_second_moment(phi, 1.0), truth)


@pytest.mark.parametrize("at", [-1.7, 0.0, 0.3])
def test_a_true_step_beside_a_straight_line_is_still_a_jump(at):
    phi = from_callable(lambda x: 0.5 * x + (x > at))
    assert phi.kinks == (at,)
    assert phi.jump(0, at) == pytest.approx(1.0, abs=1e-12)
