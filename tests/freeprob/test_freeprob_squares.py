"""The law of v(h)^2 against 30-digit integrals on contours, and closed forms."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import erf

from chione.base import ConvergenceError
from chione.freeprob import gaussian_square


def sech2(h):
    return 1.0 / np.cosh(h) ** 2


def contour(w, q, f):
    """2 int_0^inf p(h) f(w - sech(h)^4) dh along a contour that passes above the pole."""
    with mp.workdps(30):
        w = mp.mpmathify(w)
        p = lambda h: mp.exp(-h * h / (2 * q)) / mp.sqrt(2 * mp.pi * q)  # noqa: E731
        pole = mp.acosh(1 / mp.sqrt(mp.sqrt(w)))
        pole = pole if mp.re(pole) > 0 else -pole
        # Im w > 0 puts the pole below the real axis: go around it above.
        detour = [0, mp.re(pole) / 2, mp.re(pole) + 0.2j, 1.5 * mp.re(pole) + 0.2, 4 * mp.sqrt(q)]
        detour += [8 * mp.sqrt(q), 14 * mp.sqrt(q)]
        return complex(2 * mp.quad(lambda h: p(h) * f(w - mp.sech(h) ** 4), detour))


@pytest.mark.parametrize("w", [0.5 + 0.3j, 0.5 + 1e-3j, 0.5 + 1e-8j, 0.03 + 1e-6j, 0.9 + 1e-12j])
@pytest.mark.parametrize("q", [0.3, 1.0])
def test_transform_is_right_at_every_distance_from_the_support(w, q):
    law = gaussian_square(sech2, q)
    exact = contour(w, q, lambda d: 1 / d)
    assert abs(law.stieltjes(w) - exact) <= 3e-12 * abs(exact)


@pytest.mark.parametrize("w", [0.5 + 0.3j, 0.5 + 1e-8j, 0.03 + 1e-6j])
def test_mean_logarithm_is_right_near_the_support(w):
    law = gaussian_square(sech2, 1.0)
    exact = contour(w, 1.0, mp.log)
    assert abs(law.mean_log(w) - exact) <= 1e-12


@pytest.mark.parametrize("w", [0.4 + 0.2j, 0.7 + 1e-4j, 3.0 + 0j])
def test_derivative_meets_central_differences(w):
    law = gaussian_square(sech2, 0.8)
    h = 1e-6
    slope = (law.stieltjes(w + h) - law.stieltjes(w - h)) / (2 * h)
    assert abs(law.stieltjes_derivative(w) - slope) <= 1e-6 * abs(slope)


def test_density_is_the_limit_of_the_transform_and_integrates_to_the_cdf():
    law = gaussian_square(sech2, 1.0)
    x = np.array([0.01, 0.2, 0.5, 0.9])
    limit = -law.stieltjes(x + 1e-13j).imag / np.pi
    assert np.allclose(law.density(x), limit, rtol=1e-9)
    # sech(h)^4 <= x  <=>  |h| >= arccosh(x^(-1/4))
    h = np.arccosh(x**-0.25)
    assert np.allclose(law.cdf(x), 1 - erf(h / np.sqrt(2)), rtol=1e-12)


def test_erf_law_has_the_lerch_form_of_the_moment_function():
    q = 0.6
    law = gaussian_square(lambda h: np.exp(-np.pi * h * h / 4), q)
    k = np.arange(1, 5)
    assert np.allclose(law.moments(4), 1 / np.sqrt(1 + np.pi * k * q), rtol=1e-14)
    z = 1.9
    with mp.workdps(30):
        a = (1 + mp.pi * q) / (mp.pi * q)
        lerch = float(mp.lerchphi(mp.mpf(1) / z, 0.5, a) / (mp.sqrt(mp.pi * q) * z))
    assert abs(law.moment_function(z).real - lerch) <= 1e-13


def test_stretches_without_slope_are_atoms_of_exact_mass():
    law = gaussian_square(lambda h: (abs(h) < 1) * 1.0, 0.7, breakpoints=(-1.0, 1.0))
    inside = erf(1 / np.sqrt(1.4))
    assert law.pieces is None
    assert np.allclose(law.atoms, [(0.0, 1 - inside), (1.0, inside)], rtol=1e-14)
    mixed = gaussian_square(lambda h: np.where(h > 0, 1.0, np.exp(h)), 0.7, breakpoints=(0.0,))
    assert mixed.atoms == ((1.0, 0.5),)
    assert np.isclose(
        mixed.density(0.25),
        np.exp(-(np.log(0.5) ** 2) / 1.4) / np.sqrt(1.4 * np.pi) / 0.5,
        rtol=1e-12,
    )


def test_a_zero_inside_a_piece_does_not_disturb_small_arguments():
    law = gaussian_square(lambda h: h - 0.3, 1.0)
    w = np.array([1e-6 + 1e-8j, 1e-10 + 1e-10j])
    fine = gaussian_square(lambda h: h - 0.3, 1.0, breakpoints=(0.3,))
    assert np.allclose(law.stieltjes(w), fine.stieltjes(w), rtol=1e-9)
    # P((h - 0.3)^2 <= x) from the normal distribution
    median = float(law.cdf(0.25))
    assert np.isclose(median, 0.5 * (erf(0.8 / 2**0.5) - erf(-0.2 / 2**0.5)), rtol=1e-12)


def test_limits_reach_beyond_the_weight_of_the_law():
    law = gaussian_square(lambda h: 1 / (1 + np.exp(-h)), 0.01)
    assert law.limits == (0.0, 1.0)
    assert np.isinf(gaussian_square(lambda h: 2 * h, 1.0).limits[1])


def test_the_estimate_of_the_quadrature_error_is_not_below_the_error():
    law = gaussian_square(sech2, 1.0)
    w = np.array([0.3 + 0.2j, 0.6 + 0.01j])
    change = abs(law.refined().stieltjes(w) - law.stieltjes(w))
    assert np.all(change <= 1e-13)


@pytest.mark.parametrize("near", [1e-2, 1e-4, 1e-6])
def test_a_point_beside_a_node_loses_digits_by_its_distance_only_and_says_so(near):
    """There the plain sum and the correction of the pole cancel: eps / distance, not its square."""
    law = gaussian_square(sech2, 1.0, slope=lambda h: -2 * np.tanh(h) / np.cosh(h) ** 2)
    t = law.t[[40, 75, 101]]
    w = t * (1 + near * np.exp(0.7j))
    error = [abs(law.stieltjes(x) - contour(x, 1.0, lambda d: 1 / d)) for x in w]
    assert np.all(error <= law.stieltjes_error(w))
    assert np.all(error <= 1e-14 / near * abs(law.stieltjes(w)))


def test_the_stated_error_of_the_transform_holds_everywhere():
    law = gaussian_square(sech2, 1.0, slope=lambda h: -2 * np.tanh(h) / np.cosh(h) ** 2)
    rng = np.random.default_rng(1)
    w = rng.uniform(0.02, 0.98, 10) * np.exp(1j * 10 ** rng.uniform(-5, 0, 10))
    error = np.array([abs(law.stieltjes(x) - contour(x, 1.0, lambda d: 1 / d)) for x in w])
    assert np.all(error <= law.stieltjes_error(w))
    assert np.all(law.stieltjes_error(w) <= 1e-10 * abs(law.stieltjes(w)))


def test_transforms_below_the_axis_are_conjugate_and_minus_zero_is_the_axis_from_above():
    law = gaussian_square(sech2, 0.8)
    w = np.array([0.4 + 0.2j, 0.9 + 1e-9j, 2.0 + 0j, -0.3 + 0.1j])
    assert np.allclose(law.stieltjes(w.conj()), law.stieltjes(w).conj(), rtol=1e-12)
    upper = w[[0, 1, 3]]
    assert np.allclose(law.mean_log(upper.conj()), law.mean_log(upper).conj(), rtol=1e-13)
    assert law.stieltjes(complex(0.5, -0.0)) == law.stieltjes(0.5 + 0j)
    assert law.mean_log(complex(0.5, -0.0)) == law.mean_log(0.5 + 0j)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="q must be above 0"):
        gaussian_square(sech2, 0.0)
    with pytest.raises(ConvergenceError, match="too rough"):
        gaussian_square(lambda h: np.sin(1e5 * h * h), 1.0)
