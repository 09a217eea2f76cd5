"""A small jump on a large constant: the size of the jump is rounded, and that is in the error."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import chione as ch


@pytest.mark.parametrize("offset", [0.3, -4.4213e4, 3.0001e6])
@pytest.mark.parametrize("size", [1e-3, 3.41])
@pytest.mark.parametrize("gap", [1e-13, 7e-9, 3e-4])
def test_the_drop_of_a_step_on_a_constant_is_that_of_the_arcsine(offset, size, gap):
    found = ch.one_minus_correlation_map(
        lambda x: size * np.sign(x) + offset, gap, q=0.7, sigma_w=1.3, sigma_b=0.2
    )
    with mp.workdps(50):
        a, b, w, v = (mp.mpf(x) for x in (size, offset, 1.3, 0.2))
        drop = 1 - 2 / mp.pi * mp.asin(1 - mp.mpf(gap))
        truth = w**2 * a**2 * drop / (w**2 * (a**2 + b**2) + v**2)
        assert abs(mp.mpf(found.value) - truth) <= found.error
