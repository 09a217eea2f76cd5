"""Density, distribution function and quantiles against formulas of many digits, edges included."""

import mpmath as mp
import numpy as np
import pytest

from chione import freeprob

DIGITS = 30
ASIDE = np.array([1e-3, 1e-6, 1e-10, 1e-14])


def semicircle(x):
    v, y = mp.mpf(1.7), mp.mpf(x) - mp.mpf(0.4)
    if abs(y) >= 2 * mp.sqrt(v):
        return mp.mpf(0), mp.mpf(int(y > 0))
    root = mp.sqrt(4 * v - y * y)
    return root / (2 * mp.pi * v), (
        mp.mpf(1) / 2 + y * root / (4 * mp.pi * v) + mp.asin(y / (2 * mp.sqrt(v))) / mp.pi
    )


def arcsine(x):
    r = mp.mpf(1.5)
    if abs(mp.mpf(x)) >= r:
        return mp.mpf(0), mp.mpf(int(x > 0))
    return 1 / (mp.pi * mp.sqrt((r - x) * (r + x))), mp.mpf(1) / 2 + mp.asin(x / r) / mp.pi


def marchenko_pastur(ratio):
    def f(x):
        c, x = mp.mpf(ratio), mp.mpf(x)
        lo, hi = (1 - mp.sqrt(c)) ** 2, (1 + mp.sqrt(c)) ** 2
        atom = max(mp.mpf(0), 1 - 1 / c)
        if x < lo:
            return mp.mpf(0), atom if x >= 0 else mp.mpf(0)
        if x >= hi:
            return mp.mpf(0), mp.mpf(1)

        def rho(t):  # at lo + (hi - lo) sin^2, times its derivative
            y = lo + (hi - lo) * mp.sin(t) ** 2
            return 4 * ((hi - lo) * mp.sin(t) * mp.cos(t)) ** 2 / (4 * mp.pi * c * y)

        top = mp.asin(mp.sqrt((x - lo) / (hi - lo)))
        density = mp.sqrt((hi - x) * (x - lo)) / (2 * mp.pi * c * x)
        return density, atom + mp.quad(rho, mp.linspace(0, top, 4))

    return f


CASES = {
    "semicircle": (freeprob.semicircle(1.7, 0.4), semicircle),
    "arcsine": (freeprob.arcsine(1.5), arcsine),
    "mp 0.5": (freeprob.marchenko_pastur(0.5), marchenko_pastur(0.5)),
    "mp 1": (freeprob.marchenko_pastur(1.0), marchenko_pastur(1.0)),
    "mp 0.98": (freeprob.marchenko_pastur(0.98), marchenko_pastur(0.98)),
    "mp 2.5": (freeprob.marchenko_pastur(2.5), marchenko_pastur(2.5)),
}


def places(mu):
    low, high = mu.edges
    wide = high - low
    rng = np.random.default_rng(2)
    near = np.concatenate([low + s * ASIDE * max(abs(low), 1e-3) for s in (1.0, -1.0)])
    far = np.concatenate([high + s * ASIDE * high for s in (1.0, -1.0)])
    return np.concatenate([near, far, rng.uniform(low, high, 6), [low - wide, high + wide]])


@pytest.mark.parametrize("name", CASES)
def test_density_and_distribution_function_are_within_their_errors(name):
    mu, exact = CASES[name]
    x = places(mu)
    rho, f = mu.density(x), mu.cdf(x)
    with mp.workdps(DIGITS):
        true = [exact(v) for v in x]
        miss = [abs(mp.mpf(v) - t[0]) for v, t in zip(rho.value, true, strict=True)]
        off = [abs(mp.mpf(v) - t[1]) for v, t in zip(f.value, true, strict=True)]
    assert np.all(np.array(miss, dtype=float) <= rho.error)
    assert np.all(np.array(off, dtype=float) <= f.error)
    assert np.all(f.error <= 1e-7)
    middle = (x > mu.edges[0] + 1e-2) & (x < mu.edges[1] - 1e-2)
    assert np.all(f.error[middle] <= 1e-13)
    assert np.all(rho.error[middle] <= 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_quantiles_are_within_their_errors(name):
    mu, exact = CASES[name]
    atom = sum(m for _, m in mu.atoms)
    p = np.array([1e-12, 1e-6, 0.01, 0.3, 0.5, 0.77, 0.99, 1 - 1e-9])
    p = atom + (1.0 - atom) * p
    q = mu.quantile(p)
    assert q.ok
    with mp.workdps(DIGITS):
        for x, error, share in zip(q.value, q.error, p, strict=True):
            below, above = exact(x - error)[1], exact(x + error)[1]
            assert below <= mp.mpf(share) <= above
    assert np.all(q.error[2:7] <= 1e-11)
