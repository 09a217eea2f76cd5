"""Laws of v(h)^2 where v is narrow beside the Gaussian, far out, or constant up to rounding."""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from scipy.special import ndtr

import chione
from chione.freeprob import gaussian_square


def bump(h):
    return np.exp(-((h - 3e4) ** 2))


@pytest.mark.parametrize("q", [1e10, 1e20, 1e60, 1e100])
def test_a_slope_that_lives_near_zero_has_its_asymptotic_moments(q):
    """E sech(h)^(4k) = p(0) int sech^(4k) (1 + O(1/q)); the integrals are 4/3 and 32/35."""
    law = chione.derivative_law("tanh", q)
    exact = np.array([4 / 3, 32 / 35]) / np.sqrt(2 * np.pi * q)
    assert np.allclose(law.moments(2), exact, rtol=1e-9 if q < 1e12 else 1e-13)
    assert law.limits == (0.0, 1.0)


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid", "softsign", "arctan", "gaussian"])
def test_spectra_at_huge_lengths_have_the_moments_of_their_law(name):
    s = chione.jacobian_spectrum(name, depth=2, q_star=1e12)
    mu = s.law.moments(2)
    assert mu[0] > 0.0
    assert s.moments(2).value[0] == pytest.approx(1.0, rel=1e-12)
    assert s.moments(2).value[1] == pytest.approx(2 * mu[1] / mu[0] ** 2 + 1, rel=1e-12)


def test_the_derivative_of_a_constant_is_still_refused():
    with pytest.raises(ValueError, match="zero almost everywhere"):
        chione.derivative_law(lambda x: 0.0 * x + 1.0, 1e20)


def test_a_narrow_step_far_out_is_in_the_law():
    """E (0.1 + 50 sech(50 (h - 37))^2)^2 under N(0, 1e4), 30 digits."""
    law = chione.derivative_law(lambda x: 0.1 * x + np.tanh(50.0 * (x - 37.0)), 1e4)
    with mp.workdps(30):

        def excess(u):
            v = mp.mpf("0.1") + 50 * mp.sech(50 * u) ** 2
            return (v * v - mp.mpf("0.01")) * mp.npdf(u + 37, 0, 100)

        exact = float(mp.mpf("0.01") + mp.quad(excess, [-3, -0.2, -0.05, 0, 0.05, 0.2, 3]))
    assert exact == pytest.approx(0.26, abs=5e-4)
    assert law.moments(1)[0] == pytest.approx(exact, rel=1e-11)
    assert law.limits[1] == pytest.approx(50.1**2, rel=1e-12)


@pytest.mark.parametrize(("place", "width"), [(-37.0, 0.02), (250.0, 0.5), (3.3, 1e-3)])
def test_narrow_features_are_found_on_either_side(place, width):
    def f(x):
        return x + np.tanh((x - place) / width)

    law = chione.derivative_law(f, 1e4)
    p = np.exp(-(place**2) / 2e4) / np.sqrt(2e4 * np.pi)
    # int 2 u + u^2 over the feature, u = sech^2 / width; p is flat there to (width / 100)^2
    assert law.moments(1)[0] == pytest.approx(1 + p * (4 + 4 / (3 * width)), rel=1e-6)


def test_a_bump_of_one_side_is_not_taken_for_an_even_function():
    law = gaussian_square(bump, 1e9, features=np.array([3e4]))
    p = np.exp(-0.45) / np.sqrt(2e9 * np.pi)
    assert law.factor == 1.0
    assert law.moments(1)[0] == pytest.approx(p * np.sqrt(np.pi / 2), rel=1e-8)


def lines(knots, slopes, form):
    """The piecewise linear function of these slopes, from terms that cancel."""
    steps = np.diff(slopes)

    def f(x):
        y = slopes[0] * (x - knots[0])
        for c, k in zip(steps, knots, strict=True):
            if form == "maximum":
                y = y + c * np.maximum(x - k, 0.0)
            elif form == "mask":
                y = y + c * (x - k) * (x > k)
            else:
                y = y + 0.5 * c * (np.abs(x - k) + (x - k))
        return y

    return f


def masses(knots, slopes, q):
    """Gaussian mass of each squared slope."""
    z = ndtr(np.concatenate([[-np.inf], knots, [np.inf]]) / np.sqrt(q))
    out = {}
    for s, m in zip(np.abs(slopes), np.diff(z), strict=True):
        out[round(float(s), 12)] = out.get(round(float(s), 12), 0.0) + float(m)
    return dict(sorted(out.items()))


@pytest.mark.parametrize("form", ["maximum", "mask", "abs"])
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))]
)
def test_plateaus_from_terms_that_cancel_are_exact_atoms(form, seed):
    rng = np.random.default_rng(seed)
    knots = np.unique(rng.uniform(-2, 2, rng.integers(2, 6)).round(2))
    slopes = rng.normal(size=knots.size + 1).round(2)
    slopes[-1] = -slopes[0]  # two that merge
    slopes[rng.integers(1, knots.size)] = 0.0
    q = float(10 ** rng.uniform(-1, 1))
    exact = masses(knots, slopes, q)
    law = chione.derivative_law(lines(knots, slopes, form), q)
    assert law.pieces is None
    places, mass = np.array(law.atoms).T
    assert places[0] == 0.0
    assert np.allclose(places, np.square(list(exact)), rtol=1e-12, atol=0.0)
    assert np.allclose(mass, list(exact.values()), rtol=0.0, atol=1e-12)


