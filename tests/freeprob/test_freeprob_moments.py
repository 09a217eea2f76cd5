"""What finitely many moments determine: bounds that hold for every measure which has them."""

import numpy as np
import pytest

from chione import freeprob
from chione.base import SpecError, Status
from chione.freeprob import empirical, from_moments, jacobi

LAWS = {
    "semicircle": (freeprob.semicircle(), (-2.0, 2.0)),
    "marchenko_pastur": (freeprob.marchenko_pastur(0.5), (0.0, 3.0)),
    "uniform": (freeprob.uniform(0.0, 1.0), (0.0, 1.0)),
    "atoms": (empirical(np.linspace(-1.0, 3.0, 41) ** 3 / 9.0), (-1.0, 3.0)),
}


def with_the_same_moments(mu, n, hull):
    """The law itself, and quadratures on the hull that have its first n moments."""
    m = mu.moments(n + 4).value
    found = jacobi.from_moments(m, 1e-16 * abs(m))
    k = n // 2
    others = [mu]
    for x in np.linspace(*hull, 23):
        place, mass = jacobi.through(found.a[:k], found.b[:k], x)
        if place[0] >= hull[0] - 1e-9 and place[-1] <= hull[1] + 1e-9:
            others.append(empirical(place, mass))
    assert len(others) > 5
    for other in others:
        assert np.allclose(other.moments(2 * k).value, m[: 2 * k], rtol=1e-9, atol=1e-11)
    return others


Z = np.array([3.2, 3.6, -2.3, -40.0, 0.3 + 0.9j, 1.0 + 0.05j, 2.9 - 0.2j, -1.2 + 2j])


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("name", LAWS)
def test_g_of_every_measure_with_these_moments_lies_in_the_disc(name, n):
    mu, hull = LAWS[name]
    known = from_moments(mu.moments(n).value, hull)
    free = from_moments(mu.moments(n).value)
    found, wider = known.stieltjes(Z), free.stieltjes(Z)
    assert found.ok
    assert np.array_equal(wider.status == Status.OK, Z.imag != 0.0)
    spread = np.zeros(Z.size)
    for other in with_the_same_moments(mu, n, hull):
        g = other.stieltjes(Z).value
        assert np.all(abs(g - found.value) <= found.error)
        assert np.all((abs(g - wider.value) <= wider.error)[Z.imag != 0.0])
        spread = np.maximum(spread, abs(g - found.value))
    # on the axis the bound is reached by the quadratures with a node at an end
    assert np.all(spread[:4] >= 0.9 * (found.error[:4] - 1e-14))
    assert np.all(found.error[Z.imag != 0.0] <= wider.error[Z.imag != 0.0] * (1 + 1e-12))


@pytest.mark.parametrize("name", LAWS)
def test_an_odd_moment_narrows_the_bounds_and_more_moments_do(name):
    mu, hull = LAWS[name]
    errors = []
    for n in (2, 3, 4, 5, 8, 9):
        found = from_moments(mu.moments(n).value, hull).stieltjes(Z[:4])
        assert np.all(abs(found.value - mu.stieltjes(Z[:4]).value) <= found.error)
        errors.append(found.error)
    assert np.all(np.diff(np.array(errors), axis=0) <= 1e-15)


@pytest.mark.parametrize("name", LAWS)
def test_the_distribution_function_lies_between_its_bounds(name):
    mu, hull = LAWS[name]
    known = from_moments(mu.moments(8).value, hull)
    x = np.linspace(hull[0] - 0.1, hull[1] + 0.1, 37)
    found = known.cdf(x)
    for other in with_the_same_moments(mu, 8, hull):
        assert np.all(abs(other.cdf(x).value - found.value) <= found.error + 1e-9)
    assert np.max(found.error) < 0.35


def test_sums_products_and_powers_go_by_moments():
    a, b = freeprob.marchenko_pastur(0.5), freeprob.semicircle(0.3, 2.0)
    known = from_moments(a.moments(6).value, (0.0, 3.0))
    for found, exact in (
        (known + b, a + b),
        (b + known, a + b),
        (known * a, a * a),
        (known.free_power(2.5), a.free_power(2.5)),
        (known ** 2.0, a * a),
        (2.0 * known - 1.0, 2.0 * a - 1.0),
        (known.compress(0.5), a.compress(0.5)),
    ):  # fmt: skip
        m = found.moments(6)
        assert np.all(abs(m.value - exact.moments(6).value) <= m.error + exact.moments(6).error)
        assert np.all(m.error <= 1e-8 * abs(m.value))
        kappa = found.free_cumulants(6)
        assert np.all(abs(kappa.value - exact.free_cumulants(6).value) <= 2 * kappa.error)
    assert str(known + b) == "from_moments(6 moments on [0, 3]) + semicircle(0.3) + 2"


def test_moments_that_a_few_atoms_alone_can_have_give_the_atoms():
    mu = empirical([-1.0, 0.5, 2.0], [1.0, 2.0, 1.0])
    found = from_moments(mu.moments(9).value)
    assert np.allclose(found.atoms, mu.atoms, atol=1e-12)
    assert from_moments([0.0, 1.0, 0.0, 1.0]).atoms == ((-1.0, 0.5), (1.0, 0.5))


def test_what_is_not_determined_says_so():
    mu = from_moments([0.0, 1.0, 0.0, 2.0], (-2.0, 2.0))
    assert mu.density(0.3).status == Status.NOT_COMPUTED
    assert mu.density(2.5).value == 0.0
    assert mu.quantile(0.3).status == Status.NOT_COMPUTED
    assert mu.stieltjes(0.3).status != Status.OK
    assert list(mu.moments(6).status) == [0, 0, 0, 0, Status.NOT_COMPUTED, Status.NOT_COMPUTED]
    for call in (mu.curve, lambda: mu.sample(3)):
        with pytest.raises(SpecError, match="finitely many moments do not"):
            call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: from_moments([0.0, -1.0]), "no measure has these moments"),
        (lambda: from_moments([0.0, 1.0, 0.0, 0.5]), "Hankel determinant of m_0 .. m_4"),
        (lambda: from_moments([0.0, 1.0], (-0.5, 0.5)), "give a wider support"),
        (lambda: from_moments([]), "a list of 1 to 60"),
        (lambda: from_moments([np.nan]), "must be finite"),
        (lambda: from_moments([0.0, 1.0]) * freeprob.marchenko_pastur(), "reach below 0"),
        (lambda: from_moments([0.0, 1.0], (3.0, 1.0)), "support must be one pair"),
    ],
)
def test_bad_moments_get_one_sentence(call, match):
    with pytest.raises((SpecError, ValueError), match=match):
        call()
