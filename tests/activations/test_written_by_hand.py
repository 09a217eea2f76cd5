"""What people write by hand gives the numbers of the catalogue, or of mpmath, within the errors."""

import numpy as np
import pytest
from mpmath import mp, mpf
from written_by_hand import EXACT, TWINS, Form

import chione as ch
from chione.activations import activation, from_callable
from chione.base import SpecError, Status
from chione.gaussian.resolution import resolve
from chione.theory import mean_field, trajectory
from chione.theory.moments.moments import moments

LENGTHS = (1e-6, 0.3, 1.0, 30.0, 1e5)
PAIRS = ((1.0, 1.0, 0.3), (1e-4, 2.0, -0.9), (5.0, 5.0, 0.999), (50.0, 0.2, -0.2))
BY_TWIN = sorted(name for name, form in TWINS.items() if form.twin)
BY_MPMATH = sorted(EXACT)


def _agree(ours, theirs, what):
    """Both have a value and differ by the sum of their errors at most, or neither has one."""
    a, b = float(ours.value), float(theirs.value)
    assert np.isfinite(a) == np.isfinite(b), (what, ours, theirs)
    if np.isfinite(a):
        assert abs(a - b) <= float(ours.error) + float(theirs.error), (what, ours, theirs)


@pytest.mark.parametrize("name", BY_TWIN)
@pytest.mark.sampled(3)
def test_moments_are_those_of_the_twin(name):
    ours, theirs = (moments(activation(f)) for f in (TWINS[name].written, TWINS[name].twin))
    for q in LENGTHS:
        for kind in ("mean", "square", "fourth", "derivative_square", "slope"):
            _agree(getattr(ours, kind)(q), getattr(theirs, kind)(q), (kind, q))


@pytest.mark.parametrize("name", BY_TWIN)
@pytest.mark.sampled(5)
def test_kernels_are_those_of_the_twin(name):
    ours, theirs = (activation(f) for f in (TWINS[name].written, TWINS[name].twin))
    for pair in PAIRS:
        _agree(ch.kernel(ours, *pair), ch.kernel(theirs, *pair), pair)


@pytest.mark.sweep  # 60 fixed points in two variables
@pytest.mark.parametrize("name", BY_TWIN)
def test_the_mean_field_is_that_of_the_twin(name):
    ours, theirs = (
        mean_field(activation(f), sigma_w=1.3, sigma_b=0.2)
        for f in (TWINS[name].written, TWINS[name].twin)
    )
    assert ours.phase == theirs.phase
    for kind in ("q_star", "c_star", "chi_parallel", "chi_perp"):
        _agree(getattr(ours, kind), getattr(theirs, kind), kind)


@pytest.mark.sweep  # double integrals layer by layer
@pytest.mark.parametrize("name", ["gelu, erf", "softplus", "mish", "elu", "tanh, sigmoid", "selu"])
def test_trajectories_are_those_of_the_twin(name):
    ours, theirs = (
        trajectory(activation(f), sigma_w=1.3, sigma_b=0.2, depth=8)
        for f in (TWINS[name].written, TWINS[name].twin)
    )
    np.testing.assert_allclose(ours.q, theirs.q, rtol=1e-12)
    np.testing.assert_allclose(ours.one_minus_c, theirs.one_minus_c, rtol=1e-9)
    np.testing.assert_allclose(ours.chi, theirs.chi, rtol=1e-12)


def _exact_square(form, q):
    """E f^2 in mpmath, cut at the kinks and where a Gaussian changes its face."""
    sigma = mp.sqrt(mpf(q))
    cuts = sorted({*(mpf(k) / sigma for k in form.breaks), *map(mpf, range(-16, 17, 2))})

    def integrand(z):
        return form.exact(sigma * z) ** 2 * mp.exp(-z * z / 2)

    return mp.quad(integrand, cuts) / mp.sqrt(2 * mp.pi)


@pytest.mark.parametrize("name", BY_MPMATH)
@pytest.mark.sampled(3)
def test_mean_squares_are_those_of_mpmath(name):
    form = EXACT[name]
    phi = activation(form.written)
    for q in (1e-5, 0.4, 3.0):
        got = moments(phi).square(q)
        true = _exact_square(form, q)
        assert got.status == Status.OK
        assert abs(mpf(got.value) - true) <= got.error, (q, got, true)


def _exact_slope(form, q):
    """d/dq E f^2 by Stein's lemma, which needs no derivative: no line is shared with ours."""
    q = mpf(q)
    sigma = mp.sqrt(q)
    cuts = sorted({*(mpf(k) / sigma for k in form.breaks), *map(mpf, range(-16, 17, 2))})

    def integrand(z):
        return (z * z - 1) * form.exact(sigma * z) ** 2 * mp.exp(-z * z / 2)

    return mp.quad(integrand, cuts) / mp.sqrt(2 * mp.pi) / (2 * q)


@pytest.mark.parametrize("name", ["islru", "jump and bend", "two powers"])
@pytest.mark.parametrize("declared", [False, True])
def test_slopes_with_masses_at_kinks_are_within_a_tight_error(name, declared):
    form = EXACT[name]
    kinks = list(form.breaks) if declared else None
    phi = from_callable(form.written, kinks=kinks)
    for q in (1e-6, 1e-3, 0.1, 2.0):
        got = moments(phi).slope(q)
        true = _exact_slope(form, q)
        assert abs(mpf(got.value) - true) <= got.error, (q, got, true)
        assert got.error <= 1e-12 * abs(got.value) + 1e-14


