"""Free sums and products of many laws against closed forms, high precision and matrices."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from chione.freeprob import Arcsine, FreePoisson, PointMasses, Semicircle, empirical
from chione.freeprob.charts import ProductChart, SumChart
from chione.freeprob.convolution import FreeProduct, FreeSum
from chione.freeprob.subordination import Subordination

SLOW = pytest.mark.slow
COIN = PointMasses((-1.0, 1.0), (0.5, 0.5))
BIT = PointMasses((0.0, 1.0), (0.5, 0.5))


def kesten_mckay(n, x):
    root = np.sqrt(np.maximum(4.0 * (n - 1) - x * x, 0.0))
    return n * root / (2.0 * np.pi * (n * n - x * x))


@pytest.mark.parametrize("n", [2, 4, 16, 100, 1000])
def test_many_equal_coins_have_the_law_of_the_regular_tree(n):
    total = FreeSum((COIN,) * n)
    x = 2.0 * np.sqrt(n - 1) * np.array([-1.3, -0.999, -0.7, 0.0, 0.2, 0.9, 1.0001])
    exact, error = kesten_mckay(n, x), total.density_error(x)
    assert np.all(abs(total.density(x) - exact) <= error)
    assert np.all(error <= 1e-11 / np.sqrt(n) + 1e-7 * (abs(x) < 2.0 * np.sqrt(n - 1) * 1.01))
    assert np.allclose(total.support, [[-2.0 * np.sqrt(n - 1), 2.0 * np.sqrt(n - 1)]], rtol=1e-14)


def test_equal_summands_are_one_law_that_is_evaluated_as_often_as_one():
    def evaluations(n):
        count = [0]

        class Counted(type(COIN)):
            def stieltjes_with_derivative(self, z):
                count[0] += 1
                return COIN.stieltjes_with_derivative(z)

        law = Counted(COIN.places, COIN.masses)
        FreeSum((law,) * n).density(np.linspace(-1.0, 1.0, 200) * 2.1 * np.sqrt(n - 1))
        return count[0]

    few, many = evaluations(4), evaluations(100)
    assert few < 200
    assert many < 1.5 * few


def test_sums_inside_of_sums_are_opened_and_constants_are_a_shift():
    inner = FreeSum((COIN, Semicircle(0.5)))
    nested = FreeSum((inner, FreeSum((COIN, PointMasses((0.3,), (1.0,))))))
    assert nested.system.laws == (COIN, Semicircle(0.5))
    assert nested.system.times == (2.0, 1.0)
    flat = FreeSum((COIN, COIN, Semicircle(0.5)))
    x = np.linspace(-2.0, 3.0, 9)
    assert np.allclose(nested.density(x + 0.3), flat.density(x), rtol=1e-12)
    bits = FreeProduct((FreeProduct((BIT, PointMasses((2.0,), (1.0,)))), BIT))
    assert bits.system.laws == (BIT,)
    assert np.isclose(bits.density(1.0), 0.5 * FreeProduct((BIT, BIT)).density(0.5), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_products_of_free_poisson_laws_meet_the_curve_of_fuss_and_catalan(k):
    # Haagerup and Moeller: x = sin((k+1) a)^(k+1) / (sin a sin(k a)^k),
    # density = sin(a)^2 sin(k a)^(k-1) / (pi sin((k+1) a)^k)
    a = np.pi / (k + 1) * np.array([0.02, 0.2, 0.5, 0.8, 0.97, 0.999])
    x = np.sin((k + 1) * a) ** (k + 1) / (np.sin(a) * np.sin(k * a) ** k)
    exact = np.sin(a) ** 2 * np.sin(k * a) ** (k - 1) / (np.pi * np.sin((k + 1) * a) ** k)
    law = FreeProduct((FreePoisson(1.0),) * k)
    assert np.all(abs(law.density(x) / exact - 1.0) <= 1e-12 * x / (x[0] - x).clip(1e-3) + 1e-10)
    assert np.isclose(law.support[0][1], (k + 1.0) ** (k + 1) / k**k, rtol=1e-13)
    assert law.support[0][0] == 0.0


def test_free_poisson_and_semicircle_meet_the_cubic():
    law = FreeSum((FreePoisson(0.5, 2.0), Semicircle(0.3)))
    z = np.array([0.1 + 0.01j, -1.0 + 1e-4j, 3.0 + 0.5j, 2.0 + 1e-9j])
    g = law.stieltjes(z)
    # z = 1/g + c a / (1 - a g) + v g
    assert np.allclose(1.0 / g + 1.0 / (1.0 - 2.0 * g) + 0.3 * g, z, rtol=1e-13)
    assert np.all(g.imag < 0.0)


def stieltjes(law, z):
    """G at 40 digits."""
    if isinstance(law, PointMasses):
        return sum(mp.mpf(m) / (z - mp.mpf(a)) for a, m in zip(law.places, law.masses, strict=True))
    if isinstance(law, Semicircle):
        y, r = z - mp.mpf(law.center), 2 * mp.sqrt(mp.mpf(law.variance_))
        return 2 / (y + mp.sqrt(y - r) * mp.sqrt(y + r))
    if isinstance(law, Arcsine):
        return 1 / (mp.sqrt(z - mp.mpf(law.radius)) * mp.sqrt(z + mp.mpf(law.radius)))
    a, c = mp.mpf(law.jump), mp.mpf(law.rate)
    low, high = a * (1 - mp.sqrt(c)) ** 2, a * (1 + mp.sqrt(c)) ** 2
    return 2 / (z + a * (1 - c) + mp.sqrt(z - low) * mp.sqrt(z - high))


def contracted(laws, times, z):
    """G of the sum by the plain contraction, whose fixed point is unique above the axis."""
    w = [z + 10j] * len(laws)
    for _ in range(4000):
        h = [1 / stieltjes(law, x) - x for law, x in zip(laws, w, strict=True)]
        total = sum(mp.mpf(n) * y for n, y in zip(times, h, strict=True))
        new = [z + total - y for y in h]
        if max(abs(a - b) for a, b in zip(new, w, strict=True)) < mp.mpf(10) ** -30:
            break
        w = new
    return stieltjes(laws[0], w[0])


@pytest.mark.parametrize(
    ("laws", "times"),
    [
        ((COIN, Semicircle(0.2, 0.3)), (1.0, 1.0)),
        ((COIN, Semicircle(0.2), FreePoisson(0.5, 2.0)), (2.0, 1.0, 1.0)),
        ((PointMasses((-2.0, 0.5, 3.0), (0.2, 0.5, 0.3)), Arcsine(1.0)), (1.0, 1.5)),
        ((PointMasses((0.0, 1.0, 5.0), (0.7, 0.2, 0.1)),), (2.5,)),
    ],
)
def test_sums_meet_the_contraction_at_high_precision_within_their_error(laws, times):
    law = FreeSum(laws, times)
    z = np.array([0.3 + 0.2j, -1.5 + 0.4j, 4.0 + 0.3j, 0.02 + 1.0j])
    value, error = law.stieltjes(z), law.stieltjes_error(z)
    with mp.workdps(35):
        exact = [contracted(laws, times, mp.mpc(complex(x))) for x in z]
    off = np.array([float(abs(mp.mpc(complex(v)) - e)) for v, e in zip(value, exact, strict=True)])
    assert np.all(off <= error)
    assert np.all(error <= 1e-12)


def polished(laws, times, product, z, start):
    """G at 40 digits by Newton's method from the solution itself."""
    n = sum(times)

    def equations(*w):
        g = [stieltjes(law, x) for law, x in zip(laws, w, strict=True)]
        pairs = list(zip(times, w, strict=True))
        if product:
            m = [x * y - 1 for x, y in zip(w, g, strict=True)]
            total = sum(mp.mpf(t) * mp.log(x) for t, x in pairs) - mp.log(z)
            return [*(y - m[0] for y in m[1:]), total - (n - 1) * mp.log((1 + m[0]) / m[0])]
        total = sum(mp.mpf(t) * x for t, x in pairs) - z
        return [*(1 / y - 1 / g[0] for y in g[1:]), total - (n - 1) / g[0]]

    start = [mp.mpc(complex(x)) for x in start]
    w = mp.findroot(equations, start, tol=1e-60, maxsteps=60, verify=False)
    assert max(abs(r) for r in equations(*w)) < 1e-25
    g = stieltjes(laws[0], w[0])
    return w[0] * g / z if product else g


