"""Functions that turn again and again: closed transforms against the arcsine law and quadrature."""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from chione.freeprob import gaussian_square


def law_of(v, slope, q):
    return gaussian_square(v, q, slope=slope)


def plain(v, q, g):
    """E g(v(h)) by the trapezoidal rule in h, which is exact for an analytic g(v) of this width."""
    step = 6e-4 * np.sqrt(q)
    h = step * np.arange(-20_000, 20_001)
    return np.sum(g(v(h)) * np.exp(-h * h / (2 * q))) * step / np.sqrt(2 * np.pi * q)


def fast(h):
    return 30.0 * np.cos(30.0 * h)


def fast_slope(h):
    return -900.0 * np.sin(30.0 * h)


@pytest.mark.parametrize(
    "w", [300 + 1e-9j, 899.9 + 0j, 900.000001 + 0j, 1e-9 + 1e-12j, 1e7 + 0j, 3 + 400j]
)
def test_hundreds_of_turns_have_the_transforms_of_the_arcsine_law(w):
    """At q = 1 the phase 30 h is uniform to e^-1800, so v = 30 cos(uniform)."""
    law = law_of(fast, fast_slope, 1.0)
    assert law.waves
    assert law.rest is None
    with mp.workdps(30):
        x = mp.mpmathify(w)
        u = mp.sqrt(x)
        r = mp.sqrt(u - 30) * mp.sqrt(u + 30)
        exact, log = complex(1 / (u * r)), complex(2 * mp.log((u + r) / 2))
        slope = complex(-1 / (u * r) * (1 / (2 * x) + 1 / (2 * (x - 900))))
    near = 1.0 + abs(w / (w - 900.0))  # relative change of G for one of w
    assert abs(law.stieltjes(w) - exact) <= 3e-14 * near * abs(exact)
    assert abs(law.stieltjes_derivative(w) - slope) <= 1e-13 * near * abs(slope)
    assert abs(law.mean_log(w) - log) <= 1e-13 * abs(log) + 1e-15 * np.sqrt(near)


WAVES = {
    "levels": (lambda h: 1 + 1.5 * np.cos(3 * h), lambda h: -4.5 * np.sin(3 * h)),
    "one sign": (lambda h: 2 + np.cos(5 * h), lambda h: -5 * np.sin(5 * h)),
    "touches 0": (lambda h: 1 + np.sin(4 * h), lambda h: 4 * np.cos(4 * h)),
    "odd": (lambda h: np.sin(4 * h), lambda h: 4 * np.cos(4 * h)),
}
OTHERS = {  # the two sides of a turn lead to different heights: no series of its own
    "two tones": (
        lambda h: np.cos(3 * h) + 2 * np.cos(6 * h),
        lambda h: -3 * np.sin(3 * h) - 12 * np.sin(6 * h),
    ),
}


@pytest.mark.parametrize("name", [*WAVES, *OTHERS])
@pytest.mark.parametrize("q", [0.7, 3.0])
def test_transforms_of_waves_meet_plain_quadrature(name, q):
    v, slope = (WAVES | OTHERS)[name]
    law = law_of(v, slope, q)
    assert bool(law.waves) == (name in WAVES)
    top = law.limits[1]
    for w in (top * (0.5 + 0.3j), top * (1.4 + 0j), top * (0.01 + 0.1j), top * -0.2, top * 1e3):
        w = complex(w)
        m = plain(v, q, lambda x, w=w: x * x / (w - x * x))
        assert abs(law.moment_function(w) - m) <= 1e-12 * abs(m)
        q_exact = plain(v, q, lambda x, w=w: -w * x * x / (w - x * x) ** 2)
        assert abs(law.resolvent(w).q - q_exact) <= 1e-12 * abs(q_exact)
        log = plain(v, q, lambda x, w=w: np.log(w - x * x))
        assert abs(law.mean_log(w) - log) <= 1e-12 * (1 + abs(log))
    exact = [plain(v, q, lambda x, k=k: x ** (2 * k)) for k in range(1, 5)]
    assert np.allclose(law.moments(4), exact, rtol=1e-12)


@pytest.mark.parametrize("name", ["levels", "one sign", "touches 0"])
def test_the_distribution_of_waves_is_the_share_of_places_below(name):
    v, slope = WAVES[name]
    law = law_of(v, slope, 3.0)
    x = law.limits[0] + (law.limits[1] - law.limits[0]) * np.array([0.03, 0.2, 0.6, 0.97])
    for a, b in pairwise(x if name != "levels" else x[1:]):  # (1 - 1.5)^2 lies before x[1]
        t = np.linspace(a, b, 4_001)
        y = law.density(t)
        area = np.sum(0.5 * (y[1:] + y[:-1])) * (t[1] - t[0])
        assert area == pytest.approx(float(law.cdf(b) - law.cdf(a)), rel=1e-5)
    h = np.linspace(-12.0, 12.0, 1_000_001) * np.sqrt(3.0)
    p = np.exp(-h * h / 6.0) / np.sqrt(6.0 * np.pi) * (h[1] - h[0])
    for place in x:
        assert float(law.cdf(place)) == pytest.approx(np.sum(p[v(h) ** 2 <= place]), abs=4e-5)


def test_a_wave_of_one_sign_keeps_its_digits_beside_zero():
    v, slope = WAVES["one sign"]
    law = law_of(v, slope, 3.0)
    w = np.array([1e-30, -1e-12, 1e-6j, 5e-4 + 1e-9j])
    exact = [plain(v, 3.0, lambda x, z=z: -1 / (x * x) / (1 - z / (x * x))) for z in w]
    assert np.allclose(law.stieltjes(w), exact, rtol=1e-12)


def test_a_wave_that_dies_out_is_no_wave():
    law = gaussian_square(lambda h: np.cos(5 * h) * np.exp(-0.05 * h * h), 1.0)
    assert not law.waves
