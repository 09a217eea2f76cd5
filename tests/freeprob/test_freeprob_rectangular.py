"""Sums and products of rectangular matrices: closed forms, other equations, simulated matrices.

The sum with a Gaussian matrix obeys the equation of Dozier and Silverstein (J. Multivariate Anal.
98, 2007), which knows nothing of subordination: with m = -G,
m = int dH(t) / (t / (1 + s c m) - (1 + s c m) z + s (1 - c)), s the variance.
"""

import numpy as np
import pytest

from chione import SpecError
from chione.freeprob import (
    FreePoisson,
    PointMasses,
    empirical,
    free_product,
    free_sum,
    marchenko_pastur,
    point_mass,
    rectangular_cumulants,
    rectangular_product,
    rectangular_sum,
)

PLACES = np.array([0.09, 0.5, 1.0, 2.7])


def haar(n, rng):
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def distance(law, values):
    values = np.sort(values)
    f, n = law.cdf(values).value, values.size
    return max(np.max(f - np.arange(n) / n), np.max(np.arange(1, n + 1) / n - f))


@pytest.mark.parametrize(
    ("c", "count"),
    [
        *((0.01, 2), (0.5, 7), (1.0, 2)),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in [(0.01, 7), (0.5, 2), (1.0, 7)]),
    ],
)
def test_gaussian_matrices_add_up_to_a_gaussian_matrix(c, count):
    law = rectangular_sum(*[marchenko_pastur(c, variance=0.3)] * count, ratio=c).law
    exact = marchenko_pastur(c, variance=0.3 * count).law
    low, high = exact.edges
    z = np.r_[low + (high - low) * np.linspace(0.01, 0.99, 9), 1.1 * high, -0.3, 0.4 + 0.2j]
    error = abs(law.stieltjes(z) - exact.stieltjes(z))
    assert np.all(error <= law.stieltjes_error(z) + exact.stieltjes_error(z))
    assert np.all(error <= 1e-12 * (1.0 + abs(exact.stieltjes(z))))
    slope, other = law.stieltjes_derivative(z), exact.stieltjes_derivative(z)
    assert np.allclose(slope, other, rtol=1e-9)
    assert np.allclose(law.mean_log(z), exact.mean_log(z), rtol=0, atol=1e-12)
    assert np.allclose(law.support, exact.support, rtol=1e-10, atol=1e-12)
    assert np.allclose(law.moments(6), exact.moments(6), rtol=1e-12)


@pytest.mark.parametrize("c", [0.3, 1.0])
def test_a_sum_with_noise_obeys_dozier_and_silverstein(c):
    h = PointMasses(tuple(PLACES), (0.1, 0.4, 0.3, 0.2))
    s = 0.4
    law = rectangular_sum(h, marchenko_pastur(c, variance=s), ratio=c).law
    z = np.array([0.05, 0.3, 1.0, 2.5, 7.0, 0.4 + 0.01j, 2.0 + 1.0j, -0.2])
    m = -law.stieltjes(z)
    noise = 1.0 + s * c * m
    terms = np.array(h.masses) / (PLACES / noise[:, None] - (noise * z - s * (1 - c))[:, None])
    assert np.allclose(np.sum(terms, axis=1), m, rtol=1e-11)


def test_multiples_of_rotations_add_up_to_an_arcsine_law():
    # |1 + 1.5 e^(i t)|^2 = 3.25 + 3 cos t
    law = rectangular_sum(point_mass(1.0), point_mass(2.25), ratio=1.0)
    y = np.array([0.3, 1.0, 3.25, 6.0])
    density = 1.0 / (np.pi * np.sqrt(9.0 - (y - 3.25) ** 2))
    assert np.all(abs(law.density(y).value - density) <= law.density(y).error)
    assert np.allclose(law.support, [(0.25, 6.25)], rtol=1e-12)
    assert np.allclose(law.cdf(y).value, 1 - np.arccos((y - 3.25) / 3.0) / np.pi, atol=1e-13)


