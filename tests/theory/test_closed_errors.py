"""Closed forms deep in their tails and over the whole range, with the errors they state.

Ladder: the formulas of the literature in 50 digits (mpmath), at random variances and correlations.
"""

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special

import chione as ch
from chione.base import Status
from chione.theory import derivative_second_moment, length_slope, mean, second_moment
from chione.theory.moments.pair_kernels import derivative_kernel, kernel


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


@mp.workdps(60)
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (145.0, 145.0), (7.0, 7.1), (56.0, 1e-3)])
@pytest.mark.parametrize("c", [-1.0, -1.0 + 2e-14, -0.6, 0.3])
def test_the_kernel_of_the_exponential_keeps_its_digits_however_small_it_is(q1, q2, c):
    found = ch.kernel("exp", q1, q2, c)
    a, b = mp.mpf(q1), mp.mpf(q2)
    truth = mp.exp((a + b) / 2 + mp.mpf(c) * mp.sqrt(a * b))
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 2e-13 * truth


@mp.workdps(40)
@pytest.mark.parametrize("power", [0.1, 1 / 3, 0.5, 0.75])
@pytest.mark.parametrize("q", [1e-4, 1.0, 30.0])
def test_the_slope_of_a_root_is_finite_though_its_derivative_is_not(power, q):
    found = ch.length_slope(lambda x: np.sign(x) * np.abs(x) ** power, q)
    p, v = mp.mpf(power), mp.mpf(q)
    truth = p * (2 * v) ** p * mp.gamma(p + 0.5) / mp.sqrt(mp.pi) / v
    assert found.status == ch.Status.OK
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-13 * truth


@mp.workdps(40)
@pytest.mark.parametrize("phase", [-0.788, 0.78, 0.7853981])
def test_a_slope_whose_two_parts_cancel_errs_by_their_rounding(phase):
    a, b, q = mp.mpf(0.49), mp.mpf(0.339), mp.mpf(1.84e-7)
    found = ch.length_slope(lambda x: 0.49 * np.sin(0.339 * x + phase), 1.84e-7)
    truth = (a * b) ** 2 * mp.cos(2 * mp.mpf(phase)) * mp.exp(-2 * b * b * q)
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-16


@mp.workdps(40)
@pytest.mark.parametrize("q", [2.9479287357503593e-05, 1.7e-5, 4e-3, 1.0])
def test_the_tail_of_a_step_narrower_than_all_panels_counts(q):
    found = ch.length_slope(lambda x: -0.11 * special.erf(1.31e6 * x), q)
    b2, v = mp.mpf(1.31e6) ** 2, mp.mpf(q)
    truth = mp.mpf(0.11) ** 2 * 4 * b2 / mp.pi / ((1 + 2 * b2 * v) * mp.sqrt(1 + 4 * b2 * v))
    assert abs(mp.mpf(found.value) - truth) <= found.error <= 1e-9 * truth
