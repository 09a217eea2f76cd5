"""The spectrum of a Jacobian in a free product, in which it enters as its own factors."""

import numpy as np
import pytest

from chione import freeprob as fp
from chione.theory.spectra import jacobian_spectrum


@pytest.mark.parametrize(
    ("name", "depth", "weights"),
    [
        ("tanh", 2, "gaussian"),
        ("tanh", 3, "orthogonal"),
        ("relu", 2, "gaussian"),
        ("erf", 1, "gaussian"),
    ],
)
@pytest.mark.sampled(3)
def test_two_moments_and_the_mean_of_the_quantiles_are_those_of_the_parts(name, depth, weights):
    jacobian = jacobian_spectrum(name, depth=depth, sigma_w=1.3, q_star=0.5, weights=weights)
    other = fp.marchenko_pastur(0.5)
    law = jacobian.to_measure() * other
    m1, m2 = jacobian.moments(2).value  # the S-transform of the layers, not of the product
    n1, n2 = 1.0, 1.5
    exact = np.array([m1 * n1, m2 * n1**2 + m1**2 * n2 - m1**2 * n1**2])
    np.testing.assert_allclose(law.moments(2).value, exact, rtol=1e-11)
    p = (np.arange(4000) + 0.5) / 4000
    # the equations on the axis, by way of the distribution function
    x = law.quantile(p).value
    assert np.mean(x) == pytest.approx(exact[0], rel=2e-4)
    assert np.mean(x**2) == pytest.approx(exact[1], rel=2e-3)
