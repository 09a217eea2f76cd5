r"""Products of many matrices with all singular values right, the small ones too.

A plain product keeps only singular values above eps times the largest. Here the product is held as

.. math:: B = U \, D \, T, \qquad U^T U = 1, \quad D = \mathrm{diag}(e^{d_1}, e^{d_2}, \dots)

with T well conditioned, as in the computation of Lyapunov exponents. A factor A is taken in by

.. math::
    A U = Q R_0 \ \text{(columns sorted by size times } e^{d}), \quad
    d_i \leftarrow d_i + \log |r_{ii}|, \quad
    T \leftarrow S T, \ S_{ij} = \frac{r_{ij}}{|r_{ii}|} e^{d_j - d_i}

so D itself is never formed and no exponent can overflow. U stays a product of reflectors, which are
applied to the next factor. Several factors share one QR where they are well enough conditioned
together. Directions that a factor ends (units of a ReLU that are off) are dropped.

References
----------
.. [1] A. Tomas, C.-C. Chang, R. Scalettar, Z. Bai, Advancing large scale many-body QMC
   simulations on GPU accelerated multicore systems, IPDPS 2012 (sorting instead of pivoting).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from chione.base import EPS, Array
from chione.simulation.graded_errors import GradedErrors, inverse_columns
from chione.simulation.graded_values import column_graded_logs

_LOST = 8.0  # pivot over the rounding of its direction below which nothing is known of it
_UNEVEN = 1e3  # ratio of the sizes of rows from which on they are sorted
Indices = NDArray[np.intp]

_TOGETHER = 1e4  # norm of a column of R^-1 up to which factors share one QR: 12 digits are left
_MOST = 8  # factors of one QR: beyond it costs an eighth of the products
_FADED = 64.0  # log of a ratio of exponents beyond which S is zero beside its diagonal of ones
_SLACK = 3.0  # log of a size by which columns may be out of order: S stays below a few
_BLOCK = 128  # rows of S taken together
_REFLECTORS = 64  # in a block of LAPACK's


@dataclass(frozen=True)
class GradedProduct:
    """A product of matrices as U diag(exp d) T.

    Parameters
    ----------
    shape : tuple of int
        (m, n) of the product.
    rows : ndarray of int, shape (r,)
        The rows of the product that are not zero.
    reflectors, wy : ndarray, shapes (r, p) and (b, p')
        Q of LAPACK's QR, as blocks of elementary reflectors (compact WY).
    columns : ndarray of int, shape (k,)
        The columns of Q that are U's.
    d : ndarray, shape (k,)
        Logarithms of the diagonal, falling up to the sizes of the last factors.
    profile : ndarray, shape (k, n)
        T with its columns in the order `inputs`: nearly upper triangular.
    lead : ndarray of int, shape (k,)
        Where the rows of the profile begin.
    inputs : ndarray of int, shape (n,)
        Columns of T.
    errors : GradedErrors
        Of the logarithms, as far as the steps made them.
    lost : int
        Directions that were dropped below rounding: their values are not zero, but not known.
    """

    shape: tuple[int, int]
    rows: Indices
    reflectors: Array
    wy: Array
    columns: Indices
    d: Array
    profile: Array
    lead: Indices
    inputs: Indices
    errors: GradedErrors = field(repr=False)
    lost: int = 0

    @classmethod
    def start(cls, a: Array) -> GradedProduct:
        """The product of one factor."""
        n = a.shape[1]
        rows = alive_rows(a)
        m = np.array(a[rows], order="F")
        # Columns sorted here, and not by the first step, leave T upper triangular.
        inputs = np.argsort(-np.linalg.norm(m, axis=0), kind="stable")
        before = cls(
            (n, n), np.arange(n), np.zeros((n, 0)), np.zeros((0, 0)), np.arange(n), np.zeros(n),
            np.eye(n), np.arange(n), inputs, GradedErrors.none(n),
        )  # fmt: skip
        size = float(np.linalg.norm(m))
        return before._absorbed(m.T[inputs].T, rows, a.shape[0], EPS * size)

    @property
    def u(self) -> Array:
        """Orthonormal columns, (m, k)."""
        out = np.zeros((self.shape[0], self.d.size))
        if self.d.size:
            out[self.rows] = self._times_q(np.eye(self.rows.size, order="F"))[:, self.columns]
        return out

    @property
    def t(self) -> Array:
        """Well-conditioned rows, (k, n)."""
        out = np.empty_like(self.profile)
        out[:, self.inputs] = self.profile
        return out

    def times(self, *factors: Array) -> GradedProduct:
        """The product with more factors on the left, the last one leftmost, by one QR."""
        m, rows, size = self._applied(factors[0])
        for a in factors[1:]:
            kept = alive_rows(a)
            part = a[kept][:, rows]
            size = size * float(np.linalg.norm(part)) / math.sqrt(max(1, min(part.shape)))
            m, rows = (m.T @ part.T).T, kept  # in Fortran's order
        size *= math.sqrt(len(factors))
        return self._absorbed(m, rows, factors[-1].shape[0], EPS * size)

    def _applied(self, a: Array) -> tuple[Array, Indices, float]:
        """A U in Fortran's order without the rows that are zero, these rows, the norm of A."""
        kept = alive_rows(a)
        part = np.array(a[kept][:, self.rows] if self._cut(a, kept) else a, order="F")
        size = float(np.linalg.norm(part))
        if min(part.shape) == 0 or self.d.size == 0:
            return np.zeros((part.shape[0], self.d.size), order="F"), kept, size
        m = self._times_q(part)[:, : self.wy.shape[1]]
        if self.columns.size == m.shape[1]:
            return m, kept, size
        return m.T[self.columns].T, kept, size

    def _times_q(self, a: Array) -> Array:
        """A Q, all columns, overwriting A."""
        k = self.wy.shape[1]
        return np.asarray(
            lapack.dgemqrt(self.reflectors[:, :k], self.wy, a, side="R", trans="N", overwrite_c=1)[
                0
            ]
        )

    def _cut(self, a: Array, kept: Indices) -> bool:
        return not (_is_range(kept, a.shape[0]) and _is_range(self.rows, a.shape[1]))

    def _absorbed(self, m: Array, rows: Indices, outputs: int, rounding: float) -> GradedProduct:
        """M diag(exp d) T as Q diag(exp d') T'; `rounding` is the norm of the error of M."""
        norms = np.linalg.norm(m, axis=0)
        with np.errstate(divide="ignore"):
            size = self.d + np.log(norms)
        order = _sorted(size)[: np.count_nonzero(norms)]  # zero columns are directions that end
        if min(m.shape[0], order.size) == 0:
            return self._ended(outputs)
        m = m if _is_range(order, m.shape[1]) else m.T[order].T
        m, rows, sizes = _by_size(m, rows)
        raw, wy, _ = lapack.dgeqrt(min(_REFLECTORS, *m.shape), m, overwrite_a=1)
        pivot: Array = np.abs(np.diagonal(raw))
        noise = rounding * _weights(raw, wy, sizes)
        alive = np.flatnonzero(pivot > _LOST * noise)
        inverse, lost = inverse_columns(raw, alive), pivot.size - alive.size
        errors = self.errors.after(order[alive], inverse, noise[alive], lost=lost > 0)
        d, pivot = self.d[order], pivot[alive]
        t, lead = self._next_rows(raw, alive, order, d, pivot)
        d = d[alive] + np.log(pivot)
        return GradedProduct(
            (outputs, self.shape[1]), rows, raw, wy, alive, d, t, lead, self.inputs,
            errors.with_d(d), self.lost + lost,
        )  # fmt: skip

    def _next_rows(
        self, raw: Array, alive: Indices, order: Indices, d: Array, pivot: Array
    ) -> tuple[Array, Indices]:
        """T' = S T and where its rows begin, block by block where S and T are not zero."""
        k, n = alive.size, self.profile.shape[1]
        in_order = _is_range(order, self.profile.shape[0])
        t = self.profile if in_order else self.profile[order]
        begins = self.lead[order]
        out, lead = np.zeros((k, n)), np.empty(k, dtype=np.intp)
        reach = _largest_from(d)
        for a in range(0, k, _BLOCK):
            at = alive[a : a + _BLOCK]
            first = int(at[0])
            last = int(np.searchsorted(-reach, _FADED - float(d[at].min())))
            last = max(last, int(at[-1]) + 1)
            s = raw[at, first:last]
            # Sizes fall along the columns, so S is at most about 1 above its diagonal.
            exponent = np.minimum(d[None, first:last] - d[at, None], 700.0)
            s[np.arange(first, last) < at[:, None]] = 0.0  # there LAPACK keeps reflectors
            with np.errstate(under="ignore"):
                s = s / pivot[a : a + _BLOCK, None] * np.exp(exponent)
            left = int(begins[first:last].min())
            out[a : a + _BLOCK, left:] = s @ t[first:last, left:]
            lead[a : a + _BLOCK] = left
        return out, lead

    def _ended(self, outputs: int) -> GradedProduct:
        """A product that is zero."""
        none = np.zeros(0, dtype=np.intp)
        n = self.shape[1]
        return GradedProduct(
            (outputs, n), none, np.zeros((0, 0)), np.zeros((0, 0)), none, np.zeros(0),
            np.zeros((0, n)),
            none, self.inputs, GradedErrors.none(0), self.lost,
        )  # fmt: skip

    def log_singular_values(self) -> Array:
        """Natural logarithms of all min(m, n) singular values, falling; -inf for zeros."""
        return self.log_values_and_errors()[0]

    def log_values_and_errors(self) -> tuple[Array, Array]:
        """The logarithms and an estimate of their errors.

        Of values that are exactly zero the error is 0, of those lost below rounding it is infinite.
        """
        logs, errors = np.full(min(self.shape), -np.inf), np.zeros(min(self.shape))
        if self.d.size:
            # The values of D T are those of T^T D, which a QR of T^T makes triangular.
            order = np.argsort(-self.d, kind="stable")
            d = self.d[order]
            r = np.asarray(np.linalg.qr(self.profile[order].T, mode="r"), dtype=np.float64)
            found = column_graded_logs(r, d)
            logs[: d.size] = np.sort(found)[::-1]
            errors[: d.size] = self.errors.at(self.d)[order] + self.errors.of_values(r)
        errors[self.d.size : self.d.size + self.lost] = np.inf
        return logs, errors


def graded_product(factors: Iterable[Array]) -> GradedProduct:
    """The product of factors, the first one rightmost, with as few QR as its digits allow."""
    product: GradedProduct | None = None
    group = 1
    waiting: list[Array] = []
    for a in factors:
        if product is None:
            product = GradedProduct.start(a)
            group = _next_group(product, 1)
            continue
        waiting.append(a)
        if len(waiting) >= group:
            product, group = _taken(product, waiting)
            waiting = []
    assert product is not None
    return _taken(product, waiting)[0] if waiting else product


def _taken(product: GradedProduct, factors: list[Array]) -> tuple[GradedProduct, int]:
    """The product with these factors, and how many may come at once next."""
    together = product.times(*factors)
    if len(factors) == 1 or together.errors.last <= _TOGETHER:
        return together, _next_group(together, len(factors))
    half = len(factors) // 2
    for part in (factors[:half], factors[half:]):
        product, group = _taken(product, part)
    return product, group


def _next_group(product: GradedProduct, factors: int) -> int:
    """How many factors may share a QR, if they are conditioned as the last ones."""
    each = max(1e-3, math.log(max(product.errors.last, 1.0))) / factors
    return int(min(_MOST, 2 * factors, max(1.0, math.log(_TOGETHER) / each)))


def alive_rows(a: Array) -> Indices:
    """Rows that are not zero; only those that begin with a zero have to be read."""
    alive = a[:, 0] != 0.0
    doubtful = np.flatnonzero(~alive)
    alive[doubtful] = a[doubtful].any(axis=1)
    return np.flatnonzero(alive)


def _by_size(m: Array, rows: Indices) -> tuple[Array, Indices, Array]:
    """M with its rows by falling size where they differ much, these rows, their sizes.

    Reflectors leave small rows right to their own rounding if larger ones stand above them.
    """
    sizes = np.sqrt(np.einsum("ij,ij->i", m, m))
    if np.max(sizes) <= _UNEVEN * np.min(sizes):
        return m, rows, sizes
    order = np.argsort(-sizes, kind="stable")
    return np.asfortranarray(m[order]), rows[order], sizes[order]


def _weights(raw: Array, wy: Array, sizes: Array) -> Array:
    """How much of the rounding of M falls on each column of Q, relative to the norm of M.

    Rounding in a row is relative to its size; |diag(sizes) q_i| is measured by random vectors.
    """
    z = np.random.default_rng(1).standard_normal((sizes.size, 8))
    z = np.asfortranarray(z * (sizes / np.linalg.norm(sizes))[:, None])
    k = wy.shape[1]
    y, _ = lapack.dgemqrt(raw[:, :k], wy, z, side="L", trans="T", overwrite_c=1)
    return np.asarray(np.sqrt(sizes.size * np.mean(y[:k] ** 2, axis=1)))


def _sorted(size: Array) -> Indices:
    """Directions by falling size, or as they are where that is almost so."""
    finite = size[np.isfinite(size)]
    if finite.size == size.size and np.all(_largest_from(size) - size < _SLACK):
        return np.arange(size.size)
    return np.argsort(-size, kind="stable")


def _is_range(order: Indices, size: int) -> bool:
    return order.size == size and bool(np.all(order == np.arange(size)))


def _largest_from(x: Array) -> Array:
    """The largest entry from each place on."""
    return np.asarray(np.maximum.accumulate(x[::-1])[::-1])
