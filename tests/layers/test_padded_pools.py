"""Maxima whose windows reach beyond the edge: closed where few positions are left, and refusals."""

import math

import numpy as np
import pytest

from chione.networks import Dense, Input, Network, Pooling, Shape, ShapeError
from chione.theory.layers.network_theory import network_theory
from chione.theory.layers.walk import propagate

PAIR = ((1.0, 0.3), (0.3, 2.0))


def test_a_window_of_which_two_positions_are_left_has_the_maximum_of_two_gaussians():
    """Windows of three around two positions: the closed rule of windows of two is the oracle."""
    entering = Input(16, (2,), PAIR, 0.4)
    padded, closed = (
        network_theory(Network([Dense(1.2), pool, Dense(1.1)], entering))
        for pool in (Pooling("max", 3, 2, padding=1), Pooling("max", 2))
    )
    assert set(padded.rules) > {"closed"}
    for name in ("q", "one_minus_c", "gradient"):
        found, expected = getattr(padded, name), getattr(closed, name)
        for place in ("layers[0]", "layers[2]"):
            row = padded.index(place)
            gap = abs(found.value[row] - expected.value[row])
            assert gap <= found.error[row] + expected.error[row], (name, place)
            assert found.error[row] < 0.02 * max(1.0, abs(expected.value[row]))


def test_of_windows_of_two_one_holds_a_single_position():
    """Windows {0} and {1, 2} of positions that are independent: moments to all digits."""
    entering = Input(16, (3,), ((1.0, 0.5), (0.5, 1.0)))
    walked = propagate(Network([Dense(1.0), Pooling("max", 2, 2, padding=1)], entering))
    stream = walked.streams["layers[1]"]
    mean, k = stream.mean.value, stream.second_moments().value
    np.testing.assert_allclose(mean, [0.0, math.pi**-0.5] * 2, atol=1e-13)
    # E max(u1, u2) max(v1, v2) at correlation c = 1/2: c/2 + (sqrt(1 - c^2) + c asin c) / pi
    pair = 0.25 + (math.sqrt(0.75) + 0.5 * math.asin(0.5)) / math.pi
    one, two = np.diag([1.0, 1.0]), np.diag([0.5, pair])
    np.testing.assert_allclose(k, np.block([[one, two], [two, one]]), atol=1e-13)
    back = walked.backward("independent")["layers[0]"].second_moments().value
    np.testing.assert_allclose(back, np.diag([1.0, 0.5, 0.5] * 2), atol=1e-13)


def test_windows_begin_where_padding_says():
    """Windows {0, 1} and {1, 2, 3} of four positions, by their channel means."""
    net = Network([Dense(1.0), Pooling("max", 3, 2, padding=1)], Input(16, (4,)))
    mean = propagate(net).streams["layers[1]"].mean
    expected = np.array([math.pi**-0.5, 1.5 * math.pi**-0.5] * 2)  # of two and of three normals
    assert np.all(np.abs(mean.value - expected) <= mean.error)
    assert np.all(mean.error < 0.02)


def test_shapes_are_those_of_torch():
    for n, k, s, p, out in ((16, 3, 2, 1, 8), (112, 3, 2, 1, 56), (5, 2, 2, 1, 3), (7, 3, 3, 0, 2)):
        assert Pooling("max", k, s, padding=p).after(Shape(4, (n,)), "x").grid == (out,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pooling("average", 3, padding=1), "padding belongs to a maximum over windows"),
        (lambda: Pooling("max", padding=1), "but this pool is global"),
        (lambda: Pooling("max", 3, padding=-1), "padding must be at least 0"),
        (lambda: Pooling("max", 3, padding=1.5), "padding must be an integer"),
        (lambda: Network([Pooling("max", 3, padding=2)], Input(4, (9,))), "more than half of the"),
        (lambda: Network([Pooling("max", 3, padding=(1, 1))], Input(4, (9,))), "has 2 entries"),
    ],
)
def test_wrong_padding_is_refused_in_a_sentence(make, message):
    with pytest.raises((TypeError, ValueError, ShapeError), match=message):
        make()


def test_no_padding_is_written_as_none_and_some_is_read_again():
    assert Pooling("max", 2, padding=(0, 0)) == Pooling("max", 2)
    net = Network([Pooling("max", 3, 2, (1, 0))], Input(4, (5, 6)))
    assert Network.from_dict(net.to_dict()) == net
    assert np.all([shape.positions == 6 for _, _, _, shape in net.rows()])
