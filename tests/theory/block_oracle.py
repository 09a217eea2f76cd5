"""Gaussian expectations at 30 digits, and a block that many tests look at."""

import mpmath as mp

from chione.networks import Dense, Nonlinearity, Norm, Residual

MP_FORMS = {
    "tanh": mp.tanh,
    "gelu": lambda x: x * mp.ncdf(x),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "relu": lambda x: max(x, mp.mpf(0)),
}


def expectation(f, q):
    """E f(sqrt(q) z) at 30 digits."""
    with mp.workdps(30):
        root = mp.sqrt(mp.mpf(q))
        weight = 1 / mp.sqrt(2 * mp.pi)
        knots = [-14, -7, -3, -1, 0, 1, 3, 7, 14]
        return mp.quad(lambda z: f(root * z) * mp.exp(-z * z / 2) * weight, knots)


def within(estimate, exact, *, factor=1.0):
    """The true error lies below the stated one."""
    return abs(mp.mpf(float(estimate.value)) - exact) <= factor * mp.mpf(float(estimate.error))


def pre_norm(phi, w1, w2, scale=1.0, norm="layer"):
    return Residual([Norm(norm), Dense(w1), Nonlinearity(phi), Dense(w2)], scale=scale)
