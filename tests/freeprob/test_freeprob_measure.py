"""The public face: values against closed forms, errors above the true ones, words."""

import numpy as np
import pytest

import chione as ch
from chione import freeprob
from chione.base import Status
from chione.freeprob import AbstractMeasure, Semicircle, as_measure, empirical
from chione.freeprob.dilation import Dilated

CLOSED = [
    freeprob.semicircle(1.7, 0.4),
    freeprob.marchenko_pastur(0.5),
    freeprob.marchenko_pastur(1.0),
    freeprob.marchenko_pastur(3.0),
    freeprob.free_poisson(0.7, -1.3),
    freeprob.arcsine(1.5) * -0.7 + 0.2,
    freeprob.bernoulli(0.3),
    empirical([-1.0, 0.5, 0.5, 4.0]),
]


@pytest.mark.parametrize("mu", CLOSED, ids=str)
def test_the_logarithmic_potential_is_the_integral_of_the_transform(mu):
    z = np.array([0.3 + 0.4j, -1.0 + 1e-2j, 2.0 + 3.0j, 1e3 + 1j])
    assert np.allclose(mu.law.mean_log(z), AbstractMeasure.mean_log(mu.law, z), rtol=1e-9)
    assert np.allclose(mu.law.mean_log(np.conj(z)), np.conj(mu.law.mean_log(z)), rtol=1e-15)


@pytest.mark.parametrize("mu", CLOSED, ids=str)
def test_quantiles_invert_the_distribution_function_alone_and_together(mu):
    p = np.array([0.0, 1e-9, 0.05, 0.2, 0.5, 0.81, 1.0 - 1e-9, 1.0])
    q = mu.quantile(p)
    assert q.ok
    one = np.array([mu.quantile(x).value for x in p])
    assert np.all(abs(q.value - one) <= q.error)
    assert q.value[0] == mu.support[0][0]
    assert q.value[-1] == mu.support[-1][1]
    above, below = mu.law.cdf(q.value + q.error), mu.law.cdf(np.nextafter(q.value - q.error, -9.0))
    assert np.all(above >= p - 1e-15)
    assert np.all((below <= p + 1e-15) | (q.value == mu.support[0][0]))


def test_operators_compose_laws_and_names():
    mu = freeprob.marchenko_pastur(0.5) + freeprob.semicircle(1.0)
    assert str(mu) == "marchenko_pastur(0.5) + semicircle(1)"
    assert str(2.0 * mu - 1.0) == "2 * (marchenko_pastur(0.5) + semicircle(1)) - 1"
    product = freeprob.marchenko_pastur(2.0) * np.array([1.0, 2.0])
    assert str(product) == "marchenko_pastur(2) * empirical([1, 2])"
    assert np.allclose(product.moments(1).value, 1.5)
    assert np.allclose((np.array([1.0, 2.0]) + Semicircle(1.0)).moments(2).value, [1.5, 3.5])
    assert np.allclose((Semicircle(1.0) * 2.0).moments(2).value, [0.0, 4.0])


def test_equal_eigenvalues_are_merged_and_weights_divided_by_their_sum():
    mu = empirical([2.0, -1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 0.0])
    assert mu.atoms == ((-1.0, pytest.approx(1 / 3)), (2.0, pytest.approx(2 / 3)))
    x = np.array([-1.1, -1.0, 1.999, 2.0, 7.0])
    assert np.allclose(mu.cdf(x).value, [0, 1 / 3, 1 / 3, 1, 1], rtol=1e-15)


def test_dilated_laws_are_those_of_their_families():
    x = np.array([-0.3, 0.1, 0.77, 1.4])
    moved = Dilated(Semicircle(1.0, 0.5), -2.0, 0.3)
    assert np.allclose(moved.cdf(x), Semicircle(4.0, -0.7).cdf(x), rtol=1e-14)
    assert np.allclose(moved.density(x), Semicircle(4.0, -0.7).density(x), rtol=1e-14)
    assert np.allclose(moved.moments(5), Semicircle(4.0, -0.7).moments(5), rtol=1e-13)
    coin = Dilated(freeprob.bernoulli(0.3).law, -1.0)
    assert np.allclose(coin.cdf([-1.0, -0.5, 0.0]), [0.3, 0.3, 1.0], rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: empirical([]), "at least|a number in it"),
        (lambda: empirical([1.0, np.nan]), "must be finite, but it holds nan"),
        (lambda: empirical([1.0 + 1j]), "dtype is complex"),
        (lambda: empirical(np.eye(2)), "eigvalsh"),
        (lambda: empirical([1.0, 2.0], [1.0, -1.0]), "weights must be 0 or above"),
        (lambda: empirical([1.0, 2.0], [1.0]), "weights must go with"),
        (lambda: as_measure("mp"), "a measure, a law or an array"),
        (lambda: freeprob.semicircle() * freeprob.semicircle(), "needs measures on"),
        (lambda: freeprob.semicircle().quantile(1.5), r"p must lie in \[0, 1\]"),
        (lambda: freeprob.semicircle() / 0.0, "divided by 0"),
        (lambda: freeprob.free_sum(), "at least one measure"),
    ],
)
def test_bad_input_gets_one_sentence(call, match):
    with pytest.raises((ValueError, TypeError), match=match):
        call()