@pytest.mark.parametrize("name", ["gelu, erf", "silu, tanh", "softplus", "tanh, exponentials"])
def test_noise_of_a_formula_costs_no_flood_of_evaluations(name):
    form = TWINS[name]
    count = 0
    base = activation(form.written).f

    def counted(x):
        nonlocal count
        count += x.size
        return base(x)

    phi = from_callable(lambda x: np.asarray(counted(np.asarray(x))))
    ch.kernel(phi, 1.0, 1.0, 0.3)
    moments(phi).square(1.0)
    assert count < 1_500_000  # formula points, not panels


@pytest.mark.parametrize("name", ["sigmoid, other way", "logsigmoid, log of a sigmoid"])
def test_a_second_derivative_that_dies_away_in_noise_needs_few_panels(name):
    phi, twin = (activation(f) for f in (TWINS[name].written, TWINS[name].twin))

    def panels(act):
        return len(resolve(act.second_derivative, act.kinks, 1.0, 46.0).edges)

    assert panels(phi) < 8 * panels(twin)


@pytest.mark.parametrize("name", ["tanh, sigmoid", "tanh, exponentials", "tanh, one exponential"])
@pytest.mark.parametrize("q", [1e-24, 1e-12, 1e-6])
def test_what_cancels_next_to_zero_and_is_straight_there_keeps_its_digits(name, q):
    got = moments(activation(TWINS[name].written)).square(q)
    # in units of q: the tolerance of mp.quad is an absolute one
    true = q * _exact_square(Form(None, exact=lambda x: mp.tanh(x) / mp.sqrt(q)), q)
    assert abs(mpf(got.value) - true) <= got.error <= 1e-10 * true


def test_a_value_that_begins_at_zero_begins_at_the_zero_of_its_formula():
    got = moments(activation("log(cosh(x))")).square(1e-8)
    true = mpf(1e-8) ** 2 * (mpf(3) / 4 - mpf(15) / 12 * mpf(1e-8))  # E (x^2/2 - x^4/12)^2
    assert abs(mpf(got.value) - true) <= got.error + 1e-31 <= 1e-10 * true


@pytest.mark.parametrize("q", [0.3, 1.0, 50.0])
@pytest.mark.parametrize(
    ("written", "exact"),
    [
        (lambda x: x**3.0 / (1 + x**2), lambda x: x**3 / (1 + x * x)),
        (lambda x: x**5.0 / (1 + x**4), lambda x: x**5 / (1 + x**4)),
        (lambda x: x * x / (1 + x * x) ** 0.5, lambda x: x * x / mp.sqrt(1 + x * x)),
    ],
)
def test_slopes_of_quotients_whose_bend_cancels_are_those_of_mpmath(written, exact, q):
    got = moments(activation(written)).slope(q)
    true = _exact_slope(Form(None, exact=exact, breaks=tuple(np.arange(-12.5, 13.0, 1.0))), q)
    assert abs(mpf(got.value) - true) <= got.error <= 1e-12 * true


@pytest.mark.parametrize(("written", "p"), [("cbrt(x)", 1 / 3), ("sign(x)*sqrt(abs(x))", 0.5)])
@pytest.mark.parametrize("q", [1e-6, 1.0, 1e4])
def test_powers_with_an_infinite_slope_at_zero_have_a_finite_slope_of_lengths(written, p, q):
    """E |x|^2p = (2 q)^p Gamma(p + 1/2) / sqrt(pi)."""
    got = moments(activation(written)).slope(q)
    true = mpf(p) / q * (2 * mpf(q)) ** p * mp.gamma(mpf(p) + mpf(1) / 2) / mp.sqrt(mp.pi)
    assert got.status == Status.OK
    assert abs(mpf(got.value) - true) <= got.error <= 1e-12 * true


def test_stairs_written_with_rounding_have_derivatives_of_their_own():
    for f in (lambda x: np.round(4 * x) / 4, lambda x: np.around(x), lambda x: np.fix(x)):
        assert activation(f).method == "jets"


def test_point_masses_of_many_jumps_share_the_panels_of_the_slope(monkeypatch):
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return resolve(*args, **kwargs)

    monkeypatch.setattr("chione.gaussian.smoothing.resolve", counted)
    phi = activation("x+0.5*round(x)")
    got = ch.derivative_kernel(phi, 1.0, 1.0, 0.3)
    assert len(phi.kinks) > 100
    assert len(calls) <= 4
    # the sum over the jumps is a Gaussian to 1e-8: E (1 + 1/2)(1 + 1/2), Poisson's formula
    assert abs(got.value - 2.25) < 1e-7


def test_a_value_at_zero_that_is_a_rounding_error_is_in_the_stated_error():
    phi = activation("cos(x-pi/2)")
    mean = moments(phi).mean(1e-6)
    assert abs(mean.value) <= mean.error  # that of the sine is zero


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("tan(x)", r"pole at -1\.5707963"),
        ("1/(x-1.5)", r"pole at 1\.5,"),
        ("1/cos(x)", "pole at"),
        ("sin(1e6*x)+x", "turns many times"),
    ],
)
def test_what_no_integral_follows_is_refused_with_the_place(text, match):
    with pytest.raises(SpecError, match=match):
        activation(text)


@pytest.mark.parametrize("text", ["exp(x)*sin(x)", "exp(x**2/9)", "1/(1e-6+(x-1)**2)", "x**3"])
def test_steep_functions_are_no_poles(text):
    assert activation(text).piecewise_smooth
