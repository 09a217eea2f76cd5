"""Supports of free sums and products: every gap, every band, however narrow."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp

from chione.freeprob import (
    Arcsine,
    FreePoisson,
    PointMasses,
    Semicircle,
    empirical,
    free_sum,
    marchenko_pastur,
    semicircle,
)
from chione.freeprob.convolution import FreeProduct, FreeSum

COIN = PointMasses((-1.0, 1.0), (0.5, 0.5))


def two_points_and_semicircle(a, v):
    """Edges of coin(+-a) + semicircle(v): z = w + v w/(w^2 - a^2) at its critical points."""
    # (w^2 - a^2)^2 = v (w^2 + a^2)
    u = 0.5 * (2 * a**2 + v + np.array([-1.0, 1.0]) * np.sqrt(v * v + 8 * a**2 * v))
    w = np.sqrt(u[u > 0.0])
    z = w + v * w / (w**2 - a**2)
    return np.sort(np.concatenate([-z, z]))


@pytest.mark.parametrize("v", [1e-12, 1e-4, 0.3, 0.99, 1.0 - 1e-6, 1.0 + 1e-6, 1.5])
def test_two_points_and_a_semicircle_split_and_merge_where_they_must(v):
    edges = two_points_and_semicircle(1.0, v)
    if v > 1.0:
        edges = edges[[0, -1]]
    found = np.array(FreeSum((COIN, Semicircle(v))).support).ravel()
    assert found.shape == edges.shape
    assert np.allclose(found, edges, rtol=0.0, atol=2e-14)


def test_bands_that_just_meet_touch():
    support = FreeSum((COIN, Semicircle(1.0))).support
    assert len(support) == 2
    assert support[0][1] == support[1][0]
    assert abs(support[0][1]) < 1e-15


def test_every_eigenvalue_has_its_band_where_the_noise_is_small():
    rng = np.random.default_rng(0)
    a = np.sort(rng.normal(size=300))
    v = 1e-16
    law = FreeSum((empirical(a).law, Semicircle(v)))
    assert len(law.support) == a.size
    # each is a semicircle of mass 1/300: half width 2 sqrt(v / 300), moved by what the others do
    widths = np.diff(np.array(law.support), axis=1).ravel()
    assert np.isclose(np.median(widths), 4.0 * np.sqrt(v / 300.0), rtol=1e-6)
    assert np.allclose(widths, np.median(widths), rtol=0.02)


def test_a_cluster_of_outliers_is_a_narrow_band_of_the_right_mass():
    places, masses = np.array([0.0, 6.0]), np.array([0.999, 0.001])
    law = FreeSum((PointMasses(tuple(places), tuple(masses)), Semicircle(1.0)))
    (_, _), (low, high) = law.support
    assert 0.05 < high - low < 0.2
    assert abs(0.5 * (low + high) - (6.0 + 1.0 / 6.0)) < 0.01
    assert np.isclose(law.cdf(high) - law.cdf(low), 0.001, rtol=1e-10)


def test_edges_of_products_of_free_poisson_laws_solve_their_polynomial():
    # S = 1 / (a b (c + x) (d + x)): z = (1 + x)/x / S has critical points where dlog z / dx = 0
    a, c, b, d = 1.0, 3.0, 0.5, 2.0
    # 1/(1+x) - 1/x + 1/(c+x) + 1/(d+x) = 0
    x = np.polynomial.Polynomial([0.0, 1.0])
    p = x * (c + x) * (d + x) - (1 + x) * (c + x) * (d + x)
    p = p + x * (1 + x) * (d + x) + x * (1 + x) * (c + x)
    roots = np.sort(p.roots().real)
    z = (1 + roots) / roots * a * b * (c + roots) * (d + roots)
    law = FreeProduct((FreePoisson(c, a), FreePoisson(d, b)))
    low, high = law.support[0]
    assert np.isclose(high, z.max(), rtol=1e-13)
    assert np.isclose(low, min(t for t in z if t > 0.0), rtol=1e-13)


def test_gaps_next_to_an_atom_at_zero_are_found():
    law = FreeProduct((FreePoisson(0.5), FreePoisson(0.7, 0.5)))
    assert law.support[0] == (0.0, 0.0)
    low, high = law.support[1]
    x = np.array(
        [0.5 * low, low * (1 - 1e-9), low * (1 + 1e-9), high * (1 - 1e-9), high * (1 + 1e-9)]
    )
    assert np.array_equal(law.density(x) > 0.0, [False, False, True, True, False])
    assert np.isclose(law.cdf(0.5 * low), 0.5, atol=1e-15)


def test_isolated_atoms_stand_between_bands():
    one, two = PointMasses((0.0, 1.0), (0.3, 0.7)), PointMasses((0.0, 1.0), (0.2, 0.8))
    # free projections of traces p, q: ends of the sum at 1 +- the roots of the ends of the product
    r = np.sqrt([0.7 * 0.2, 0.8 * 0.3])
    ends = [(r[1] - r[0]) ** 2, (r[1] + r[0]) ** 2]
    law = FreeProduct((one, two))
    assert law.support[0] == (0.0, 0.0)
    assert law.support[2] == (1.0, 1.0)
    assert np.allclose(law.support[1], ends, rtol=1e-13)
    total = FreeSum((one, two))
    spread = np.sqrt(np.array(ends))
    expected = [1 - spread[1], 1 - spread[0], 1, 1, 1 + spread[0], 1 + spread[1], 2, 2]
    assert np.allclose(np.array(total.support).ravel(), expected, rtol=1e-13)


def test_hard_edges_end_the_support_where_they_stand():
    assert FreeProduct((PointMasses((0.0, 1.0), (0.5, 0.5)),) * 2).support == ((0.0, 1.0),)
    assert np.allclose(FreeSum((COIN, COIN)).support, [[-2.0, 2.0]], rtol=1e-15)
    assert FreeProduct((FreePoisson(1.0), FreePoisson(2.0))).support[0][0] == 0.0


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 6))]
)
def test_no_gap_is_missed_on_a_fine_grid(seed):
    rng = np.random.default_rng(seed)
    a = np.sort(rng.normal(size=25)) * rng.choice([1.0, 3.0])
    law = FreeSum((empirical(a).law, Semicircle(float(rng.choice([0.002, 0.02]))), Arcsine(0.1)))
    x = np.linspace(law.support[0][0], law.support[-1][1], 20_001)[1:-1]
    inside = np.any([(x > low) & (x < high) for low, high in law.support], axis=0)
    assert len(law.support) > 3
    assert np.array_equal(law.density(x) > 0.0, inside)


def test_edges_are_where_the_derivative_of_the_density_is_infinite():
    law = FreeSum((PointMasses((0.0, 1.0, 4.0), (0.4, 0.4, 0.2)), FreePoisson(2.0, 0.1)))
    for i, (low, high) in enumerate(law.support):
        for edge, inward in ((low, 1.0), (high, -1.0)):
            d = (high - low) * np.array([1e-8, 4e-8])
            rho = law.density(edge + inward * d)
            assert np.isclose(rho[1] / rho[0], 2.0, rtol=1e-3), (i, edge)
            assert law.density(edge - inward * d[0]) == 0.0


@pytest.mark.parametrize("c", [0.1, 1.0, 3.46, 20.0])
@pytest.mark.parametrize("variance", [1e-1, 1e-3, 1e-5, 1e-8])
def test_an_edge_that_a_narrow_summand_moves_by_a_hair_is_exact(c, variance):
    # z(g) = 1/g + v g + 1/(1 - c g) has its minimum over 0 < g < 1/c at the upper edge
    with mp.workdps(40):
        v, ratio = mp.mpf(variance), mp.mpf(c)
        low, high = mp.mpf(0), 1 / ratio
        for _ in range(130):
            g = (low + high) / 2
            falls = -1 / g**2 + v + ratio / (1 - ratio * g) ** 2 < 0
            low, high = (g, high) if falls else (low, g)
        exact = float(1 / low + v * low + 1 / (1 - ratio * low))
    law = free_sum(marchenko_pastur(c), semicircle(variance))
    assert law.support[-1][1] == pytest.approx(exact, rel=2e-14)
