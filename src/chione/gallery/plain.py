"""Plain sums that the checks of the gallery compare with: none of chione's integrals in them.

The trapezoid rule on a wide interval is exponentially accurate for smooth functions times a
Gaussian. It is no method for kinks, and nothing here is meant for general use.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.base import Array

Function = Callable[[Array], Array]

_STEP = 1.0 / 128.0
_Z = np.arange(-11.0, 11.0 + _STEP / 2, _STEP)
_P = np.exp(-0.5 * _Z**2) * _STEP / np.sqrt(2.0 * np.pi)


def average(f: Function, q: float) -> float:
    r"""The sum for :math:`E f(\sqrt q z)`."""
    return float(_P @ f(np.sqrt(q) * _Z))


def average_of_pair(f: Function, q: float, c: float) -> float:
    r"""The double sum for :math:`E f(u_1) f(u_2)` at equal variances q and correlation c."""
    z, p = _Z[::8], 8.0 * _P[::8]
    u1 = np.sqrt(q) * z[:, None]
    u2 = np.sqrt(q) * (c * z[:, None] + np.sqrt(1.0 - c * c) * z[None, :])
    return float(p @ (f(u1) * f(u2)) @ p)


def settled_length(f: Function, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """The mean square after a thousand layers."""
    q = start
    for _ in range(1000):
        q = sigma_w**2 * average(lambda h: f(h) ** 2, q) + sigma_b**2
    return q


def settled_correlation(f: Function, q: float, sigma_w: float, sigma_b: float) -> float:
    """The correlation after three hundred layers that start at 0.3, at a settled length q."""
    c = 0.3
    for _ in range(300):
        c = min(1.0, (sigma_w**2 * average_of_pair(f, q, c) + sigma_b**2) / q)
    return c
