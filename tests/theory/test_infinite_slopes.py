"""Activations that rise like a root from a kink: E phi'^2 is infinite, wherever the kink lies."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chione as ch
from chione.base import Status
from chione.theory.moments.moments import moments

STEEP = [
    "sqrt(abs(x))",
    "sqrt(abs(x-1))",
    "cbrt(x+2)",
    "sqrt(max(x,0))",
    "sqrt(1-clip(x,-1,1)**2)",
    "sign(x)*abs(x)**0.4",
    "tanh(x)+0.01*sqrt(abs(x-0.3))",
]
NOT_STEEP = [
    "abs(x)**0.75",
    "abs(x-1)**0.6",
    "abs(x)**0.9",
    "relu(x-1)",
    "abs(x)**1.5",
    "sqrt(1+x**2)",
]


@pytest.mark.parametrize("phi", STEEP)
@pytest.mark.parametrize("q", [1e-2, 1.0, 50.0])
def test_a_root_at_a_kink_has_no_mean_square_slope(phi, q):
    found = ch.theory.derivative_second_moment(phi, q)
    assert found.status == Status.INFINITE


@pytest.mark.parametrize("phi", NOT_STEEP)
def test_weaker_kinks_keep_theirs(phi):
    assert not moments(ch.activation(phi)).is_steep


@pytest.mark.parametrize(("power", "kink"), [(0.75, 0.0), (0.6, 1.0)])
def test_the_mean_square_slope_of_a_weak_kink(power, kink):
    """Against mpmath, whose rule for endpoints is of another kind."""
    mpmath = pytest.importorskip("mpmath")
    text = f"abs(x-{kink})**{power}" if kink else f"abs(x)**{power}"
    found = ch.theory.derivative_second_moment(text, 1.0)

    def near(t):
        here = mpmath.npdf(kink + t) + mpmath.npdf(kink - t)
        return power**2 * t ** (2 * power - 2) * here

    with mpmath.workdps(30):
        # t = s^(1/(2 power - 1)) makes the integrand smooth at the kink
        n = 1 / mpmath.mpf(2 * power - 1)
        want = mpmath.quad(lambda s: near(s**n) * n * s ** (n - 1), [0, 0.5, 1, 2, 12])
    assert abs(float(found.value) - float(want)) <= max(float(found.error), 1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("phi", ["sqrt(abs(x))", "sqrt(abs(x-1))"])
def test_its_words_name_the_kink_and_advice_is_refused(phi):
    why = "slope of the activation is infinite at a kink"
    advice = str(ch.gain(phi))
    assert "no initialisation can be recommended" in advice
    assert why in advice
    assert "nan" not in advice
    found = ch.analyze(phi, 1.5, 0.1, depth=10, simulate=False)
    assert why in str(found.verdict.sentence)
    assert "jumps" not in str(found)
    assert math.isfinite(found.theory.q_star.value)
    assert why in str(ch.mean_field(phi, 1.5, 0.1))
    assert ch.critical_line(phi).sigma_w.size == 0
    assert np.isinf(found.theory.chi_perp.value) or found.theory.chi_perp.status == Status.INFINITE
