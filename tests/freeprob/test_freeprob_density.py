"""Laws from a density against closed forms and quadrature of many digits, ends of all kinds."""

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from chione import freeprob
from chione.base import SpecError, Status
from chione.freeprob import Arcsine, FreePoisson, Semicircle, Uniform, from_density


def far_semicircle(x):
    return np.sqrt(np.maximum(4 - (x - 100) ** 2, 0)) / (2 * np.pi)


HALF = FreePoisson(2.0, 0.5)
CLOSED = {
    "semicircle": (lambda x: np.sqrt(np.maximum(4 - x * x, 0)) / (2 * np.pi), Semicircle()),
    "hard edge": (lambda x: np.sqrt((4 - x) / x) / (2 * np.pi), FreePoisson(1.0, 1.0)),
    "marchenko_pastur": (
        lambda x: np.sqrt(np.maximum((x - HALF.edges[0]) * (HALF.edges[1] - x), 0)) / (np.pi * x),
        HALF,
    ),
    "arcsine": (lambda x: 1 / (np.pi * np.sqrt((1.5 - x) * (1.5 + x))), Arcsine(1.5)),
    "uniform": (lambda x: np.full_like(x, 0.25), Uniform(-1.0, 3.0)),
    "far": (
        lambda x: np.sqrt(np.maximum(4 - (x - 100) ** 2, 0)) / (2 * np.pi),
        Semicircle(1.0, 100.0),
    ),
}


def points(low, high):
    rng = np.random.default_rng(3)
    wide = high - low
    x = np.concatenate([rng.uniform(low - wide, high + wide, 60), np.linspace(low, high, 33)])
    up = rng.uniform(low, high, 40) + 1j * 10.0 ** rng.uniform(-14, 2, 40)
    return np.concatenate([x + 0j, up])


@pytest.mark.parametrize("name", CLOSED)
def test_transforms_of_a_density_are_those_of_the_closed_form(name):
    f, law = CLOSED[name]
    found = from_density(f, law.support)
    z = points(*law.support[0])
    g, exact = found.stieltjes(z), law.stieltjes(z)
    fine = g.status == Status.OK
    assert np.all(abs(g.value - exact)[fine] <= (g.error + law.stieltjes_error(z))[fine])
    inner = (abs(z - law.support[0][0]) > 1e-3) & (abs(z - law.support[0][1]) > 1e-3)
    assert np.all(g.error[fine & inner] <= 1e-9 * (1 + abs(exact[fine & inner])))
    assert np.all(~np.isfinite(exact[~fine]))
    assert np.allclose(found.law.mean_log(z), law.mean_log(z), rtol=1e-13, atol=1e-13)
    x = z.real
    f1 = found.cdf(x)
    assert np.all(abs(f1.value - law.cdf(x)) <= f1.error + law.cdf_error(x))
    assert np.all(f1.error[inner] <= 1e-10)
    m = found.moments(6)
    assert np.all(abs(m.value - law.moments(6)) <= m.error + law.moments_error(6))
    assert np.all(m.error <= 1e-9 * max(1.0, law.support[0][1]) ** np.arange(1, 7))


