r"""One token's part in the moments of softmax weights, and the lines that they are summed on.

.. math:: a_k(y) = E\,E_u^k e^{-E_u}, \qquad E_u = e^{y + \sigma x}, \quad x \sim N(0, 1)

with the complement of :math:`a_0`, which many tokens raise to a power.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.special import ndtr

from chione.base import Array

_STEP = 0.25  # of the lines: twice that is right to about 1e-8
_EXPONENT = 30.0  # -log of the error of trapezoidal rules over x and z
REACH = 9.0  # standard deviations
_WIDE = 8.0  # standard deviation from which the Gaussian, not the exponential, is smooth
_DIRECT = 4_000_000  # exponentials that are not yet too many
_PER_SCALE = 16  # points of a table


class Line(NamedTuple):
    """Nodes and weights in y."""

    y: Array
    weights: Array


def trapezoid(below: float, above: float, step: float) -> tuple[Array, Array]:
    """Nodes of a trapezoidal rule for expectations over N(0, 1), and their weights."""
    nodes = step * np.arange(-math.ceil(below / step), math.ceil(above / step) + 1)
    weights = np.exp(-0.5 * nodes**2) * (step / math.sqrt(2.0 * math.pi))
    return np.asarray(nodes, np.float64), np.asarray(weights, np.float64)


def shared_step(own: list[float], shared: list[float]) -> float:
    """Step in the shared part z of two scores, whose other parts smooth what depends on it."""
    steps = [_smooth_step(0.7 * s, 2) / c for s, c in zip(own, shared, strict=True) if c > 0.0]
    return min(0.7, *steps, 0.7)


def _smooth_step(sigma: float, most: int) -> float:
    r"""Step at which :math:`e^{ky - e^y}`, smoothed by N(0, sigma^2), has an error of e^-30.

    Its Fourier transform :math:`\Gamma(k + i\omega) e^{-\sigma^2 \omega^2 / 2}` falls as
    :math:`|\omega|^{k - 1/2} e^{-\pi|\omega|/2 - \sigma^2 \omega^2 / 2}`; k is at most `most`.
    """
    square, exponent = math.pi**2, _EXPONENT + 2.5 * most
    root = math.sqrt(square**2 + 4.0 * exponent * square * sigma**2)
    return (square + root) / (2.0 * exponent)


def line(sigma: float, smooth: float, tokens: tuple[int, int], coarser: float = 1.0) -> Line:
    r"""Where a row's normaliser lies: y = c + b (t - e^{-t}) for equally spaced t.

    The density of :math:`-\log \max` falls as :math:`e^y` on the left, which the map shortens,
    and doubly exponentially, or as a Gaussian, on the right.

    Parameters
    ----------
    sigma : float
        Standard deviation of a score.
    smooth : float
        That of the part which smooths what is summed.
    tokens : tuple of int
        The fewest and the most tokens that are seen.
    coarser : float
        Factor on the step.
    """
    (fewest, most), step = tokens, coarser * _STEP
    reach = 60.0 + (REACH + 0.5) * sigma
    y = np.linspace(-reach - math.log(most) - (0.5 * sigma**2 if sigma < 3.0 else 0.0), reach, 600)
    rare = np.maximum(token(y, sigma, 0)[0], 1e-300)
    log, rest = np.log(rare), -fewest * np.log1p(-np.minimum(rare, 1.0 - 1e-16))
    few = -math.log(most)
    scale = max(1.0, smooth / math.sqrt(1.0 + 2.0 * math.log(most)))
    # where a strip is narrower than the Gaussian the bulk keeps the strip's step
    bulk = min(24.0, 4.0 * (max(1.0, sigma / math.sqrt(1.0 + 2.0 * math.log(most))) / scale - 1.0))
    left, middle = np.interp([few - 44.0, few - 0.5 - bulk], log, y)
    # powers e^{4 y} of what falls doubly exponentially need a little more
    right = float(np.interp(34.0, np.maximum.accumulate(rest), y)) + 0.7
    below = math.log(max((middle - left) / scale, 1.0)) + 0.1
    above = (right - middle) / scale
    t = step * np.arange(-math.ceil(below / step), math.ceil(above / step) + 1)
    return Line(middle + scale * (t - np.exp(-t)), scale * step * (1.0 + np.exp(-t)))


def token(y: Array, sigma: float, most: int) -> list[Array]:
    """1 - a_0, then a_1, ..., a_most (at most 4), at y of any shape."""
    per_point = 20.0 * sigma / 0.3 if sigma < _WIDE else 60.0
    if y.size * per_point < _DIRECT:
        return _evaluated(y, sigma, most)
    low, high = float(y.min()), float(y.max())
    n = math.ceil((high - low) * _PER_SCALE / max(1.0, sigma)) + 16
    if n * per_point > _DIRECT:
        n = max(64, int(_DIRECT / per_point))
    grid = np.linspace(low, high, n)
    return [np.asarray(make_interp_spline(grid, a, k=7)(y)) for a in _evaluated(grid, sigma, most)]


def _evaluated(y: Array, sigma: float, most: int) -> list[Array]:
    if sigma > _WIDE:
        return _by_exponential(y, sigma, most)
    if sigma == 0.0:
        x, weights = np.zeros(1), np.ones(1)
    else:
        # e^{k u} moves the weight up by k sigma, until the exponential cuts it off
        up = min(most * sigma, max(0.0, -float(np.min(y)) / sigma))
        x, weights = trapezoid(REACH, REACH + up, min(0.7, _smooth_step(0.0, most) / sigma))
    e = np.exp(np.minimum(y[..., None] + sigma * x, 150.0))
    power = np.exp(-e)
    out = [-np.expm1(-e) @ weights]
    for _ in range(most):
        power = power * e
        out.append(power @ weights)
    return out


def _by_exponential(y: Array, sigma: float, most: int) -> list[Array]:
    r"""Over g = log of an exponential variable, at which the Gaussian is smooth.

    .. math:: a_0 = E_g \Phi(r), \quad r = (g - y) / \sigma, \qquad
       a_1 = -a_0', \quad a_{k+1} = k a_k - a_k'
    """
    t = 0.15 * np.arange(-27, 30)
    g = t - np.exp(-t)
    weights = 0.15 * (1.0 + np.exp(-t)) * np.exp(g - np.exp(g))
    r = (g - y[..., None]) / sigma
    out = [ndtr(-r) @ weights]
    if most == 0:
        return out
    density = np.exp(-0.5 * r * r) / (math.sqrt(2.0 * math.pi) * sigma)
    hermite = [np.ones_like(r), r, r * r - 1.0, r * (r * r - 3.0)][:most]
    slopes = [(density * h) @ weights / sigma**n for n, h in enumerate(hermite)]
    table = ((1.0,), (1.0, -1.0), (2.0, -3.0, 1.0), (6.0, -11.0, 6.0, -1.0))
    for row in table[:most]:
        out.append(np.asarray(sum(c * s for c, s in zip(row, slopes, strict=False))))
    return out
