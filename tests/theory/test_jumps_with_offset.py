"""Jumps and kinks on large constants: what is rounded is in the error, and nothing more."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import chione as ch
from chione.theory.moments.kernel_drop import drop_for_curves


@pytest.mark.parametrize("offset", [0.3, -4.4213e4, 3.0001e6])
@pytest.mark.parametrize("size", [1e-3, 3.41])
@pytest.mark.parametrize("gap", [1e-13, 7e-9, 3e-4, 0.31, 1.2, 1.909, 2.0])
@pytest.mark.sampled(5)
def test_the_drop_of_a_step_on_a_constant_is_that_of_the_arcsine(offset, size, gap):
    found = ch.one_minus_correlation_map(
        lambda x: size * np.sign(x) + offset, gap, q=0.7, sigma_w=1.3, sigma_b=0.2
    )
    with mp.workdps(50):
        a, b, w, v = (mp.mpf(x) for x in (size, offset, 1.3, 0.2))
        drop = 1 - 2 / mp.pi * mp.asin(1 - mp.mpf(gap))
        truth = w**2 * a**2 * drop / (w**2 * (a**2 + b**2) + v**2)
        assert abs(mp.mpf(found.value) - truth) <= found.error
        assert found.error <= (1e-10 + 64 * 2.0**-52 * abs(offset / size)) * truth


@pytest.mark.parametrize("offset", [5.0, -3e3, 2e7])
@pytest.mark.parametrize("gap", [2e-7, 1e-2, 0.4, 1.7, 2.0])
@pytest.mark.sampled(4)
def test_the_drop_of_a_kink_on_a_constant_does_not_depend_on_the_constant(offset, gap):
    found = ch.one_minus_correlation_map(
        lambda x: np.maximum(x, -0.25 * x) + offset, gap, q=0.7, sigma_w=1.0
    )
    with mp.workdps(50):
        q, b, c = mp.mpf(0.7), mp.mpf(offset), 1 - mp.mpf(gap)
        theta = mp.acos(c)
        ramp = (mp.sin(theta) + (mp.pi - theta) * c) / (2 * mp.pi)  # E relu relu / q
        mixed = (mp.sin(theta) - theta * c) / (2 * mp.pi)  # E relu(u) relu(-v) / q
        d = mp.mpf(0.25)
        own = (1 + d**2) / 2 * q
        mean = (1 + d) * mp.sqrt(q / (2 * mp.pi))
        drop = own - q * ((1 + d**2) * ramp + 2 * d * mixed)
        truth = drop / (own + 2 * b * mean + b**2)
        assert abs(mp.mpf(found.value) - truth) <= found.error
        assert found.error <= (1e-10 + 64 * 2.0**-52 * abs(offset)) * truth


@pytest.mark.parametrize("gap", [1e-5, 1e-3, 0.2, 1.0])
def test_the_drop_of_a_curve_does_not_depend_on_a_constant(gap):
    alone = ch.activation(lambda x: np.maximum(x, -0.25 * x))
    lifted = ch.activation(lambda x: np.maximum(x, -0.25 * x) + 2e6)
    expected = drop_for_curves(alone, 0.7, gap).value
    assert abs(drop_for_curves(lifted, 0.7, gap).value / expected - 1.0) < 1e-7
