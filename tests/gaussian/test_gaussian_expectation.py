"""One-dimensional expectations against ball arithmetic, closed forms and identities.

Ladder: closed form, independent method (Arb), identities with hypothesis. Every comparison also
asks that the stated error is at least the true one.
"""

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from chione.activations import catalogue
from chione.base import Status
from chione.gaussian import Integrator, expectation, gaussian_nodes

VARIANCES = (1e-8, 3e-4, 0.26, 3.3, 41.0, 1.3e5, 1e8)
PERIODIC = {"sin": 1e4, "cos": 1e4, "siren": 700.0}  # largest q at which the panels resolve them


@pytest.fixture(autouse=True)
def _bits():
    before, ctx.prec = ctx.prec, oracle.PRECISION
    yield
    ctx.prec = before


def miss(estimate, exact):
    """Distance of an estimate from an enclosure, checked to be within its error."""
    exact = arb(exact)
    distance = float(abs(arb(estimate.value) - exact))
    assert distance <= estimate.error, (estimate, exact)
    return distance


def test_oracle_meets_closed_forms():
    relu, erf = oracle.CATALOGUE["relu"], oracle.CATALOGUE["erf"]
    two, q = arb(2), arb(3.3)
    assert abs(oracle.expectation(relu, 3.3, power=2) - q / 2) < 1e-40
    exact = 2 / arb.pi() * (2 * q / (1 + two * q)).asin()
    assert abs(oracle.expectation(erf, 3.3, power=2) - exact) < 1e-40


def test_every_activation_is_in_the_oracle():
    assert set(oracle.CATALOGUE) == set(catalogue())


@pytest.mark.parametrize("derivative", [False, True], ids=["value", "derivative"])
@pytest.mark.parametrize("name", sorted(oracle.CATALOGUE))
@pytest.mark.sampled(3)
def test_mean_squares_of_the_catalogue_are_right_to_1e13(name, derivative):
    phi = catalogue()[name]
    integrate = Integrator(phi.derivative if derivative else phi.value, phi.kinks, power=2)
    for q in VARIANCES:
        if q > PERIODIC.get(name, 1e99) or (name == "exp" and q > 100.0):
            continue
        exact = oracle.expectation(oracle.CATALOGUE[name], q, derivative=derivative, power=2)
        assert exact.is_finite() and float(exact.rad()) <= 1e-25 * float(abs(exact))
        res = integrate(q)
        assert miss(res, exact) <= 1e-13 * float(abs(exact))
        assert res.status == Status.OK


def _tail(k):
    """E max(z - k, 0)."""
    k = arb(k)
    return (-k * k / 2).exp() / (2 * arb.pi()).sqrt() - k * (k / arb(2).sqrt()).erfc() / 2


@pytest.mark.parametrize("k", [0.37, -1.9, 6.1, 20.0, 37.0])
@pytest.mark.parametrize("declared", [True, False])
def test_rectifiers_far_in_the_tail_keep_relative_accuracy(k, declared):
    points = (k,) if declared else ()
    res = expectation(lambda x: np.maximum(x - k, 0.0), 1.0, breakpoints=points)
    assert miss(res, _tail(k)) <= 1e-12 * float(_tail(k))


@pytest.mark.parametrize(
    ("centre", "width", "q"),
    [(3.0, 0.007, 1.0), (6.0, 0.01, 1.0), (0.0, 1e-6, 1.0), (123.456, 1.0, 1e8)],
)
def test_narrow_bumps_are_seen(centre, width, q):
    a, s, v = arb(centre), arb(width), arb(q)
    exact = s / (s * s + v).sqrt() * (-a * a / (2 * (s * s + v))).exp()
    res = expectation(lambda x: np.exp(-((x - centre) ** 2) / (2.0 * width * width)), q)
    assert miss(res, exact) <= 1e-13 * float(exact)


@pytest.mark.parametrize("r", [1.5, 0.5, 0.25, -0.25, -0.5, -0.9])
def test_powers_with_a_singularity_know_their_error(r):
    p = arb(r)
    exact = arb(2) ** (p / 2) * ((p + 1) / 2).gamma() / arb.pi().sqrt()
    with np.errstate(divide="ignore"):
        res = expectation(lambda x: np.abs(x) ** r, 1.0)
    assert miss(res, exact) <= 1e-14 * float(exact) or r < 0.0


def test_logarithms_are_integrated():
    res = expectation(lambda x: np.log(np.abs(x)), 1.0)
    assert miss(res, -(arb.const_euler() + arb.const_log2()) / 2) < 1e-14


