"""Moments of many lengths at once: look-ups that are as good as the integrals they stand for.

The ladder: closed form (a Gaussian bump by hand), 30 digits by mpmath, the scalar call.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import chione
from chione.base import Estimate, Status
from chione.gaussian import Table
from chione.theory.moments.moments import Moments, moments

KINDS = ("mean", "square", "fourth", "derivative_square", "slope")
ACTIVATIONS = {
    "tanh": chione.activation("tanh"),
    "mish": chione.activation("mish"),
    "elu": chione.activation("elu"),
    "a soft sign": chione.activation(lambda h: h / (1.0 + np.abs(h))),
}
GROWING = chione.activation("exp(x^2/9)")  # infinite moments from q = 9/4 on
SLOW = [("a soft sign", "slope"), ("a soft sign", "derivative_square")]  # seconds each, alone
ODD = [0.0, 5e-324, 1e-310, 1e-300, 1e-100, 1e100, 1e300]


def lengths(low, high, n, seed=0):
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


CASES = [(name, kind) for name in ACTIVATIONS for kind in KINDS if (name, kind) not in SLOW]


@pytest.mark.parametrize(("name", "kind"), [*CASES, ("growing", "square")])
@pytest.mark.sampled(4)
def test_many_lengths_give_what_each_alone_does(name, kind):
    one = getattr(moments(ACTIVATIONS.get(name, GROWING)), kind)
    q = np.concatenate([lengths(0.5, 3.0, 37), lengths(1e-9, 1e9, 12), ODD])
    one(q)
    every = one(q)  # asked for again: from pieces, where there are any
    alone = [one(float(x)) for x in q]
    assert every.status.tolist() == [int(e.status) for e in alone]
    value, error = (np.array([getattr(e, part) for e in alone]) for part in ("value", "error"))
    known = np.isfinite(value)
    assert np.array_equal(known, np.isfinite(every.value))
    assert np.all(np.abs(every.value - value)[known] <= (every.error + error)[known])
    assert np.all(every.error[known] <= 3.0 * error[known] + 1e-14 * np.abs(value[known]))
    if kind != "mean":  # whose two sides cancel, so that its own digits are as the nodes will
        assert np.all(np.abs(every.value - value)[known] <= 1e-14 * np.abs(value[known]) + 1e-316)


@pytest.mark.parametrize("q", [0.013, 5.0, 300.0])
def test_the_error_of_a_look_up_is_true(q):
    m = Moments(chione.activation("tanh"))
    x = q * np.linspace(0.9, 1.1, 40)
    m.square(x), m.derivative_square(x)
    square, slope = m.square(x), m.derivative_square(x)
    for i in (0, 17):
        with mpmath.workdps(30):
            v = mpmath.mpf(float(x[i]))

            def mean(f, v=v):
                top = mpmath.sqrt(v) * 13
                places = [0, *(top * mpmath.mpf(2) ** -k for k in range(12, -1, -1))]
                density = 2 / mpmath.sqrt(2 * mpmath.pi * v)
                return density * mpmath.quad(lambda h: f(h) * mpmath.exp(-h * h / 2 / v), places)

            exact = mean(lambda h: mpmath.tanh(h) ** 2)
            steep = mean(lambda h: mpmath.sech(h) ** 4)
        for e, true in ((square, exact), (slope, steep)):
            assert abs(e.value[i] - true) <= e.error[i] <= 2e-14 * true


def test_a_table_reads_its_piece_from_the_bits_and_rounds_nothing_far_away():
    power = Table(lambda q: Estimate(q**0.75, 1e-16 * q**0.75))
    q = lengths(1e-290, 1e290, 2000)
    power.estimate(q)
    for value in (power.estimate(q).value, power(q), power.with_slope(q)[0]):
        assert np.abs(value / q**0.75 - 1.0).max() < 2e-15
    assert np.abs(power.with_slope(q)[1] / (0.75 * q**-0.25) - 1.0).max() < 1e-12


def counted(calls):
    def function(q):
        calls.append(q.size)
        return Estimate(np.sqrt(q), 1e-15 * np.sqrt(q), np.zeros(q.shape, dtype=np.int8))

    return function


def test_few_scattered_values_cost_what_they_cost_without_a_table():
    calls = []
    q = np.geomspace(1e-200, 1e200, 100)
    Table(counted(calls)).estimate(q)
    assert sum(calls) == q.size


def test_many_values_cost_a_few_on_each_piece_and_nothing_when_asked_again():
    calls = []
    table = Table(counted(calls))
    q = lengths(1.0, 16.0, 5000)  # sixteen pieces
    table.estimate(q)
    assert sum(calls) <= 16 * 20
    before = sum(calls)
    assert np.abs(table.estimate(q[::3]).value / np.sqrt(q[::3]) - 1.0).max() < 1e-15
    assert sum(calls) == before


def test_a_second_call_of_a_few_values_builds_what_a_third_will_use():
    calls = []
    table = Table(counted(calls))
    q = np.linspace(1.0, 1.9, 12)
    table.estimate(q), table.estimate(q)
    before = sum(calls)
    table.estimate(q)
    assert sum(calls) == before


def test_a_table_does_not_stand_for_what_it_cannot_hold():
    def spike(q):
        value = 1.0 + np.exp(-(((q - 1.3) / 0.02) ** 2))
        return Estimate(value, 1e-15 * value, np.where(q > 6.0, Status.INEXACT, Status.OK))

    table = Table(spike)
    q = np.linspace(1.0, 8.0, 4001)
    table.estimate(q)
    found = table.estimate(q)
    assert np.array_equal(found.value[q < 1.5], spike(q[q < 1.5]).value)
    assert np.array_equal(found.status, spike(q).status)


def test_lengths_that_are_no_variances_are_refused_among_many_as_alone():
    q = np.linspace(-1e-3, 5.0, 200)
    with pytest.raises(ValueError, match="0 or above"):
        chione.second_moment("tanh", q)
    with pytest.raises(ValueError, match="finite"):
        chione.length_slope("tanh", np.append(np.ones(100), np.nan))


def test_maps_of_many_lengths_are_those_of_each():
    q = lengths(0.05, 20.0, 120, seed=3)
    sigmas = {"sigma_w": 1.3, "sigma_b": 0.2}
    for f, options in (
        (chione.length_map, sigmas),
        (chione.chi_parallel, {"sigma_w": 1.3}),
        (chione.chi_perp, {"sigma_w": 1.3}),
    ):
        f("mish", q, **options)
        every = f("mish", q, **options)
        for i in (0, 60, 119):
            one = f("mish", float(q[i]), **options)
            assert abs(every.value[i] - one.value) <= 1e-14 * abs(one.value)


def test_an_array_keeps_its_shape():
    q = lengths(0.05, 20.0, 120).reshape(4, 5, 6)
    e = chione.second_moment("tanh", q)
    assert e.value.shape == e.error.shape == e.status.shape == (4, 5, 6)
    flat = chione.second_moment("tanh", q.ravel())
    assert np.allclose(e.value.ravel(), flat.value, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("name", ["gelu_tanh", "quick_gelu", "silu", "tanh"])
def test_a_rule_with_a_loose_bound_on_rounding_gives_way_to_panels(name):
    """Bounds on the rounding of x^3 or exp(x) far from zero say 1e-11 where the sum is exact."""
    lengths = (0.1, 1.0, 61.0, 300.0, 1e5)
    for q in lengths:
        mean = moments(name).square(q)
        assert mean.error <= 3e-14 * mean.value
    # from afar all but tanh are half of x^2
    assert name == "tanh" or abs(moments(name).square(1e12).value / 5e11 - 1.0) < 1e-9
