"""Two-variable expectations and Hermite series of functions that are hard to sample.

Ladder: closed form (products of bells, in Arb). A question that cannot be answered has to end
soon: what is counted is evaluations, never seconds.
"""

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx

from chione.base import Status
from chione.gaussian import bivariate, hermite_expansion


@pytest.fixture(autouse=True)
def _bits():
    before, ctx.prec = ctx.prec, oracle.PRECISION
    yield
    ctx.prec = before


def bells(s, m, q1, q2, c):
    """E f(u1) f(u2) for f = exp(-(u - m)^2 / 2 s^2): s^2 times a Gaussian of covariance S + s^2."""
    s2, m, q1, q2, c = arb(s) ** 2, arb(m), arb(q1), arb(q2), arb(c)
    q12 = c * (q1 * q2).sqrt()
    a, b = q1 + s2, q2 + s2
    det = a * b - q12 * q12
    return s2 / det.sqrt() * (-m * m * (a + b - 2 * q12) / (2 * det)).exp()


def covers(value, error, exact):
    return float(abs(arb(float(value)) - exact)) <= error


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.5, 0.999])
@pytest.mark.parametrize("rate", [1e2, 1e4])
def test_the_kernel_of_a_bell_between_all_nodes_is_found(rate, c):
    def f(x):
        return np.exp(-((rate * (x - 1.2345)) ** 2))

    s = 1 / (arb(rate) * arb(2).sqrt())
    for q1, q2 in ((1.0, 1.0), (2.0, 0.9)):
        res = bivariate(f, f, q1, q2, c)
        exact = bells(s, 1.2345, q1, q2, c)
        assert res.status == Status.OK
        assert covers(res.value, res.error, exact) and res.error <= 1e-9 * res.value


def test_a_bump_on_a_smooth_factor_counts_in_the_kernel():
    def f(x):
        return x + np.exp(-((1e4 * (x - 1.2345)) ** 2))

    res = bivariate(f, lambda x: x, 1.3, 0.8, 0.6)
    q12 = arb(0.6) * (arb(1.3) * arb(0.8)).sqrt()
    s2 = arb(1) / (2 * arb(1e4) ** 2)
    v = arb(1.3) + s2
    # E u2 f(u1) = (q12 / q1) E u1 f(u1), and u1 under the bell has mean m q1 / (q1 + s^2)
    bell = (s2 / v).sqrt() * (-(arb(1.2345) ** 2) / (2 * v)).exp() * arb(1.2345) / v
    assert covers(res.value, res.error, q12 + q12 * bell)
    assert res.error <= 1e-12


@pytest.mark.parametrize("rate", [1e7, 1e9])
def test_a_pair_with_an_unseen_bell_is_a_matter_of_resolution(rate):
    def f(x):
        return np.exp(-((rate * (x - 1.2345)) ** 2))

    res = bivariate(f, np.cos, 1.0, 1.0, 0.5)
    assert res.status == Status.RESOLUTION and res.error > 1e-9
    series = hermite_expansion(f, 1.0, 4)
    assert series.tail.status == Status.RESOLUTION and np.all(series.error > 1e-9)


def test_the_hermite_series_of_a_bell_between_all_nodes_is_found():
    series = hermite_expansion(lambda x: np.exp(-((1e4 * (x - 1.2345)) ** 2)), 1.0, 3)
    s2 = arb(1) / (2 * arb(1e4) ** 2)
    v = 1 + s2
    m = arb(1.2345)
    c0 = (s2 / v).sqrt() * (-m * m / (2 * v)).exp()
    c1 = c0 * m / v
    c2 = c0 * ((m / v) ** 2 + s2 / v - 1) / arb(2).sqrt()
    for k, exact in enumerate((c0, c1, c2)):
        assert covers(series.coefficients[k], series.error[k], exact)
        assert series.error[k] <= 1e-12


def test_a_function_without_a_mean_square_has_no_hermite_series():
    series = hermite_expansion(lambda x: np.exp(x**4), 1.0, 5)
    assert np.all(np.isnan(series.coefficients)) and series.tail.status == Status.INFINITE


class Counted:
    """A function that knows how many values it was asked for."""

    def __init__(self, f):
        self.f, self.values, self.most = f, 0, 0

    def __call__(self, x):
        self.values += x.size
        self.most = max(self.most, x.size)
        return self.f(x)


HARD = {
    "fast sine": lambda x: np.sin(1e6 * x),
    "faster sine": lambda x: np.sin(1e12 * x),
    "poles": np.tan,
    "huge": lambda x: np.hypot(x, 1e308),
    "root": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "noise": lambda x: np.tanh(x) + 1e-6 * np.sin(1e15 * x),
    "steps": lambda x: np.floor(1e4 * x),
    "single precision": lambda x: np.tanh(x.astype(np.float32)).astype(np.float64),
    "comb": lambda x: np.exp(-((1e5 * (np.mod(10 * x, 1.0) - 0.5)) ** 2)),
}


@pytest.mark.sweep
@pytest.mark.parametrize("c", [0.5, 0.999999])
@pytest.mark.parametrize("name", HARD)
def test_every_pair_ends_within_its_budget(name, c):
    for f, g in ((HARD[name], np.tanh), (np.tanh, HARD[name]), (HARD[name], HARD[name])):
        f, g = Counted(f), Counted(g)
        with np.errstate(all="ignore"):
            res = bivariate(f, g, 1.0, 1.0, c)
        assert isinstance(res.status, Status)
        assert f.values + g.values < 2.5e8  # a few seconds
        assert max(f.most, g.most) < 8e6  # 64 MB an array
