"""Slips of the chapter on stability (chapter 6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import hermite_e as he
from numpy.polynomial.legendre import leggauss

from chione.base import Array
from chione.gallery.errata.slip import Evidence, Slip
from chione.gallery.plain import average, average_of_pair

SOURCE = "Stability and neural tangent kernel (chapter 6)"
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805
_STEP = 1e-4


def _square_moves(phi: Callable[[Array], Array]) -> float:
    """d/dgamma E phi(gamma X)^2 at gamma = 1, by a central difference."""
    up, down = (average(lambda h, g=g: phi(g * h) ** 2, 1.0) for g in (1 + _STEP, 1 - _STEP))  # type: ignore[misc]
    return (up - down) / (2 * _STEP)


def _tanh_terms() -> tuple[float, float]:
    """E phi'^2 and E phi phi'' of tanh at q = 1: the two sums of Lemma 6.1."""
    first = average(lambda h: np.cosh(h) ** -4.0, 1.0)
    return first, average(lambda h: -2.0 * np.tanh(h) ** 2 / np.cosh(h) ** 2, 1.0)


def _factor_four() -> Evidence:
    a, b = _tanh_terms()
    return Evidence(2 * a + 4 * b, 2 * a + 2 * b, _square_moves(np.tanh), 1e-6)


def _sign_decides() -> Evidence:
    size = average(lambda h: np.tanh(h) ** 2, 1.0)
    a, b = (x / size for x in _tanh_terms())
    moved = average(lambda h: np.tanh(h) ** 2, 1.0 + 1e-5) / size - 1.0
    return Evidence(2 * a + 2 * b, a + b, moved / 1e-5, 1e-4)


def _selu(h: Array) -> Array:
    return np.asarray(_SCALE * np.where(h > 0, h, _ALPHA * np.expm1(np.minimum(h, 0.0))))


