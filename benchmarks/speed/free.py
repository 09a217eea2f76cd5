"""Free sums and products of laws, beside what is published and beside sampled matrices."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed import spectra_by_hand as hand
from benchmarks.speed.case import Case, Missing, Way

_RATIO = 0.5


def _wisharts(quick: bool) -> list[Way]:
    """MP x MP at 200 points inside its band."""
    points = 20 if quick else 200
    x = np.linspace(0.05, 5.5, points)
    exact = hand.product_of_wisharts(_RATIO, x)

    def ours(k: int) -> Any:
        from chione.freeprob import marchenko_pastur

        ratio = _RATIO * (1.0 + 1e-9 * k)
        law = marchenko_pastur(ratio) * marchenko_pastur(ratio)
        return np.asarray(law.density(x).value)

    def polynomial(k: int) -> Any:
        from rmtool import AtimesB, Lmz2pdf, wishartpol

        law = AtimesB(wishartpol(_RATIO), wishartpol(_RATIO))
        return np.asarray(Lmz2pdf(law, x * (1.0 + 1e-9 * k)).density)

    def sampled(k: int) -> Any:
        return hand.sampled_product(_RATIO, 100 if quick else 1000, np.random.default_rng(k))

    return [
        Way("chione", ours, lambda found: hand.far(found, exact)),
        Way("rmtool, polynomials in sympy", polynomial, lambda found: hand.far(found, exact),
            ready=_rmtool),
        Way("NumPy, one matrix of size 1000 (error: of its distribution function)", sampled,
            lambda found: _ks(found, x, _cumulated(x, exact))),
    ]  # fmt: skip


def _wishart_edges(quick: bool) -> list[Way]:
    """The support of MP x MP."""

    def ours(k: int) -> Any:
        from chione.freeprob import marchenko_pastur

        ratio = _RATIO * (1.0 + 1e-9 * k)
        return (marchenko_pastur(ratio) * marchenko_pastur(ratio)).support

    def error(found: Any) -> float:
        # dz/dm = 0 of z = (1 + m) (1 + c m)^2 / m: 2 c m^2 + (c) m - 1 = 0 at m != -1/c
        m = np.roots([2.0 * _RATIO, _RATIO, -1.0])
        exact = np.sort((1.0 + m) * (1.0 + _RATIO * m) ** 2 / m)
        return float(np.max(abs(np.array(found[-1]) / exact - 1.0)))

    return [Way("chione", ours, error)]


def _wishart_and_slopes(quick: bool) -> list[Way]:
    """MP x the law of phi'(h)^2 of tanh: the Jacobian of one layer."""
    points = 10 if quick else 200
    x = np.linspace(0.02, 1.6, points)

    def ours(k: int) -> Any:
        from chione.freeprob import marchenko_pastur
        from chione.theory.spectra.jacobian_law import derivative_law

        law = derivative_law("tanh", 0.7 + 1e-9 * k) * marchenko_pastur(1.0)
        return np.asarray(law.density(x).value)

    def theirs(k: int, n: int, steps: int, tolerance: float) -> Any:
        t, p = hand.squared_slopes(_sech2, 0.7 + 1e-9 * k, n)
        return hand.master_density(t, p, 1.0, 1, x, steps, tolerance)

    exact = theirs(0, 0, 200, 1e-14) if not quick else theirs(0, 200, 60, 1e-12)
    return [
        Way("chione", ours, lambda found: hand.far(found, exact)),
        Way("NumPy, master equation with Gauss-Hermite 100", partial(
            theirs, n=100, steps=40, tolerance=1e-10), lambda found: hand.far(found, exact)),
    ]  # fmt: skip