def test_square_matrices_are_the_free_sum_of_symmetrised_laws():
    s, t = np.array([0.2, 1.0, 1.5]), np.array([0.7, 2.0])
    law = rectangular_sum(s, t, ratio=1.0, values="singular")
    both = free_sum(np.r_[s, -s], np.r_[t, -t])
    x = np.array([0.1, 0.9, 1.4, 2.2, 3.1])
    assert np.allclose(law.density(x**2).value * 2 * x, 2 * both.density(x).value, atol=1e-10)
    assert np.allclose(law.cdf(x**2).value, 2 * both.cdf(x).value - 1, atol=1e-11)


def test_very_wide_matrices_add_their_squares():
    a, b = PointMasses((0.5, 2.0), (0.4, 0.6)), PointMasses((1.0, 3.0), (0.7, 0.3))
    y = np.array([1.7, 2.4, 3.3, 4.2])
    limit = rectangular_sum(a, b, ratio=0.0)
    assert np.allclose(limit.density(y).value, free_sum(a, b).density(y).value, rtol=1e-12)
    near = [rectangular_sum(a, b, ratio=c).law.density(y) for c in (1e-4, 1e-5)]
    gap = [np.max(abs(d - limit.density(y).value)) for d in near]
    assert gap[0] < 1e-3 and np.isclose(gap[0] / gap[1], 10.0, rtol=0.05)


def test_distribution_density_and_moments_are_those_of_one_law():
    a = PointMasses((0.0, 0.5, 2.0), (0.2, 0.3, 0.5))
    law = rectangular_sum(a, marchenko_pastur(0.4), empirical([1.0, 3.0]), ratio=0.4)
    assert law.atoms == ()
    t, w = np.polynomial.legendre.leggauss(200)
    total, first, second = 0.0, 0.0, 0.0
    for low, high in law.support:
        u = 0.5 * np.pi * (t + 1) / 2 * 2
        x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(u)
        weight = 0.25 * np.pi * (high - low) * np.sin(u) * w * law.density(x).value
        total += weight.sum()
        first += (x * weight).sum()
        second += (x * x * weight).sum()
        mass = law.cdf(high).value - law.cdf(low).value
        assert np.isclose(weight.sum(), mass, atol=1e-9)
    m = law.moments(2).value
    assert np.allclose([total, first, second], [1.0, *m], rtol=1e-9)
    assert np.isclose(m[0], 0.3 * 0.5 + 0.5 * 2.0 + 1.0 + 2.0, rtol=1e-14)


def test_atoms_are_those_of_kernels_in_general_position():
    a = PointMasses((0.0, 4.0), (0.9, 0.1))
    b = PointMasses((0.0, 1.0), (0.2, 0.8))
    law = rectangular_sum(a, b, ratio=0.5)
    # at 0: 0.9 + 0.2 - 1; at 1: 0.8 - 2 (1 - 0.9)
    assert np.allclose(law.atoms, [(0.0, 0.1), (1.0, 0.6)])
    n, m = 100, 200
    rng = np.random.default_rng(0)
    left, right = np.zeros((n, m)), np.zeros((n, m))
    np.fill_diagonal(left[:10], 2.0)
    np.fill_diagonal(right[:80], 1.0)
    values = np.linalg.svd(left + haar(n, rng) @ right @ haar(m, rng).T, compute_uv=False) ** 2
    assert np.sum(values < 1e-10) == 10
    assert np.sum(abs(values - 1.0) < 1e-10) == 60
    f = law.cdf(np.array([0.0, 0.999999, 1.0, 20.0])).value
    assert np.isclose(f[0], 0.1, atol=1e-9)
    assert np.isclose(f[2] - f[1], 0.6, atol=1e-3)
    assert np.isclose(f[3], 1.0, atol=1e-12)
    lone = rectangular_sum(b, marchenko_pastur(0.5), ratio=0.5)
    assert lone.atoms == ()