@pytest.mark.parametrize("product", [False, True])
def test_stated_errors_hold_up_to_the_edges_and_in_gaps(product):
    rng = np.random.default_rng(7)
    checked = 0
    for _ in range(2):
        places = tuple(np.abs(rng.normal(size=3)))
        laws = (
            PointMasses(places, tuple(rng.dirichlet(np.ones(3)))),
            FreePoisson(float(rng.choice([0.4, 1.0, 2.5])), 0.5),
        )
        times = (1.0, float(rng.choice([1.0, 1.5, 2.0])))
        law = (FreeProduct if product else FreeSum)(laws, times)
        points = []
        for a, b in law.support:
            if b > a:
                d = (b - a) * 10.0 ** -rng.uniform(0.3, 11.0, 3)
                points += [a + d[0], b - d[1], b + d[2], 0.3 * a + 0.7 * b]
        z = np.concatenate(
            [points, np.array(points) + 1j * 10.0 ** rng.uniform(-6, 0, len(points))]
        )
        z = z.astype(complex)
        value, error, solved = law.stieltjes(z), law.stieltjes_error(z), law.solved(z)
        omega = np.exp(solved.u) if product else solved.u
        with mp.workdps(40):
            for i, x in enumerate(z):
                g = polished(laws, times, product, mp.mpc(complex(x)), omega[:, i])
                assert float(abs(g - mp.mpc(complex(value[i])))) <= error[i]
                checked += 1
    assert checked >= 16


