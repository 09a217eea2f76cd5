"""Density and distribution of phi'(h)^2 against 40-digit inversions, and their stated errors."""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

import chione


def sigma(x):
    return 1 / (1 + mp.exp(-x))


def normal(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def mish(x):
    t = mp.tanh(mp.log1p(mp.exp(x)))
    return t + x * (1 - t * t) * sigma(x)


SELU = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")
SLOPES = {
    "tanh": lambda x: mp.sech(x) ** 2,
    "erf": lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
    "softplus": sigma,
    "gelu": lambda x: normal(x) + x * mp.npdf(x),
    "silu": lambda x: sigma(x) * (1 + x * (1 - sigma(x))),
    "mish": mish,
    "sin": mp.cos,
    "siren(2)": lambda x: 2 * mp.cos(2 * x),
    "selu": lambda x: SELU[0] if x > 0 else SELU[0] * SELU[1] * mp.exp(x),
    "elu": lambda x: mp.mpf(1) if x > 0 else mp.exp(x),
    "gaussian": lambda x: -2 * x * mp.exp(-x * x),
    "tanhshrink": lambda x: mp.tanh(x) ** 2,
    "arctan": lambda x: 1 / (1 + x * x),
}


def grid(phi, q):
    """Places so dense, around turning points too, that every root lies between two of them."""
    h = np.linspace(-14.0, 14.0, 4001) * np.sqrt(q)
    turns = [0.0]
    for g in (phi.derivative, phi.second_derivative):
        y = np.sign(g(h))
        for i in np.nonzero(y[1:] * y[:-1] <= 0)[0]:
            turns.append(bisected(g, h[i], h[i + 1]))
    near = np.geomspace(1e-12, 1e-2, 60)
    return np.unique(np.concatenate([h, *(np.r_[c - near, c, c + near] for c in turns)]))


def bisected(g, a, b):
    left = g(np.array([a]))[0]
    for _ in range(70):
        m = 0.5 * (a + b)
        y = g(np.array([m]))[0]
        a, b, left = (m, b, y) if y * left > 0 else (a, m, left)
    return 0.5 * (a + b)


def exact_law(name, q, t, places, phi):
    """Density and distribution function of phi'(h)^2 at t, from all its roots."""
    v, q = SLOPES[name], mp.mpf(q)
    f = lambda h: v(h) ** 2 - t  # noqa: E731
    y = phi.derivative(places) ** 2 - float(t)
    roots, density = [], mp.mpf(0)
    for i in np.nonzero(np.sign(y[1:]) * np.sign(y[:-1]) < 0)[0]:
        pair = mp.mpf(places[i]), mp.mpf(places[i + 1])
        h = mp.findroot(f, pair, solver="anderson", tol=1e-60, maxsteps=200, verify=False)
        if abs(f(h)) > 1e-25 * t:  # a jump at 0
            roots.append(mp.mpf(0))
            continue
        roots.append(h)
        density += mp.npdf(h, 0, mp.sqrt(q)) / abs(mp.diff(lambda x: v(x) ** 2, h))
    ends = [-mp.inf, *roots, mp.inf]
    cdf = mp.mpf(0)
    for a, b in pairwise(ends):
        beside = a + mp.mpf("1e-13") if mp.isfinite(a) else b - mp.mpf("1e-13")
        inner = beside if roots else mp.mpf("0.1")  # no root, no change of sign
        if f(inner) <= 0:
            x, y = a / mp.sqrt(q), b / mp.sqrt(q)
            cdf += normal(y) - normal(x) if y < 0 else normal(-x) - normal(-y)
    return density, cdf


OFTEN = {"tanh", "softplus", "gelu", "elu", "siren(2)", "arctan", "gaussian"}  # one of each kind


@pytest.mark.parametrize(
    "name", [n if n in OFTEN else pytest.param(n, marks=pytest.mark.slow) for n in SLOPES]
)
@pytest.mark.parametrize(
    "q",
    [0.5, pytest.param(0.04, marks=pytest.mark.slow), pytest.param(3.0, marks=pytest.mark.slow)],
)
def test_one_orthogonal_layer_states_more_than_its_true_error(name, q):
    """In the middle, beside the edges, at turning values, at tiny t and far out."""
    phi = chione.activation(name)
    s = chione.jacobian_spectrum(name, depth=1, weights="orthogonal", q_star=q, sigma_w=1.3)
    low, high = s.law.limits
    rng = np.random.default_rng(len(name))
    share = np.r_[rng.uniform(0, 1, 2), 1 - 1e-4, 1 - 1e-9, 1 - 1e-12, 1e-4, 1e-12]
    lam = 1.69 * (low + (high - low) * share)
    density, cdf = s.density(lam), s.cdf(lam)
    places = grid(phi, q)
    with mp.workdps(40):
        gain = mp.mpf(1.3) ** 2
        for i, x in enumerate(lam):
            rho, below = exact_law(name, q, mp.mpf(x) / gain, places, phi)
            assert abs(mp.mpf(cdf.value[i]) - below) <= cdf.error[i]
            if rho > 1e-290:
                assert abs(mp.mpf(density.value[i]) - rho / gain) <= density.error[i]
        # and the statement is of use: in the middle it is near rounding
        assert np.all(density.error[:2] <= 1e-11 * density.value[:2] + 1e-40)


def test_values_of_many_points_are_those_of_each_alone():
    law = chione.derivative_law("gelu", 0.7)
    x = np.concatenate([[-1.0, 0.0], np.geomspace(1e-12, 2.0, 41)])
    for f in (law.density, law.cdf, law.density_error, law.cdf_error):
        assert np.array_equal(f(x), [float(f(y)) for y in x])


def test_the_tail_keeps_relative_digits():
    """P(sech(h)^4 <= x) = erfc(arccosh(x^(-1/4)) / sqrt 2q), down to 1e-100."""
    law = chione.derivative_law("tanh", 1.0)
    for x in (1e-10, 1e-20, 1e-36):
        with mp.workdps(40):
            exact = mp.erfc(mp.acosh(mp.mpf(x) ** -0.25) / mp.sqrt(2))
        assert float(law.cdf(x)) == pytest.approx(float(exact), rel=1e-11)
