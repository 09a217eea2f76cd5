"""The length that a network should start with, where lengths fade towards zero."""

import math

import numpy as np
import pytest

from chione.activations import activation
from chione.theory import derivative_second_moment, second_moment
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.moments import moments
from chione.torch.recommendation.recipes import fading_length

STARTS = np.geomspace(1e-8, 1.0, 97)


def longest_start(phi, w2, depth):
    """The largest start, good with all below, whose gradients change by less than a half."""
    good = STARTS[0]
    for start in STARTS:
        q, decades = float(start), 0.0
        for _ in range(depth - 1):
            decades += math.log(w2 * derivative_second_moment(phi, q).value)
            q = w2 * second_moment(phi, q).value
        if abs(decades) > math.log(2.0):
            break
        good = start
    return good


@pytest.mark.parametrize("depth", [3, 40])
@pytest.mark.parametrize("name", ["tanh", "sin"])
def test_a_fading_network_starts_at_the_largest_length_that_keeps_half_its_gradient(name, depth):
    phi = activation(name)
    expected = longest_start(phi, 1.0, depth)
    assert STARTS[0] < expected < 1.0
    assert fading_length(LengthMap(moments(phi), 1.0, 0.0), depth) == expected
