"""Functions with features that no node meets, and breaks that nobody declared.

Ladder: closed form (Gaussian integrals of bells, tents, steps, in Arb). Every comparison asks that
the stated error is at least the true one; where the features cannot be found, that the status
says so.
"""

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx

from chione.base import Status
from chione.gaussian import Integrator, expectation
from chione.gaussian.features import Features


@pytest.fixture(autouse=True)
def _bits():
    before, ctx.prec = ctx.prec, oracle.PRECISION
    yield
    ctx.prec = before


def bell(width, centre, q):
    """E exp(-((h - m) / w)^2)."""
    s2, m, q = arb(width) ** 2 / 2, arb(centre), arb(q)
    return (s2 / (s2 + q)).sqrt() * (-m * m / (2 * (s2 + q))).exp()


def upper(k, q):
    """P(h > k)."""
    return (arb(k) / (2 * arb(q)).sqrt()).erfc() / 2


def excess(k, q):
    """E max(h - k, 0)."""
    k, q = arb(k), arb(q)
    return (q / (2 * arb.pi())).sqrt() * (-k * k / (2 * q)).exp() - k * upper(k, q)


def covers(res, exact):
    return float(abs(arb(res.value) - exact)) <= res.error


# inputs as float64 holds them: 1e4 * (x - 1.2345), not (x - 1.2345) / 1e-4
@pytest.mark.parametrize("rate", [1e2, 1e3, 1e4, 1e5])
def test_a_bell_between_all_nodes_is_found(rate):
    res = expectation(lambda x: np.exp(-((rate * (x - 1.2345)) ** 2)), 1.0)
    exact = bell(1 / arb(rate), 1.2345, 1.0)
    assert res.status == Status.OK
    assert covers(res, exact) and res.error <= 1e-10 * res.value
    square = expectation(lambda x: np.exp(-((rate * (x - 1.2345)) ** 2)), 1.0, power=2)
    assert covers(square, bell(1 / (arb(rate) * arb(2).sqrt()), 1.2345, 1.0))


@pytest.mark.parametrize("q", [1e-6, 0.07, 1.0, 30.0, 1e6])
@pytest.mark.parametrize("place", [-3.1, -1.2345, 0.0171, 0.61, 2.718])
@pytest.mark.parametrize(("width", "sign"), [(0.02, 1.0), (1e-3, -1.0), (1e-4, 1.0), (1e-4, -1.0)])
def test_bumps_and_dips_on_a_smooth_function_are_found(width, sign, place, q):
    root = np.sqrt(q)
    rate, centre = 1.0 / (width * root), place * root
    res = expectation(lambda x: np.tanh(x) + sign * np.exp(-((rate * (x - centre)) ** 2)), q)
    assert res.status == Status.OK and res.error <= 1e-11
    assert covers(res, arb(sign) * bell(1 / arb(rate), centre, q))


@pytest.mark.parametrize("place", [-2.2222, 0.345678, 1.2345])
def test_a_narrow_tent_is_found(place):
    w = 2.0**-11
    res = expectation(lambda x: 1.0 + np.maximum(0.0, 1.0 - np.abs(x - place) / w), 1.0)
    # h - k summed over the three kinks of the tent
    exact = 1 + (excess(arb(place) - w, 1) - 2 * excess(place, 1) + excess(arb(place) + w, 1)) / w
    assert res.status == Status.OK and covers(res, exact)
    assert abs(res.value - 1.0) > 1e-6


def test_a_comb_is_found_tooth_by_tooth():
    places = np.arange(-4.0, 4.0, 0.125) + 0.0432
    res = expectation(lambda x: np.exp(-((3e3 * (x[:, None] - places)) ** 2)).sum(1), 1.0)
    exact = sum((bell(1 / arb(3e3), p, 1.0) for p in places), arb(0))
    assert res.status == Status.OK and covers(res, exact)
    assert res.error <= 1e-8 * res.value


@pytest.mark.parametrize("rate", [1e6, 1e7, 1e8, 1e10])
def test_what_no_probe_can_be_sure_to_meet_is_a_matter_of_resolution(rate):
    res = expectation(lambda x: np.exp(-((rate * (x - 1.2345)) ** 2)), 1.0)
    assert res.status == Status.RESOLUTION and not res.ok
    assert covers(res, bell(1 / arb(rate), 1.2345, 1.0)) and res.error < 0.01


