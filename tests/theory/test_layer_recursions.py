"""Every curve over layers is the recursion of its definition, written out once more here."""

import numpy as np
import pytest

from chione.base import EPS
from chione.networks import MLP
from chione.theory import (
    derivative_second_moment,
    finite_width,
    mean_square_variance,
    second_moment,
)
from chione.theory.depth.infinite_width import infinite_width
from chione.theory.moments.moments import moments


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


@pytest.mark.parametrize("spec", ["tanh", "relu", "gelu", "0.3*tanh(x) + 0.1"])
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.3, 0.2), (0.7, 0.0), (2.5, 1.0)])
@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_the_lengths_beside_the_vertex_are_those_of_the_moments_with_their_errors(
    spec, sigma_w, sigma_b, law
):
    found = finite_width(spec, sigma_w=sigma_w, sigma_b=sigma_b, depth=8, weights=law)
    m, w2 = moments(spec), sigma_w**2
    k = w2 + sigma_b**2
    error = 2.0 * EPS * k
    for l in range(8):
        assert found.length.value[l] == pytest.approx(k, rel=1e-14)
        assert found.length.error[l] == pytest.approx(error, rel=1e-9)
        square, chi = m.square(k), w2 * m.slope(k).value
        k = w2 * square.value + sigma_b**2
        error = abs(chi) * error + w2 * square.error + 2.0 * EPS * k
    assert found.length.ok


def test_unequal_widths_follow_the_same_lengths():
    net = MLP("tanh", 1.3, 0.2, depth=5, width=(40, 20, 60, 30, 15))
    u, k, m = 0.0, 1.3**2 + 0.04, moments("tanh")
    found = mean_square_variance(net)
    for l, n in enumerate(net.widths[1:]):
        assert found.value[l] == pytest.approx(2.0 * k**2 / n + u, rel=1e-12)
        square = m.square(k).value
        source = 1.3**4 * (m.fourth(k).value - square**2) / n
        u = (1.3**2 * m.slope(k).value) ** 2 * u + source
        k = 1.3**2 * square + 0.04
