r"""Products of many matrices with all singular values right, the small ones too.

A plain product keeps only singular values above eps times the largest. Here the product is held as

.. math:: B = U \, D \, T, \qquad U^T U = 1, \quad D = \mathrm{diag}(e^{d_1}, e^{d_2}, \dots)

with T well conditioned, as in the computation of Lyapunov exponents. A factor A is taken in by

.. math::
    A U = Q R_0 \ \text{(columns sorted by size times } e^{d}), \quad
    d_i \leftarrow d_i + \log |r_{ii}|, \quad
    T \leftarrow S T, \ S_{ij} = \frac{r_{ij}}{|r_{ii}|} e^{d_j - d_i}

so D itself is never formed and no exponent can overflow.

References
----------
.. [1] A. Tomas, C.-C. Chang, R. Scalettar, Z. Bai, Advancing large scale many-body QMC
   simulations on GPU accelerated multicore systems, IPDPS 2012 (sorting instead of pivoting).
.. [2] Z. Drmac, K. Veselic, New fast and accurate Jacobi SVD algorithm, SIAM J. Matrix Anal.
   Appl. 29 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from chione.base import Array, ConvergenceError

_SPAN = 600.0  # range of log singular values that one call of the Jacobi SVD may meet
_MARGIN = 80.0  # on each side of a window: coupling across it is below e^-80
_DEPENDENT = 1e-14  # pivot over column size at which a column counts as dependent
_NEVER = -1e300  # log of a singular value that is exactly zero


@dataclass(frozen=True)
class GradedProduct:
    """A product of matrices as U diag(exp d) T.

    Parameters
    ----------
    u : ndarray, shape (m, k)
        Orthonormal columns.
    d : ndarray, shape (k,)
        Logarithms of the diagonal, falling; very negative where the product has no such direction.
    t : ndarray, shape (k, n)
        Well-conditioned rows.
    """

    u: Array
    d: Array
    t: Array

    @classmethod
    def start(cls, a: Array) -> GradedProduct:
        """The product of one factor."""
        n = a.shape[1]
        return cls(np.eye(n), np.zeros(n), np.eye(n)).times(a)

    def times(self, a: Array) -> GradedProduct:
        """The product with one more factor on the left."""
        m = np.asarray(a) @ self.u  # (m', k)
        with np.errstate(divide="ignore"):
            size = self.d + np.log(np.linalg.norm(m, axis=0))
        order = np.argsort(-np.maximum(size, _NEVER), kind="stable")
        d = self.d[order]
        q, r0 = np.linalg.qr(m[:, order])  # (m', k'), (k', k), k' = min(m', k)
        k = r0.shape[0]
        pivot = abs(np.diagonal(r0))
        with np.errstate(divide="ignore"):
            new = np.maximum(d[:k] + np.log(pivot), _NEVER)
        # A column that depends on those before it to rounding is a direction that is gone.
        dead = pivot <= _DEPENDENT * np.linalg.norm(m[:, order[:k]], axis=0)
        new[dead], pivot[dead] = _NEVER, 1.0
        r0 /= pivot[:, None]
        # Sizes fall along the columns, so above the diagonal these products are at most about 1;
        # below it r0 is zero and the exponential could overflow.
        exponent = np.triu(d[None, :] - d[:k, None])
        with np.errstate(under="ignore"):
            r0 *= np.exp(exponent)
        return GradedProduct(q, new, r0 @ self.t[order])

    def log_singular_values(self) -> Array:
        """Natural logarithms of all min(m, n) singular values, falling; -inf for zeros."""
        # The values of D T are those of T^T D, which a QR factorisation of T^T makes triangular.
        order = np.argsort(-self.d, kind="stable")
        d, t = self.d[order], self.t[order].T  # columns of t belong to d
        alive = d > _NEVER / 2.0
        zeros = int((~alive).sum())
        d, t = d[alive], t[:, alive]
        if d.size == 0:
            return np.full(zeros, -np.inf)
        r = np.asarray(np.linalg.qr(t, mode="r"), dtype=np.float64)
        out = _graded_svd(r, d)
        keep = min(self.u.shape[0], self.t.shape[1])
        return np.concatenate([np.sort(out)[::-1], np.full(zeros, -np.inf)])[:keep]


def _graded_svd(r: Array, d: Array) -> Array:
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
