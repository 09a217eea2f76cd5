"""Slips of the lecture notes on universality classes."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.gallery.errata.slip import Evidence, Slip
from chione.gallery.plain import average

SOURCE = "Universality classes (PDLT lecture 2)"


def _small_k() -> Evidence:
    k = 1e-5
    return Evidence(3.0, 2.0, (average(lambda h: np.exp(2 * h), k) - 1.0) / k, 1e-3)


def _vertex_growth() -> Evidence:
    k, v, seen = 1.0, 0.0, {}
    for layer in range(1, 801):
        seen[layer] = v / k**2
        square, fourth = (average(lambda h, p=p: np.tanh(h) ** p, k) for p in (2, 4))  # type: ignore[misc]
        slope = average(lambda h, k=k: np.tanh(h) ** 2 * (h * h - k), k) / (2 * k * k)  # type: ignore[misc]
        v = slope**2 * v + fourth - square**2
        k = square
    return Evidence(0.5, 2.0, seen[800] / seen[400], 0.05)


def _sigmoid(h: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * h))


def _sigmoid_bias() -> Evidence:
    k = 1e-7
    slope = average(lambda h: (_sigmoid(h) * (1 - _sigmoid(h))) ** 2, k)
    return Evidence(-0.5 / 0.25**2, -4.0, k - average(lambda h: _sigmoid(h) ** 2, k) / slope, 1e-4)


def _zero_is_not_enough() -> Evidence:
    k = 0.7
    perp = average(lambda h: (2 * h) ** 2, k)
    parallel = average(lambda h: h**4 * (h * h - k), k) / (2 * k * k)
    return Evidence(1.0, 2.0 / 3.0, perp / parallel, 1e-10)


def _softsign_decay() -> Evidence:
    k, seen = 1.0, {}
    for layer in range(1, 3001):
        seen[layer] = k
        k = average(lambda h: (h / (1 + abs(h))) ** 2, k)
    return Evidence(1.0, 2.0, -float(np.log(seen[3000] / seen[1500])) / np.log(2.0), 0.02)


SLIPS = (
    Slip(SOURCE, "small-K expansion", "mathematics",
         r"$\langle\sigma^2\rangle = \sigma_0^2 + (\sigma_1^2 + 2\sigma_0\sigma_2) K$",
         r"$\sigma_0^2 + (\sigma_1^2 + \sigma_0\sigma_2) K$ with $\sigma = \sum \sigma_p z^p / p!$",
         r"the coefficient of K for $e^z$", _small_k),
    Slip(SOURCE, "fluctuations", "mathematics", r"$V / K^2 \sim 1/l$",
         r"$V / (n K^2) \sim l / n$", r"tanh: $V/K^2$ at layer 800 over that at layer 400",
         _vertex_growth),
    Slip(SOURCE, "sigmoid", "mathematics", r"$C_b = -\sigma(z) / \sigma'(z)^2$",
         r"$C_b = -(\sigma(0) / \sigma'(0))^2$ at $K^* = 0$", "its value", _sigmoid_bias),
    Slip(SOURCE, "sigmoid", "mathematics", r"the problem is $\sigma(0) \neq 0$",
         r"$\sigma(0) = 0$ does not suffice: $z^2$ has no critical point",
         r"$\chi_\perp / \chi_\parallel$ of $z^2$, which criticality needs to be 1",
         _zero_is_not_enough),
    Slip(SOURCE, "class K* = 0", "mathematics", r"$K^{(l)} = \# / l$ for other activations",
         r"needs three derivatives at 0; softsign and ELU fade like $1/l^2$, hardtanh like "
         r"$1/(2 \log l)$", "softsign: exponent of the decay", _softsign_decay),
)  # fmt: skip
