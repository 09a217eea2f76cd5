"""The Chebyshev kit against polynomials and mpmath's own sums."""

import mpmath
import numpy as np
import pytest

from chione.base import chebyshev as kit


@pytest.mark.parametrize("n", [2, 5, 12, 16])
def test_a_polynomial_of_lower_degree_is_fitted_to_rounding(n):
    rng = np.random.default_rng(n)
    powers = rng.standard_normal(n)
    values = np.polynomial.polynomial.polyval(kit.nodes(n), powers)
    coefficients = kit.fit_matrix(n) @ values
    back = kit.monomial_matrix(n) @ coefficients
    assert np.max(np.abs(back - powers)) <= 1e-15 * 4.0**n
    x = np.linspace(-1.0, 1.0, 9)
    want = np.polynomial.polynomial.polyval(x, powers)
    slope = np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyder(powers))
    value, tilt = kit.series_and_slope(coefficients[:, None] * np.ones(9), x)
    assert np.max(np.abs(value - want)) < 1e-13
    assert np.max(np.abs(tilt - slope)) < 1e-12 * n**2
    assert np.array_equal(kit.series(coefficients[:, None] * np.ones(9), x), value)


def test_every_point_has_a_series_of_its_own():
    rng = np.random.default_rng(0)
    coefficients, x = rng.standard_normal((7, 5)), rng.uniform(-1.0, 1.0, 5)
    with mpmath.workdps(40):
        for j in range(5):
            want = sum(
                mpmath.mpf(float(c)) * mpmath.chebyt(k, mpmath.mpf(float(x[j])))
                for k, c in enumerate(coefficients[:, j])
            )
            assert abs(float(want) - kit.series(coefficients, x)[j]) < 1e-14


def test_what_is_left_out_shows_where_a_function_is_not_resolved():
    for even in (np.cos, np.abs):  # every other coefficient of these is zero
        few = kit.fit_matrix(10) @ even(6.0 * kit.nodes(10))
        assert kit.left_out(few) > 1e-3
    assert kit.left_out(kit.fit_matrix(16) @ np.cos(kit.nodes(16))) < 1e-14


def test_the_matrices_are_shared_and_cannot_be_changed():
    assert kit.fit_matrix(8) is kit.fit_matrix(8)
    with pytest.raises(ValueError, match="read-only"):
        kit.fit_matrix(8)[0, 0] = 1.0
