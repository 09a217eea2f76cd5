r"""How far a root may be off when the function is known to within an error.

Next to a root at distance d, with slope s and curvature b,

.. math:: f(q + d) = f(q) + s\,d \mp \tfrac12 b\,d^2, \qquad |f(q)| \le \epsilon
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array


def root_error(error: Array, slope: Array, bend: Array) -> Array:
    r"""Bound on the distance between a computed root and the true one.

    .. math:: d = \frac{2 \epsilon}{s + \sqrt{s^2 - 2 b \epsilon}} \quad (s^2 > 2 b \epsilon),
       \qquad d = \frac{s + \sqrt{s^2 + 2 b \epsilon}}{b} \quad \text{otherwise}

    The first is where the worst of the functions within the error crosses zero. In the second
    case some of them do not cross it at all: the root may have met its neighbour, and the bound
    reaches beyond the fold.

    Parameters
    ----------
    error, slope, bend : ndarray
        Error of f at the root, and sizes of f' and f'' there, 0 or above.

    Returns
    -------
    ndarray
        Infinite where slope and curvature are both zero.
    """
    with np.errstate(all="ignore"):
        room = slope**2 - 2.0 * bend * error
        simple = 2.0 * error / (slope + np.sqrt(np.maximum(room, 0.0)))
        double = (slope + np.sqrt(slope**2 + 2.0 * bend * error)) / bend
        bound = np.where(room > 0.0, simple, np.where(bend > 0.0, double, np.inf))
    return np.asarray(np.where(error > 0.0, bound, 0.0))


def error_of_length(
    q: Array, value: Array, value_error: Array, slope: Array, slope_error: Array, bend: Array
) -> Array:
    r"""Error of a computed fixed point q of a length map.

    Parameters
    ----------
    q : ndarray
        Where :math:`V(q) = q` holds nearly.
    value, value_error, slope, slope_error : ndarray
        V(q) and V'(q) with their errors.
    bend : ndarray
        Size of V''(q).
    """
    off = value_error + EPS * q + np.abs(value - q)
    steep = np.maximum(np.abs(1.0 - slope) - slope_error, 0.0)
    return root_error(off, steep, bend) + 2.0 * EPS * q
