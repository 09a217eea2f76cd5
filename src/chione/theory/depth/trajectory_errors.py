r"""How errors of one layer grow on the way to the last one.

.. math::
    \delta q^{l+1} = |\chi_\parallel(q^l)|\,\delta q^l + \epsilon_q q^{l+1}, \qquad
    \delta c^{l+1} = \frac{1 - c^{l+1}}{1 - c^l}\,\delta c^l
    + (\epsilon_c + \delta q^{l+1} / q^{l+1}) (1 - c^{l+1})

because the correlation map is a power series with coefficients above zero: it is convex where
c >= 0, so its slope lies below the secant to c = 1. Where c < 0 the slope at c = 1 takes the place
of the secant. The gradient collects the relative errors of its factors,
:math:`|\partial_q \log \chi_\perp|\,\delta q + \delta\chi / \chi`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array
from chione.theory.moments.moments import moments

# Bounds on what one layer adds: relative in q, and in the distance 1 - c of two inputs.
_LENGTH_STEP = 8.0 * EPS
ANGLE_STEP = 1e-12
_PROBE = 1e-3  # relative step in q with which the slope of log chi is taken


def trajectory_errors(
    phi: AbstractActivation,
    q: Array,
    places: Array,
    gap: Array,
    chi: Array,
    log10_gradient: Array,
    off: Array,
    *,
    w2: float,
    b2: float,
) -> dict[str, Array]:
    """Absolute errors of the curves of a trajectory, by the names of its fields.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    q, gap, chi, log10_gradient : ndarray, shape (L,)
        The curves; NaN entries have NaN errors.
    places : ndarray, shape (L,)
        The lengths at which moments were taken: q, or the one that stands for smaller ones.
    off : ndarray, shape (L,)
        Relative error of what each layer itself makes of 1 - c.
    w2, b2 : float
        Variances of weights and biases.
    """
    n = q.size
    known = np.flatnonzero(np.isfinite(places) & (places > 0.0))
    relative_q, error_gap = np.full(n, np.nan), np.full(n, np.nan)
    steep, own = np.full(n, np.nan), np.full(n, np.nan)
    if known.size:
        m, at = moments(phi), places[known]
        square, slope = m.square(at), m.slope(at)
        low, here, high = (m.derivative_square(at * f) for f in (1.0 - _PROBE, 1.0, 1.0 + _PROBE))
        with np.errstate(all="ignore"):
            image = w2 * np.asarray(square.value) + b2
            passed = np.abs(w2 * np.asarray(slope.value)) * at / image  # of log V by log q
            added = w2 * np.asarray(square.error) / image + _LENGTH_STEP
            steepest = chi[known] * at / image
            steep[known] = np.abs(high.value - low.value) / (2.0 * _PROBE * here.value)
            own[known] = here.error / here.value + 4.0 * EPS
        relative_q[0], error_gap[0] = _LENGTH_STEP, 2.0 * _LENGTH_STEP * gap[0]
        _follow(known, passed, added, steepest, gap, off, relative_q, error_gap)
    with np.errstate(all="ignore"):
        error_chi = steep * relative_q + own
        decades = np.zeros(n)
        decades[:-1] = np.cumsum(error_chi[:-1][::-1])[::-1] / np.log(10.0)
        decades += 2.0 * EPS * n * np.abs(np.nan_to_num(log10_gradient, posinf=0.0, neginf=0.0))
        gradient = 10.0**log10_gradient
        return {
            "q": relative_q * q + 5e-324,
            "c": np.minimum(error_gap, 2.0) + _LENGTH_STEP,
            "one_minus_c": np.minimum(error_gap, 2.0),
            "chi": error_chi * chi,
            "gradient": gradient * np.log(10.0) * decades + 4.0 * EPS * gradient,
            "log10_gradient": decades,
        }


def _follow(
    known: NDArray[np.intp],
    passed: Array,
    added: Array,
    steepest: Array,
    gap: Array,
    off: Array,
    relative_q: Array,
    error_gap: Array,
) -> None:
    """Fill in the relative error of q and the absolute one of 1 - c, layer by layer."""
    with np.errstate(all="ignore"):
        for i, l in enumerate(known.tolist()):
            if l + 1 == relative_q.size:
                break
            relative_q[l + 1] = passed[i] * relative_q[l] + added[i]
            slope = gap[l + 1] / gap[l] if 0.0 < gap[l] <= 1.0 else steepest[i]
            step = off[l] + relative_q[l + 1] + relative_q[l]
            error_gap[l + 1] = slope * error_gap[l] + step * gap[l + 1]