def _split(f: Callable[[Array], Array], mu: float, nu: float) -> float:
    """E f(X), X ~ N(mu, nu), by Gauss-Legendre on both sides of the kink at 0."""
    x, w = leggauss(60)
    spread = np.sqrt(nu)
    total = 0.0
    for low, high in ((mu - 11 * spread, 0.0), (0.0, mu + 11 * spread)):
        h = 0.5 * (high - low) * x + 0.5 * (high + low)
        p = np.exp(-0.5 * ((h - mu) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        total += 0.5 * (high - low) * float(w @ (p * f(h)))
    return total


def _pair_map() -> Evidence:
    def slope(h: Array) -> Array:
        return np.asarray(_SCALE * np.where(h > 0, 1.0, _ALPHA * np.exp(np.minimum(h, 0.0))))

    v = 0.5 * (_split(lambda h: _selu(h) ** 2 * h * h, 0.0, 1.0) - 1.0)
    half = 0.5 * _split(lambda h: (h * h - 1) * _selu(h), 0.0, 1.0)
    cross = _split(lambda h: h * _selu(h) ** 2, 0.0, 1.0)
    jacobian = np.array([[_split(slope, 0.0, 1.0), half], [cross, v]])
    mu, nu = 1e-6, 1.0
    for _ in range(60):
        before = mu
        mu, square = _split(_selu, mu, nu), _split(lambda h: _selu(h) ** 2, mu, nu)
        nu = square - mu * mu
    return Evidence(v, float(np.max(np.linalg.eigvals(jacobian).real)), mu / before, 1e-3)


def _ratio_bound() -> Evidence:
    n = 1
    r = 0.05

    def phi(t: float) -> Callable[[Array], Array]:
        return lambda h: h + t * (h**3 - 3 * h)

    cross = (_square_moves(phi(r)) - _square_moves(phi(-r))) / (2 * r)
    zero = -_square_moves(phi(0.0)) / cross
    return Evidence(-2 * n / ((n + 1) * (n + 2)), -n / ((n + 1) * (n + 2)), zero, 1e-6)


def _selu_ratios() -> Evidence:
    factorial = 1.0
    c = []
    for k in range(9):
        factorial *= max(k, 1)
        poly = he.HermiteE.basis(k)
        c.append(_split(lambda h, p=poly: _selu(h) * p(h), 0.0, 1.0) / factorial)  # type: ignore[misc]
    met = sum(c[n + 2] / c[n] < -2 * n / ((n + 1) * (n + 2)) for n in range(1, 7))
    return Evidence(6.0, 1.0, float(met), 0.0)


def _first_order() -> Evidence:
    n, x = 4, 0.7
    four, two = he.HermiteE.basis(4), he.HermiteE.basis(2)
    numeric = float(four((1 + _STEP) * x) - four((1 - _STEP) * x)) / (2 * _STEP)
    lower = n * (n - 1) * float(two(x))
    return Evidence(n * n * float(four(x)) + lower, n * float(four(x)) + lower, numeric, 1e-6)


def _appell() -> Evidence:
    three, two = he.HermiteE.basis(3), he.HermiteE.basis(2)
    numeric = float(three(0.7 + _STEP) - three(0.7 - _STEP)) / (2 * _STEP)
    return Evidence(np.sqrt(3.0) * float(two(0.7)), 3.0 * float(two(0.7)), numeric, 1e-6)


def _spurious_power() -> Evidence:
    rho = 0.5
    seen = average_of_pair(lambda h: (h * h - 1) / np.sqrt(2.0), 1.0, rho)
    return Evidence((rho**2) ** 2, rho**2, seen, 1e-10)


def _rms_norm() -> Evidence:
    size = average(lambda h: np.tanh(h) ** 2, 1.0)
    kappa = average(lambda h: np.cosh(h) ** -4.0, 1.0) / size
    rng = np.random.default_rng(1)
    n = 1500
    ratios = []
    for _ in range(8):
        w, delta = rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal(n)
        slope = np.cosh(rng.standard_normal(n)) ** -2.0 / np.sqrt(size)
        ratios.append(np.sqrt(np.mean((slope * (w.T @ delta)) ** 2) / np.mean(delta**2)))
    return Evidence(kappa, np.sqrt(kappa), float(np.mean(ratios)), 0.03)


def _missing_root() -> Evidence:
    size = average(lambda h: np.tanh(h) ** 2, 1.0)
    c2, factorial = [], 1.0
    for k in range(30):
        factorial *= max(k, 1)
        poly = he.HermiteE.basis(k)
        c = average(lambda h, p=poly: np.tanh(h) * p(h), 1.0) / np.sqrt(factorial * size)  # type: ignore[misc]
        c2.append(c * c)
    whole, weighted = sum(c2[1:]), sum(k * x for k, x in enumerate(c2))
    return Evidence(whole, weighted, average(lambda h: np.cosh(h) ** -4.0, 1.0) / size, 1e-3)


def _beta() -> Evidence:
    found = average(lambda h: np.cos(h) ** 2, 1.0) / average(lambda h: np.sin(h) ** 2, 1.0)
    return Evidence(1.0, 1.0 / np.tanh(1.0), found, 1e-10)


def _rate() -> Evidence:
    size = average(lambda h: np.tanh(h) ** 2, 1.0)
    c1 = average(lambda h: h * np.tanh(h), 1.0) / np.sqrt(size)
    rho = 1e-2
    return Evidence(1.0, c1 * c1, average_of_pair(np.tanh, 1.0, rho) / size / rho, 1e-4)


def _layer_index() -> Evidence:
    """sqrt(2) relu, orthogonal inputs: products of errors at layers 2 and 3 of plain networks."""

    def slope(rho: float) -> float:
        return 1.0 - float(np.arccos(rho)) / np.pi

    def kappa(rho: float) -> float:
        angle = np.arccos(rho)
        return float((np.sin(angle) + (np.pi - angle) * rho) / np.pi)

    one = kappa(0.0)
    rng = np.random.default_rng(2)
    n, ratios = 700, []
    for _ in range(16):
        w = [rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(3)]
        x = np.linalg.qr(rng.standard_normal((n, 2)))[0] * np.sqrt(n)
        z = []
        for weights in w:
            z.append(weights @ x)
            x = np.sqrt(2.0) * np.maximum(z[-1], 0.0)
        # the same error arrives at the third layer's pre-activations for both inputs
        delta = np.repeat(rng.standard_normal((n, 1)), 2, axis=1)
        below = np.sqrt(2.0) * (z[1] > 0) * (w[2].T @ delta)
        ratios.append((below[:, 0] @ below[:, 1]) / (delta[:, 0] @ delta[:, 1]))
    return Evidence(slope(kappa(one)), slope(one), float(np.mean(ratios)), 0.018)


SLIPS = (
    Slip(SOURCE, "Lemma 6.1", "mathematics",
         r"$2\sum n!\,n\,c_n^2 + 4\sum n!\,c_n c_{n+2}(n+1)(n+2)$",
         r"$2\sum n!\,n\,c_n^2 + 2\sum n!\,c_n c_{n+2}(n+1)(n+2)$",
         "the first-order term for tanh (checked by a finite difference)", _factor_four),
    Slip(SOURCE, "text after Lemma 6.1", "mathematics",
         "the sign of the first-order term $D$ decides: positive is repulsive",
         r"the slope of the length map is $D/2$: attractive where $|D/2| < 1$, that is "
         r"$E[\phi(X)^2 X^2] < 3$",
         r"normalised tanh: $D$, and the factor on a small deviation of the second moment",
         _sign_decides),
    Slip(SOURCE, "(6.1) and Lemma 6.1", "mathematics",
         "one number describes the stability of the map of mean and variance",
         "the map has a 2 by 2 Jacobian; for SELU its larger eigenvalue is above 1",
         "SELU at (0, 1): growth of a deviation per layer (checked by iterating)", _pair_map),
    Slip(SOURCE, "(6.4)", "mathematics", r"$c_{n+2}/c_n < -2n/((n+1)(n+2))$",
         r"term by term $-n/((n+1)(n+2))$; required for all n either bound makes a norm infinite, "
         r"so use $E[\phi^2 X^2] < 3$", "the bound at n = 1", _ratio_bound),
    Slip(SOURCE, "text after (6.4)", "mathematics", "SELU meets the condition very accurately",
         "only n = 4 of n = 1 to 6 meets it", "how many of n = 1 to 6 meet (6.4)", _selu_ratios),
    Slip(SOURCE, "proof, step 2", "mathematics", r"$He_n(\gamma x)$ with $(1 + n\epsilon)^{n-2i}$",
         r"$He_n + \epsilon\,(n He_n + n(n-1) He_{n-2})$",
         r"derivative of $He_4(\gamma\,0.7)$ at $\gamma = 1$", _first_order),
    Slip(SOURCE, "Appell property", "index", r"$He_k' = \sqrt{k}\,He_{k-1}$",
         r"$He_k' = k\,He_{k-1}$; the root belongs to the orthonormal $he_k$",
         r"$He_3'(0.7)$", _appell),
    Slip(SOURCE, "proof of (6.6)", "mathematics", r"$E[he_{k-1} he_{k-1}]^{k-1}$",
         r"$E[he_{k-1} he_{k-1}] = \rho^{k-1}$", r"k = 3, $\rho = 1/2$", _spurious_power),
    Slip(SOURCE, "Proposition 6.3, (6.7)", "mathematics",
         r"rms norms of errors are multiplied by $\kappa'(1)$",
         r"squared norms are; rms norms by $\sqrt{\kappa'(1)}$",
         "normalised tanh: factor on the rms norm (checked on plain networks)", _rms_norm),
    Slip(SOURCE, "after (6.10)", "mathematics", r"$\phi' = \sum c_k he_{k-1}$",
         r"$\phi' = \sum \sqrt{k}\,c_k he_{k-1}$", r"$E\phi'^2$ of normalised tanh", _missing_root),
    Slip(SOURCE, "Remark 6.4", "mathematics", r"$\beta = \sum k c_k^2 \leq 1$, gradients vanish",
         r"$\beta \geq 1$ for centred $\phi$: gradients grow",
         r"$\beta$ of sin, which is $\coth 1$, and the bound claimed", _beta),
    Slip(SOURCE, "Remark 6.4", "mathematics", r"decay rate of correlations $1/\sum c_k^2$",
         r"$\kappa'(0) = c_1^2$", "tanh: factor on a small correlation", _rate),
    Slip(SOURCE, "(6.9)", "index",
         r"$\langle\delta_1^\ell, \delta_2^\ell\rangle = \kappa'(\rho_\ell)\langle\cdot\rangle$",
         r"$\kappa'(\rho_{\ell-1})$ with $\rho_\ell$ of (6.8)",
         r"$\sqrt2$ relu, orthogonal inputs, layer 2 (checked on plain networks)", _layer_index),
)  # fmt: skip
