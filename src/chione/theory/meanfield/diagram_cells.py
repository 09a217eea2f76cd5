r"""Susceptibilities, depth scales and correlations of a block of cells of a phase diagram.

.. math:: \chi_\parallel = V'(q^*), \quad \chi_\perp = \sigma_w^2 E\,\phi'^2, \quad
   \xi_q = \frac{-1}{\log|\chi_\parallel|}

by look-ups in the compiled moments of the activation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, Status
from chione.gaussian import Table
from chione.theory.meanfield.depth_scale import scale_of_lengths
from chione.theory.meanfield.large_lengths import large_length_slopes
from chione.theory.meanfield.phase import DIVERGENT, NO_POINT, PHASES, phase_codes
from chione.theory.meanfield.root_error import error_of_length
from chione.theory.moments.moments import moments
from chione.theory.moments.scale_free import zero_slope

Codes = NDArray[np.int8]
Values = tuple[Array, Array]  # value, error


class Cells:
    """Susceptibilities and phases of a block of cells whose lengths are known."""

    def __init__(self, act: AbstractActivation, w2: Array, q: Array, status: Codes) -> None:
        self._act, self._m = act, moments(act)
        self._w2, self._q, self._status = w2, q, status
        self.phase: Codes = np.full(q.shape, PHASES.index(NO_POINT), dtype=np.int8)
        self.phase[status == Status.DIVERGENT] = PHASES.index(DIVERGENT)

    def susceptibilities(self) -> dict[str, Values]:
        """q*, both chi and xi_q with their errors; sets the phase."""
        q, shape = self._q, self._q.shape
        parallel, perp, q_error = (np.full(shape, np.nan) for _ in range(3))
        parallel_error, perp_error = np.full(shape, np.nan), np.full(shape, np.nan)
        inside = q > 0.0
        x, w2 = q[inside], self._w2[inside]
        continuum = self._status[inside] == Status.CONTINUUM
        if x.size:
            m = self._m
            parallel[inside], own, bend = _lookup(m.slope_table, x, w2)
            held = w2 * m.square_table(x)
            length_error = _share(held, m.square_table.error(x)) + 3.0 * EPS * x
            length_error += _log_rounding(x) * x * np.abs(parallel[inside])
            # Newton leaves no more of V(q) - q than rounding
            of_q = error_of_length(x, x, length_error, parallel[inside], own, bend)
            of_q = np.where(continuum, 4.0 * EPS * x, of_q)
            q_error[inside], parallel_error[inside] = of_q, own + bend * of_q
            if not m.has_jumps:
                perp[inside], own, bend = _lookup(m.derivative_table, x, w2)
                perp_error[inside] = own + bend * of_q
        zero = q == 0.0
        if zero.any():
            slope = np.array([zero_slope(self._act, float(w2)) for w2 in self._w2[zero]])
            parallel[zero] = perp[zero] = slope
            parallel_error[zero] = perp_error[zero] = 4.0 * EPS * slope
            q_error[zero] = 0.0
        still = self._w2 == 0.0  # a constant map, also where E phi^2 is infinite
        for part in (parallel, perp, parallel_error, perp_error):
            part[still] = 0.0
        q_error[still] = EPS * q[still]
        lost = self._status == Status.DIVERGENT
        if lost.any():  # what both tend to while lengths grow, where that exists
            for limit, value, error in zip(
                large_length_slopes(self._act, 1.0),
                (parallel, perp),
                (parallel_error, perp_error),
                strict=True,
            ):
                value[lost] = self._w2[lost] * limit.value
                error[lost] = self._w2[lost] * limit.error + 2.0 * EPS * np.abs(value[lost])
        chi = Estimate(perp, perp_error, self._status_of_chi(perp))
        known = np.isfinite(self._q)
        self.phase[known] = phase_codes(chi)[known]
        along_q = Estimate(parallel, parallel_error, 0)
        scale = scale_of_lengths(self._act, Estimate(q, q_error, 0), along_q, self._w2)
        return {
            "q_star": (q, q_error),
            "chi_parallel": (parallel, parallel_error),
            "chi_perp": (perp, perp_error),
            "xi_q": (scale.value, scale.error),
        }

    def _status_of_chi(self, perp: Array) -> Codes:
        """Why chi_perp has no value, where it has none."""
        status = np.zeros(perp.shape, dtype=np.int8)
        none = np.flatnonzero(np.isnan(perp) & (self._q > 0.0))
        if none.size:  # all of one activation for one reason
            why = self._m.derivative_square(float(self._q.flat[none[0]])).status
            status.flat[none] = why
        return status


def _lookup(table: Table, q: Array, w2: Array) -> tuple[Array, Array, Array]:
    """sigma_w^2 times a table: value, error, and size of the slope in q."""
    value, slope = table.with_slope(q)
    value = w2 * value
    bend = np.abs(w2 * slope)
    error = _share(np.abs(value), table.error(q) + 3.0 * EPS) + _log_rounding(q) * q * bend
    return value, error, bend


def _share(value: Array, relative: Array) -> Array:
    """Absolute error; a value that has underflowed has none to speak of."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(value == 0.0, 0.0, value * relative))


def _log_rounding(q: Array) -> Array:
    """Relative error of q where it is looked up by a rounded logarithm."""
    return np.asarray(EPS * np.abs(np.log(q)))
