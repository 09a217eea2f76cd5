"""Closed forms of nearly equal and nearly opposite inputs, against their moments in 100 digits."""

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation


def _arc(c):
    return mp.acos(c)


def _relu(above, below):
    def k(q1, q2, c):
        t = _arc(c)
        same = (mp.sin(t) + (mp.pi - t) * c) / (2 * mp.pi)
        across = (mp.sin(t) - t * c) / (2 * mp.pi)
        return mp.sqrt(q1 * q2) * ((above**2 + below**2) * same - 2 * above * below * across)

    def slope(q1, q2, c):
        t = _arc(c)
        return ((above**2 + below**2) * (mp.pi - t) + 2 * above * below * t) / (2 * mp.pi)

    return k, slope


def _erf(q1, q2, c):
    return 2 / mp.pi * mp.asin(2 * c * mp.sqrt(q1 * q2) / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2)))


def _erf_slope(q1, q2, c):
    return 4 / mp.pi / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2) - 4 * q1 * q2 * c * c)


def _sine(w):
    def k(q1, q2, c):
        m, s = w * w * (q1 + q2) / 2, w * w * mp.sqrt(q1 * q2) * c
        return mp.exp(-m) * mp.sinh(s)

    def slope(q1, q2, c):
        m, s = w * w * (q1 + q2) / 2, w * w * mp.sqrt(q1 * q2) * c
        return w * w * mp.exp(-m) * mp.cosh(s)

    return k, slope


def _cosine(q1, q2, c):
    return mp.exp(-(q1 + q2) / 2) * mp.cosh(mp.sqrt(q1 * q2) * c)


def _exp(q1, q2, c):
    return mp.exp((q1 + q2) / 2 + mp.sqrt(q1 * q2) * c)


def _bell(q1, q2, c):
    return 1 / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2) - 4 * q1 * q2 * c * c)


def _squared(q1, q2, c):
    p = mp.pi - _arc(c)
    return q1 * q2 * (3 * mp.sin(p) * c + p * (1 + 2 * c * c)) / (2 * mp.pi)


def _gelu(q1, q2, c):
    q12, e = mp.sqrt(q1 * q2) * c, (1 + q1) * (1 + q2)
    d = e - q12 * q12
    angle = mp.acos(-q12 / mp.sqrt(e))
    return (q12 * angle + (q1 * q2 * d + q12 * q12) / (e * mp.sqrt(d))) / (2 * mp.pi)


def _gelu_slope(q1, q2, c):
    q12, e = mp.sqrt(q1 * q2) * c, (1 + q1) * (1 + q2)
    d = e - q12 * q12
    rest = 1 / (1 + q1) + 1 / (1 + q2) + 1 / d
    return (mp.acos(-q12 / mp.sqrt(e)) + q12 / mp.sqrt(d) * rest) / (2 * mp.pi)


# E phi phi, E phi' phi' where it has a form of its own near |c| = 1
KERNELS = {
    "linear": (lambda q1, q2, c: mp.sqrt(q1 * q2) * c, None),
    "relu": _relu(1, 0),
    "leaky_relu(0.99)": _relu(1, mp.mpf(0.99)),
    "leaky_relu(0.2)": _relu(1, mp.mpf(0.2)),
    "leaky_relu(-0.7)": _relu(1, mp.mpf(-0.7)),
    "abs": _relu(1, -1),
    "erf": (_erf, _erf_slope),
    "gelu": (_gelu, _gelu_slope),
    "sin": _sine(1),
    "siren(w0=30)": _sine(30),
    "cos": (_cosine, None),
    "exp": (_exp, None),
    "gaussian": (_bell, None),
    "squared_relu": (_squared, None),
    "square": (lambda q1, q2, c: q1 * q2 * (1 + 2 * c * c), None),
    "cubic": (lambda q1, q2, c: (q1 * q2) ** mp.mpf(1.5) * (9 * c + 6 * c**3), None),
    "sign": (lambda q1, q2, c: 2 / mp.pi * mp.asin(c), None),
    "step": (lambda q1, q2, c: (mp.pi - _arc(c)) / (2 * mp.pi), None),
}
CASES = [k for k, v in KERNELS.items() if v is not None]


def _draws(rng, n):
    """Lengths that nearly agree or do not, and 1 - |c| from 1e-30 to 1."""
    q1 = 10.0 ** rng.uniform(-8, 2, n)
    q2 = np.where(rng.random(n) < 0.5, q1 * (1 + 10.0 ** rng.uniform(-15, 0, n)), q1)
    return (
        q1,
        np.where(rng.random(n) < 0.2, 10.0 ** rng.uniform(-8, 2, n), q2),
        10.0 ** rng.uniform(-30, 0, n),
    )


@pytest.mark.parametrize("name", CASES)
def test_differences_of_nearly_equal_inputs_keep_their_digits(name):
    forms, kernel = activation(name).closed_forms, KERNELS[name][0]
    rng = np.random.default_rng(3)
    q1, q2, gap = _draws(rng, 150)
    with mp.workdps(100):
        for form, sign in ((forms.difference, 1), (forms.total, -1)):
            if form is None:
                assert sign == -1
                continue
            found = form(q1, q2, q1 - q2, gap)
            for a, b, g, f in zip(q1, q2, gap, found, strict=True):
                if np.isnan(f):  # gelu says where the plain difference is as good
                    assert name == "gelu" and (g * (1 + max(a, b)) > 0.05 or abs(a / b - 1) > 0.05)
                    continue
                a, b, c = mp.mpf(a), mp.mpf(b), sign * (1 - mp.mpf(g))
                ends = kernel(a, a, mp.mpf(1)) + kernel(b, b, mp.mpf(1))
                exact = ends - 2 * sign * kernel(a, b, c)
                assert abs(f - exact) <= 1e-13 * abs(exact) + 1e-300, (
                    a,
                    b,
                    g,
                    float(f / exact - 1),
                )


@pytest.mark.parametrize("name", [k for k in CASES if KERNELS[k][1] is not None])
def test_slopes_keep_what_c_itself_would_round_away(name):
    forms, slope = activation(name).closed_forms, KERNELS[name][1]
    q1, q2, gap = _draws(np.random.default_rng(4), 150)
    for near, far, sign in ((gap, 2 - gap, 1), (2 - gap, gap, -1)):
        found = forms.near_slope(q1, q2, near, far)
        with mp.workdps(60):
            for a, b, g, f in zip(q1, q2, gap, found, strict=True):
                exact = slope(mp.mpf(a), mp.mpf(b), sign * (1 - mp.mpf(g)))
                assert abs(f - exact) <= 1e-12 * abs(exact) + 1e-300, (a, b, g)