def test_a_curve_crowds_at_the_edges_and_shares_its_points_by_mass():
    mu = empirical([0.0, 0.0, 0.0, 30.0]) + freeprob.semicircle()
    curve = mu.curve(100)
    assert curve.x.size == 100
    assert len(curve.bands) == 2
    assert np.sum(curve.x < 10.0) == 75
    found = mu.density(curve.x)
    assert np.array_equal(curve.density, found.value)
    assert np.array_equal(curve.density_error, found.error)
    assert np.all(np.diff(curve.cdf) > 0.0)
    low = curve.bands[0][0]
    assert 0.0 < curve.x[0] - low < 1e-3
    assert "100 points on 2 bands of empirical([0, 30]" in curve.sentence


def test_a_curve_of_atoms_alone_says_so():
    curve = freeprob.bernoulli(0.3).curve()
    assert curve.x.size == 0
    assert curve.sentence == ("No curve: bernoulli(0.3) is made of atoms alone (2), no density.")
    assert np.array_equal(freeprob.bernoulli(0.3).density([0.5, 1.0]).value, [0.0, 0.0])


@pytest.mark.parametrize("mu", CLOSED[:6], ids=str)
def test_the_density_integrates_to_the_distribution_function(mu):
    curve = mu.curve(4001)
    area = np.concatenate(
        [[0.0], np.cumsum(np.diff(curve.x) * 0.5 * (curve.density[1:] + curve.density[:-1]))]
    )
    assert np.max(abs(curve.cdf - curve.cdf[0] - area)) < 2e-3


@pytest.mark.parametrize("mu", CLOSED, ids=str)
def test_samples_follow_the_law_and_the_seed(mu):
    x = mu.sample(20_000, seed=5)
    assert np.array_equal(x, mu.sample(20_000, seed=np.random.default_rng(5)))
    m, error = mu.moments(4).value, mu.moments(8).value
    spread = np.sqrt((error[3] - m[1] ** 2) / x.size)
    assert abs(np.mean(x**2) - m[1]) < 4.5 * spread
    assert abs(x.mean() - m[0]) < 4.5 * np.sqrt((m[1] - m[0] ** 2) / x.size)
    few = mu.sample(500, seed=1)  # one by one, the same numbers as by the table
    assert np.allclose(few, mu.sample(2000, seed=1)[:500], atol=1e-7)


@pytest.mark.parametrize("n", [2, 3, 10, 997])
def test_a_share_that_meets_a_step_gives_the_lower_end_of_the_gap(n):
    mu = empirical(np.arange(n))
    share = np.arange(1, n + 1) / n
    assert np.array_equal(mu.quantile(share).value, np.arange(n))
    assert np.array_equal(mu.quantile(share + 1e-12 - 2e-12 * (share == 1.0)).value[:-1],
                          np.arange(1, n))  # fmt: skip
    assert np.array_equal(mu.cdf(np.arange(n)).value, mu.law.cumulative)


def test_free_signs_on_the_branches_of_a_tree_have_the_law_of_kesten_and_mckay():
    # the adjacency of the d-regular tree is a sum of d free signs
    coin = freeprob.bernoulli(0.5, low=-1.0, high=1.0)
    for d in (3.0, 4.0, 6.5):
        mu = coin.free_power(d)
        x = np.linspace(-0.98, 0.98, 21) * 2.0 * np.sqrt(d - 1.0)
        exact = d * np.sqrt(4.0 * (d - 1.0) - x**2) / (2.0 * np.pi * (d**2 - x**2))
        found = mu.density(x)
        assert np.all(abs(found.value - exact) <= found.error + 1e-15)
        assert np.all(found.error <= 1e-9)
        assert np.allclose(mu.edges, np.array([-2.0, 2.0]) * np.sqrt(d - 1.0), rtol=1e-11)
        assert str(mu) == f"bernoulli(0.5, low=-1, high=1) ^ {d:g}"


def test_the_sign_of_formulas_is_no_operator_of_python_where_it_binds_less_than_a_sum():
    coin = freeprob.bernoulli(0.5, low=-1.0, high=1.0)
    with pytest.raises(TypeError):
        coin + coin ^ 4.0
    assert str(coin + coin.free_power(4.0)).endswith("high=1) ^ 4")


def test_laws_of_networks_are_measures_too():
    law = ch.derivative_law("tanh", 0.7)
    mu = law * freeprob.marchenko_pastur(0.5)
    assert str(mu) == "gaussian_square(q = 0.7) * marchenko_pastur(0.5)"
    assert mu.mean.value == pytest.approx(law.mean, rel=1e-12)
    unbounded = as_measure(ch.derivative_law("x**2", 0.7))  # 4 h^2
    q = unbounded.quantile([0.0, 0.5, 1.0])
    assert list(q.status) == [Status.OK, Status.OK, Status.DIVERGENT]
    half = 4.0 * 0.7 * 0.6744897501960817**2
    assert abs(q.value[1] - half) <= q.error[1] + 1e-15
    few, many = unbounded.sample(400, seed=3), unbounded.sample(3000, seed=3)
    assert np.allclose(few, many[:400], rtol=1e-5, atol=1e-7)
