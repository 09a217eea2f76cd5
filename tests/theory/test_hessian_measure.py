"""The model Hessian's law as a measure: sums and products of its parts, transforms, draws."""

import numpy as np
import pytest

import chione as ch
from chione.freeprob import free_product, free_sum, marchenko_pastur, semicircle
from chione.theory.spectra.hessian import hessian_spectrum


def random_points(seed, count):
    rng = np.random.default_rng(seed)
    return [(float(10 ** rng.uniform(-1.5, 1)), float(10 ** rng.uniform(-3, 1)))
            for _ in range(count)]  # fmt: skip


@pytest.mark.parametrize(("ratio", "energy"), random_points(0, 6))
def test_wishart_plus_wigner_is_the_free_sum_of_both(ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy)
    other = free_sum(marchenko_pastur(ratio), semicircle(2.0 * energy))
    assert np.allclose(np.ravel(other.support), np.ravel(s.support), rtol=1e-12, atol=1e-13)
    x = np.concatenate([np.linspace(a, b, 13)[1:-1] for a, b in s.support])
    mine, theirs = s.density(x), other.density(x)
    assert np.all(abs(mine.value - theirs.value) <= mine.error + theirs.error)
    mine, theirs = s.cdf(x), other.cdf(x)
    assert np.all(abs(mine.value - theirs.value) <= mine.error + theirs.error)


def test_product_plus_wigner_is_the_free_product_of_two_wishart_laws_plus_a_semicircle():
    s = hessian_spectrum(ratio=0.4, energy=0.3, structure="product")
    other = marchenko_pastur(0.4) * marchenko_pastur(0.4) + semicircle(0.6)
    assert np.allclose(np.ravel(other.support), np.ravel(s.support), rtol=1e-12)
    x = np.linspace(*s.edges, 9)[1:-1]
    assert np.allclose(s.density(x).value, other.density(x).value, rtol=1e-10)


def test_without_energy_a_product_is_the_free_product_of_wishart_laws():
    s = hessian_spectrum(ratio=0.6, energy=0.0, structure="product")
    other = free_product(marchenko_pastur(0.6), marchenko_pastur(0.6))
    assert np.allclose(np.ravel(other.support), np.ravel(s.support), rtol=1e-10)
    x = np.linspace(*s.edges, 7)[1:-1]
    assert np.allclose(s.density(x).value, other.density(x).value, rtol=1e-9)


def test_blocks_are_a_free_compound_poisson_law_of_signs():
    # 2 p / phi jumps of +-a a dimension: the product of a Wishart law with signs, by cumulants
    s = hessian_spectrum(ratio=0.8, energy=0.5, structure="relu")
    a, rate = 0.8 * np.sqrt(0.25), 1.0 / 0.8
    k = np.arange(1, 7)
    expected = 0.8 ** (k - 1.0) + np.where(k % 2 == 0, rate * a**k, 0.0)
    assert np.allclose(s.to_measure().free_cumulants(6).value, expected, rtol=1e-13)


@pytest.mark.parametrize("structure", ["wigner", "relu", "linear", "product"])
@pytest.mark.parametrize(("ratio", "energy"), [
    (2.5, 0.05), *(pytest.param(*x, marks=pytest.mark.slow) for x in [(0.3, 0.2), (3.5, 0.6)]),
])  # fmt: skip
def test_the_measure_has_what_the_spectrum_has(structure, ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    m = s.to_measure()
    assert m.atoms == s.atoms
    assert m.edges == tuple(np.ravel(s.support))
    p = np.linspace(0.01, 0.99, 9)
    mine, theirs = s.quantile(p), m.quantile(p)
    assert np.all(abs(mine.value - theirs.value) <= mine.error + theirs.error)
    assert np.allclose(m.moments(4).value, s.moments(4), rtol=1e-13)
    assert m.variance.value == pytest.approx(s.moments(2)[1] - 1.0)
    g = 0.05 + 0.01j
    z = complex(m.r_transform(g).value) + 1.0 / g
    assert abs(complex(s.stieltjes(z)) - g) < 1e-13


def test_adding_energy_to_the_measure_is_adding_a_semicircle():
    more = hessian_spectrum(ratio=2.5, energy=0.1).to_measure() + ch.freeprob.semicircle(0.4)
    s = hessian_spectrum(ratio=2.5, energy=0.3)
    assert np.allclose(np.ravel(more.support), np.ravel(s.support), rtol=1e-12)
    assert np.isclose(more.cdf(0.0).value, s.negative_fraction.value, rtol=1e-12)
