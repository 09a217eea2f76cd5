"""Slips of lectures 5 and 8."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from chione.base import Array
from chione.gallery.errata.slip import Evidence, Slip
from chione.gallery.plain import average, average_of_pair, settled_length

FIVE = "Lecture 5: controlling the exponential growth"
EIGHT = "Lecture 8: random matrix view, Jacobian"


def _moment_function() -> Evidence:
    def t(h: Array) -> Array:  # erf(sqrt(pi) h / 2)'^2
        return np.exp(-0.5 * np.pi * h * h)

    n = np.arange(200.0)
    lerch = np.sum(2.0**-n / np.sqrt(n + (1 + np.pi) / np.pi)) / (2 * np.sqrt(np.pi))
    wrong = average(lambda h: t(h) / (2.0 - np.sqrt(t(h))), 1.0)
    return Evidence(wrong, average(lambda h: t(h) / (2.0 - t(h)), 1.0), float(lerch), 1e-10)


def _largest_value() -> Evidence:
    rng, n = np.random.default_rng(4), 400
    seen = [np.linalg.norm(rng.standard_normal((n, n)), 2) ** 2 / n for _ in range(6)]
    # Tracy and Widom: the mean lies 3 n^(-2/3) below 4, one matrix varies by as much
    return Evidence(1.0, 4.0, float(np.mean(seen)), 0.15)


def _weight_variance() -> Evidence:
    n = 400
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, 40))
    h = rng.standard_normal((n, n)) @ x
    seen = float(np.mean((h / np.sqrt(n)) ** 2) / np.mean(x**2))
    return Evidence(float(np.mean(h**2) / np.mean(x**2)), 1.0, seen, 0.05)


def _gaussian_variance() -> Evidence:
    q = np.geomspace(1e-6, 1e3, 400)
    lowest = 10.0 * np.min((1 + np.pi * q) / np.sqrt(1 + 2 * np.pi * q))  # L mu_2 / mu_1^2
    return Evidence(0.25, 10.0, float(lowest), 1e-3)


def _xavier() -> Evidence:
    fan_in, fan_out = 400, 400
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    w = np.random.default_rng(6).uniform(-bound, bound, (fan_out, fan_in))
    return Evidence(1.0 / 3.0, 1.0, fan_in * float(np.var(w)), 0.02)


def _ordering() -> Evidence:
    cross = brentq(lambda q: average(lambda h: np.tanh(h) ** 2, q) - 0.5 * q, 0.1, 2.0, xtol=1e-13)
    return Evidence(0.0, 0.6179647697685, float(cross), 1e-9)


def _normalisation() -> Evidence:
    q = settled_length(np.tanh, 1.3, 0.3)
    image = 1.3**2 * average(lambda h: np.tanh(h) ** 2, q) + 0.09
    return Evidence(image, 1.0, image / q, 1e-10)


def _network() -> tuple[float, float, float, float, float, float]:
    """Gradients of a two-layer network: (printed, right, difference) for a weight and a bias."""
    rng = np.random.default_rng(8)
    w0, w1 = rng.standard_normal((2, 4, 4))
    b0, x, y = rng.standard_normal((3, 4))

    def loss(w: Array, b: Array) -> float:
        return 0.5 * float(np.sum((np.tanh(w1 @ np.tanh(w @ x + b)) - y) ** 2))

    h0 = w0 @ x + b0
    h1 = w1 @ np.tanh(h0)
    delta1 = np.cosh(h1) ** -2.0 * (np.tanh(h1) - y)
    delta0 = np.cosh(h0) ** -2.0 * (w1.T @ delta1)
    step = 1e-5
    dw, db = np.zeros((4, 4)), np.zeros(4)
    dw[0, 1] = db[0] = step
    by_w = (loss(w0 + dw, b0) - loss(w0 - dw, b0)) / (2 * step)
    by_b = (loss(w0, b0 + db) - loss(w0, b0 - db)) / (2 * step)
    wrong = float((np.cosh(h0) ** -2.0 * (w0.T @ delta1))[0])
    return float(delta1[0] * h0[1]), float(delta0[0] * x[1]), by_w, wrong, float(delta0[0]), by_b


def _weight_gradient() -> Evidence:
    return Evidence(*_network()[:3], 1e-7)


def _backward_weights() -> Evidence:
    return Evidence(*_network()[3:], 1e-7)


def _slope_at_one() -> Evidence:
    q, gap = settled_length(np.tanh, 1.3, 0.3), 1e-4
    drop = average_of_pair(np.tanh, q, 1.0) - average_of_pair(np.tanh, q, 1.0 - gap)
    wrong = 1.69 * average(lambda h: np.cosh(h) ** -2.0, q)
    return Evidence(wrong, 1.69 * average(lambda h: np.cosh(h) ** -4.0, q), 1.69 * drop / gap / q,
                    1e-3)  # fmt: skip


SLIPS = (
    Slip(EIGHT, "table 1 and its text", "mathematics",
         r"$M_{D^2}(z) = \int \phi'^2 / (z - \phi')$", r"$\int \phi'^2 / (z - \phi'^2)$",
         "erf entry of the table at $q^* = 1$, z = 2 (checked by Lerch's series)",
         _moment_function),
    Slip(EIGHT, "length propagation fixed point", "mathematics",
         r"growth is the largest singular value of $J^T J$, given by $\chi$",
         r"$\chi$ is the mean squared singular value per layer",
         "linear Gaussian layer: largest squared singular value", _largest_value),
    Slip(EIGHT, "length propagation", "index", r"$W \sim N(0, \sigma_w^2)$",
         r"$W \sim N(0, \sigma_w^2 / N)$",
         "factor on the mean square, linear, $\\sigma_w = 1$, N = 400", _weight_variance),
    Slip(EIGHT, "nonlinear activation stability", "mathematics",
         r"$q^*(L)$ can hold $\sigma^2_{JJ^T}$ at any fixed value such as 1/4",
         r"only for orthogonal weights; for Gaussian ones $L \mu_2 / \mu_1^2 \geq L$",
         "erf, Gaussian, L = 10: smallest variance over all $q^*$", _gaussian_variance),
    Slip(FIVE, "Xavier initialisation", "mathematics", r"$\sigma_w^2 = 1/(3n)$",
         r"$2 / (n_{in} + n_{out})$; 1/(3n) is the older heuristic that shrinks signals",
         "n Var W", _xavier),
    Slip(FIVE, "mean field recursion", "mathematics",
         "the integral is larger for ReLU than for tanh",
         "only above a mean square of 0.618",
         "mean square at which the two integrals are equal", _ordering),
    Slip(FIVE, "correlation map", "mathematics",
         r"$c^{(\ell)} = \sigma_b^2 + \sigma_w^2 \int \phi \phi$",
         r"$c^{(\ell)} = (\sigma_b^2 + \sigma_w^2 \int \phi \phi) / q^*$",
         "value at c = 1 for tanh (1.3, 0.3)", _normalisation),
    Slip(FIVE, "back-propagation", "index",
         r"$\partial L / \partial W^{(\ell)} = \delta_{\ell+1} h_\ell^T$",
         r"$\delta_\ell (z^{(\ell)})^T$", "one entry (checked by a finite difference)",
         _weight_gradient),
    Slip(FIVE, "back-propagation", "index",
         r"$\delta_\ell = D^{(\ell)} (W^{(\ell)})^T \delta_{\ell+1}$",
         r"$D^{(\ell)} (W^{(\ell+1)})^T \delta_{\ell+1}$",
         "one entry (checked by a finite difference)", _backward_weights),
)  # fmt: skip