def test_plateaus_at_both_ends_are_found_below_steep_lines():
    """Beyond 1.2 the values 1.375 are a sum of lines of slope 3: rounded as those are."""
    knots, slopes = np.array([-1.6, -1.0, -0.3, 0.3, 1.2]), [0.0, -0.25, -0.75, 3.25, 0.25, 0.0]
    exact = masses(knots, slopes, 0.7)
    law = chione.derivative_law(lines(knots, slopes, "maximum"), 0.7)
    assert np.allclose([m for _, m in law.atoms], list(exact.values()), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_a_plateau_up_to_rounding_makes_singular_values_of_zero(depth, weights):
    def f(x):
        return (
            1.7 * np.maximum(x + 0.75, 0)
            - 0.5 * (x + 0.75)
            - 1.1 * np.maximum(x - 0.68, 0)
            - 0.1 * np.maximum(x - 0.77, 0)
        )

    s = chione.jacobian_spectrum(f, depth=depth, q_star=1.0, weights=weights)
    assert s.atoms[0][0] == 0.0
    assert s.atoms[0][1] == pytest.approx(float(ndtr(-0.77)), rel=1e-12)


@pytest.mark.parametrize("small", [1e-9, -3e-8, 1e-6])
def test_a_small_slope_is_not_a_plateau(small):
    law = chione.derivative_law(lines(np.array([-0.4, 0.9]), [1.3, small, -0.7], "maximum"), 1.0)
    assert law.atoms[0][0] == pytest.approx(small**2, rel=1e-5)


def test_a_tiny_slope_that_nothing_cancels_in_is_kept():
    law = chione.derivative_law(lambda x: np.where(x > 0, x, 1e-16 * x), 1.0)
    assert law.atoms[0] == (pytest.approx(1e-32, rel=1e-12), pytest.approx(0.5, rel=1e-14))


@pytest.mark.parametrize("name", ["tanhshrink", "softsign", "logsigmoid", "sigmoid", "arctan"])
@pytest.mark.parametrize("q", [1e-3, 1.0, 30.0, 1e4])
def test_limits_bound_every_value_and_the_support_is_sorted(name, q):
    law = chione.derivative_law(name, q)
    assert law.limits[0] <= law.t.min()
    assert law.t.max() <= law.limits[1]
    ends = [x for span in law.support for x in span]
    assert ends == sorted(ends)
    assert all(a[1] < b[0] for a, b in pairwise(law.support))
    assert (law.support[0][0], law.support[-1][1]) == law.limits
    sup = {"sigmoid": 1 / 16}.get(name, 1.0)
    assert law.limits == (0.0, pytest.approx(sup, rel=1e-15))


# Var t / (E t)^2 to first order in q, from phi' = phi'(0) (1 + a h + b h^2): 4 a^2 q or 8 b^2 q^2
FIRST_ORDER = {
    "tanh": (0.0, 8.0),  # 1 - h^2
    "sin": (0.0, 2.0),  # 1 - h^2 / 2
    "softplus": (1.0, 0.0),  # (1 + h / 2) / 2
    "silu": (4.0, 0.0),  # (1 + h) / 2
    "gelu": (32.0 / np.pi, 0.0),  # 1/2 + 2 h p(0)
}


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize("q", [1e-100, 1e-40, 1e-16, 1e-12, 1e-9])
def test_the_spread_of_a_narrow_law_keeps_its_digits(name, q):
    linear, square = FIRST_ORDER[name]
    law = chione.derivative_law(name, q)
    assert law.spread == pytest.approx(linear * q + square * q * q, rel=1e-12 + 40 * q)
    variance = chione.jacobian_spectrum(name, depth=3, q_star=q, weights="orthogonal").variance
    assert variance == pytest.approx(3 * law.spread, rel=1e-12)


@pytest.mark.parametrize("name", ["tanh", "softplus", "selu", "relu", "quadratic", "tanhshrink"])
def test_the_spread_of_a_wide_law_is_that_of_its_moments(name):
    law = chione.derivative_law(name, 0.3)
    m = law.moments(2)
    assert law.spread == pytest.approx(m[1] / m[0] ** 2 - 1, rel=1e-12)


def test_what_more_than_half_of_the_mass_rounds_to_is_an_atom():
    """phi' of x - tanh x is 1 in float64 beyond 19; P(|h| > 18.7) at q = 1e4 is 0.85."""
    law = chione.derivative_law("tanhshrink", 1e4)
    ((place, mass),) = law.atoms
    assert place == 1.0
    assert mass == pytest.approx(2 * float(ndtr(-0.19)), abs=0.02)
    s = chione.jacobian_spectrum("tanhshrink", depth=3, q_star=1e4, weights="orthogonal")
    assert s.log_support[-1][1] == pytest.approx(6 * np.log(s.sigma_w), rel=1e-9)
