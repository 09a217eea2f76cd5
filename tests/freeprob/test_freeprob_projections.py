"""Products of free projections, whose law is known in closed form; laws asked everywhere."""

import numpy as np
import pytest

from chione import freeprob as fp

RANKS = [(0.3, 0.8), (0.2, 0.3), (0.9, 0.95), (0.1, 0.7), (0.5, 0.2), (0.01, 0.02), (0.4, 0.599)]


def edges(a, b):
    half = np.sqrt(4.0 * a * b * (1.0 - a) * (1.0 - b))
    return a + b - 2.0 * a * b - half, a + b - 2.0 * a * b + half


@pytest.mark.parametrize(("a", "b"), RANKS)
def test_edges_and_atoms_of_two_projections(a, b):
    found = fp.bernoulli(a) * fp.bernoulli(b)
    low, high = edges(a, b)
    bands = [s for s in found.support if s[1] > s[0]]
    assert len(bands) == 1
    assert bands[0] == pytest.approx((low, high), rel=1e-9)
    masses = dict(found.atoms)
    assert masses[0.0] == pytest.approx(1.0 - min(a, b))
    assert masses.get(1.0, 0.0) == pytest.approx(max(a + b - 1.0, 0.0))


@pytest.mark.parametrize(("a", "b"), RANKS)
def test_density_of_two_projections(a, b):
    # rho = sqrt((x+ - x)(x - x-)) / (2 pi x (1 - x))
    found = fp.bernoulli(a) * fp.bernoulli(b)
    low, high = edges(a, b)
    x = low + (high - low) * np.sin(np.linspace(0.02, np.pi / 2 - 0.02, 60)) ** 2
    rho = np.sqrt((high - x) * (x - low)) / (2.0 * np.pi * x * (1.0 - x))
    got = found.density(x)
    assert got.ok
    assert np.all(abs(got.value - rho) <= 1e-9 * rho)
    curve = found.curve(200)
    assert curve.x.size >= 150


MEASURES = [
    fp.bernoulli(0.3) * fp.bernoulli(0.8),
    fp.bernoulli(0.3) + fp.bernoulli(0.8),
    fp.empirical(np.arange(10.0)) * fp.marchenko_pastur(0.1),
    fp.empirical([-2.0, 0.0, 1.0, 6.0]) + 0.1 * fp.bernoulli(0.2),
    fp.marchenko_pastur(3.0) * fp.marchenko_pastur(0.2) * fp.bernoulli(0.9),
    fp.bernoulli(0.7) + fp.bernoulli(0.9) + fp.marchenko_pastur(0.01),
]
SLOW = pytest.mark.slow
FEW_AND_MANY = [*MEASURES[:4], *(pytest.param(m, marks=SLOW) for m in MEASURES[4:])]


@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("measure", FEW_AND_MANY, ids=str)
@pytest.mark.sampled(3)
def test_the_distribution_function_answers_everywhere_and_rises(measure, count):
    places = [x for s in measure.support for x in s] + [a for a, _ in measure.atoms]
    low, high = min(places), max(places)
    beside = np.geomspace(1e-17, 1e-2, count) * (high - low)
    x = np.concatenate([p + s * beside for p in places for s in (-1.0, 1.0)])
    x = np.sort(np.concatenate([x, places, np.linspace(low - 1.0, high + 1.0, 8 * count)]))
    got = measure.cdf(x)
    assert not np.isnan(got.value).any()
    assert np.all(np.diff(got.value) >= -(got.error[1:] + got.error[:-1] + 1e-15))
    assert got.value[0] == pytest.approx(0.0, abs=1e-12)
    assert got.value[-1] == pytest.approx(1.0, abs=1e-12)
    density = measure.density(x)
    assert not np.isnan(density.value).any()
    assert np.all(density.value >= 0.0)


def test_constants_alone_are_one_constant():
    assert (fp.point_mass(2.0) + fp.point_mass(3.0)).atoms == ((5.0, 1.0),)
    assert (fp.point_mass(2.0) * fp.point_mass(3.0)).atoms[0] == pytest.approx((6.0, 1.0))
    law = (fp.point_mass(1.0) + fp.point_mass(1.0)) * fp.marchenko_pastur(0.5)
    assert law.density(2.0).value == pytest.approx(
        fp.marchenko_pastur(0.5).density(1.0).value / 2.0, rel=1e-12
    )
