"""Inverse, R and S transforms against 32-digit roots that share no code, errors above the true."""

import mpmath as mp
import numpy as np
import pytest

from chione import freeprob
from chione.base import Status
from chione.freeprob import empirical

DIGITS = 32
ATOMS = {
    "mixed": ([-1.0, 0.5, 4.0], [1.0, 2.0, 1.0]),
    "positive": ([0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 2.0, 2.0]),
    "negative": ([-3.0, -1.0, -0.5], [1.0, 1.0, 6.0]),
    "far": ([1e6, 1e6 + 1.0, 1e6 + 3.0], [1.0, 2.0, 1.0]),
}


def root(kind, atoms, masses, target):
    """The z with G = target or M = target, followed from far out in small steps at 32 digits."""
    with mp.workdps(DIGITS):
        a, m = [mp.mpf(x) for x in atoms], [mp.mpf(x) / mp.mpf(sum(masses)) for x in masses]
        weight = m if kind == "G" else [p * x for p, x in zip(m, a, strict=True)]
        t = mp.mpmathify(complex(target))

        def f(z):
            return sum(w / (z - x) for w, x in zip(weight, a, strict=True))

        def slope(z):
            return -sum(w / (z - x) ** 2 for w, x in zip(weight, a, strict=True))

        size = max(abs(x) for x in a)
        s = min(mp.mpf(1), abs(sum(weight)) / (abs(t) * 1000 * size))
        z = sum(weight) / (s * t)
        while True:
            for _ in range(40):
                step = (f(z) - s * t) / slope(z)
                z -= step
                if abs(step) < mp.mpf(10) ** (8 - DIGITS) * abs(z):
                    break
            if s == 1:
                return z
            s = min(mp.mpf(1), s * mp.mpf("1.25"))


def close(found, z):
    """Whether each value is within its stated error of the 32-digit one, and how good that is."""
    with mp.workdps(DIGITS):
        miss = np.array(
            [float(abs(mp.mpmathify(v) - w)) for v, w in zip(found.value, z, strict=True)]
        )
    assert np.all(miss <= found.error)
    assert np.all(found.error <= 1e-10 * abs(found.value) + 1e-300)


G = {
    "mixed": [0.21, -0.4, 1e-9, -30.0, 1e4, 0.1 - 0.2j, 0.3 + 0.2j, 1e-5j],
    "positive": [0.21, -0.4, 1e-9, -30.0, 1e4, 0.1 - 0.2j, 0.3 + 0.2j, 1e-5j],
    "negative": [0.21, -0.4, 1e-9, -30.0, 1e4, 0.1 - 0.2j, 0.3 + 0.2j, 1e-5j],
    "far": [0.21, -0.4, 1e-9, -30.0, 1e4, 0.1 - 0.2j, 0.3 + 0.2j, 1e-5j],
}


@pytest.mark.parametrize("case", ATOMS)
def test_inverse_of_g_and_r_meet_many_digits(case):
    mu = empirical(*ATOMS[case])
    g = np.array(G[case], dtype=complex)
    exact = [root("G", *ATOMS[case], t) for t in g]
    found = mu.inverse_stieltjes(g)
    assert found.ok
    close(found, exact)
    r = mu.r_transform(g)
    with mp.workdps(DIGITS):
        close(r, [z - 1 / mp.mpmathify(t) for z, t in zip(exact, g, strict=True)])


@pytest.mark.parametrize("case", ["positive", "negative"])
def test_inverse_of_m_and_s_meet_many_digits(case):
    mu = empirical(*ATOMS[case])
    x = np.array([0.3, -0.4, 1e-9, -1e-7, 25.0, 0.1 - 0.2j, -0.2 + 0.1j, 1e-5j])
    exact = [root("M", *ATOMS[case], t) for t in x]
    found = mu.inverse_moment_function(x)
    assert found.ok
    close(found, exact)
    s = mu.s_transform(x)
    with mp.workdps(DIGITS):
        t = [mp.mpmathify(v) for v in x]
        close(s, [(1 + v) / (v * z) for z, v in zip(exact, t, strict=True)])


@pytest.mark.parametrize("seed", range(3))
def test_random_laws_at_random_arguments(seed):
    rng = np.random.default_rng(seed)
    atoms = np.round(np.sort(rng.normal(size=5) * 3.0), 4)
    masses = rng.integers(1, 9, 5).astype(float)
    mu = empirical(atoms, masses)
    g = (rng.normal(size=6) + 1j * rng.normal(size=6)) * 10.0 ** rng.uniform(-3, -0.5, 6)
    found = mu.inverse_stieltjes(g)
    exact = [root("G", atoms, masses, t) for t in g]
    close(found[found.status == 0], [z for z, s in zip(exact, found.status, strict=True) if s == 0])
    assert np.sum(found.status == 0) >= 4
    assert np.all(np.isnan(found.value[found.status != 0]))