@pytest.mark.parametrize("rate", [1e6, 1e8, 1e10])
@pytest.mark.parametrize("height", [0.0, 1.0])
def test_a_place_that_is_passed_as_a_breakpoint_is_looked_at_closely(rate, height):
    def f(x):
        return height + np.exp(-((rate * (x - 1.2345)) ** 2))

    res = expectation(f, 1.0, breakpoints=(1.2345,))
    exact = arb(height) + bell(1 / arb(rate), 1.2345, 1.0)
    assert covers(res, exact)
    assert abs(res.value - float(exact)) <= 1e-4 * float(exact - arb(height)) + 2e-15


def test_a_function_that_is_zero_wherever_it_was_sampled_is_not_called_zero():
    res = expectation(lambda x: 0.0 * x, 1.0)
    assert res.value == 0.0 and res.error > 0.0 and res.status == Status.RESOLUTION
    array = expectation(lambda x: 0.0 * x, np.array([0.5, 2.0]))
    assert np.all(array.error > 0.0) and np.all(array.status == Status.RESOLUTION)


def test_a_function_that_is_known_is_believed_but_never_without_an_error():
    res = Integrator(lambda x: np.where(np.abs(x) > 0.5, x, 0.0), (-0.5, 0.5), power=2)(1e-6)
    assert res.status == Status.OK and res.value == 0.0 and 0.0 < res.error < 1e-300
    soft = Features(lambda x: np.where(np.abs(x) > 0.5, x, 0.0), (-0.5, 0.5), nonzero=True)
    assert not soft.at(1e-3).silent


def test_smooth_functions_have_no_features():
    for f in (np.tanh, np.exp, np.sin, np.arctan, lambda x: np.log1p(np.exp(x)), np.abs):
        found = Features(f).at(1.0)
        assert found.edges.size == 0 and not found.lucky and not found.silent


def test_probes_are_kept_for_other_variances():
    count = 0

    def f(x):
        nonlocal count
        count += x.size
        return np.tanh(x)

    features = Features(f)
    features.at(1.0)
    first, count = count, 0
    features.at(2.0)
    assert 0 < count < 0.5 * first
    count = 0
    features.at(1.5)
    assert count == 0


@pytest.mark.parametrize("k", [0.12486449283930501, 0.35352043771685926, 1.9847447023190061])
def test_a_jump_between_the_last_node_and_the_edge_of_a_panel_is_seen(k):
    for q in (0.17976988634161253, 4.812277944414019):
        for use in (expectation, lambda f, q: Integrator(f)(q)):
            res = use(lambda x: np.where(x > k, 1.0, 0.25), q)
            assert covers(res, arb("0.25") + upper(k, q) * 3 / 4)
            bent = use(lambda x: np.abs(x - k), q)
            assert covers(bent, 2 * excess(k, q) + arb(k))


def test_breaks_that_nobody_declared_stay_within_their_errors():
    rng = np.random.default_rng(7)
    for _ in range(150):
        k, q = rng.uniform(-2.0, 2.0), 10.0 ** rng.uniform(-1.0, 1.0)
        step = Integrator(lambda x, k=k: np.where(x > k, 1.0, 0.25))(q)
        assert covers(step, arb("0.25") + upper(k, q) * 3 / 4)
        assert step.error <= 1e-12
        bend = Integrator(lambda x, k=k: np.abs(x - k))(q)
        assert covers(bend, 2 * excess(k, q) + arb(k))
        assert bend.error <= 1e-13


@pytest.mark.parametrize("name", ["hardshrink", "softshrink", "relu6"])
def test_far_tails_need_no_more_nodes_than_the_middle(name):
    from chione.activations import catalogue

    phi = catalogue()[name]
    integrate = Integrator(phi.derivative, phi.kinks, power=2)
    res = integrate(3e-4)
    exact = oracle.expectation(oracle.CATALOGUE[name], 3e-4, derivative=True, power=2)
    assert covers(res, exact)
    assert integrate._rule(3e-4).w.size < 2000
