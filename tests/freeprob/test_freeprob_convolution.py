"""Free convolutions against laws that are known in closed form."""

import numpy as np
import pytest

from chione import freeprob
from chione.freeprob import Arcsine, FreePoisson, PointMasses, Semicircle
from chione.freeprob.convolution import free_product, free_sum


def bernoulli(p):
    return freeprob.bernoulli(p).law


def marchenko_pastur(ratio):
    return freeprob.marchenko_pastur(ratio).law


def point_mass(place):
    return freeprob.point_mass(place).law


def test_two_free_signs_add_up_to_the_arcsine_law():
    sign = PointMasses((-1.0, 1.0), (0.5, 0.5))
    total = free_sum(sign, sign)
    x = np.array([-1.7, -0.6, 0.0, 0.9, 1.99])
    assert np.allclose(total.density(x), Arcsine(2.0).density(x), rtol=1e-8)
    assert np.allclose(total.moments(6), Arcsine(2.0).moments(6), atol=1e-13)
    assert total.atoms == ()


def test_semicircles_and_free_poissons_add():
    x = np.linspace(0.2, 3.2, 6)
    both = free_sum(Semicircle(1.0, 0.5), Semicircle(2.0, -0.2))
    assert np.allclose(both.density(x), Semicircle(3.0, 0.3).density(x), rtol=1e-12)
    rates = free_sum(FreePoisson(0.5, 2.0), FreePoisson(0.9, 2.0))
    assert np.allclose(rates.density(x), FreePoisson(1.4, 2.0).density(x), rtol=1e-11)
    assert np.allclose(rates.support, FreePoisson(1.4, 2.0).support, rtol=1e-9)


def test_unequal_bernoullis_keep_the_atoms_that_must_remain():
    total = free_sum(bernoulli(0.7), bernoulli(0.8))
    assert np.allclose(total.atoms, [(1.0, 0.1), (2.0, 0.5)])
    product = free_product(bernoulli(0.7), bernoulli(0.8))
    assert np.allclose(product.atoms, [(0.0, 0.3), (1.0, 0.5)])


def test_product_of_two_projections_is_an_arcsine_law_on_the_unit_interval():
    product = free_product(bernoulli(0.5), bernoulli(0.5))
    x = np.linspace(0.05, 0.95, 7)
    assert np.allclose(product.density(x), 0.5 / (np.pi * np.sqrt(x * (1 - x))), rtol=1e-12)
    assert np.allclose(product.moments(3), [0.25, 3 / 16, 5 / 32], rtol=1e-14)


def test_product_of_marchenko_pasturs_has_fuss_catalan_moments():
    product = free_product(marchenko_pastur(1.0), marchenko_pastur(1.0))
    assert np.allclose(product.moments(4), [1.0, 3.0, 12.0, 55.0], rtol=1e-13)
    # The density of Penson and Zyczkowski at s = 2, x = 1: sqrt(3)/(2 pi) times powers of a root
    x = 1.0
    c = (27 + 3 * np.sqrt(81 - 12 * x)) ** (1 / 3)
    exact = 2 ** (1 / 3) * np.sqrt(3) / (12 * np.pi)
    exact *= (2 ** (1 / 3) * c**2 - 6 * x ** (1 / 3)) / (x ** (2 / 3) * c)
    assert np.isclose(product.density(x), exact, rtol=1e-11)


def test_units_of_both_convolutions_change_nothing():
    mu = FreePoisson(0.7, 1.2)
    x = np.array([0.3, 1.0, 2.5])
    assert np.allclose(free_sum(mu, point_mass(0.5)).density(x), mu.density(x - 0.5), atol=1e-12)
    assert np.allclose(free_product(mu, point_mass(2.0)).density(x), mu.density(x / 2) / 2)


def test_derivatives_of_the_transforms_meet_central_differences():
    h, z = 1e-5, np.array([1.0 + 0.3j, -1.0 + 0.5j])
    for mu in (
        free_sum(Semicircle(1.0), bernoulli(0.3)),
        free_product(marchenko_pastur(0.5), bernoulli(0.3)),
    ):
        slope = (mu.stieltjes(z + h) - mu.stieltjes(z - h)) / (2 * h)
        assert np.allclose(mu.stieltjes_derivative(z), slope, atol=1e-8)


def test_a_product_needs_measures_on_the_half_line():
    with pytest.raises(ValueError, match=r"needs measures on \[0, inf\)"):
        free_product(Semicircle(1.0), bernoulli(0.5))
