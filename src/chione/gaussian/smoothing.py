r"""The heat flow of a function: its mean under a Gaussian around each of many points.

.. math:: H(x, v) = E\,g(x + \sqrt v\,z) = \int g(h) \frac{e^{-(h-x)^2/2v}}{\sqrt{2\pi v}}\,dh
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, cost
from chione.gaussian.outer import Budget
from chione.gaussian.panels import LAST, NODES, WEIGHTS
from chione.gaussian.resolution import Resolution, resolve

NARROW = 9.0  # standard deviations that hold all but 1e-18 of a Gaussian
WIDE = 40.0  # all that float64 can hold
_MAX_LEVELS = 8
_PANELS = 40_000  # at a time: 16 nodes each, a few MB an array
_MOST_PANELS = 6 * _PANELS  # of one block, after bisection: 30 MB an array
_RESOLVED = 2e-17


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def smooth(
    g: Callable[[Array], Array],
    x: Array,
    v: float,
    *,
    breakpoints: tuple[float, ...] = (),
    window: float = NARROW,
    resolution: Resolution | None = None,
    budget: Budget | None = None,
) -> tuple[Array, Array, Array]:
    r"""Mean of g under N(x_i, v) for each i.

    Parameters
    ----------
    g : callable
        Vectorised function, (n,) -> (n,).
    x : ndarray, shape (n,)
        Centres.
    v : float
        Variance, above zero.
    breakpoints : tuple of float
        Where g or a derivative of it jumps.
    window : float
        Reach of the integral in standard deviations.
    resolution : Resolution, optional
        Panels that resolve g wherever the windows reach; found here if not given.
    budget : Budget, optional
        Counts the panels; once it is gone none is bisected.

    Returns
    -------
    mean, error, tail : ndarray, shape (n,)
        H(x, v), a bound on its absolute error, and what the outermost panels contribute: where
        that is not negligible the window is too narrow.

    Notes
    -----
    Gauss-Legendre on panels around each centre, cut wherever the panels that resolve g end. On
    each of them g and the Gaussian are both close to polynomials; the last Legendre coefficients
    of the product confirm it, and bound the error where g stayed unresolved (noise).
    """
    sigma = float(np.sqrt(v))
    if resolution is None:
        reach = float(np.max(np.abs(x))) + window * sigma
        resolution = resolve(g, breakpoints, min(reach / window, 30.0 * sigma), reach)
    mean, error, size, tail = (np.zeros(len(x)) for _ in range(4))
    first = np.searchsorted(resolution.edges, x - window * sigma, side="right")
    count = np.searchsorted(resolution.edges, x + window * sigma) - first
    n = max(1, _PANELS // (20 + int(count.max(initial=0))))
    for start in range(0, len(x), n):
        cost.tick()
        part = slice(start, start + n)
        panels = _cut_panels(x[part], sigma, first[part], count[part], resolution, window)
        mean[part], error[part], size[part], tail[part] = _smooth_block(
            g, x[part], v, window, *panels, budget or Budget(np.inf)
        )
    return mean, error + 12.0 * EPS * size, tail


def _cut_panels(
    x: Array,
    sigma: float,
    first: NDArray[np.intp],
    count: NDArray[np.intp],
    resolution: Resolution,
    window: float,
) -> tuple[Array, Array, NDArray[np.intp], NDArray[np.bool_]]:
    """Low edge, high edge (both from the centre), index of the centre, and roughness of panels."""
    # the outermost panel, which tells whether the window is wide enough, holds 1e-17 of the mass
    inner = np.array([-NARROW, -8.6, -5.8, -2.9, 0.0, 2.9, 5.8, 8.6, NARROW])
    if window > NARROW:
        outer = np.array([12.0, 16.0, 22.0, 30.0, window])
        inner = np.concatenate([-outer[::-1], inner, outer])
    reach = window * sigma
    step = np.arange(count.max(initial=0))
    known = np.minimum(first[:, None] + step, len(resolution.edges) - 1)  # (n, most cuts)
    cuts = np.where(step < count[:, None], resolution.edges[known] - x[:, None], reach)
    edges = np.concatenate(
        [np.broadcast_to(sigma * inner, (len(x), len(inner))), np.clip(cuts, -reach, reach)], axis=1
    )
    edges.sort(axis=1)
    index = np.broadcast_to(np.arange(len(x))[:, None], edges[:, 1:].shape)
    full = edges[:, 1:] > edges[:, :-1]
    low, high, index = edges[:, :-1][full], edges[:, 1:][full], index[full]
    if not resolution.rough.any():
        return low, high, index, np.zeros(len(low), dtype=bool)
    inside = np.searchsorted(resolution.edges, x[index] + 0.5 * (low + high)) - 1
    return low, high, index, resolution.rough[np.clip(inside, 0, len(resolution.rough) - 1)]


def _smooth_block(
    g: Callable[[Array], Array],
    x: Array,
    v: float,
    window: float,
    low: Array,
    high: Array,
    index: NDArray[np.intp],
    rough: NDArray[np.bool_],
    budget: Budget,
) -> tuple[Array, Array, Array, Array]:
    sigma, n = float(np.sqrt(v)), len(x)
    mean, error, size, tail = (np.zeros(n) for _ in range(4))
    for level in range(_MAX_LEVELS + 1):
        value, absolute, last, blur = _panel_sums(g, low, high, x[index], v)
        budget.spend(len(low))
        if level == 0:
            edge = np.maximum(-low, high) >= window * sigma
            tail += np.bincount(index[edge], absolute[edge], minlength=n)
        whole = (size + np.bincount(index, absolute, minlength=n))[index]
        # What Gauss-Legendre misses is of order the square of the last coefficient it sees,
        # relative to the panel itself
        square = last**2 / np.where(absolute > 0.0, absolute, 1.0)
        missed = np.where(rough, last, np.minimum(square, last))
        # not <=: where g overflows (NaN here) there is nothing to resolve
        fine = rough | ~(missed > _RESOLVED * whole)
        if level == _MAX_LEVELS or budget.gone or 2 * np.sum(~fine) > _MOST_PANELS:
            fine[:] = True
        mean += np.bincount(index[fine], value[fine], minlength=n)
        size += np.bincount(index[fine], absolute[fine], minlength=n)
        error += np.bincount(index[fine], (missed + blur)[fine], minlength=n)
        if np.all(fine):
            break
        rest = ~fine
        middle = 0.5 * (low + high)[rest]
        low = np.concatenate([low[rest], middle])
        high = np.concatenate([middle, high[rest]])
        index, rough = np.tile(index[rest], 2), np.tile(rough[rest], 2)
    return mean, error, size, tail


def _panel_sums(
    g: Callable[[Array], Array], low: Array, high: Array, centre: Array, v: float
) -> tuple[Array, Array, Array, Array]:
    """Integrals of g and |g|, the last Legendre coefficients, the effect of rounding h."""
    half = 0.5 * (high - low)
    # t is measured from the centre: at small v the difference of h and x would be all rounding
    t = 0.5 * (low + high)[:, None] + half[:, None] * NODES  # (P, 16)
    h = centre[:, None] + t
    values = np.asarray(g(h.ravel()), dtype=np.float64).reshape(t.shape)
    density = np.exp(t**2 * (-0.5 / v)) / np.sqrt(2.0 * np.pi * v)
    terms = values * density * half[:, None]
    last: Array = np.abs(terms @ LAST).sum(1)
    # h is rounded, and again inside g: that shifts g by some eps |h| times its slope
    blur = 4.0 * EPS * np.abs(h[:, 8]) * np.ptp(values, axis=1) * density.max(1)
    return terms @ WEIGHTS, np.abs(terms) @ WEIGHTS, last, blur
