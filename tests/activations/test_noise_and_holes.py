"""What a formula loses by cancellation is in the errors, and 0/0 at zero is its limit."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

import chione as ch
from chione.activations import from_callable

HOLES = {
    "sin(x)/x": (lambda x: np.sin(x) / x, 1.0),
    "tanh(2 x)/x": (lambda x: np.tanh(2.0 * x) / x, 2.0),
    "(exp(x) - 1)/x": (lambda x: np.expm1(x) / x, 1.0),
    "x^2/x + 3": (lambda x: x**2 / x + 3.0, 3.0),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_at_zero_is_filled_by_its_limit(name):
    f, limit = HOLES[name]
    with np.errstate(all="ignore"):
        phi = from_callable(f)
    assert abs(phi.value(np.zeros(1))[0] - limit) < 1e-12
    assert abs(ch.second_moment(phi, 0.0).value - limit**2) < 1e-11


@mp.workdps(30)
@pytest.mark.parametrize("lost", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("q", [0.02, 0.7, 5.0])
def test_digits_that_a_formula_cancels_are_in_the_errors_of_its_moments(lost, q):
    def f(x):
        return (lost + np.tanh(x)) - lost

    s = mp.sqrt(mp.mpf(q))
    cuts = [-12, -6, -3, -1, 0, 1, 3, 6, 12]
    truth = mp.quad(lambda z: mp.tanh(s * z) ** 2 * mp.npdf(z), cuts)
    for found in (ch.second_moment(f, q), ch.kernel(f, q, q, 1.0)):
        assert abs(mp.mpf(found.value) - truth) <= found.error
        # rounding of the sum, which no fit takes away altogether, and not a thousand times it
        assert 0.1 * 2.0**-53 * lost * float(s) < found.error < 1e3 * 2.0**-53 * lost


@pytest.mark.parametrize("x", [-7.6, -7.1, -6.4])
def test_a_tail_that_dies_in_the_noise_of_its_formula_keeps_sign_and_size(x):
    phi = ch.activation("0.5*x*(1+erf(x/sqrt(2)))")
    truth = x * 0.5 * math.erfc(-x / math.sqrt(2.0))
    assert abs(phi.value(np.array([x]))[0] - truth) < 1e-14 < 0.1 * abs(truth)


@pytest.mark.parametrize("q", [1e-20, 1e-12, 1e-7])
@pytest.mark.parametrize("phase", [0.5, 1.3])
def test_the_slope_at_small_lengths_of_a_function_without_rules_is_that_of_its_bend(phase, q):
    def f(x):  # a library that knows no derivatives
        return 2.0 + np.array([math.sin(t + phase) for t in np.ravel(x).tolist()])

    lengths = np.array([q, 1.0])  # only one of them needs the second derivative
    found = ch.length_slope(f, lengths)
    truth = np.exp(-2.0 * lengths) * math.cos(2.0 * phase)
    truth -= 2.0 * math.sin(phase) * np.exp(-lengths / 2.0)
    assert np.all(np.abs(found.value - truth) <= found.error)
    assert np.all(found.error < 1e-4)