def test_close_to_zero_digits_stay_where_the_sum_one_plus_x_cancels():
    law = rectangular_sum(point_mass(1.0), point_mass(9.0), ratio=0.5).law
    y = np.array([1e-12, 1e-8, 1e-4, 1e-2])
    g, error = law.stieltjes(y), law.stieltjes_error(y)
    assert np.all(error < 1e-11)
    # Cauchy's formula on a circle, in the gap below the bands, on which nothing cancels
    assert law.support[0][0] > 3.0
    z = 1.5 * np.exp(2j * np.pi * (np.arange(64) + 0.5) / 64)
    exact = np.array([np.mean(law.stieltjes(z) / (1 - v / z)).real for v in y])
    assert np.all(abs(g.real - exact) <= error + 1e-13)
    slope = np.array([np.mean(law.stieltjes(z) / z / (1 - v / z) ** 2).real for v in y])
    assert np.allclose(law.stieltjes_derivative(y).real, slope, rtol=1e-9)


@pytest.mark.parametrize("c", [0.0, 0.35, 1.0])
def test_rectangular_cumulants_add_and_are_zero_for_a_gaussian_matrix(c):
    a, b = marchenko_pastur(0.7), empirical([0.3, 1.0, 2.5])
    total = rectangular_cumulants(rectangular_sum(a, b, ratio=c), 6, ratio=c)
    parts = [rectangular_cumulants(x, 6, ratio=c) for x in (a, b)]
    assert np.allclose(total.value, parts[0].value + parts[1].value, rtol=1e-10)
    if c > 0.0:
        gaussian = rectangular_cumulants(marchenko_pastur(c, variance=1.3), 6, ratio=c)
        assert np.all(abs(gaussian.value - [1.3, 0, 0, 0, 0, 0]) <= gaussian.error)
        size = marchenko_pastur(c, variance=1.3).moments(6).value
        assert np.all(gaussian.error < 1e-10 * size**2)
    else:
        assert np.allclose(parts[1].value, b.free_cumulants(6).value, rtol=1e-12)


@pytest.mark.parametrize("n", [150, pytest.param(400, marks=pytest.mark.slow)])
def test_simulated_sums_have_this_law(n):
    m, zeros = 2 * n, n // 5
    rng = np.random.default_rng(1)
    s, t = (
        np.sqrt(rng.uniform(0.0, 4.0, n)),
        np.r_[np.zeros(zeros), np.linspace(1.0, 2.0, n - zeros)],
    )
    left, right = np.zeros((n, m)), np.zeros((n, m))
    np.fill_diagonal(left, s)
    np.fill_diagonal(right, t)
    values = np.linalg.svd(left + haar(n, rng) @ right @ haar(m, rng).T, compute_uv=False) ** 2
    law = rectangular_sum(s, t, ratio=n / m, values="singular")
    assert distance(law, values) < 4.0 / n
    from_matrices = rectangular_sum(left, right)
    y = np.array([0.5, 2.0, 7.0])
    assert np.allclose(from_matrices.density(y).value, law.density(y).value, rtol=1e-9)


