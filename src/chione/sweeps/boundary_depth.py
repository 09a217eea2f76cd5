r"""The depth at which half of the networks train, from a few that did and a few that did not.

.. math:: P(\text{trains} \mid L) = \epsilon + (1 - 2 \epsilon)\,
   \sigma\!\left(\frac{\log L_{1/2} - \log L}{w}\right)

with :math:`\sigma` the logistic function. All pairs (log L_1/2, w) on a grid are weighed by the
likelihood of what was seen; the prior is flat in log L_1/2 and in log w. Unlike a fit of maximum
likelihood this has an answer where the outcomes are separated perfectly: anywhere between the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

LAPSE = 0.02
"""Share of the networks that do the other thing at any depth."""
_WIDTHS = np.geomspace(0.02, 0.6, 18)  # of the fall from 1 to 0, in log depth
_POINTS = 601


@dataclass(frozen=True)
class BoundaryDepth:
    """Where training ends at one sigma.

    Parameters
    ----------
    depth : float
        Median of what is believed of L_1/2.
    lower, upper : float
        68 in 100 lie between.
    log_error : float
        Standard deviation of log L_1/2.
    """

    depth: float
    lower: float
    upper: float
    log_error: float


def boundary_depth(
    tries: Sequence[tuple[int, int, int]], shallowest: int, deepest: int
) -> BoundaryDepth:
    """Weigh the depths that agree with what was seen.

    Parameters
    ----------
    tries : sequence of (int, int, int)
        Depth, how many networks trained, of how many.
    shallowest, deepest : int
        Ends of the range that was looked at; nothing outside it is believed.

    Returns
    -------
    BoundaryDepth
    """
    grid = np.linspace(math.log(shallowest), math.log(deepest), _POINTS)
    depth, good, seen = np.array(tries, dtype=np.float64).T
    z = (grid[:, None, None] - np.log(depth)) / _WIDTHS[:, None]
    p = LAPSE + (1.0 - 2.0 * LAPSE) * expit(z)  # (log L_1/2, width, tries)
    log_weight = (good * np.log(p) + (seen - good) * np.log1p(-p)).sum(axis=-1)
    weight = np.exp(log_weight - log_weight.max()).sum(axis=1)
    weight /= weight.sum()
    mean = float(weight @ grid)
    below = np.cumsum(weight) - 0.5 * weight
    at = np.exp(np.interp([0.16, 0.5, 0.84], below, grid))
    error = math.sqrt(float(weight @ (grid - mean) ** 2))
    return BoundaryDepth(float(at[1]), float(at[0]), float(at[2]), error)