def test_closed_forms_of_r_and_s():
    g = np.array([0.3, -0.2, 1e-12, 0.4 - 0.3j])
    semi = freeprob.semicircle(1.7, 0.4).r_transform(g)
    assert np.all(abs(semi.value - (0.4 + 1.7 * g)) <= semi.error)
    poisson = freeprob.free_poisson(0.6, -1.3).r_transform(g)
    assert np.allclose(poisson.value, -0.6 * 1.3 / (1 + 1.3 * g), rtol=1e-14)
    ring = freeprob.arcsine(1.5).r_transform(np.array([0.3, -0.2, 1e-12]))
    with mp.workdps(60):
        exact = [(mp.sqrt(1 + (1.5 * mp.mpf(x)) ** 2) - 1) / mp.mpf(x) for x in (0.3, -0.2, 1e-12)]
    assert np.all(abs(ring.value - np.array(exact, dtype=complex)) <= ring.error)
    assert np.all(ring.error <= 1e-14 * abs(ring.value))
    x = np.array([0.3, -0.4, 1e-12, 0.2 + 0.1j])
    s = freeprob.free_poisson(0.6, -1.3).s_transform(x)
    assert np.allclose(s.value, -1 / (1.3 * (0.6 + x)), rtol=1e-14)
    two = freeprob.bernoulli(0.3).s_transform(x)
    assert np.all(abs(two.value - (1 + x) / (0.3 + x)) <= two.error)
    assert np.allclose(freeprob.haar_orthogonal(1.5).s_transform(x).value, 1 / 2.25, rtol=1e-15)


def test_values_at_zero_are_the_limits():
    mu = empirical([1.0, 2.0, 6.0])
    assert mu.r_transform(0.0).value == 3.0
    assert mu.s_transform(0.0).value == pytest.approx(1 / 3, rel=1e-15)
    assert mu.inverse_stieltjes(0.0).status == Status.DIVERGENT
    # S(-1) is the mean of 1/t
    assert mu.s_transform(-1.0).value == pytest.approx(5 / 9, rel=1e-14)


def test_the_inverse_of_g_reaches_the_values_at_the_ends_and_no_further():
    mu = freeprob.marchenko_pastur(0.5)
    low, high = mu.edges
    top, bottom = mu.stieltjes(high).value.real, mu.stieltjes(low).value.real
    found = mu.inverse_stieltjes(np.array([bottom, top, 1.001 * bottom, 1.001 * top]))
    assert list(found.status) == [Status.OK, Status.OK, Status.NONE, Status.NONE]
    assert np.all(abs(found.value[:2] - [low, high]) <= found.error[:2])
    inner = mu.inverse_stieltjes(np.array([0.999 * bottom, 0.999 * top]))
    r = 1 / (1 - 0.5 * inner.value * 0 - 0.5 * np.array([0.999 * bottom, 0.999 * top]))
    exact = r + 1 / np.array([0.999 * bottom, 0.999 * top])
    assert np.all(abs(inner.value - exact) <= inner.error)
    # R itself has a closed form, and is continued
    assert mu.r_transform(1.001 * top).ok


def test_a_mean_of_zero_has_no_s_transform_and_poles_diverge():
    assert freeprob.semicircle().s_transform(0.2).status == Status.UNDEFINED
    assert empirical([-1.0, 1.0]).inverse_moment_function(0.2).status == Status.UNDEFINED
    assert freeprob.free_poisson(1.0, 2.0).r_transform(0.5).status == Status.DIVERGENT
    assert freeprob.bernoulli(0.5).stieltjes(0.0).status == Status.DIVERGENT


@pytest.mark.parametrize(
    "mu",
    [
        freeprob.semicircle(1.7, 0.4),
        freeprob.marchenko_pastur(0.3),
        freeprob.marchenko_pastur(0.999),
        freeprob.marchenko_pastur(3.0),
        freeprob.arcsine(1.5) * -0.7 + 100.0,
    ],
    ids=str,
)
def test_transforms_are_within_their_errors_of_the_quadratic_at_many_digits(mu):
    rng = np.random.default_rng(7)
    low, high = mu.edges
    near = np.array([low, high])[:, None] * (
        1 + np.array([1e-3, -1e-3, 1e-8, -1e-8, 1e-14, -1e-14])
    )
    z = np.concatenate(
        [
            near.ravel() + 0j,
            rng.uniform(low, high, 6) + 0j,
            rng.uniform(low, high, 4) + 1j * 10.0 ** rng.uniform(-14, 0, 4),
            (low - high) * 10.0 ** rng.uniform(-1, 8, 4) + 0j,
        ]
    )
    exact = [closed(mu, w) for w in z]
    for found, k in ((mu.stieltjes(z), 0), (mu.moment_function(z), 1)):
        with mp.workdps(DIGITS):
            true = [e[k] for e in exact]
            miss = [float(abs(mp.mpmathify(v) - t)) for v, t in zip(found.value, true, strict=True)]
        assert np.all(np.array(miss) <= found.error)
        assert np.all(found.error[12:] <= 1e-10 * (1 + abs(found.value[12:])))


