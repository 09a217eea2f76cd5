"""Formulas next to zero: the digits are brought back, and not by ten evaluations a point."""

import numpy as np
import pytest
from mpmath import mp, mpf

import chione as ch

mp.dps = 60

FORMS = [
    (lambda x: np.exp(x) - 1.0, lambda t: mp.exp(t) - 1),
    (lambda x: 1.0 - np.cos(x), lambda t: 1 - mp.cos(t)),
    (lambda x: np.sqrt(x * x + 1.0) - 1.0, lambda t: mp.sqrt(t * t + 1) - 1),
    (lambda x: x - np.tanh(x), lambda t: t - mp.tanh(t)),
    (lambda x: x - np.sin(x), lambda t: t - mp.sin(t)),
    (lambda x: np.exp(x) - 1.0 - x, lambda t: mp.exp(t) - 1 - t),
    (lambda x: 2.0 / (1.0 + np.exp(-2.0 * x)) - 1.0, mp.tanh),
    (lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), mp.tanh),
]


@pytest.mark.parametrize(("f", "exact"), FORMS)
@pytest.mark.parametrize("order", [0, 1])
def test_value_and_slope_keep_their_digits_towards_zero(f, exact, order):
    phi = ch.activation(f)
    sizes = np.geomspace(1e-7, 0.12, 60)
    x = np.concatenate([-sizes, sizes])
    got = phi.derivative(x) if order else phi.value(x)
    for a, b in zip(x, got, strict=True):
        true = mp.diff(exact, mpf(a)) if order else exact(mpf(a))
        assert abs(mpf(b) / true - 1) < 1e-14


def test_a_point_next_to_zero_does_not_cost_ten():
    points = 0

    def selu(x):
        nonlocal points
        points += x.size
        return 1.6 * np.where(x > 0, x, 2.0 * (np.exp(x) - 1.0))

    phi = ch.activation(selu)
    x = -np.linspace(1e-6, 0.1, 1000)
    phi.value(x)  # what is found once is found now
    phi.derivative(x)
    points = 0
    phi.value(x)
    phi.derivative(x)
    assert points <= 3 * x.size
