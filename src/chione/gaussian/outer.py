"""The outer of two nested integrals: few nodes, because each of them costs an integral itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from chione.base import Array
from chione.gaussian.panels import EPS, LAST, NODES, WEIGHTS, graded_edges

_RESOLVED = 1e-17  # square of the last coefficients over the size of the whole
_MAX_LEVELS = 30
_FAR = 1e-40  # of f^2 under the Gaussian: beyond, a panel is left out unless its inside matters

Function = Callable[[Array], Array]


@lru_cache(maxsize=256)
def coarse_edges(f: Function, breakpoints: tuple[float, ...], q: float, reach: float) -> Array:
    """Few panel edges on which f itself is resolved under the Gaussian of variance `q`.

    Starts from the fine graded panels, which cannot overlook a feature, and joins neighbours as
    long as the joined panel integrates f to the same value. Panels that do not touch zero stay no
    wider than their distance from it: the other factor of the integrand, a smoothed function, is
    resolved on such panels too. Breakpoints are never joined over.
    """
    sigma = float(np.sqrt(q))
    edges = graded_edges(breakpoints, sigma, reach * sigma)
    value, _, size, peak = _weigh(f, edges[:-1], edges[1:], q)
    total = float(size.sum()) or 1.0
    near = np.flatnonzero(peak > _FAR * peak.max(initial=0.0))
    if near.size == 0:
        return edges
    fixed = set(breakpoints)
    out = [float(edges[near[0]])]
    held = 0.0  # integral over the panel that is being grown
    for i in range(near[0], near[-1] + 1):
        low, middle, high = out[-1], float(edges[i]), float(edges[i + 1])
        if middle > low:
            joined, tail, _, _ = _weigh(f, np.array([low]), np.array([high]), q)
            same = abs(joined[0] - held - value[i]) <= 1e-15 * total
            wide = high - low > (min(abs(low), abs(high)) or 0.5 * sigma)
            if middle in fixed or wide or not same or tail[0] > 1e-9 * _RESOLVED * total:
                out.append(middle)
                held = 0.0
        held += float(value[i])
    out.append(float(edges[near[-1] + 1]))
    return np.array(out)


def _weigh(f: Function, low: Array, high: Array, q: float) -> tuple[Array, Array, Array, Array]:
    """Integral, square of its last coefficients over its size, size, and peak of f^2 p."""
    half = 0.5 * (high - low)
    h = 0.5 * (low + high)[:, None] + half[:, None] * NODES
    with np.errstate(all="ignore"):
        g = np.nan_to_num(np.asarray(f(h.ravel())).reshape(h.shape), posinf=0.0, neginf=0.0)
        root = np.exp(-0.25 * h**2 / q) / (2.0 * np.pi * q) ** 0.25
        terms = g * root**2 * half[:, None]
        size = np.abs(terms) @ WEIGHTS
        missed = np.abs(terms @ LAST).sum(1) ** 2 / np.where(size > 0.0, size, 1.0)
        peak = ((g * root) ** 2).max(1)
    return terms @ WEIGHTS, missed, size, peak


def integrate(
    integrand: Callable[[Array], tuple[Array, Array]], edges: Array, q: float
) -> tuple[float, float, float, float]:
    """Integral under N(0, q) of a costly function that knows its own noise.

    Parameters
    ----------
    integrand : callable
        x (n,) -> value (n,), bound on its error (n,).
    edges : ndarray
        First panels; bisected until the last Legendre coefficients are small or below the noise.
    q : float
        Variance.

    Returns
    -------
    value, error, size, ends
        The integral, its error, the integral of the absolute value, and what the two outermost
        panels hold: where that matters the panels do not reach far enough.
    """
    low, high = edges[:-1], edges[1:]
    value = error = size = ends = 0.0
    for level in range(_MAX_LEVELS + 1):
        half = 0.5 * (high - low)
        x = 0.5 * (low + high)[:, None] + half[:, None] * NODES
        f, noise = (np.reshape(a, x.shape) for a in integrand(x.ravel()))
        weight = np.exp(-0.5 * x**2 / q) * (half / np.sqrt(2.0 * np.pi * q))[:, None]
        terms, noise = f * weight, (noise * weight) @ WEIGHTS
        panel, panel_size = terms @ WEIGHTS, np.abs(terms) @ WEIGHTS
        total = size + float(panel_size.sum())
        last = np.abs(terms @ LAST).sum(1)
        missed = np.minimum(last**2 / np.where(panel_size > 0.0, panel_size, 1.0), last)
        fine = (missed <= _RESOLVED * total) | (last <= noise)
        if level == 0:
            ends = float(panel_size[0] + panel_size[-1])
        if level == _MAX_LEVELS:
            fine[:] = True
        value += float(panel[fine].sum())
        size += float(panel_size[fine].sum())
        error += float(noise[fine].sum() + missed[fine].sum())
        if np.all(fine):
            break
        middle = 0.5 * (low + high)[~fine]
        low, high = np.r_[low[~fine], middle], np.r_[middle, high[~fine]]
    return value, error + 12.0 * EPS * size, size, ends
