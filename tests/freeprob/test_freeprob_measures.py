"""Transforms against closed forms, against each other, and against 30-digit sums."""

from fractions import Fraction
from math import comb

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import quad

from chione.base import ConvergenceError
from chione.freeprob import (
    Arcsine,
    FreePoisson,
    PointMasses,
    Semicircle,
    empirical,
    haar_orthogonal,
    marchenko_pastur,
    point_mass,
    series,
)

MEASURES = [
    Semicircle(1.7, 0.4),
    FreePoisson(0.6, 1.3),
    FreePoisson(2.5, 0.4),
    Arcsine(1.5),
    PointMasses((0.5, 1.0, 3.0), (0.2, 0.5, 0.3)),
]
Z = np.array([5.0 + 0.1j, 0.7 + 0.4j, -2.0 + 1e-3j, 1.1 + 2.0j])


@pytest.mark.parametrize("mu", MEASURES, ids=str)
def test_stieltjes_transform_is_the_integral_over_density_and_atoms(mu):
    for z in Z:
        total = sum(m / (z - a) for a, m in mu.atoms)
        for a, b in mu.support:
            if a == b:
                continue

            def f(u, a=a, b=b, z=z):
                x = a + (b - a) * np.sin(u) ** 2
                return float(mu.density(x)) / (z - x) * (b - a) * np.sin(2 * u)

            total += quad(lambda u: f(u).real, 0, np.pi / 2, limit=400)[0]
            total += 1j * quad(lambda u: f(u).imag, 0, np.pi / 2, limit=400)[0]
        assert abs(mu.stieltjes(z) - total) < 2e-7


@pytest.mark.parametrize("mu", MEASURES, ids=str)
def test_derivative_of_the_transform_meets_central_differences(mu):
    h = 1e-5
    for z in Z[[0, 1, 3]]:
        slope = (mu.stieltjes(z + h) - mu.stieltjes(z - h)) / (2 * h)
        assert abs(mu.stieltjes_derivative(z) - slope) < 1e-8


@pytest.mark.parametrize("mu", MEASURES, ids=str)
def test_inverse_transforms_undo_the_transforms(mu):
    z = np.array([9.0 + 0.5j, -7.0 + 0.2j, 12.0 + 0j])
    assert np.allclose(mu.inverse_stieltjes(mu.stieltjes(z)), z, rtol=1e-12)
    if mu.support[0][0] >= 0.0:  # of measures on both sides of 0, M takes values twice
        assert np.allclose(mu.inverse_moment_function(mu.moment_function(z)), z, rtol=1e-11)


