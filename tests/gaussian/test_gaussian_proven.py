"""The fixed rule of a throw-away expectation: right where it answers, silent where it would not be.

The ladder: 30 digits by mpmath; the adaptive rule, which shares no code with it, on functions put
together at random; statuses and refusals as that rule has them.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import special

from chione.base import Status
from chione.gaussian import Integrator, expectation
from chione.gaussian.features import Features
from chione.gaussian.proven import proven, proven_nodes

# function, the same for 30 digits, its kinks
KNOWN = {
    "tanh^2": (lambda h: np.tanh(h) ** 2, lambda h: mpmath.tanh(h) ** 2, ()),
    "bell": (lambda h: np.exp(-h * h), lambda h: mpmath.exp(-h * h), ()),
    "abs": (np.abs, abs, (0,)),
    "silu": (lambda h: h / (1 + np.exp(-h)), lambda h: h / (1 + mpmath.exp(-h)), ()),
    "softplus": (lambda h: np.log1p(np.exp(h)), lambda h: mpmath.log(1 + mpmath.exp(h)), ()),
    "pole beside": (lambda h: 1 / (0.1 + h * h), lambda h: 1 / (mpmath.mpf("0.1") + h * h), ()),
    "exp 2 h": (lambda h: np.exp(2 * h), lambda h: mpmath.exp(2 * h), ()),
    "clip": (
        lambda h: np.clip(h, -1, 0.75),
        lambda h: min(max(h, -1), mpmath.mpf(0.75)),
        (-1, 0.75),
    ),
    "jump": (lambda h: (h > 0.5) * 1.0, lambda h: mpmath.mpf(h > 0.5), (0.5,)),
    "elu": (
        lambda h: np.where(h > 0, h, np.expm1(h)),
        lambda h: h if h > 0 else mpmath.expm1(h),
        (0,),
    ),
    "cancelling": (lambda h: np.log(1.0 + h * h), lambda h: mpmath.log(1 + h * h), ()),
}


@pytest.fixture
def adaptive():
    """The adaptive rule alone."""

    def rule(f, q, power=1):
        with np.errstate(all="ignore"):
            return Integrator(f, (), power=power, features=Features(f, ())).adaptive()(q)

    return rule


def exact(f, q, kinks, power):
    with mpmath.workdps(30):
        v = mpmath.mpf(q)
        top = 20 * mpmath.sqrt(v)
        steps = [top * k / 20 for k in range(-20, 21)]
        places = sorted({*steps, *(mpmath.mpf(k) for k in kinks)})
        density = 1 / mpmath.sqrt(2 * mpmath.pi * v)
        return density * mpmath.quad(lambda h: f(h) ** power * mpmath.exp(-h * h / 2 / v), places)


@pytest.mark.parametrize(("q", "power"), [(0.04, 1), (1.3, 2), (6.0, 1)])
@pytest.mark.parametrize("name", KNOWN)
def test_the_value_is_within_the_error_that_is_told(name, q, power):
    f, digits, kinks = KNOWN[name]
    found = proven(f, q, (), power)
    size = Integrator(lambda h: np.abs(f(h)), kinks, power=power)(q).value
    assert abs(found.value - exact(digits, q, kinks, power)) <= found.error
    assert found.error <= 4e-14 * size * power


def test_a_quick_oscillation_is_cut_into_parts():
    found = proven(lambda h: np.cos(50.0 * h) ** 2, 1.0, (), 1)
    assert abs(found.value - 0.5) <= found.error < 1e-13


def counted(f, calls):
    def g(h):
        if isinstance(h, np.ndarray):
            calls.append(h.size)
        return f(h)

    return g


@pytest.mark.parametrize("name", ["tanh^2", "bell", "abs", "silu"])
def test_an_ordinary_function_is_asked_at_some_hundred_places_once(name):
    calls = []
    expectation(counted(KNOWN[name][0], calls), 1.3)
    assert len(calls) == 2 and sum(calls) < 1000  # the first is the check of three places


HARD = {
    "spike": lambda h: np.exp(-(((h - 1.0) / 1e-3) ** 2)),
    "box": lambda h: np.where(np.abs(h - 0.7) < 2e-3, 5.0, 0.0) + h * h,
    "far peak": lambda h: 1e30 * np.exp(-(((h - 11.0) / 0.01) ** 2)) + 1.0,
    "sin 1000 h": lambda h: np.sin(1000.0 * h) ** 2,
    "root": lambda h: np.sqrt(np.abs(h)),
    "read from a list": lambda h: np.interp(h, [-1.0, 0.0, 2.0], [3.0, 1.0, 2.0]),
    "floor": lambda h: np.floor(h + 0.5),
    "step within a step": lambda h: np.sign(np.tanh(h) - 0.3),
    "grows": lambda h: np.exp(0.2 * h * h),
    "too large": lambda h: 1e300 * np.exp(h),
    "nothing": lambda h: 0.0 * h,
    "pole": lambda h: 1.0 / (h - 0.4),
    "by hand": lambda h: np.array([max(x, 0.1) for x in h]),
    "peak beyond all panels": lambda h: np.where(np.abs(h - 11.0) < 0.4, 1e120, 1.0),
    "steep": lambda h: np.tanh(1e5 * h),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("q", [0.3, 3.0])
def test_where_the_rule_is_not_enough_the_panels_that_adapt_answer(name, q, adaptive):
    f = HARD[name]
    old = adaptive(f, q)
    with np.errstate(all="ignore"):
        new = expectation(f, q)
    assert new.status == old.status
    assert np.isfinite(new.value) == np.isfinite(old.value)
    if np.isfinite(old.value):
        assert abs(new.value - old.value) <= new.error + old.error
        assert new.error <= 10.0 * old.error + 1e-12 * abs(old.value)


def random_function(rng):
    """Up to two pieces of what people write, put together."""

    def piece():
        a, b = float(np.exp(rng.uniform(-3, 3))), float(rng.normal())
        return rng.choice(
            np.array(
                [
                    lambda h: np.tanh(a * h + b),
                    lambda h: np.exp(-((a * h + b) ** 2)),
                    lambda h: np.abs(a * h + b),
                    lambda h: 1.0 / (1.0 + np.exp(-a * h)),
                    lambda h: np.sin(a * h + b),
                    lambda h: (a * h + b) ** 3,
                    lambda h: np.where(a * h > b, h, np.cos(h)),
                    lambda h: special.erf(a * h + b),
                    lambda h: np.minimum(np.log(1.0 + (a * h) ** 2), 2.0),
                    lambda h: np.where(np.abs(h - b) < 0.01 * a, 5.0, 0.0),
                    lambda h: np.exp(-1000.0 * (a * (h - b)) ** 2),
                    lambda h: np.exp(0.05 * a * h * h),
                ],
                dtype=object,
            )
        )

    f, g = piece(), piece()
    together = [
        f,
        lambda h: f(h) * g(h),
        lambda h: f(h) + g(h),
        lambda h: f(g(h)),
        lambda h: h * f(h) - g(h),
    ]
    return together[rng.integers(len(together))]


@pytest.mark.parametrize("seed", range(4))
def test_random_functions_have_the_value_of_the_adaptive_rule_and_no_worse_status(seed, adaptive):
    rng = np.random.default_rng(seed)
    answered = 0
    for _ in range(40):
        f, q = random_function(rng), float(np.exp(rng.uniform(-6, 4)))
        power = int(rng.integers(1, 3))
        new = proven(f, q, (), power)
        if new is None:
            continue
        answered += 1
        old = adaptive(f, q, power)
        assert old.status in (Status.OK, Status.INEXACT, Status.RESOLUTION)
        assert abs(new.value - old.value) <= new.error + old.error
    assert answered >= 20


@pytest.mark.parametrize("seed", range(3))
def test_one_rule_serves_all_variances_of_its_binade(seed, adaptive):
    rng = np.random.default_rng(seed)
    answered = 0
    for _ in range(15):
        f, sigma = random_function(rng), 2.0 ** rng.integers(-4, 3)
        power = int(rng.integers(1, 3))
        if proven_nodes(f, sigma, (), power) is None:
            continue
        answered += 1
        q = sigma**2 * np.array([1.0, 1.3, 2.1, 3.1, 3.999])
        new = Integrator(f, (), power=power, features=Features(f, ()))(q)
        old = adaptive(f, q, power)
        assert np.all(np.abs(new.value - old.value) <= new.error + old.error)
        assert np.all(new.status == Status.OK)
    assert answered >= 7


def test_an_array_of_variances_costs_one_look_for_each_binade():
    calls = []
    q = np.linspace(1.0, 15.99, 300)  # two binades of the deviation
    found = expectation(counted(np.tanh, calls), q, power=2)
    assert len(calls) == 3 and sum(calls) < 2500
    assert found.value[100] == pytest.approx(expectation(np.tanh, float(q[100]), power=2).value)


def test_a_declared_break_is_an_edge_also_where_the_function_hides_it():
    def f(h):
        return np.where(h > 0.3, np.exp(h), -1.0)

    for breakpoints in ((0.3,), ()):
        found = expectation(f, 2.0, breakpoints=breakpoints)
        old = Integrator(f, (0.3,))(2.0)
        assert abs(found.value - old.value) <= found.error + old.error < 1e-13


def test_a_function_of_disks_that_is_not_that_of_arrays_is_not_believed():
    def f(h):
        return np.tanh(h) if isinstance(h, np.ndarray) else np.sin(h)

    assert proven(f, 1.0, (), 2) is None
    assert expectation(f, 1.0, power=2).value == pytest.approx(0.394294490397841, abs=1e-12)


def test_what_is_infinite_for_every_variance_is_so_where_it_looks_tame():
    for f in (lambda h: np.exp(h**4), lambda h: 1.0 + h * np.exp(np.abs(h) ** 3)):
        with np.errstate(all="ignore"):
            assert expectation(f, 1e-3).status == Status.INFINITE


def test_nan_is_refused_as_before():
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="returned NaN"):
        expectation(lambda h: np.log(h - 100.0) + 1.0, 1.0)
