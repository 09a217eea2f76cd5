r"""Layers in which a perturbation falls by e, and where it does not: of one slope or of many.

.. math:: \xi = \frac{-1}{\log|\chi|}
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, Status
from chione.theory.moments.pair_kernels import shaped
from chione.theory.moments.sine_slopes import as_sine, depth_scales_of_logs

_LOST = 1e-12  # relative error of a scale beyond which logarithms are tried, where there are some
_ROUNDED = 64.0 * EPS  # what a few rounding errors of the sigmas make of a slope of 1


def is_critical(slope: Estimate) -> Any:
    """Whether a slope is 1 to within its error (or a few rounding errors of the sigmas)."""
    found = np.abs(slope.value - 1.0) <= np.maximum(2.0 * slope.error, _ROUNDED)
    return found if np.ndim(found) else bool(found)


def depth_scale(slope: Estimate) -> Estimate:
    """Layers in which a perturbation falls by e: -1 / log|slope|; no value where it does not.

    Parameters
    ----------
    slope : Estimate
        Slopes of a map at its fixed point, of any shape.

    Returns
    -------
    Estimate
        Of that shape. Status ``INSTANT`` and value 0 where the slope is zero to within its error,
        ``CRITICAL`` where it is 1, ``DIVERGENT`` where it is above 1, and that of the slope where
        there is none.
    """
    status = np.array(np.broadcast_to(slope.status, slope.shape))
    with np.errstate(all="ignore"):
        size = np.asarray(np.abs(slope.value))
        log = np.log(size)
        value = -1.0 / log
        error = np.asarray(slope.error / (size * log**2) + 4.0 * EPS * value)
        smallest = np.where(np.equal(slope.error, 0.0), 0.0, -1.0 / np.log(slope.error))
    ok = status == Status.OK
    instant = ok & (size <= slope.error)
    status[ok & (size > 1.0)] = Status.DIVERGENT
    status[ok & is_critical(slope)] = Status.CRITICAL
    status[ok & ~np.isfinite(size)] = Status.NOT_COMPUTED
    status[instant] = Status.INSTANT
    none = (status != Status.OK) & ~instant
    value = np.where(none, np.nan, np.where(instant, 0.0, value))
    error = np.where(none, np.nan, np.where(instant, smallest, error))
    return shaped(value, error, status)


def scale_of_lengths(
    act: AbstractActivation, q: Estimate, chi_parallel: Estimate, w2: Any
) -> Estimate:
    """xi_q; of a sine from the logarithm of its slope, which may be below any float64."""
    plain, sine = depth_scale(chi_parallel), as_sine(act)
    faint = _faint(plain, q, w2)
    if sine is None or not faint.any():
        return plain
    at, error = (np.asarray(x)[faint] for x in (q.value, q.error))
    logs = sine.log_length_slope(at)
    spread = sine.error(at, np.full_like(at, 2.0), error, np.zeros_like(at))
    return _from_logs(plain, faint, logs, spread, w2)


def scale_of_correlations(
    act: AbstractActivation, q: Estimate, one_minus_c: Estimate, slope: Estimate, w2: Any
) -> Estimate:
    """xi_c from the slope of the correlation map at c*; of a sine as :func:`scale_of_lengths`."""
    plain, sine = depth_scale(slope), as_sine(act)
    faint = _faint(plain, q, w2)
    if sine is None or not faint.any():
        return plain
    at, error, gap, gap_error = (
        np.asarray(x)[faint] for x in (q.value, q.error, one_minus_c.value, one_minus_c.error)
    )
    logs = sine.log_slope_kernel(at, gap)
    return _from_logs(plain, faint, logs, sine.error(at, gap, error, gap_error), w2)


def _faint(plain: Estimate, q: Estimate, w2: Any) -> NDArray[np.bool_]:
    """Where the slope itself has lost digits, in a network that passes a signal on."""
    with np.errstate(invalid="ignore"):
        lost = np.asarray(plain.error > _LOST * plain.value)
    lost = lost | (np.asarray(plain.status) == Status.INSTANT)
    return np.asarray(lost & (np.asarray(q.value) > 0.0) & (np.asarray(w2) > 0.0))


def _from_logs(
    plain: Estimate, faint: NDArray[np.bool_], logs: Array, spread: Array, w2: Any
) -> Estimate:
    """The scales, with those of faint slopes replaced where their logarithms are known."""
    value, error, status = (np.array(x) for x in (plain.value, plain.error, plain.status))
    weights = np.broadcast_to(w2, value.shape)[faint]
    found, width = depth_scales_of_logs(logs + np.log(weights), spread)
    instant = status[faint] == Status.INSTANT
    good = (found > 0.0) & (instant | (width < error[faint]))
    value[faint] = np.where(good, found, value[faint])
    error[faint] = np.where(good, width, error[faint])
    status[faint] = np.where(good, np.int8(Status.OK), status[faint])
    return shaped(value, error, status)
