"""Every curve over layers is the recursion of its definition, written out once more here."""

import numpy as np
import pytest

from chione.networks import MLP
from chione.theory import derivative_second_moment, second_moment
from chione.theory.depth.infinite_width import infinite_width


@pytest.mark.parametrize("spec", ["tanh", "relu", "gelu", "0.3*tanh(x) + 0.1"])
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.3, 0.2), (0.7, 0.0), (2.5, 1.0)])
def test_the_curves_of_a_batch_are_those_of_the_moments(spec, sigma_w, sigma_b):
    net = MLP(spec, sigma_w, sigma_b, depth=6, width=20)
    gram = np.array([[1.0, 0.3], [0.3, 2.0]])
    found = infinite_width(net, gram, ((0, 1),))
    q = sigma_w**2 * np.diagonal(gram) + sigma_b**2
    for l in range(net.depth):
        square = second_moment(spec, q).value
        slope = sigma_w**2 * derivative_second_moment(spec, q).value
        np.testing.assert_allclose(found.q[l], q, rtol=1e-14)
        np.testing.assert_allclose(found.square[l], square, rtol=1e-13)
        np.testing.assert_allclose(found.slope[l], slope, rtol=1e-13)
        q = sigma_w**2 * square + sigma_b**2
