"""Kernels of two Gaussians against ball arithmetic, closed forms and identities.

The oracle integrates f against the closed heat flow of g, in one dimension, with proven digits;
chione integrates twice and knows no closed form.
"""

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from chione.activations import catalogue
from chione.base import Status
from chione.gaussian import Integrator, bivariate, expectation

GAPS = (1e-14, 3e-9, 0.2, 1.0, 1.7, 2.0 - 1e-14)  # 1 - c
VARIANCES = ((1.0, 1.0), (1e-8, 2.0), (50.0, 0.3), (1e4, 1e4), (0.4, 0.4), (2.0, 30.0))
PARTNERS = {
    "relu": (lambda x: np.maximum(x - 0.3, 0.0), (0.3,), oracle.flow_relu(0.3)),
    "step": (lambda x: (x > -0.2) * 1.0, (-0.2,), oracle.flow_step(-0.2)),
    "erf": (lambda x: special.erf(3.0 * x), (), oracle.flow_erf(3)),
    "bump": (lambda x: np.exp(-((x - 1.5) ** 2) / 0.02), (), oracle.flow_bump(1.5, fmpq(1, 10))),
    "cube": (lambda x: x**3, (), oracle.flow_cube()),
}


@pytest.fixture(autouse=True)
def _bits():
    before, ctx.prec = ctx.prec, oracle.PRECISION
    yield
    ctx.prec = before


def _exact(name, partner, q1, q2, gap, derivative):
    piecewise = oracle.CATALOGUE[name]
    pieces = piecewise.derivatives if derivative else piecewise.pieces
    chosen = oracle.Piecewise(piecewise.knots, pieces, ())
    _, knots, flow = PARTNERS[partner]
    anti = gap > 1.0
    gap = 1.0 + (1.0 - gap) if anti else 1.0 - (1.0 - gap)  # as the rounded c has it
    return oracle.bivariate(chosen, flow, q1, q2, gap, anti=anti, knots=knots)


@pytest.mark.parametrize("partner", sorted(PARTNERS))
@pytest.mark.parametrize("name", ["tanh", "relu", "hardtanh", "gelu", "step", "selu", "softsign"])
@pytest.mark.parametrize("derivative", [False, True], ids=["value", "derivative"])
@pytest.mark.sampled(3)
def test_kernels_of_unlike_functions_are_right_to_1e12(name, partner, derivative):
    phi = catalogue()[name]
    f = phi.derivative if derivative else phi.value
    g, points, _ = PARTNERS[partner]
    sizes = Integrator(f, phi.kinks, power=2), Integrator(g, points, power=2)
    for (q1, q2), gap in zip(VARIANCES, GAPS, strict=True):
        res = bivariate(f, g, q1, q2, 1.0 - gap, breakpoints_f=phi.kinks, breakpoints_g=points)
        exact = _exact(name, partner, q1, q2, gap, derivative)
        distance = float(abs(arb(res.value) - exact))
        assert distance <= res.error + 1e-60  # the oracle has balls of 1e-70 around zeros
        # Cauchy-Schwarz size: a nearly odd product has a value of almost zero
        size = (float(sizes[0](q1).value) * float(sizes[1](q2).value)) ** 0.5
        assert distance <= 1e-12 * size


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("q", [1e-8, 0.7, 1e8])
def test_arc_cosine_kernel_of_relu(gap, q):
    c = arb(1.0 - gap)
    exact = arb(q) * ((1 - c * c).sqrt() + c * (arb.pi() - c.acos())) / (2 * arb.pi())
    relu = catalogue()["relu"]
    res = bivariate(relu, relu, q, q, 1.0 - gap, breakpoints_f=(0.0,), breakpoints_g=(0.0,))
    assert abs(arb(res.value) - exact) <= res.error
    assert abs(arb(res.value) - exact) <= 1e-12 * exact or gap > 1.99


@pytest.mark.parametrize("kink", [0.37, 0.001, -2.4])
@pytest.mark.parametrize("c", [-0.9, 0.0, 0.6, 1.0 - 1e-12])
def test_a_forgotten_kink_is_found(kink, c):
    exact = oracle.bivariate(
        oracle.CATALOGUE["sigmoid"],
        oracle.flow_relu(kink),
        1.3,
        0.8,
        1.0 - abs(c),
        anti=c < 0,
        knots=(kink,),
    )
    res = bivariate(special.expit, lambda x: np.maximum(x - kink, 0.0), 1.3, 0.8, c)
    assert abs(arb(res.value) - exact) <= res.error
    assert abs(arb(res.value) - exact) <= 1e-13


