r"""Moments of softmax weights for classes of pairs of queries, with the errors of what they are of.

Errors of variances are carried by bounds on the slopes: by Price's theorem

.. math:: \partial_c\,E \sum w w' = E \operatorname{tr} D D', \qquad
   |\partial_{v}\,E \sum w w'| = \tfrac12 |E \sum_{s r} w'_s \partial_r^2 w_s|
   \le 2 E \sum w w',

and likewise for the others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from chione.base import EPS
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Index
from chione.theory.moments.attention_weights import pair_moments, row_moments, weight_distance

_EQUAL = 1e-7  # relative: distances are even in the difference of both variances


class Overlaps(NamedTuple):
    r"""For each class :math:`E \sum w w'`, :math:`E \operatorname{tr} D D'` and their like.

    Parameters
    ----------
    overlap, slope, distance : Bounded
        :math:`E \sum w w'`, :math:`E \operatorname{tr} D D'` and :math:`E \sum (w - w')^2`.
    squares : tuple of two Bounded
        :math:`E \sum w^2` of both rows.
    """

    overlap: Bounded
    slope: Bounded
    distance: Bounded
    squares: tuple[Bounded, Bounded]


def overlaps(
    variances: tuple[Bounded, Bounded],
    covariance: Bounded,
    gap: Bounded,
    seen: tuple[Index, Index],
) -> Overlaps:
    """From variances and covariances of the scores at one token, without their shared part.

    Parameters
    ----------
    variances : tuple of two Bounded
        Of both rows, for each class.
    covariance, gap : Bounded
        The covariance, and the variance of the difference.
    seen : tuple of two ndarrays of int
        How many tokens the rows see.
    """
    columns = (*(v.value for v in variances), covariance.value, gap.value, *seen)
    rows, index = np.unique(np.stack(columns), axis=1, return_inverse=True)
    table = np.array([_one(*(float(x) for x in row)) for row in rows.T])  # (rows, 5, 2)
    found = [Bounded(*table[index.reshape(-1), i].T) for i in range(5)]
    loose = 2.0 * (variances[0].error + variances[1].error)
    shift = covariance.error
    overlap = _carried(found[0], loose * found[0].value + found[1].value * shift)
    slope = _carried(found[1], 5.0 * (loose + shift) * found[1].value)
    squares = [
        _carried(x, 4.0 * v.error * x.value) for x, v in zip(found[3:], variances, strict=True)
    ]
    part = gap.error / np.maximum(gap.value, 1e-300)
    moved = np.where(gap.error > 0.0, np.minimum(part, 1.0) * found[2].value, 0.0)
    moved = moved + found[1].value * gap.error + 4.0 * loose * found[2].value
    return Overlaps(overlap, slope, _carried(found[2], moved), (squares[0], squares[1]))


def _carried(x: Bounded, error: np.ndarray) -> Bounded:
    return Bounded(x.value, x.error + error)


def _one(
    v1: float, v2: float, c: float, gap: float, first: float, second: float
) -> list[tuple[float, float]]:
    """Overlap, slope, distance and both squares, each with its error."""
    v1, v2, tokens = max(v1, 0.0), max(v2, 0.0), (int(first), int(second))
    rows = [row_moments(v, t) for v, t in zip((v1, v2), tokens, strict=True)]
    squares = [(row.square, row.errors[0]) for row in rows]
    middle = 0.5 * (v1 + v2)
    alike = tokens[0] == tokens[1] and abs(v1 - v2) <= _EQUAL * middle
    if alike and gap <= 0.0:
        row = rows[0]
        return [squares[0], (row.slope, row.errors[3]), (0.0, 0.0), *squares]
    size = math.sqrt(v1 * v2)
    rho = min(max(c / size, -1.0), 1.0) if size > 0.0 else 0.0
    pair = pair_moments(v1, v2, rho, (tokens[0],), (tokens[1],))
    overlap, slope = (float(pair.overlap[0]), float(pair.slope[0]))
    errors = float(pair.overlap_error[0]), float(pair.slope_error[0])
    if alike:
        distance, error = weight_distance(middle, gap, tokens[0])
        error += ((v1 - v2) / middle) ** 2 * rows[0].square if middle > 0.0 else 0.0
    else:
        total = rows[0].square + rows[1].square
        distance = max(total - 2.0 * overlap, 0.0)
        error = rows[0].errors[0] + rows[1].errors[0] + 2.0 * errors[0] + 4.0 * EPS * total
    return [(overlap, errors[0]), (slope, errors[1]), (distance, error), *squares]
