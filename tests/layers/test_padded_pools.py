"""Maxima whose windows reach beyond the edge: closed where few positions are left, and refusals."""

import math

import numpy as np
import pytest

from chione.networks import Dense, Input, Network, Pooling, Shape, ShapeError
from chione.theory.layers.network_theory import network_theory

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


def test_a_window_of_one_position_and_one_of_two():
    """(1, 2) positions a window of two, padded: E max^2 of one and of two independent N(0, q)."""
    net = Network([Dense(1.0), Pooling("max", 2, 2, padding=1)], Input(16, (3,)))
    found = network_theory(net)
    row = found.index("layers[1]")
    # windows {0} and {1, 2}: mean squares q and q, channel means 0 and sqrt(q / pi)
    assert found.positions[row] == 2
    assert abs(found.q.value[row] - 1.0) <= found.q.error[row]
    expected = math.sqrt(0.5 * (0.0 + 1.0 / math.pi))
    assert abs(found.mean.value[row] - expected) < 0.01


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
