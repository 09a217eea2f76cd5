"""Matrices built the way a measure is, beside the free theory."""

import numpy as np
import pytest

from chione import freeprob as fp
from chione.base import CostError, SpecError
from chione.simulation.free_matrices import compare_free, sample_free

COIN = fp.bernoulli(0.5, low=-1.0, high=1.0)
SIZE = 300


@pytest.mark.parametrize(
    "measure",
    [
        fp.marchenko_pastur(0.5) + fp.semicircle(1.0),
        fp.marchenko_pastur(0.5) * fp.marchenko_pastur(2.0),
        COIN + COIN + COIN,
        2.0 * COIN - fp.marchenko_pastur(0.5) + 3.0,
        fp.empirical([0.0, 1.0, 5.0]) + COIN,
        COIN.free_power(2.5),
        fp.bernoulli(0.3).compress(0.5),
        fp.bernoulli(0.3) * fp.bernoulli(0.8),
        fp.marchenko_pastur(0.5).free_multiplicative_power(3),
        fp.empirical(np.arange(10.0)) * fp.marchenko_pastur(0.1),
    ],
    ids=str,
)
def test_one_matrix_follows_its_measure(measure):
    found = sample_free(measure, size=SIZE, seed=1)
    assert found.shape == (SIZE,)
    assert np.all(np.diff(found) >= 0.0)
    assert compare_free(measure, found) < 4.0 / SIZE


def test_another_measure_is_told_apart():
    found = sample_free(fp.marchenko_pastur(0.5) + fp.semicircle(1.0), size=SIZE)
    assert compare_free(fp.marchenko_pastur(0.5) + fp.semicircle(1.2), found) > 6.0 / SIZE


def test_a_law_without_parts_gives_its_own_quantiles():
    found = sample_free(fp.semicircle(1.0), size=101)
    assert found[50] == pytest.approx(0.0, abs=1e-12)
    assert compare_free(fp.semicircle(1.0), found) == pytest.approx(0.5 / 101, rel=1e-9)


def test_the_distance_takes_atoms_whole():
    mu = fp.bernoulli(0.25)
    assert compare_free(mu, np.array([0.0, 1e-15, -1e-15, 1.0])) == pytest.approx(0.0, abs=1e-12)
    assert compare_free(mu, np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0.25)
    assert compare_free(mu, np.full(4, 0.5)) == pytest.approx(0.75)


def test_the_same_seed_gives_the_same_matrix():
    measure = COIN + COIN
    a, b, c = (sample_free(measure, size=40, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_what_no_matrix_has_is_refused():
    with pytest.raises(SpecError, match="free multiplicative power"):
        sample_free(fp.marchenko_pastur(1.0).free_multiplicative_power(1.5), size=20)
    with pytest.raises(CostError, match="A size of"):
        sample_free(COIN + COIN, size=100_000)
    with pytest.raises(SpecError, match="rotated parts"):
        sample_free(COIN.free_power(1e6), size=2)
