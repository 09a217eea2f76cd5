"""How errors of one layer grow on the way to the last one."""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation
from chione.base import AbstractResult, Array, along, result
from chione.theory import Trajectory, chi_parallel, chi_perp

# Bounds on what one layer adds: relative in q, and in the distance 1 - c of two inputs.
_LENGTH_STEP = 8.0 * np.finfo(np.float64).eps
_ANGLE_STEP = 1e-12
_PROBE = 1e-3  # relative step in q with which the slope of log chi is taken


@result
class CurveErrors(AbstractResult):
    """Bounds on the errors of curves over the layers.

    Parameters
    ----------
    q, c : ndarray, shape (L,)
        Absolute errors of mean square and correlation.
    gradient : float
        Relative error of the factor on the mean square gradient through all layers.
    """

    axes = along("layer", "q", "c")

    q: Array
    c: Array
    gradient: float


def curve_errors(phi: AbstractActivation, curves: Trajectory, *, sigma_w: float) -> CurveErrors:
    r"""Carry the errors of single layers through the maps.

    .. math::
        \delta q^{l+1} = |\chi_\parallel(q^l)|\,\delta q^l + \epsilon_q q^{l+1}, \qquad
        \delta c^{l+1} = \frac{1 - c^{l+1}}{1 - c^l}\,\delta c^l
        + (\epsilon_c + \delta q^{l+1} / q^{l+1}) (1 - c^{l+1})

    because the correlation map is a power series with coefficients above zero: it is convex where
    c >= 0, so its slope lies below the secant to c = 1. Where c < 0 the slope at c = 1 takes the
    place of the secant. The gradient collects the relative errors of its factors,
    :math:`|\partial_q \log \chi_\perp|\,\delta q + \delta\chi / \chi`.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    curves : Trajectory
        The curves; NaN entries have NaN errors.
    sigma_w : float
        Standard deviation of the weights.
    """
    q, gap = curves.q, curves.one_minus_c
    known = np.flatnonzero(np.isfinite(q) & (q > 0.0))
    error_q, error_c = np.full(q.size, np.nan), np.full(q.size, np.nan)
    if known.size == 0:
        return CurveErrors(error_q, error_c, float("nan"))
    slope = np.full(q.size, np.nan)
    slope[known] = np.abs(chi_parallel(phi, q[known], sigma_w=sigma_w).value)
    error_q[0], error_c[0] = _LENGTH_STEP * q[0], _LENGTH_STEP * (1.0 + abs(curves.c[0]))
    with np.errstate(over="ignore", invalid="ignore"):
        for l in range(q.size - 1):
            error_q[l + 1] = slope[l] * error_q[l] + _LENGTH_STEP * q[l + 1]
            steepest = curves.chi[l] * q[l] / q[l + 1]
            if curves.c[l] >= 0.0 and gap[l] > 0.0:
                steepest = gap[l + 1] / gap[l]
            added = (_ANGLE_STEP + error_q[l + 1] / q[l + 1]) * gap[l + 1]
            error_c[l + 1] = steepest * error_c[l] + added
        error_c = np.minimum(error_c + _LENGTH_STEP, 2.0)
        relative = _gradient_error(phi, q[known], error_q[known], sigma_w)
    return CurveErrors(error_q, error_c, relative)


def _gradient_error(phi: AbstractActivation, q: Array, error_q: Array, sigma_w: float) -> float:
    """Sum of the relative errors of the factors of the gradient."""
    low, here, high = (
        chi_perp(phi, q * f, sigma_w=sigma_w) for f in (1.0 - _PROBE, 1.0, 1.0 + _PROBE)
    )
    steep = np.abs(high.value - low.value) / (2.0 * _PROBE * q)
    with np.errstate(divide="ignore"):
        return float(np.sum((steep * error_q + here.error) / here.value))