def random_law(rng, positive):
    kind = rng.integers(4)
    if kind == 0:
        a = rng.normal(size=4) * rng.choice([0.1, 1.0, 3.0])
        masses = rng.dirichlet(np.ones(4))
        return PointMasses(tuple(abs(a) if positive else a), tuple(masses / masses.sum()))
    if kind == 1:
        v = float(rng.choice([0.01, 0.3, 2.0]))
        return Semicircle(v, 2.2 * np.sqrt(v) if positive else float(rng.normal()))
    if kind == 2:
        return FreePoisson(float(rng.choice([0.2, 1.0, 4.0])), float(rng.choice([0.1, 1.0])))
    a = np.sort(rng.normal(size=30))
    return empirical(a**2 if positive else a).law


@pytest.mark.parametrize("seed", [1, 3, *(pytest.param(s, marks=SLOW) for s in range(4, 40))])
def test_density_distribution_and_support_of_random_convolutions_agree(seed):
    rng = np.random.default_rng(seed)
    product = bool(seed % 2)
    parts = tuple(random_law(rng, product) for _ in range(rng.integers(2, 5)))
    times = tuple(float(rng.choice([1, 1, 2, 1.5])) for _ in parts)
    law = (FreeProduct if product else FreeSum)(parts, times)
    low, high = law.support[0][0], law.support[-1][1]
    x = np.sort(rng.uniform(low - 0.1 * (high - low) * (not product), 1.1 * high - 0.1 * low, 101))
    g, cdf = law.stieltjes(x), law.cdf(x)
    assert np.all(np.isfinite(g))
    assert np.all(np.isfinite(cdf))
    assert np.all(np.diff(cdf) >= -1e-13)
    inside = np.any([(x >= a) & (x <= b) for a, b in law.support], axis=0)
    assert np.all((g.imag < 0.0) == inside)
    ends = np.array([low - 1e-9 * (high - low), high + 1e-9 * (high - low)])
    assert np.allclose(law.cdf(ends), [0.0, 1.0], atol=1e-13)
    # the slope of the distribution function is the density
    h = 1e-6 * (high - low)
    far = np.min([abs(x - e) for s in law.support for e in s], axis=0) > 0.02 * (high - low)
    slope = (law.cdf(x + h) - law.cdf(x - h)) / (2.0 * h)
    assert np.allclose(slope[far], law.density(x[far]), rtol=1e-4, atol=1e-6 / (high - low))


def test_mean_log_is_the_primitive_of_the_stieltjes_transform():
    h, z = 1e-5, np.array([0.4 + 0.3j, 2.0 + 1e-3j, -1.0 + 0.2j, 30.0 + 40.0j])
    for law in (
        FreeSum((COIN, FreePoisson(0.5, 2.0)), (2.0, 1.5)),
        FreeProduct((BIT, FreePoisson(0.5, 2.0), FreePoisson(3.0)), (1.0, 1.0, 1.5)),
    ):
        slope = (law.mean_log(z + h) - law.mean_log(z - h)) / (2.0 * h)
        assert np.allclose(slope, law.stieltjes(z), rtol=1e-6)
        # U = log z - m_1 / z - m_2 / (2 z^2) ..
        m, far = law.moments(3), 1e3j
        series = np.log(far) - m[0] / far - m[1] / (2 * far**2) - m[2] / (3 * far**3)
        assert np.isclose(law.mean_log(far), series, atol=1e-8)


def moments_by_density(law, n):
    """Atoms, and the density against powers by Gauss and Chebyshev on every band."""
    out = np.sum([m * a ** np.arange(1.0, n + 1) for a, m in law.atoms], axis=0) + np.zeros(n)
    angle = (np.arange(3000) + 0.5) / 3000 * np.pi
    for low, high in law.support:
        x = low + (high - low) * np.sin(0.5 * angle) ** 2
        weight = law.density(x) * 0.5 * (high - low) * np.sin(angle) * np.pi / 3000
        out += (x ** np.arange(1, n + 1)[:, None]) @ weight
    return out


