r"""The stable fixed point c* of the correlation map, and the slope there, for one cell or many.

With :math:`A(c) = [K(1) - K(c)] / q (1 - c)` a pair keeps its correlation where
:math:`\sigma_w^2 A(c^*) = 1`. On [0, 1] the map is convex, so there is one such point below c = 1
if chi_1 > 1, and none otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import AbstractResult, Array, Estimate, Status, result
from chione.theory.meanfield.correlation_at_zero import correlation_at_zero
from chione.theory.meanfield.single_correlation import single_correlation
from chione.theory.meanfield.stable_correlations import Correlations, CorrelationTable
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import is_stairs, shaped

_SINGLE = 2  # chaotic cells that cost less by themselves than by compiled kernels
_SINGULAR = 40  # of half a second each, of slopes without a mean square, which nothing compiles


@result
class CorrelationPoint(AbstractResult):
    """c*, 1 - c* with relative accuracy, and the slope of the correlation map there."""

    c: Estimate
    one_minus_c: Estimate
    slope: Estimate


def correlation_fixed_point(
    act: AbstractActivation,
    q: Estimate,
    chi: Estimate,
    w2: Any,
    *,
    chaotic: Any,
    together: int | None = None,
) -> CorrelationPoint:
    """Where the correlation of two inputs settles at fixed points of the lengths.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    q, chi : Estimate
        The lengths, and chi_1 there (``INFINITE`` where the slope has no mean square). The cells
        are of the shape of `q`.
    w2 : float or array_like
        Variances of the weights; they broadcast.
    chaotic : bool or array_like
        Whether chi_1 > 1, or infinite; otherwise c* = 1.
    together : int, optional
        Number of chaotic cells of the diagram that these are a block of; by default they are all.

    Returns
    -------
    CorrelationPoint
        Of the shape of `q`. No value (``NOT_COMPUTED``) where q has none. At q = 0 it is that of
        :mod:`.correlation_at_zero`. Of slopes like that of :math:`|x|^{1/2}`, which have
        no mean square although nothing jumps, more than forty cells are not computed.
    """
    length = np.asarray(q.value)
    w2, chaotic = np.broadcast_to(w2, length.shape), np.broadcast_to(chaotic, length.shape)
    known = np.isfinite(length)
    gap, error = (np.where(known, 0.0, np.nan) for _ in range(2))
    status = np.where(known, Status.OK, Status.NOT_COMPUTED).astype(np.int8)
    c = np.where(known, 1.0, np.nan)
    slope, slope_error = (np.where(known, x, np.nan) for x in (chi.value, chi.error))
    slope_status = np.where(known, chi.status, Status.NOT_COMPUTED).astype(np.int8)
    silent, constant = known & (length == 0.0) & (w2 > 0.0), known & (w2 == 0.0)
    slope[constant], slope_error[constant], slope_status[constant] = 0.0, 0.0, Status.OK
    if silent.any():
        zero = correlation_at_zero(act)
        for at_zero, value, spread, words in (
            (zero.c, c, error, status),
            (zero.one_minus_c, gap, error, status),
            (zero.slope, slope, slope_error, slope_status),
        ):
            value[silent], spread[silent], words[silent] = (
                at_zero.value, at_zero.error, at_zero.status,
            )  # fmt: skip
    cells = np.flatnonzero(chaotic & (length > 0.0) & (w2 > 0.0))
    if cells.size:
        found = _chaotic(act, q, chi, w2, cells, cells.size if together is None else together)
        seen = np.isfinite(found.slope)  # else c* cannot be told from 1
        c.flat[cells], gap.flat[cells], error.flat[cells] = found.c, found.gap, found.error
        status.flat[cells[np.isnan(found.gap)]] = Status.NOT_COMPUTED
        slope.flat[cells[seen]], slope_error.flat[cells[seen]] = (
            x[seen] for x in (found.slope, found.slope_error)
        )
        slope_status.flat[cells[seen]] = Status.OK
    return CorrelationPoint(
        shaped(c, error, status),
        shaped(gap, error.copy(), status.copy()),
        shaped(slope, slope_error, slope_status),
    )


def _chaotic(
    act: AbstractActivation,
    q: Estimate,
    chi: Estimate,
    w2: Array,
    cells: NDArray[np.intp],
    together: int,
) -> Correlations:
    """Few cells one by one, many by kernels that are compiled for all of them."""
    length, error = (np.ravel(x)[cells] for x in (q.value, q.error))
    w2, chi = np.ravel(w2)[cells], _flat(chi)[cells]
    singular = not moments(act).has_jumps and bool(np.any(chi.status != Status.OK))
    if together > (_SINGLE if np.ndim(q.value) == 0 or _is_quick(act) else 0) and not singular:
        return CorrelationTable(act, length, w2, chi.value).solve(error, chi.error)
    if together > _SINGULAR:
        return Correlations(*(np.full(cells.size, np.nan) for _ in range(5)))
    found = [
        single_correlation(act, float(length[i]), float(error[i]), float(w2[i]), chi[i])
        for i in range(cells.size)
    ]
    rows = np.array([(s.gap, s.error, s.slope, s.slope_error) for s in found]).T
    return Correlations(1.0 - rows[0], *rows)


def _is_quick(act: AbstractActivation) -> bool:
    """Whether a cell by itself is quick: point masses beside a smooth part cost seconds."""
    alone = act.closed_forms.derivative_kernel is not None or is_stairs(act)
    return alone or not moments(act).has_jumps


def _flat(e: Estimate) -> Estimate:
    status = np.broadcast_to(np.asarray(e.status), np.shape(e.value))
    return Estimate(np.ravel(e.value), np.ravel(e.error), np.ravel(status))
