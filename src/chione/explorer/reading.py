r"""Tables read in Python, by the page's own steps (``tabled_activation.js``); used to measure them.

.. math:: K(1) - K(c) = q N(q) \int_0^\theta \frac{R}{N} \sin\theta'\,d\theta'
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from chione.base import Array
from chione.explorer.tables import Piece, Tables

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(20)


@dataclass(frozen=True)
class Moments:
    """Moments at one length, from a table.

    Parameters
    ----------
    m2, d2, m4, slope : float
        E phi^2, E phi'^2 (of a jumping activation N), E phi^4, d/dq E phi^2.
    """

    m2: float
    d2: float
    m4: float
    slope: float


def read_moments(tables: Tables, q: float) -> Moments:
    """The moments at one length inside the table."""
    piece, x = _place(tables, q)
    log2, log_n, log4, power = (float(chebyshev.chebval(x, c)) for c in piece.columns)
    m2 = float(np.exp(log2))
    return Moments(m2, float(np.exp(log_n)), float(np.exp(log4 + 2.0 * log2)), power * m2 / q)


def read_slope(tables: Tables, q: float, theta: Array) -> Array:
    """R at angles in (0, pi)."""
    value = _ratio(tables, q, np.asarray(theta)) * read_moments(tables, q).d2
    return value / np.sin(theta) if tables.jumps else value


def read_gap(tables: Tables, q: float, theta: float) -> float:
    """K(1) - K(cos theta)."""
    piece, _ = _place(tables, q)
    ends = np.concatenate([piece.angles, np.pi - piece.angles[-2::-1]])
    ends = np.unique(np.append(ends[ends < theta], theta))
    half = 0.5 * np.diff(ends)[:, None]
    t = ends[:-1, None] + half * (_POINTS + 1.0)
    weight = half * _WEIGHTS * (1.0 if tables.jumps else np.sin(t))
    ratio = _ratio(tables, q, t.ravel()).reshape(t.shape)
    return float(q * read_moments(tables, q).d2 * (weight * ratio).sum())


def _place(tables: Tables, q: float) -> tuple[Piece, float]:
    x = float(np.log(q))
    highs = np.array([p.high for p in tables.pieces])
    piece = tables.pieces[min(int(np.searchsorted(highs, x)), highs.size - 1)]
    return piece, (2.0 * x - piece.low - piece.high) / (piece.high - piece.low)


def _ratio(tables: Tables, q: float, theta: Array) -> Array:
    """R / N, or R sin / N where the activation jumps."""
    piece, x = _place(tables, q)
    beyond = theta > 0.5 * np.pi
    t = np.where(beyond, np.pi - theta, theta)
    far = piece.near * tables.parity if tables.parity else piece.far
    lengths = chebyshev.chebvander(np.array(x), piece.near.shape[2] - 1).ravel()
    out = np.empty_like(t)
    for i, (one, k) in enumerate(
        zip(t, np.clip(np.searchsorted(piece.angles, t) - 1, 0, len(piece.near) - 1), strict=True)
    ):
        a, b = piece.angles[k], piece.angles[k + 1]
        part = (far if beyond[i] else piece.near)[k] @ lengths
        out[i] = chebyshev.chebval((2.0 * one - a - b) / (b - a), part)
    return out
