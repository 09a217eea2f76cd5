"""A slope that is steeper than the panels of the kink search is no jump."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special

import chione as ch
from chione.activations import from_callable
from chione.activations.units import natural_units
from chione.gaussian import bivariate

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


@mp.workdps(40)
@pytest.mark.parametrize("steep", [28.1, 52.6])
def test_a_steep_error_function_keeps_the_digits_of_its_slope(steep):
    """Fits of phi'' at 2.8 widths from the step are no judge of the rules of differentiation."""
    b, v = mp.mpf(steep), mp.mpf("0.0162")
    found = ch.derivative_second_moment(lambda x: -23.3 * special.erf(steep * x), 0.0162)
    truth = 4 * mp.mpf(23.3) ** 2 * b * b / mp.pi / mp.sqrt(1 + 4 * b * b * v)
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-12 * truth


@mp.workdps(60)
@pytest.mark.parametrize("gap", [2.2557e-8, 3e-6, 1e-3])
def test_the_drop_of_a_function_much_steeper_than_its_gaussian_is_narrow(gap):
    phi = from_callable(lambda x: 210 * special.erf(405 * x))
    found = ch.one_minus_correlation_map(phi, gap, q=2106.7, sigma_w=1.0)
    x = 2 * mp.mpf(405) ** 2 * mp.mpf(2106.7)
    own = mp.asin(x / (1 + x))
    truth = (own - mp.asin(x * (1 - mp.mpf(gap)) / (1 + x))) / own
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-9 * truth


@mp.workdps(60)
@pytest.mark.parametrize(("steep", "q"), [(41.7, 1.56e-6), (27.9, 1.01e-5), (48.6, 1.45e-8)])
def test_noise_in_the_tails_of_a_steep_function_hides_nothing_of_its_step(steep, q):
    """phi'' was zero on the whole cell around 0, because it is noise on the cells beside it."""
    found = ch.length_slope(lambda x: 13.1 * special.erf(steep * x), q)
    b2, v = mp.mpf(steep) ** 2, mp.mpf(q)
    truth = mp.mpf(13.1) ** 2 * 4 * b2 / mp.pi / ((1 + 2 * b2 * v) * mp.sqrt(1 + 4 * b2 * v))
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-9 * truth


@mp.workdps(40)
@pytest.mark.parametrize("steep", [6.5e6, 2e7, 3e9])
@pytest.mark.parametrize("c", [-0.4, 0.78, 0.9999999])
def test_the_slope_of_a_step_next_to_zero_is_seen_by_wide_gaussians(steep, c):
    q1, q2 = 4.2e-4, 4015.4
    phi = from_callable(lambda x: special.erf(steep * x))
    if phi.kinks:  # as good as a jump, which has a slope kernel of its own
        phi = from_callable(lambda x: special.erf(steep * x), kinks=())
    found = bivariate(phi.derivative, phi.derivative, q1, q2, c)
    b2, s2 = mp.mpf(steep) ** 2, mp.mpf(c) ** 2 * mp.mpf(q1) * mp.mpf(q2)
    det = (1 + 2 * b2 * mp.mpf(q1)) * (1 + 2 * b2 * mp.mpf(q2)) - 4 * b2**2 * s2
    truth = 4 * b2 / mp.pi / mp.sqrt(det)
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-9 * truth


@mp.workdps(40)
@pytest.mark.parametrize("steep", [1e3, 1e4, 2e5, 4e5])
@pytest.mark.parametrize("q", [1e-6, 1.0])
def test_the_slope_of_a_step_between_all_nodes_of_a_cell_is_no_noise(steep, q):
    """The first node of the cell at 0 saw the foot of the spike, which passed for noise."""
    found = ch.derivative_second_moment(lambda x: x + special.erf(steep * x), q)
    b, v = mp.mpf(steep), mp.mpf(q)
    square = 4 * b * b / mp.pi / mp.sqrt(1 + 4 * b * b * v)
    truth = 1 + square + 4 * b / mp.sqrt(mp.pi * (1 + 2 * b * b * v))
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-13 * truth


@pytest.mark.parametrize("k", [2263.2008117349037, 1.9e4, 7.7e5, 3.3e6])
@pytest.mark.parametrize("shift", [0.0, 1.3])
def test_the_unit_of_an_oscillation_is_its_period_whatever_the_frequency(k, shift):
    # its largest value among few samples creeps up, which is no scale of its own
    unit = natural_units(lambda x: np.sin(k * x + shift)).argument
    assert 0.01 <= unit * k <= 100.0


@pytest.mark.parametrize("k", [140.0, 153.0, 165.0])
@pytest.mark.parametrize("scale", [1.0, 17500.0])
def test_a_bump_at_zero_that_dies_within_an_octave_is_no_noise(k, scale):
    # beyond 0.06 its values lie below the rounding of 1, without being smooth there
    found = ch.second_moment(f"{scale}*exp(-({k}*x)**2/2)", 1e-3)
    exact = scale**2 / mp.sqrt(1 + 2 * mp.mpf(k) ** 2 * mp.mpf(1e-3))
    assert abs(found.value - exact) <= found.error <= 1e-13 * exact
