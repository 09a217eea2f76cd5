"""How many layers a signal survives."""

from __future__ import annotations

import math

import numpy as np

from chione.base import Estimate, Status, missing
from chione.theory import MeanField, Trajectory
from chione.theory.meanfield.phase import NO_POINT
from chione.theory.moments.moments import moments

# Networks were seen to train down to about this many correlation depths: [1] figure 5.
DEPTHS = 6.0


def survival(field: MeanField, curves: Trajectory) -> Estimate:
    r"""Layers after which two inputs can no longer be told apart.

    The correlation of two inputs moves to :math:`c^*`, in the end as
    :math:`e^{-l/\xi_c}`. The signal is counted as lost where

    .. math:: |c^l - c^*| = e^{-6} |c^1 - c^*|,

    which is :math:`6 \xi_c` layers [1]_ where the decay is exponential from the start, and more
    where lengths have to settle first. Where the lengths themselves die sooner (:math:`q^* = 0`)
    it is :math:`6 \xi_q`.

    Parameters
    ----------
    field : MeanField
        Fixed points and depth scales.
    curves : Trajectory
        Correlations in layers 1 to L; beyond them the decay is continued as an exponential.

    Returns
    -------
    Estimate
        Number of layers; without a value, and with the status of :math:`\xi_c`, where there is no
        depth scale or lengths never reach the fixed point.

    References
    ----------
    .. [1] S. S. Schoenholz, J. Gilmer, S. Ganguli, J. Sohl-Dickstein, "Deep information
       propagation", ICLR 2017.
    """
    if not field.reached:
        gone = field.phase == NO_POINT or not np.all(np.isfinite(curves.q))
        return missing(Status.NOT_COMPUTED if gone else Status.DIVERGENT)
    angle = _by_correlation(field, curves)
    if float(field.q_star.value) == 0.0 and field.xi_q.status in (Status.OK, Status.INSTANT):
        length = Estimate(DEPTHS * field.xi_q.value, DEPTHS * field.xi_q.error, field.xi_q.status)
        if not math.isfinite(angle.value) or length.value < angle.value:
            return length
    return angle


def survival_reason(layers: Estimate, field: MeanField, curves: Trajectory) -> str:
    """Why there is no number of layers; empty where there is one.

    Where correlations approach nothing it says what is left of the distance of two inputs instead.
    """
    if math.isfinite(float(layers.value)):
        return ""
    status, depth = Status(int(layers.status)), int(curves.layer[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        left = float(curves.one_minus_c[-1] / curves.one_minus_c[0])
    kept = ""
    if math.isfinite(left) and depth > 1:
        kept = f"; after {depth} layers 1 - c is {left:.2g} times what it was in the first"
    if not field.reached:
        if not np.all(np.isfinite(curves.q)):
            return f"lengths leave the range of numbers within {depth} layers"
        return f"lengths diverge, so correlations settle nowhere{kept}"
    if status == Status.CRITICAL:
        return f"at criticality correlations settle only as a power of the depth{kept}"
    if status == Status.CONTINUUM:
        return f"correlations stay where the first layers leave them{kept}"
    if status == Status.INFINITE:
        return f"{moments(field.activation).why_infinite()}, so nearby inputs part at once"
    return f"the depth scale of correlations has no value{kept}"


def _by_correlation(field: MeanField, curves: Trajectory) -> Estimate:
    xi, xi_error = float(field.xi_c.value), float(field.xi_c.error)
    limit, limit_error = float(field.one_minus_c_star.value), float(field.one_minus_c_star.error)
    if not (math.isfinite(xi) and xi > 0.0 and math.isfinite(limit)):
        return field.xi_c
    distance = np.abs(curves.one_minus_c - limit)
    start = distance[0]
    if not (np.all(np.isfinite(distance)) and start > 0.0):
        return Estimate(DEPTHS * xi, DEPTHS * xi_error, field.xi_c.status)
    lost = start * math.exp(-DEPTHS)
    below = np.flatnonzero(distance <= lost)
    if below.size:  # between layers l and l + 1, where the logarithm is a straight line
        l = int(below[0])
        upper, lower = math.log(distance[l - 1]), math.log(max(distance[l], 1e-300))
        between = curves.layer[l] - curves.layer[l - 1]
        layers = curves.layer[l - 1] + (upper - math.log(lost)) / (upper - lower) * between
        return Estimate(layers, (xi + 1.0) * limit_error / lost, field.xi_c.status)
    more = math.log(distance[-1] / lost)
    error = more * xi_error + xi * limit_error / distance[-1]
    return Estimate(curves.layer[-1] + more * xi, error, field.xi_c.status)