def test_one_minus_c_keeps_what_c_cannot_hold():
    gap = 1e-19
    step = catalogue()["step"].value
    res = bivariate(
        step, step, 1.0, 1.0, 1.0, breakpoints_f=(0.0,), breakpoints_g=(0.0,), one_minus_c=gap
    )
    exact = arb(0.5) - (1 - arb(gap)).acos() / (2 * arb.pi())
    assert abs(arb(res.value) - exact) <= res.error < 1e-14


@pytest.mark.parametrize(("q", "c"), [(1.0, 0.5), (30.0, 0.9), (90.0, 0.2), (200.0, -0.99)])
def test_products_of_exponentials_follow_their_mass_outwards(q, c):
    res = bivariate(np.exp, np.exp, q, q, c)
    exact = (arb(q) * (1 + arb(c))).exp()
    assert abs(arb(res.value) - exact) <= res.error
    assert abs(arb(res.value) - exact) <= 1e-12 * exact


def test_an_infinite_product_says_so():
    square = lambda x: np.exp(x * x)  # noqa: E731
    assert bivariate(square, square, 0.24, 0.24, 0.0).status == Status.OK
    res = bivariate(square, square, 0.4, 0.4, 0.9)
    assert res.status == Status.INFINITE and np.isnan(res.value)


def test_no_variance_on_one_side():
    res = bivariate(np.cos, np.exp, 0.7, 0.0, 0.3)
    assert abs(res.value - np.exp(-0.35)) <= res.error


@pytest.mark.parametrize("c", [-1.0, 1.0])
def test_full_correlation_is_one_dimensional(c):
    res = bivariate(np.tanh, np.arctan, 0.7, 2.0, c)
    one = expectation(lambda x: np.tanh(x) * np.arctan(c * np.sqrt(2.0 / 0.7) * x), 0.7)
    assert abs(res.value - one.value) <= res.error + one.error + 4e-16


@pytest.mark.parametrize("c", [1.5, -1.0001, np.nan])
def test_a_correlation_that_is_none_is_refused(c):
    with pytest.raises(ValueError, match="c"):
        bivariate(np.tanh, np.tanh, 1.0, 1.0, c)


PAIRS = st.sampled_from(["tanh", "hardtanh", "erf", "sin", "arctan", "sign"])
EVEN = st.sampled_from(["abs", "quadratic", "cos", "gaussian"])
C = st.floats(-1.0, 1.0)
LOG_Q = st.floats(-4.0, 2.0)


def _kernel(name, q1, q2, c, derivative=False):
    phi = catalogue()[name]
    f = phi.derivative if derivative else phi.value
    return bivariate(f, f, q1, q2, c, breakpoints_f=phi.kinks, breakpoints_g=phi.kinks)


@settings(max_examples=15, deadline=None)
@given(PAIRS, EVEN, LOG_Q, LOG_Q, C)
def test_parity_of_the_kernel(odd, even, log_q1, log_q2, c):
    q1, q2 = 10.0**log_q1, 10.0**log_q2
    for name, sign in ((odd, -1.0), (even, 1.0)):
        a, b = _kernel(name, q1, q2, c), _kernel(name, q1, q2, -c)
        assert abs(a.value - sign * b.value) <= a.error + b.error
        swapped = _kernel(name, q2, q1, c)
        assert abs(a.value - swapped.value) <= a.error + swapped.error


@settings(max_examples=15, deadline=None)
@given(PAIRS | EVEN, LOG_Q, LOG_Q, C)
def test_cauchy_schwarz(name, log_q1, log_q2, c):
    q1, q2 = 10.0**log_q1, 10.0**log_q2
    phi = catalogue()[name]
    square = Integrator(phi.value, phi.kinks, power=2)
    res = _kernel(name, q1, q2, c)
    bound = np.sqrt(square(q1).value * square(q2).value)
    assert abs(res.value) <= bound * (1.0 + 1e-14) + res.error


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "hardtanh"])
def test_the_derivative_kernel_is_the_slope_of_the_kernel(name):
    q1, q2, c = 0.8, 1.9, 0.35
    nodes, weights = np.polynomial.legendre.leggauss(8)
    slope = [_kernel(name, q1, q2, c + 0.1 * t, derivative=True).value for t in nodes]
    rise = _kernel(name, q1, q2, c + 0.1).value - _kernel(name, q1, q2, c - 0.1).value
    assert abs(rise - np.sqrt(q1 * q2) * 0.1 * (weights @ slope)) < 1e-12