ODD = {
    "logarithm": (lambda x: -np.log(x), (0.0, 1.0), lambda x: -mp.log(x)),
    "fuss_catalan": (lambda x: x ** (-2 / 3) / 3, (0.0, 1.0), lambda x: x ** (-mp.mpf(2) / 3) / 3),
    "power 0.3": (lambda x: 1.3 * x**0.3, (0.0, 1.0), lambda x: mp.mpf("1.3") * x ** mp.mpf("0.3")),
    "kink": (lambda x: 1 - abs(x), (-1.0, 1.0), lambda x: 1 - abs(x)),
    "three halves": (
        lambda x: np.maximum(1 - x * x, 0) ** 1.5 * 8 / (3 * np.pi),
        (-1.0, 1.0),
        lambda x: (1 - x * x) ** mp.mpf(1.5) * 8 / (3 * mp.pi),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_ends_meet_quadrature_of_many_digits(name):
    f, (a, b), exact = ODD[name]
    mu = from_density(f, (a, b))

    def cuts(x):
        return [v for v in (0.0, x) if a < v < b]

    z = np.array([0.3 + 0.2j, 0.5 + 1e-3j, 1.7 - 0.1j, -0.4 + 0.0j if a == 0.0 else -1.5 + 0j])
    found = mu.stieltjes(z)
    with mp.workdps(25):
        true = [
            complex(
                # x = a + y^3 takes the power -2/3 away
                mp.quad(
                    lambda y, w=w: 3 * y**2 * exact(a + y**3) / (w - a - y**3),
                    sorted(
                        mp.linspace(0, mp.cbrt(b - a), 5) + [mp.cbrt(x - a) for x in cuts(w.real)]
                    ),
                )
            )
            for w in (mp.mpmathify(v) for v in z)
        ]
    assert np.all(abs(found.value - true) <= found.error + 1e-13)
    assert np.all(found.error <= 1e-9)
    assert np.allclose(mu.density([0.5]).value, f(np.array([0.5])), rtol=1e-12)


def test_intervals_and_atoms_share_the_mass():
    mu = from_density(
        lambda x: np.where(x < 0.5, 0.3, 0.1), [(0.0, 1.0), (2.0, 3.0)], atoms=[(5.0, 0.7)]
        , normalize=True,
    )  # fmt: skip
    total = 0.2 + 0.1 + 0.7
    assert np.allclose(mu.cdf([0.5, 1.0, 1.5, 3.0, 4.9, 5.0]).value,
                       np.array([0.15, 0.2, 0.2, 0.3, 0.3, 1.0]) / total, atol=1e-13)  # fmt: skip
    assert mu.atoms == ((5.0, pytest.approx(0.7 / total, rel=1e-12)),)
    assert mu.support == ((0.0, 1.0), (2.0, 3.0), (5.0, 5.0))
    q = mu.quantile([0.1, 0.25, 0.5])
    assert np.allclose(q.value, [1 / 3, 2.5, 5.0], atol=1e-10)
    assert np.all(abs(q.value - [1 / 3, 2.5, 5.0]) <= q.error)


def test_a_law_from_a_density_takes_part_in_free_sums():
    f, _ = CLOSED["semicircle"]
    both = from_density(f, (-2.0, 2.0)) + freeprob.semicircle(3.0)
    x = np.array([-3.3, -1.0, 0.0, 0.2, 3.9])
    assert np.allclose(both.density(x).value, Semicircle(4.0).density(x), rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: from_density(lambda x: x, (-1.0, 1.0)), "0 or above"),
        (lambda: from_density(lambda x: 2.0 + 0 * x, (0.0, 1.0)), "normalize=True"),
        (lambda: from_density(lambda x: np.exp(-x), (0.0, np.inf)), "compact support"),
        (lambda: from_density(lambda x: x, (1.0, 0.0)), "a < b"),
        (lambda: from_density(lambda x: 1 / abs(x - 0.5), (0.0, 1.0)), "may not be integrable"),
        (lambda: from_density(lambda x: np.ones(3), (0.0, 1.0)), "one number for each entry"),
        (lambda: from_density(3.0, (0.0, 1.0)), "must be a function"),
        (lambda: freeprob.uniform(1.0, 1.0), "low must be below high"),
    ],
)
def test_bad_densities_get_one_sentence(call, match):
    with pytest.raises((SpecError, ValueError), match=match):
        call()


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-2.0, 0.5), (1e4, 1e4 + 1.0)])
def test_the_uniform_law_meets_many_digits(ends):
    mu, (a, b) = freeprob.uniform(*ends), ends
    z = np.concatenate(
        [
            a + (b - a) * np.array([0.1, 1e-9, 1 - 1e-9, 0.5, -1e-12, 3.0, -40.0, 1e5]) + 0j,
            a + (b - a) * np.array([0.3 + 1e-9j, 0.5 + 0.2j, 2.0 - 1j]),
        ]
    )
    with mp.workdps(40):
        w = [mp.mpmathify(v) for v in z]
        lo, hi = mp.mpf(a), mp.mpf(b)
        up = [mp.mpc(v.real, mp.mpf(10) ** -39) if v.imag == 0 else v for v in w]
        g = [(mp.log(v - lo) - mp.log(v - hi)) / (hi - lo) for v in up]
        m = [v * x - 1 for v, x in zip(w, g, strict=True)]
        logs = [((v - lo) * mp.log(v - lo) - (v - hi) * mp.log(v - hi)) / (hi - lo) - 1 for v in up]
    for found, exact in ((mu.stieltjes(z), g), (mu.moment_function(z), m)):
        with mp.workdps(40):
            miss = [
                float(abs(mp.mpmathify(v) - x)) for v, x in zip(found.value, exact, strict=True)
            ]
        assert np.all(np.array(miss) <= found.error)
        assert np.all(found.error <= 1e-6 * (1 + abs(found.value)))
    assert np.allclose(mu.law.mean_log(z), np.array(logs, dtype=complex), rtol=1e-11, atol=1e-15)
    g = np.array([0.3, -0.2, 1.5])
    r = mu.r_transform(g)
    with mp.workdps(40):
        h, c = (hi - lo) / 2, (hi + lo) / 2
        exact = [c + h * mp.coth(h * mp.mpf(x)) - 1 / mp.mpf(x) for x in g]
        miss = [float(abs(mp.mpmathify(v) - x)) for v, x in zip(r.value, exact, strict=True)]
    assert r.ok
    assert np.all(np.array(miss) <= r.error)


def test_a_density_that_ends_in_a_jump_is_known_there():
    mu = from_density(lambda x: 1.0 + 0 * x, (0.0, 1.0))
    found = mu.density([0.0, 1.0, -0.1, 0.5])
    assert np.all(np.abs(found.value - [1.0, 1.0, 0.0, 1.0]) <= found.error)
    assert found.value[2] == 0.0 and np.all(found.error < 1e-13)
    assert from_density(CLOSED["arcsine"][0], (-1.5, 1.5)).density(1.5).status == Status.DIVERGENT


@pytest.mark.parametrize(
    ("a", "b"), [(-0.3, 0.2), (0.7, -0.6), (2.0, -0.9), (7.3, 0.1), (-0.75, 0.0), (-0.2, -0.8)]
)
def test_powers_of_one_decimal_at_the_ends_meet_the_beta_law(a, b):
    mass = special.beta(a + 1, b + 1)
    mu = from_density(lambda x: x**a * (1 - x) ** b / mass, (0.0, 1.0))
    x = np.concatenate([np.linspace(0.01, 0.99, 40), 10.0 ** -np.arange(2.0, 13.0)])
    found = mu.cdf(x)
    assert np.all(abs(found.value - stats.beta.cdf(x, a + 1, b + 1)) <= found.error + 3e-15)
    assert np.all(found.error[:40] <= 1e-10)
    z = np.array([-1.0 + 0j, 2.0, 0.5 + 0.5j, -0.01])
    g, exact = mu.stieltjes(z), special.hyp2f1(1, a + 1, a + b + 2, 1 / z) / z
    assert np.all(abs(g.value - exact) <= g.error + 1e-14 * abs(exact))
    assert np.all(g.error <= 1e-9)