@pytest.mark.parametrize("shift", [0.0, pytest.param(100.0, marks=SLOW)])
def test_high_moments_keep_their_digits_and_state_their_error(shift):
    places = (0.1 + shift, 1.3 + shift, 2.7 + shift)
    law = FreeSum((PointMasses(places, (0.2, 0.5, 0.3)), Semicircle(0.3)), (1.0, 2.0))
    exact, value, error = moments_by_density(law, 24), law.moments(24), law.moments_error(24)
    assert np.all(abs(value - exact) <= error + 1e-13 * exact)
    assert np.all(error <= 1e-12 * exact)
    product = FreeProduct((PointMasses((0.3, 1.3, 2.7), (0.2, 0.5, 0.3)), FreePoisson(2.0, 0.3)))
    exact, value = moments_by_density(product, 24), product.moments(24)
    error = product.moments_error(24)
    assert np.all(abs(value - exact) <= error + 1e-13 * exact)
    assert np.all(error <= 1e-10 * exact)


def test_distribution_function_jumps_at_atoms_by_their_mass():
    law = FreeSum((PointMasses((0.0, 1.0), (0.3, 0.7)), PointMasses((0.0, 1.0), (0.2, 0.8))))
    assert np.allclose(law.atoms, [(1.0, 0.1), (2.0, 0.5)])
    assert np.allclose(
        law.cdf([1.0 - 1e-9, 1.0, 2.0 - 1e-9, 2.0]), [0.2, 0.3, 0.5, 1.0], atol=1e-13
    )
    law = FreeProduct((PointMasses((0.0, 1.0), (0.3, 0.7)), FreePoisson(0.8)))
    assert law.atoms == ((0.0, 0.3),)
    assert np.allclose(law.cdf([-1.0, 0.0, 100.0]), [0.0, 0.3, 1.0], atol=1e-15)


def test_points_that_are_not_reached_are_nan_with_an_infinite_error():
    law = FreeSum((COIN, Semicircle(0.1)))
    value = law.stieltjes(np.array([0.5, np.nan, 1.0]))
    assert np.array_equal(np.isnan(value), [False, True, False])
    assert law.stieltjes_error(np.array([np.nan]))[0] == np.inf


def test_a_real_solution_on_the_wrong_sheet_is_refused():
    # coin + coin at 1: omega = (1 +- i sqrt 3)/2; at 3 the roots are (3 +- sqrt 5)/2, and G = 1/3
    # at omega = (3 - sqrt 5)/2 would be on another sheet
    system = Subordination((COIN,), (2.0,), SumChart())
    z = np.array([3.0 + 0j])
    with np.errstate(all="ignore"):
        right = system._newton(z, np.array([[2.7 + 0j]]))
        wrong = system._newton(z, np.array([[0.4 + 0j]]))
    assert right.ok[0]
    assert np.isclose(right.u[0, 0], 0.5 * (3.0 + np.sqrt(5.0)))
    assert not wrong.ok[0]
    assert np.isclose(wrong.u[0, 0], 0.5 * (3.0 - np.sqrt(5.0)))


def test_strong_hard_edges_are_followed_to_the_smallest_numbers():
    law = FreeProduct((FreePoisson(1.0),) * 8)
    # next to 0 the density is sin(pi / 9) / (pi x^(8/9))
    x = np.array([1e-40, 1e-100, 1e-250])
    assert np.allclose(law.density(x) * x ** (8.0 / 9.0), np.sin(np.pi / 9.0) / np.pi, rtol=1e-3)
    chart = Subordination((FreePoisson(1.0),), (8.0,), ProductChart())
    assert np.all(chart.solve(np.array([-600.0, 3.0, 600.0]) + 0j).ok)


@pytest.mark.slow
def test_sum_of_two_arrays_of_eigenvalues_meets_a_simulated_matrix():
    rng = np.random.default_rng(3)
    n = 400
    a, b = (
        np.sort(rng.normal(size=n)),
        np.where(np.arange(n) < 150, -2.0, 1.5) + rng.uniform(size=n),
    )
    law = FreeSum((empirical(a).law, empirical(b).law))
    found = []
    for _ in range(3):
        q, r = np.linalg.qr(rng.normal(size=(n, n)))
        q = q * np.sign(np.diag(r))
        found.append(np.linalg.eigvalsh(np.diag(a) + q @ np.diag(b) @ q.T))
    x = np.sort(np.concatenate(found))
    rank = (np.arange(x.size) + 0.5) / x.size
    assert np.max(abs(law.cdf(x) - rank)) < 0.01
    low, high = law.support[0][0], law.support[-1][1]
    assert abs(law.cdf(high + 1e-9) - law.cdf(low - 1e-9) - 1.0) < 1e-10