@pytest.mark.slow
def test_large_simulated_sums_of_three_have_this_law():
    n, m = 1000, 2000
    rng = np.random.default_rng(2)
    spectra = [np.linspace(0.5, 1.0, n), np.repeat([0.0, 2.0], n // 2), rng.uniform(1, 3, n)]
    total = np.zeros((n, m))
    for s in spectra:
        one = np.zeros((n, m))
        np.fill_diagonal(one, s)
        total += haar(n, rng) @ one @ haar(m, rng).T
    law = rectangular_sum(*spectra, ratio=0.5, values="singular")
    assert distance(law, np.linalg.svd(total, compute_uv=False) ** 2) < 0.01


def test_products_of_rectangular_matrices_are_free_products_with_zeros():
    # Gaussian shapes (n, m), (m, k): with a = n/m, b = m/k, X = M of the product,
    # y X = (1 + X)(1 + a X)(1 + a b X)
    a, b = 0.4, 0.5
    law = rectangular_product(marchenko_pastur(a), marchenko_pastur(b), ratio=a).law
    y = np.array([0.1, 0.8, 2.0, 5.0, 1.0 + 0.5j, -1.0])
    x = y * law.stieltjes(y) - 1.0
    assert np.allclose(y * x, (1 + x) * (1 + a * x) * (1 + a * b * x), rtol=1e-11)
    assert law.atoms == ()
    tall = rectangular_product(marchenko_pastur(2.0), marchenko_pastur(0.5), ratio=2.0)
    assert np.allclose(tall.atoms, [(0.0, 0.5)])
    x = y * tall.law.stieltjes(y) - 1.0
    assert np.allclose(y * x, (1 + x) * (1 + 2.0 * x) * (1 + x), rtol=1e-10)
    f = tall.cdf(np.array([0.0, 30.0])).value
    assert np.allclose(f, [0.5, 1.0], atol=1e-9)


@pytest.mark.parametrize("n", [150, pytest.param(400, marks=pytest.mark.slow)])
def test_simulated_products_have_this_law(n):
    m, k = 5 * n // 2, 5 * n // 4
    rng = np.random.default_rng(3)
    s, t = np.linspace(0.2, 1.5, n), rng.uniform(0.0, 2.0, k)
    left, right = np.zeros((n, m)), np.zeros((m, k))
    np.fill_diagonal(left, s)
    np.fill_diagonal(right, t)
    values = np.linalg.svd(left @ haar(m, rng) @ right, compute_uv=False) ** 2
    law = rectangular_product(s**2, np.r_[np.zeros(m - k), t**2], ratio=n / m)
    assert distance(law, values) < 4.0 / n
    square = rectangular_product(s**2, s**2, ratio=1.0)
    assert np.allclose(square.density(0.3).value, free_product(s**2, s**2).density(0.3).value)


def test_singular_values_may_come_as_a_law():
    base = FreePoisson(2.0, 0.5)  # any law on the half line
    law = rectangular_sum(base, ratio=0.5, values="singular").law
    low, high = base.edges
    t, w = np.polynomial.legendre.leggauss(200)
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(0.5 * np.pi * (t + 1))
    weight = 0.25 * np.pi * (high - low) * np.sin(0.5 * np.pi * (t + 1)) * w * base.density(x)
    for y in (-1.0, 9.0, 1.0 + 0.7j, 1.0 - 0.7j):
        assert np.isclose(law.stieltjes(y), np.sum(weight / (y - x**2)), rtol=1e-12)
        slope = -np.sum(weight / (y - x**2) ** 2)
        assert np.isclose(law.stieltjes_derivative(y), slope, rtol=1e-11)
        assert np.isclose(law.mean_log(y), np.sum(weight * np.log(y + 0j - x**2)), rtol=1e-12)
    y = np.array([low**2, 0.8, high**2]) * np.array([1.01, 1.0, 0.99])
    assert np.allclose(law.density(y), base.density(np.sqrt(y)) / (2 * np.sqrt(y)), rtol=1e-12)
    assert np.allclose(law.moments(2), base.moments(4)[1::2])
    both = rectangular_sum(base, point_mass(1.5), ratio=0.5, values="singular")
    assert np.isclose(both.moments(1).value[0], base.moments(2)[1] + 2.25, rtol=1e-12)


def test_wrong_input_is_refused_in_words():
    with pytest.raises(ValueError, match="transpose the matrices"):
        rectangular_sum([1.0], [2.0], ratio=2.0)
    with pytest.raises(SpecError, match="ratio is needed"):
        rectangular_sum([1.0], [2.0])
    with pytest.raises(ValueError, match="reaches down to -1"):
        rectangular_sum([-1.0], [2.0], ratio=0.5)
    with pytest.raises(SpecError, match="one shape"):
        rectangular_sum(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(SpecError, match="2 rows and 3 columns"):
        rectangular_sum(np.ones((2, 3)), ratio=0.5)
    with pytest.raises(SpecError, match="at least one"):
        rectangular_sum(ratio=0.5)
    with pytest.raises(ValueError, match="do not fit into the smaller space"):
        rectangular_product([1.0, 2.0], [1.0], ratio=2.0)


def test_zero_matrices_and_single_ones_change_nothing():
    a = empirical([1.0, 2.0])
    assert rectangular_sum(a, [0.0], ratio=0.5).law == a.law
    assert rectangular_sum([0.0], [0.0], ratio=0.5).atoms == ((0.0, 1.0),)