def closed(mu, w):
    """G and M at 32 digits, of the laws above by name."""
    with mp.workdps(DIGITS):
        z = mp.mpmathify(complex(w))
        if str(mu).startswith("semicircle"):
            y, v = z - mp.mpf(0.4), mp.mpf(1.7)
            r = 2 * mp.sqrt(v)
            g = 2 / (y + mp.sqrt(y - r) * mp.sqrt(y + r))
        elif str(mu).startswith("marchenko"):
            a = mp.mpf(float(str(mu)[17:-1]))
            c = 1 / a
            lo, hi = a * (1 - mp.sqrt(c)) ** 2, a * (1 + mp.sqrt(c)) ** 2
            g = 2 / (z + a * (1 - c) + mp.sqrt(z - lo) * mp.sqrt(z - hi))
        else:
            r = mp.mpf(-0.7) * mp.mpf(-1.5)
            y = z - 100
            g = 1 / (mp.sqrt(y - r) * mp.sqrt(y + r))
        return g, z * g - 1


@pytest.mark.parametrize("case", ["mixed", "positive", "negative"])
def test_inverses_of_r_and_s_meet_many_digits(case):
    mu = empirical(*ATOMS[case])
    g = np.array([0.05, -0.1, 1e-6, 0.08 - 0.05j, 0.02 + 0.03j])
    with mp.workdps(DIGITS):
        exact = [root("G", *ATOMS[case], t) - 1 / mp.mpmathify(complex(t)) for t in g]
    r = np.array([complex(v) for v in exact])
    found = mu.inverse_r_transform(r)
    assert found.ok
    # r is rounded: of g as much is lost as R there is steep
    slope = 4e-16 * (abs(r) + 1) / float(mu.variance)
    assert np.all(abs(found.value - g) <= found.error + slope)
    assert np.all(found.error <= 1e-12)
    assert mu.inverse_r_transform(float(mu.mean)).value == 0.0
    if case == "mixed":
        return
    x = np.array([0.05, -0.1, 1e-6, 0.08 - 0.05j, 0.02 + 0.03j])
    with mp.workdps(DIGITS):
        exact = [
            (1 + mp.mpmathify(complex(t))) / (mp.mpmathify(complex(t)) * root("M", *ATOMS[case], t))
            for t in x
        ]
    s = np.array([complex(v) for v in exact])
    found = mu.inverse_s_transform(s)
    assert found.ok
    assert np.all(abs(found.value - x) <= found.error + 4e-15)
    assert np.all(found.error <= 1e-11)


def test_inverses_of_closed_r_and_s():
    r = np.array([0.9, -0.3, 2.0 + 1j])
    semi = freeprob.semicircle(1.7, 0.4).inverse_r_transform(r)
    assert np.allclose(semi.value, (r - 0.4) / 1.7, rtol=1e-15)
    for mu in (
        freeprob.free_poisson(0.6, -1.3),
        freeprob.arcsine(1.5) + 0.7,
        freeprob.uniform(1, 3),
    ):
        t = np.array([0.1, -0.2, 0.05 + 0.1j])
        back = mu.inverse_r_transform(mu.r_transform(t).value)
        assert back.ok
        assert np.all(abs(back.value - t) <= back.error + 1e-14)
        back = mu.inverse_s_transform(mu.s_transform(0.3 * t).value)
        assert back.ok
        assert np.all(abs(back.value - 0.3 * t) <= back.error + 1e-14)
    assert freeprob.point_mass(2.0).inverse_r_transform(2.0).status == Status.UNDEFINED
    assert freeprob.semicircle().inverse_s_transform(2.0).status == Status.UNDEFINED


def test_sums_and_products_are_inverted_by_their_parts():
    g = np.array([0.1, -0.1, 0.05 + 0.1j, 3.0])
    total = freeprob.semicircle() + freeprob.bernoulli(0.4)
    z = total.inverse_stieltjes(g)
    assert list(z.status) == [0, 0, 0, Status.NONE]
    # R of a coin of 0 and 1: (g - 1 + sqrt((g - 1)^2 + 4 p g)) / (2 g)
    exact = g + (g - 1 + np.sqrt((g - 1) ** 2 + 1.6 * g)) / (2 * g) + 1 / g
    assert np.all(abs(z.value - exact)[:3] <= z.error[:3])
    back = total.stieltjes(z.value[:3])
    assert np.all(abs(back.value - g[:3]) <= back.error + abs(g[:3]) * 1e-13)
    product = freeprob.marchenko_pastur(0.5) * freeprob.bernoulli(0.4)
    x = np.array([0.1, -0.1, 0.05 + 0.1j])
    found = product.inverse_moment_function(x)
    exact = (1 + x) / x * 0.5 * (2.0 + x) * (0.4 + x) / (1 + x)
    assert found.ok
    assert np.all(abs(found.value - exact) <= found.error)
    s = product.s_transform(x)
    assert np.all(abs(s.value - 2.0 * (1 + x) / ((2.0 + x) * (0.4 + x))) <= s.error)