@pytest.mark.parametrize("q", [1e-300, 1e-320, 1e-150, 1e150, 1e300, 1e306])
def test_extreme_variances_neither_underflow_nor_overflow(q):
    for f, exact in (
        (lambda x: x, arb(q)),
        (np.tanh, None),
        (lambda x: np.maximum(x, 0), arb(q) / 2),
    ):
        res = expectation(f, q, power=2, breakpoints=(0.0,))
        if exact is None:
            exact = arb(q) if q < 1.0 else arb(1)
        slack = q**-0.5 if q > 1.0 else 0.0  # 1 - E tanh^2
        assert miss(res, exact) <= 1e-13 * float(exact) + slack or res.status == Status.INEXACT
        assert (res.status == Status.INEXACT) == (q < 1e-310)


@pytest.mark.parametrize("w", [10.0, 1e3, 1e4, 1e6])
def test_fast_oscillation_is_right_or_declared_inexact(w):
    res = expectation(lambda x: np.sin(w * x), 1.0, power=2)
    assert miss(res, (1 - (-2 * arb(w) ** 2).exp()) / 2) <= 1e-13 or res.status == Status.INEXACT
    assert (res.status == Status.INEXACT) == (w > 5e3)


@pytest.mark.parametrize(
    ("q", "status"),
    [
        (0.2, Status.OK),
        (0.24, Status.OK),
        (0.25, Status.INFINITE),
        (0.3, Status.INFINITE),
        (7.0, Status.INFINITE),
    ],
)
def test_a_square_of_exp_x_squared_is_infinite_from_a_quarter(q, status):
    res = expectation(lambda x: np.exp(x * x), q, power=2)
    assert res.status == status
    if status == Status.OK:
        miss(res, 1 / (1 - 4 * arb(q)).sqrt())
    else:
        assert np.isnan(res.value) and np.isnan(res.error)


def test_what_float64_cannot_hold_is_an_overflow():
    res = expectation(np.exp, 1e3, power=2)
    assert res.status == Status.OVERFLOW and np.isnan(res.value)


def test_zero_constant_and_odd_functions():
    assert expectation(lambda x: 0.0 * x, 1.0).value == 0.0
    assert miss(expectation(lambda x: 0.0 * x + 3.0, 1.0), 3) < 1e-14
    for f in (np.tanh, lambda x: x**3, np.sinh):
        miss(expectation(f, 4.0), 0)


def test_no_variance_gives_the_value_at_zero():
    assert expectation(np.cos, 0.0).value == 1.0
    assert expectation(np.sign, 0.0).value == 0.0


def test_array_call_equals_scalar_loop():
    integrate = Integrator(np.tanh, power=2)
    q = np.array([[0.0, 1e-5, 1.0], [2.0, 3.99, 1e6]])
    res = integrate(q)
    for i in np.ndindex(q.shape):
        one = integrate(float(q[i]))
        assert abs(res.value[i] - one.value) <= 1e-15 * abs(one.value)
        assert res.status[i] == one.status
    assert res.value.shape == q.shape


def test_noisy_functions_say_so():
    res = expectation(lambda x: np.tanh(x.astype(np.float32)), 1.0, power=2)
    miss(res, oracle.expectation(oracle.CATALOGUE["tanh"], 1.0, power=2))
    assert res.status == Status.INEXACT


@pytest.mark.parametrize("q", [-1.0, np.nan, np.inf])
def test_a_variance_that_is_none_is_refused(q):
    with pytest.raises(ValueError, match="q"):
        expectation(np.tanh, q)


def test_a_function_that_returns_nan_is_refused():
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="NaN"):
        expectation(np.sqrt, 1.0)


FUNCTIONS = st.sampled_from(
    [
        (np.tanh, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2),
        (np.sin, np.cos),
        (special.expit, lambda x: special.expit(x) * special.expit(-x)),
        (np.arctan, lambda x: 1 / (1 + x * x)),
        (np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x)),
    ]
)
LOG_Q = st.floats(-6.0, 3.0)


@settings(max_examples=30, deadline=None)
@given(FUNCTIONS, LOG_Q)
def test_steins_lemma(pair, log_q):
    f, df = pair
    q = 10.0**log_q
    left = expectation(lambda h: h * f(h), q)
    right = expectation(df, q)
    assert abs(left.value - q * right.value) <= left.error + q * right.error


@settings(max_examples=30, deadline=None)
@given(FUNCTIONS, LOG_Q, st.floats(0.1, 10.0))
def test_scaling_the_argument_scales_the_variance(pair, log_q, a):
    f, _ = pair
    q = 10.0**log_q
    one = expectation(lambda h: f(a * h), q, power=2)
    two = expectation(f, q * a * a, power=2)
    assert abs(one.value - two.value) <= one.error + two.error + 1e-15 * two.value


def test_nodes_represent_the_gaussian():
    h, p = gaussian_nodes(2.0, functions=(np.abs,), breakpoints=(0.0,))
    assert np.all(np.diff(h) > 0) and abs(p.sum() - 1.0) < 1e-14
    assert abs(p @ np.abs(h) - np.sqrt(4.0 / np.pi)) < 1e-14
    assert abs(p @ h**4 - 12.0) < 1e-12
