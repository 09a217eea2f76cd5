"""Singular values of a well-conditioned matrix times a diagonal of any range.

References
----------
.. [1] Z. Drmac, K. Veselic, New fast and accurate Jacobi SVD algorithm, SIAM J. Matrix Anal.
   Appl. 29 (2008).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from chione.base import Array, ConvergenceError

_SPAN = 600.0  # range of log singular values that one call of the Jacobi SVD may meet
_MARGIN = 80.0  # on each side of a window: coupling across it is below e^-80


def column_graded_logs(r: Array, d: Array) -> Array:
    """Log singular values of r diag(e^d), r upper triangular and well conditioned."""
    out = np.empty(d.size)
    done = 0
    while done < d.size:
        # A window [first, last) whose range is safe; values within the margin of its lower end
        # are left to the next window, which begins a margin above them.
        first = int(np.searchsorted(-d, -(d[done] + _MARGIN)))
        last = int(np.searchsorted(-d, -(d[first] - _SPAN), side="right"))
        last = max(last, done + 1)
        values = _jacobi(r[first:last, first:last], d[first:last])
        if last == d.size:
            upto = d.size
        else:
            upto = int(np.searchsorted(-d, -(d[last - 1] + _MARGIN), side="right"))
            upto = min(max(upto, done + 1), last)
        out[done:upto] = values[done - first : upto - first]
        done = upto
    return out


def _jacobi(r: Array, d: Array) -> Array:
    """One-sided Jacobi, of high relative accuracy for (well conditioned) times (diagonal)."""
    shift = 0.5 * (d[0] + d[-1])
    a = r * np.exp(d - shift)
    # Codes of LAPACK: column scaling ('C'), no vectors ('N', 'N'), full range ('N').
    sva, _, _, work, _, info = lapack.dgejsv(a, joba=0, jobu=3, jobv=3, jobr=0, jobt=0, jobp=1)
    if info != 0:
        raise ConvergenceError(f"the Jacobi singular value decomposition failed (info {info}).")
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(sva) + np.log(work[0] / work[1]) + shift)