@pytest.mark.parametrize("mu", MEASURES, ids=str)
def test_free_cumulants_are_the_taylor_coefficients_of_r(mu):
    g = 0.02 * np.exp(2j * np.pi * np.arange(16) / 16)
    coefficients = np.fft.fft(mu.r_transform(g)).real / 16 / 0.02 ** np.arange(16)
    assert np.allclose(coefficients[:4], mu.free_cumulants(4), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mu", [m for m in MEASURES if m.support[0][0] >= 0.0], ids=str)
def test_s_coefficients_are_the_taylor_coefficients_of_s(mu):
    x = 0.02 * np.exp(2j * np.pi * np.arange(16) / 16)
    coefficients = np.fft.fft(mu.s_transform(x)).real / 16 / 0.02 ** np.arange(16)
    assert np.allclose(coefficients[:3], mu.s_coefficients(3), rtol=1e-8)


def test_marchenko_pastur_has_its_textbook_density_and_moments():
    mu = marchenko_pastur(0.3, variance=2.0).law
    a, b = 2 * (1 - 0.3**0.5) ** 2, 2 * (1 + 0.3**0.5) ** 2
    x = np.linspace(a + 0.01, b - 0.01, 7)
    textbook = np.sqrt((b - x) * (x - a)) / (2 * np.pi * 2 * 0.3 * x)
    assert np.allclose(mu.density(x), textbook, rtol=1e-13)
    assert np.allclose(mu.moments(3), [2.0, 4 * 1.3, 8 * (1 + 3 * 0.3 + 0.09)], rtol=1e-14)
    assert marchenko_pastur(4.0).atoms == ((0.0, 0.75),)


def test_s_transforms_of_the_two_weight_laws_are_those_of_the_literature():
    x = np.array([0.3, -0.4])
    assert np.allclose(haar_orthogonal(1.5).law.s_transform(x), 1 / 2.25, rtol=1e-12)
    assert np.allclose(FreePoisson(1.0, 2.25).s_transform(x), 1 / (2.25 * (1 + x)), rtol=1e-14)


def test_transforms_of_a_discrete_law_meet_thirty_digits():
    with mp.workdps(30):
        z = mp.mpc(2, mp.mpf(1) / 10**6)
        exact = complex(sum(m / (z - a) for a, m in ((0.5, 0.2), (1, 0.5), (3, 0.3))))
    found = PointMasses((0.5, 1.0, 3.0), (0.2, 0.5, 0.3)).stieltjes(2 + 1e-6j)
    assert abs(found - exact) < 1e-15


def test_series_round_trips_between_moments_and_coefficients():
    m = np.array([1.0, 2.3, 6.1, 20.0, 71.0])
    assert np.allclose(series.moments_from_s(series.s_coefficients(m)), m, rtol=1e-12)
    assert np.allclose(series.moments_from_free_cumulants(series.free_cumulants(m)), m, rtol=1e-13)
    assert np.allclose(series.power(m, 3.0), series.multiply(m, series.multiply(m, m)), rtol=1e-13)


def test_an_argument_outside_the_range_of_the_inverse_is_refused():
    with pytest.raises(ConvergenceError, match="does not exist"):
        marchenko_pastur(0.5).law.inverse_stieltjes(np.array([3.0 + 0j]))
    with pytest.raises(ValueError, match="infinite"):
        point_mass().law.inverse_stieltjes(0.0)
    with pytest.raises(ValueError, match="masses"):
        PointMasses((0.0, 1.0), (0.5, 0.6))
    with pytest.raises(ValueError, match="ratio must be above 0"):
        marchenko_pastur(0.0)


def exact_cumulants(atoms, masses, n):
    """Moments, free and classical cumulants of an atomic law in fractions, by their recursions."""
    a, w = [Fraction(x) for x in atoms], [Fraction(x) / sum(map(Fraction, masses)) for x in masses]
    m = [sum(p * x**k for p, x in zip(w, a, strict=True)) for k in range(n + 1)]

    def coefficient(s, j):  # of u^j in (1 + m_1 u + ..)^s
        power = [Fraction(1)] + [Fraction(0)] * j
        for _ in range(s):
            power = [sum(power[i] * m[k - i] for i in range(k + 1)) for k in range(j + 1)]
        return power[j]

    free, classical = [], []
    for k in range(1, n + 1):
        free.append(m[k] - sum(free[s - 1] * coefficient(s, k - s) for s in range(1, k)))
        classical.append(
            m[k] - sum(comb(k - 1, s - 1) * classical[s - 1] * m[k - s] for s in range(1, k))
        )
    return m[1:], free, classical


@pytest.mark.parametrize(
    ("atoms", "masses"),
    [
        ([-1.0, 0.5, 4.0], [1, 2, 1]),
        ([0.0, 1.0, 2.25, 5.0], [1, 3, 2, 2]),
        ([100.0, 100.5, 101.75], [1, 1, 2]),
        ([-0.125, 0.25], [7, 1]),
    ],
)
def test_moments_and_cumulants_are_within_their_errors_of_fractions(atoms, masses):
    mu = empirical(atoms, masses)
    exact = exact_cumulants(atoms, masses, 9)
    all_found = (mu.moments(9), mu.free_cumulants(9), mu.cumulants(9))
    for found, true in zip(all_found, exact, strict=True):
        miss = [abs(Fraction(float(v)) - t) for v, t in zip(found.value, true, strict=True)]
        assert all(x <= Fraction(float(e)) for x, e in zip(miss, found.error, strict=True))
    assert np.all(mu.moments(9).error <= 1e-13 * max(abs(a) for a in atoms) ** np.arange(1, 10))
    # a shift by a hundred costs nothing beyond the mean
    assert np.all(mu.free_cumulants(9).error[1:] <= 1e-9 * np.ptp(atoms) ** np.arange(2, 10))
    other = empirical([7.0, 7.5]) + mu
    kappa, parts = (
        other.free_cumulants(6),
        (mu.free_cumulants(6), empirical([7.0, 7.5]).free_cumulants(6)),
    )
    assert np.allclose(kappa.value, parts[0].value + parts[1].value, rtol=1e-14, atol=1e-14)


def test_g_of_atoms_where_squares_leave_the_range_of_float64():
    law = PointMasses((0.0, 1.0), (0.25, 0.75))
    z = np.array([1e200, -1e300, 1e-170, 1e-170j, 0.0])
    g, slope = law.stieltjes_with_derivative(z)
    assert np.allclose(g[:2], 1.0 / z[:2], rtol=1e-15)
    assert np.allclose(g[2:4], 0.25 / z[2:4], rtol=1e-15)
    assert not np.isfinite(g[4])
    assert np.allclose(slope[0], 0.0)
    assert np.array_equal(g, law.stieltjes(z), equal_nan=True)
