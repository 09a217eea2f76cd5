"""Closed forms deep in their tails and over the whole range, with the errors they state.

Ladder: the formulas of the literature in 50 digits (mpmath), at random variances and correlations.
"""

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import chione as ch
from chione.base import Status
from chione.theory import derivative_second_moment, length_slope, mean, second_moment
from chione.theory.pair_kernels import derivative_kernel, kernel


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(50):
        yield


def cdf(t):
    return mpmath.erfc(-t / mpmath.sqrt(2)) / 2


def density(t):
    return mpmath.exp(-t * t / 2) / mpmath.sqrt(2 * mp.pi)


def covers(estimate, exact):
    return abs(mpf(float(estimate.value)) - exact) <= mpf(float(estimate.error))


def pairs(rng, low, high):
    """Two variances, equal, nearly equal or far apart, and a correlation up to 1e-14 from 1."""
    q1 = 10.0 ** rng.uniform(low, high)
    q2 = q1 * rng.choice([1.0, 1.0 + 1e-9, 10.0 ** rng.uniform(-1.0, 0.0)])
    ends = [1.0 - 1e-14, -1.0 + 1e-14, 1.0, -1.0, 1.0 - 1e-6, 0.3]
    return q1, q2, float(rng.choice([*ends, rng.uniform(-1.0, 1.0)]))


@pytest.mark.parametrize("ratio", [0.1, 1.0, 2.9, 3.1, 7.9, 8.1, 20.0, 31.6, 36.0])
def test_the_mean_of_a_shifted_rectifier_keeps_its_digits_into_the_tail(ratio):
    rng = np.random.default_rng(int(100 * ratio))
    for _ in range(20):
        b = 10.0 ** rng.uniform(-3.0, 3.0)
        q = (b / ratio) ** 2 * rng.uniform(0.98, 1.02)
        res = mean(f"shifted_relu({b!r})", q)
        t = mpf(b) / mpmath.sqrt(mpf(q))
        exact = mpmath.sqrt(mpf(q)) * (density(t) - t * cdf(-t))
        assert covers(res, exact)
        assert res.error <= 1e-12 * res.value


def test_the_tail_of_the_issue_is_right():
    res = mean("shifted_relu", 1e-3)
    t = 1 / mpmath.sqrt(mpf(1e-3))
    assert covers(res, mpmath.sqrt(mpf(1e-3)) * (density(t) - t * cdf(-t)))
    assert res.status == Status.OK and res.error <= 1e-12 * res.value


def test_exponentials_know_what_rounding_does_to_their_exponents():
    rng = np.random.default_rng(2)
    for _ in range(150):
        w = 10.0 ** rng.uniform(-2.0, 2.5)
        siren = ch.activation(f"siren({w!r})")
        q = float(10.0 ** rng.uniform(-3.0, 2.6) / w**2)
        w2, x = mpf(w) ** 2, mpf(q)
        assert covers(length_slope(siren, q), w2 * mpmath.exp(-2 * w2 * x))
        assert covers(second_moment(siren, q), (1 - mpmath.exp(-2 * w2 * x)) / 2)
        slope = derivative_second_moment(siren, q)
        assert covers(slope, w2 * (1 + mpmath.exp(-2 * w2 * x)) / 2)
        q = float(10.0 ** rng.uniform(-3.0, 2.5))
        assert covers(second_moment("exp", q), mpmath.exp(2 * mpf(q)))
        assert covers(length_slope("cos", q), -mpmath.exp(-2 * mpf(q)))


def test_kernels_of_exponentials_and_waves_stay_within_their_errors():
    rng = np.random.default_rng(3)
    for _ in range(300):
        q1, q2, c = pairs(rng, -3.0, 2.4)
        a, b = mpf(q1), mpf(q2)
        q12 = mpmath.sqrt(a * b) * mpf(c)
        exact = mpmath.exp((a + b) / 2 + q12)
        for form in (kernel, derivative_kernel):
            res = form("exp", q1, q2, c)
            assert covers(res, exact)
        near, far = mpmath.exp(-(a + b) / 2 + q12), mpmath.exp(-(a + b) / 2 - q12)
        assert covers(kernel("cos", q1, q2, c), (near + far) / 2)
        assert covers(kernel("sin", q1, q2, c), (near - far) / 2)


def test_algebraic_kernels_stay_within_their_errors_over_32_decades():
    rng = np.random.default_rng(4)
    for _ in range(300):
        q1, q2, c = pairs(rng, -16.0, 16.0)
        a, b, x = mpf(q1), mpf(q2), mpf(c)
        q12, theta = mpmath.sqrt(a * b) * x, mpmath.acos(x)
        arc = mpmath.sqrt(a * b) * (mpmath.sin(theta) + (mp.pi - theta) * x) / (2 * mp.pi)
        assert covers(kernel("relu", q1, q2, c), arc)
        assert covers(derivative_kernel("relu", q1, q2, c), (mp.pi - theta) / (2 * mp.pi))
        d = (1 + 2 * a) * (1 + 2 * b) - 4 * q12**2
        assert covers(derivative_kernel("erf", q1, q2, c), 4 / mp.pi / mpmath.sqrt(d))
        assert covers(kernel("gaussian", q1, q2, c), 1 / mpmath.sqrt(d))
        e = (1 + a) * (1 + b)
        d = e - q12**2
        angle = mpmath.acos(-q12 / mpmath.sqrt(e))
        gelu = (q12 * angle + (a * b * d + q12**2) / (e * mpmath.sqrt(d))) / (2 * mp.pi)
        assert covers(kernel("gelu", q1, q2, c), gelu)
