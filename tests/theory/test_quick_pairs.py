"""Quick moments of pairs against integrals one pair at a time, within the errors they state."""

import numpy as np
import pytest

from chione.activations import activation
from chione.base import ConvergenceError
from chione.theory.moments.map_rule import pair_rule
from chione.theory.moments.moments import derivative_second_moment, mean, second_moment
from chione.theory.moments.pair_distance import pair_distance
from chione.theory.moments.pair_kernels import derivative_kernel, kernel
from chione.theory.moments.pair_moments import PairMoments
from chione.theory.moments.quick_pairs import QuickPairMoments, QuickPrepared

SMOOTH = ("tanh", "gelu", "silu", "erf", "softplus", "mish", "sigmoid")
KINKED = ("selu", "elu", "hardtanh", "hardswish", "relu6", "softsign", "softshrink")


def at(name, q):
    q = np.atleast_1d(np.asarray(q, dtype=float))
    return QuickPairMoments(activation(name), q, np.zeros_like(q))


def pairs(quick, i, j, gaps):
    """Moments of pairs at these 1 - c."""
    q = quick.at.q
    i, j = np.broadcast_to(i, len(gaps)), np.broadcast_to(j, len(gaps))
    root = np.sqrt(q[i] * q[j])
    d = (np.sqrt(q[i]) - np.sqrt(q[j])) ** 2 + 2.0 * root * np.asarray(gaps)
    return quick.pairs(i, j, d, 0.0 * d)


def rule_of(name, q):
    return pair_rule(activation(name), q, q)


def distance(phi, q1, q2, gap):
    """From the integral of the distance where moments would cancel, else from moments."""
    if gap <= 1e-5:
        return pair_distance(phi, q1, q2, gap)
    return second_moment(phi, q1) + second_moment(phi, q2) - 2.0 * kernel(phi, q1, q2, 1.0 - gap)


@pytest.mark.parametrize("name", SMOOTH + KINKED)
def test_single_moments_are_those_of_the_integrals(name):
    phi, q = activation(name), np.array([0.15, 0.9, 3.3, 40.0])
    found = at(name, q).at
    for value, error, exact in (
        (found.square, found.square_error, second_moment(phi, q)),
        (found.mean, found.mean_error, mean(phi, q)),
        (found.slope, found.slope_error, derivative_second_moment(phi, q)),
    ):
        assert np.all(np.abs(value - exact.value) <= error + exact.error)
        assert np.all(error <= 1e-3 * np.sqrt(second_moment(phi, q).value) + 1e-3 * np.abs(value))


@pytest.mark.parametrize("name", SMOOTH + KINKED)
def test_kernels_lie_within_their_errors(name):
    phi, gaps = activation(name), np.array([0.01, 0.3, 1.0, 1.6])
    quick = at(name, [0.7, 2.1])
    found = pairs(quick, 0, 1, gaps)
    exact = kernel(phi, 0.7, 2.1, 1.0 - gaps)
    slope = derivative_kernel(phi, 0.7, 2.1, 1.0 - gaps)
    size = np.sqrt(np.prod(quick.at.square))
    assert np.all(np.abs(found.kernel - exact.value) <= found.kernel_error + exact.error)
    assert np.all(np.abs(found.slope - slope.value) <= found.slope_error + slope.error)
    tight = 1e-7 if name in SMOOTH else 1e-3
    assert np.all(found.kernel_error <= tight * size)


@pytest.mark.parametrize("name", SMOOTH + KINKED)
@pytest.mark.parametrize("q", [0.4, 3.0])
def test_distances_of_near_inputs_lie_within_their_errors(name, q):
    phi, gaps = activation(name), np.array([1e-9, 1e-5, 1e-3, 0.02])
    found = pairs(at(name, q), 0, 0, gaps)
    for k, gap in enumerate(gaps):
        exact = distance(phi, q, q, float(gap))
        assert abs(found.distance[k] - exact.value) <= found.distance_error[k] + exact.error
    tight = 1e-6 if name in SMOOTH else 0.05
    assert np.all(found.distance_error <= tight * found.distance)


@pytest.mark.parametrize("name", SMOOTH + KINKED)
@pytest.mark.sampled(5)
def test_distances_of_unequal_lengths_lie_within_their_errors(name):
    phi, gaps = activation(name), np.array([1e-6, 1e-3, 0.2])
    q = np.array([1.0, 1.04, 6.0])
    quick = at(name, q)
    for other in (1, 2):
        found = pairs(quick, 0, other, gaps)
        for k, gap in enumerate(gaps):
            exact = distance(phi, q[0], q[other], float(gap))
            assert abs(found.distance[k] - exact.value) <= found.distance_error[k] + exact.error


def test_a_table_is_refused_where_it_does_not_hold():
    with pytest.raises(ConvergenceError, match="too rough"):
        at("sin(40*x)", 3.0)
    with pytest.raises(ConvergenceError, match="above zero"):
        at("tanh", 0.0)


def test_closed_forms_are_kept_at_kinks_and_where_no_table_holds():
    q = np.array([1.0])
    for name, quick in (("relu", False), ("siren", False), ("tanh", True)):
        found = QuickPrepared(activation(name)).at(q, 0 * q)
        exact = PairMoments(activation(name), q, 0 * q, rule_of(name, q))
        error = np.abs(found.at.square - exact.at.square)
        assert np.all(error <= found.at.square_error + exact.at.square_error)
        assert isinstance(found._inner, QuickPairMoments) == quick


def test_what_is_remembered_is_what_would_be_found():
    prepared = QuickPrepared(activation("tanh"))
    q, i, j = np.array([0.7, 1.9]), np.array([0]), np.array([1])
    for gap in (0.3, 0.9, 0.3):
        d = np.array([2.6 - 2.0 * np.sqrt(0.7 * 1.9) * (1.0 - gap)])
        again = prepared.at(q, 0 * q).pairs(i, j, d, 0 * d)
        first = at("tanh", q).pairs(i, j, d, 0 * d)
        assert np.array_equal(again.kernel, first.kernel)
        assert np.array_equal(again.distance, first.distance)
