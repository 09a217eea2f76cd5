r"""The constant in "networks train to a depth of a depth scales", and how well that describes them.

.. math:: \log L_i = \log a + \log \xi_i + \tau e_i + s_i e_i'

with standard normal :math:`e, e'`: :math:`s_i` is the error of each boundary and :math:`\tau` the
scatter that is left, by which the law itself is off. A boundary beyond the depths that were tried,
on either side, counts by the probability of that. Prior: flat in log a, half normal of scale 1/2
in tau.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from chione.base import AbstractResult, Array, result

_SCATTERS = np.geomspace(0.003, 2.0, 80)
_CELLS = np.gradient(_SCATTERS)  # of the sum over tau
_PRIOR = 0.5
_POINTS = 401
_REACH = 8.0  # standard deviations on either side


@final
@result
class DepthConstant(AbstractResult):
    r"""A fit of :math:`L = a\, \xi` to the boundaries on one side of the critical line.

    Parameters
    ----------
    side : {"ordered", "chaotic", "divergent"}
        Which side.
    scale : {"xi_c", "xi_chi"}
        Which depth scale: of correlations, or :math:`1 / |\log \chi_\perp|` of gradients.
    restricted : bool
        Whether boundaries whose 6 depth scales lie beyond the width were left out.
    count, censored : int
        Boundaries that were measured, and those known only to lie beyond the depths tried.
    a, a_stderr : float
        The constant and its standard error; NaN where fewer than two boundaries were measured.
    scatter : float
        :math:`\tau`: 0.1 means that the law is off by about a tenth from point to point.
    exponent, exponent_stderr : float
        b of :math:`L \propto \xi^b` fitted to the same points; 1 where the law holds. NaN where
        fewer than three were measured.
    sentence : str
        The fit in words.
    """

    side: str
    scale: str
    restricted: bool
    count: int
    censored: int
    a: float
    a_stderr: float
    scatter: float
    exponent: float
    exponent_stderr: float
    sentence: str


def depth_constant(
    log_ratio: Array, log_error: Array, log_xi: Array, beyond: NDArray[np.int64]
) -> tuple[float, float, float, float, float]:
    r"""Fit a and the scatter.

    Parameters
    ----------
    log_ratio : ndarray, shape (n,)
        :math:`\log(L_i / \xi_i)`, of a censored point with the end of the depths tried.
    log_error : ndarray, shape (n,)
        :math:`s_i`.
    log_xi : ndarray, shape (n,)
        Logarithms of the scale.
    beyond : ndarray of int, shape (n,)
        +1 where the boundary lies above that depth, -1 where it lies below, else 0.

    Returns
    -------
    a, a_stderr, scatter, exponent, exponent_stderr : float
        NaN where too few points were measured.
    """
    seen = np.equal(beyond, 0)
    if seen.sum() < 2:
        return math.nan, math.nan, math.nan, math.nan, math.nan
    middle, spread = float(np.mean(log_ratio[seen])), float(np.std(log_ratio[seen]))
    reach = _REACH * (spread + float(np.mean(log_error[seen])) + 0.05)
    grid = np.linspace(middle - reach, middle + reach, _POINTS)[:, None]
    log_weight = np.log(_CELLS) - 0.5 * (_SCATTERS / _PRIOR) ** 2
    log_weight = log_weight + np.zeros((_POINTS, _SCATTERS.size))
    for y, s, side in zip(log_ratio, log_error, beyond, strict=True):
        size = np.hypot(s, _SCATTERS)
        z = (y - grid) / size
        log_weight += log_ndtr(-side * z) if side else -0.5 * z**2 - np.log(size)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    of_a, of_scatter = weight.sum(axis=1), weight.sum(axis=0)
    mean = float(of_a @ grid[:, 0])
    error = math.sqrt(float(of_a @ (grid[:, 0] - mean) ** 2))
    scatter = float(of_scatter @ _SCATTERS)
    slope, slope_error = _slope(log_ratio[seen], np.hypot(log_error[seen], scatter), log_xi[seen])
    a = math.exp(mean)
    return a, a * error, scatter, 1.0 + slope, slope_error


def _slope(y: Array, s: Array, x: Array) -> tuple[float, float]:
    """Weighted least squares of y on x."""
    if y.size < 3:
        return math.nan, math.nan
    w = 1.0 / s**2
    centred = x - float(w @ x) / float(w.sum())
    size = float(w @ centred**2)
    if size <= 0.0:
        return math.nan, math.nan
    return float(w @ (centred * y)) / size, 1.0 / math.sqrt(size)
