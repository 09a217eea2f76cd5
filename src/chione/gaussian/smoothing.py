r"""The heat flow of a function: its mean under a Gaussian around each of many points.

.. math:: H(x, v) = E\,g(x + \sqrt v\,z) = \int g(h) \frac{e^{-(h-x)^2/2v}}{\sqrt{2\pi v}}\,dh
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.base import Array
from chione.gaussian.panels import EPS, LAST, NODES, WEIGHTS

NARROW = 9.0  # standard deviations that hold all but 1e-18 of a Gaussian
WIDE = 40.0  # all that float64 can hold
_MAX_LEVELS = 30
_BLOCK = 1024  # centres at a time: some 10^4 panels of 16 nodes, a few MB an array
_RESOLVED = 2e-17


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def smooth(
    g: Callable[[Array], Array],
    x: Array,
    v: float,
    *,
    breakpoints: tuple[float, ...] = (),
    window: float = NARROW,
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

    Returns
    -------
    mean, error, tail : ndarray, shape (n,)
        H(x, v), a bound on its absolute error, and what the outermost panels contribute: where
        that is not negligible the window is too narrow.

    Notes
    -----
    Panels of Gauss-Legendre nodes around each centre, cut at the breakpoints and at powers of
    four around zero and them, bisected until the last Legendre coefficients of the integrand are
    small enough (a kink that was not declared keeps them large).
    """
    mean, error, size, tail = (np.zeros(len(x)) for _ in range(4))
    for start in range(0, len(x), _BLOCK):
        part = slice(start, start + _BLOCK)
        mean[part], error[part], size[part], tail[part] = _smooth_block(
            g, x[part], v, breakpoints, window
        )
    return mean, error + 12.0 * EPS * size, tail


def _initial_panels(
    x: Array, sigma: float, breakpoints: tuple[float, ...], window: float
) -> tuple[Array, Array, Array]:
    """Low edge, high edge (both from the centre) and index of the centre of non-empty panels."""
    inner = np.arange(-NARROW, NARROW + 1.0, 3.0)
    if window > NARROW:
        outer = np.array([12.0, 16.0, 22.0, 30.0, window])
        inner = np.concatenate([-outer[::-1], inner, outer])
    around = [0.0]
    if sigma > 0.3:  # features of g, of the scale of one, may be narrower than a panel
        scales = 4.0 ** np.arange(-1.0, np.log(3.0 * sigma) / np.log(4.0))
        around = [0.0, *scales, *-scales]
    fixed = np.unique([c + a for c in (0.0, *breakpoints) for a in around])
    reach = window * sigma
    fixed = fixed[(fixed > x.min() - reach) & (fixed < x.max() + reach)]
    edges = np.concatenate(
        [np.broadcast_to(sigma * inner, (len(x), len(inner))), fixed - x[:, None]], axis=1
    )
    edges = np.sort(np.clip(edges, -reach, reach), axis=1)
    index = np.broadcast_to(np.arange(len(x))[:, None], edges[:, 1:].shape)
    full = edges[:, 1:] > edges[:, :-1]
    return edges[:, :-1][full], edges[:, 1:][full], index[full]


def _smooth_block(
    g: Callable[[Array], Array],
    x: Array,
    v: float,
    breakpoints: tuple[float, ...],
    window: float,
) -> tuple[Array, Array, Array, Array]:
    sigma, n = float(np.sqrt(v)), len(x)
    low, high, index = _initial_panels(x, sigma, breakpoints, window)
    mean, error, size, tail = (np.zeros(n) for _ in range(4))
    for level in range(_MAX_LEVELS + 1):
        value, absolute, last = _panel_sums(g, low, high, x[index], v)
        if level == 0:
            edge = np.maximum(-low, high) >= window * sigma
            tail += np.bincount(index[edge], absolute[edge], minlength=n)
        whole = (size + np.bincount(index, absolute, minlength=n))[index]
        # What Gauss-Legendre misses is of order the square of the last coefficient it sees,
        # relative to the panel itself
        missed = np.minimum(last**2 / np.where(absolute > 0.0, absolute, 1.0), last)
        fine = missed <= _RESOLVED * whole
        if level == _MAX_LEVELS:
            fine[:] = True
        mean += np.bincount(index[fine], value[fine], minlength=n)
        size += np.bincount(index[fine], absolute[fine], minlength=n)
        error += np.bincount(index[fine], missed[fine], minlength=n)
        if np.all(fine):
            break
        rest = ~fine
        middle = 0.5 * (low + high)[rest]
        low = np.concatenate([low[rest], middle])
        high = np.concatenate([middle, high[rest]])
        index = np.concatenate([index[rest], index[rest]])
    return mean, error, size, tail


def _panel_sums(
    g: Callable[[Array], Array], low: Array, high: Array, centre: Array, v: float
) -> tuple[Array, Array, Array]:
    """Integral of g and of |g| under the Gaussian, and the last Legendre coefficients."""
    half = 0.5 * (high - low)
    # t is measured from the centre: at small v the difference of h and x would be all rounding
    t = 0.5 * (low + high)[:, None] + half[:, None] * NODES  # (P, 16)
    values = np.asarray(g((centre[:, None] + t).ravel()), dtype=np.float64).reshape(t.shape)
    terms = values * np.exp(t**2 * (-0.5 / v)) * (half / np.sqrt(2.0 * np.pi * v))[:, None]
    last: Array = np.abs(terms @ LAST).sum(1)
    return terms @ WEIGHTS, np.abs(terms) @ WEIGHTS, last
