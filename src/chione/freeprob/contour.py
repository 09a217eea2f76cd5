"""Moments by a contour around the support: what series of cumulants are held against."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.freeprob.measures import AbstractMeasure

_RHO = 1.15  # sum of the half axes of the ellipse, in units of half the support
_POINTS = 300  # the trapezoidal rule misses rho^-points = 6e-19


def contour_moments(law: AbstractMeasure, n: int) -> Array:
    r"""The moments m_1 .. m_n, shape (n,); NaN where the support is unbounded.

    .. math:: m_k = \frac{1}{2 \pi i} \oint z^k G(z)\, dz

    over an ellipse around the hull of the support. On it z^k is at most a few times what it is on
    the support: high moments keep their digits.
    """
    low, high = law.support[0][0], law.support[-1][1]
    if not np.isfinite(high - low):
        return np.full(n, np.nan)
    c, r = 0.5 * (low + high), 0.5 * (high - low)
    turn = np.exp(2j * np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    z = c + 0.5 * r * (_RHO * turn + 1.0 / (_RHO * turn))
    dz = 0.5 * r * (_RHO * turn - 1.0 / (_RHO * turn))  # by i dt
    upper = z.imag >= 0.0
    g = np.empty(z.size, dtype=complex)
    g[upper] = law.stieltjes(z[upper])
    g[~upper] = np.conj(g[upper][::-1])
    powers = z ** np.arange(1, n + 1)[:, None]
    return np.asarray(np.mean(powers * g * dz, axis=1).real)
