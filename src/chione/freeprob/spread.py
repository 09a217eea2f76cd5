r"""The relative variance of v(h)^2 where v hardly varies, without the cancellation of its values.

With :math:`d = v(h) - v(0) = \int_0^h v'(x)\,dx` known to its own precision,

.. math:: \frac{t}{t_0} - 1 = \frac{2 v_0 d + d^2}{v_0^2}, \qquad t_0 = v_0^2 = v(0)^2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev, legendre

from chione.base import Array

_REACH = 10.0  # standard deviations
_PANELS = 20  # on either side of 0
_SMALL = 1e-3  # variation of t / t_0 up to which the values cancel more than integrals miss
_X, _W = legendre.leggauss(16)
# Values at the nodes -> integrals from -1 to the nodes.
_TO_NODES = np.stack(
    [chebyshev.chebval(_X, chebyshev.chebint(c, lbnd=-1)) for c in np.eye(16)], axis=1
) @ np.linalg.inv(chebyshev.chebvander(_X, 15))


def relative_spread(
    v: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    q: float,
    breakpoints: tuple[float, ...],
) -> float | None:
    """Var t / (E t)^2, or None where v varies too much, or jumps, for this way to be the better.

    Parameters
    ----------
    v, slope : callable
        The function and its derivative, continuous between the break points.
    q : float
        Variance of h.
    breakpoints : tuple of float
        Places where v may jump: none may lie within ten standard deviations, but at 0.
    """
    sigma = float(np.sqrt(q))
    if any(0.0 < abs(b) <= _REACH * sigma for b in breakpoints):
        return None
    sides = []
    with np.errstate(all="ignore"):
        beside = v(np.array([-1e-3, 1e-3]) * sigma)
        start = float(v(np.zeros(1))[0])
        if start == 0.0 or not np.max(abs(beside - start)) <= _SMALL * abs(start):
            return None  # far from 1 already, or a jump of v at 0
        for side in (-1.0, 1.0):
            sides.append(_side(slope, sigma, side))
    d = np.concatenate([x for x, _ in sides])
    weight = np.concatenate([x for _, x in sides])
    off = d * (2.0 * start + d) / start**2
    if not np.max(abs(off)) <= _SMALL:
        return None
    mean = float(np.sum(weight * off))
    return float(np.sum(weight * (off - mean) ** 2)) / (1.0 + mean) ** 2


def _side(slope: Callable[[Array], Array], sigma: float, side: float) -> tuple[Array, Array]:
    """Values of v - v(0) on one side of 0, and the Gaussian weights there."""
    edges = np.linspace(0.0, _REACH, _PANELS + 1)
    half = 0.5 * (edges[1] - edges[0])
    z = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * _X
    steep = np.asarray(slope((side * sigma * z).ravel()), dtype=np.float64).reshape(z.shape)
    steep = steep * (side * sigma * half)
    whole = np.concatenate([[0.0], np.cumsum(steep @ _W)[:-1]])
    d = whole[:, None] + steep @ _TO_NODES.T
    weight = half * _W * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return d.ravel(), weight.ravel()