def _arrays(quick: bool) -> list[Way]:
    """A + U B U^T of two arrays of 400 eigenvalues: density at 500 points, and the edges."""
    size, points = (40, 30) if quick else (400, 500)
    rng = np.random.default_rng(5)
    a = np.sort(rng.uniform(-2.0, 2.0, size))
    b = np.sort(np.concatenate([rng.normal(-3.0, 0.5, size // 2), rng.normal(3.0, 0.5, size // 2)]))
    x = np.linspace(-6.0, 6.0, points)
    check = slice(points // 10, None, max(1, points // 12))
    kept: dict[str, Any] = {}

    def exact() -> Any:
        if "exact" not in kept:
            kept["exact"] = hand.sum_by_newton(hand.cauchy(a), hand.cauchy(b), x[check])
        return kept["exact"]

    def ours(k: int) -> Any:
        from chione.freeprob import empirical, free_sum

        law = free_sum(empirical(a * (1.0 + 1e-9 * k)), empirical(b))
        return np.asarray(law.density(x).value), law.support

    def published(k: int) -> Any:
        return hand.sum_by_fixed_point(
            hand.cauchy(a * (1.0 + 1e-9 * k)), hand.cauchy(b), x, 1e-3, 3000
        )

    def sampled(k: int) -> Any:
        return hand.sampled_sum(a, b, np.random.default_rng(k))

    def sampled_error(found: Any) -> float:
        fine = np.linspace(-6.5, 6.5, 300)
        density = hand.sum_by_fixed_point(hand.cauchy(a), hand.cauchy(b), fine, 1e-2, 3000)
        return _ks(found, fine, _cumulated(fine, density))

    return [
        Way("chione", ours, lambda f: hand.far(f[0][check], exact())),
        Way("NumPy, fixed point at x + 0.001 i, no edges", published,
            lambda f: hand.far(f[check], exact())),
        Way("NumPy, one such matrix (error: of its distribution function)", sampled,
            sampled_error),
    ]  # fmt: skip


def _coins(quick: bool) -> list[Way]:
    """The free sum of four coins."""
    x = np.linspace(-3.4, 3.4, 20 if quick else 200)
    exact = hand.coins(4, x)

    def ours(k: int) -> Any:
        from chione.freeprob import bernoulli, free_sum

        side = 1.0 + 1e-12 * k
        law = free_sum(*[bernoulli(0.5, low=-side, high=side)] * 4)
        return np.asarray(law.density(x).value)

    def polynomial(k: int) -> Any:
        from rmtool import AplusB, Lmz2pdf, atomLmz

        coin = atomLmz([-1, 1], [0.5, 0.5])
        two = AplusB(coin, coin)
        return np.asarray(Lmz2pdf(AplusB(two, two), x * (1.0 + 1e-12 * k)).density)

    return [
        Way("chione", ours, lambda found: hand.far(found, exact)),
        Way("rmtool, polynomials in sympy", polynomial, lambda found: hand.far(found, exact),
            ready=_rmtool),
    ]  # fmt: skip


def _rmtool() -> None:
    try:
        import rmtool  # noqa: F401
    except ImportError as err:
        raise Missing("rmtool is not installed (pip install rmtool)") from err


def _sech2(h: Any) -> Any:
    return 1.0 / np.cosh(h) ** 2


def _cumulated(x: Any, density: Any) -> Any:
    """Distribution function by the trapezoidal rule, for samples of some thousandths of error."""
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(x)
    return np.concatenate([[0.0], np.cumsum(steps)]) + (1.0 - float(np.sum(steps)))


def _ks(values: Any, x: Any, cdf: Any) -> float:
    own = np.searchsorted(np.sort(values), x, side="right") / len(values)
    return float(np.max(abs(own - cdf)[x > 0.3 * np.max(x)]))


CASES: list[Case] = [
    Case("free-product", "marchenko_pastur(0.5) * marchenko_pastur(0.5): density at 200 points",
         _wisharts, goal=0.02),
    Case("free-product-edges", "marchenko_pastur(0.5) * marchenko_pastur(0.5): its support",
         _wishart_edges, goal=0.05),
    Case("free-product-slopes", "derivative_law('tanh', 0.7) * marchenko_pastur(1): density at "
         "200 points", _wishart_and_slopes, goal=0.1),
    Case("free-sum-arrays", "A + U B U^T, two arrays of 400 eigenvalues: density at 500 points "
         "and the edges", _arrays, goal=1.0),
    Case("free-sum-coins", "free sum of four coins of +-1: density at 200 points", _coins),
]  # fmt: skip
