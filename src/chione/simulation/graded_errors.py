r"""How far rounding moves the logarithms of the singular values of a graded product.

At a step the computed :math:`A U` is off by E, so that the product becomes
:math:`Q (1 + Y) D T` with :math:`Y = Q^T E R^{-1}`; the volume of the first i directions feels the
first i columns of Y only. With the steps that follow, :math:`Q_f D_f S`, an entry of Y can be taken
to the right of D or to the left of all that follows,

.. math:: D^{-1} Y D \sim Y_{ij} e^{d_j - d_i}, \qquad
          (D_f S D^{-1}) Y (D_f S D^{-1})^{-1} \sim Y_{ij} e^{(f_i - d_i) - (f_j - d_j)},

and the smaller of the two bounds what it does: it grows only with the part of the gap between two
directions that the following steps close again. There they undo what earlier ones did, and what
was rounded away is lost. These are estimates: the columns of :math:`R^{-1}` are measured with
random vectors, and of S and T only that they are well conditioned is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from chione.base import EPS, Array

_VECTORS = 8
_KEPT = 64  # steps at which the exponents are remembered; beyond it every second is given up
_LARGE = 1e300
_SAFETY = 3.0  # and more where few directions leave nothing to average: the worst of 1100 products
_SMALL = 10.0  # of ten columns was 22 times the bare estimate, usually it is a tenth of it


@dataclass(frozen=True)
class GradedErrors:
    """Errors of the steps so far, by direction.

    Parameters
    ----------
    d : ndarray, shape (s, k)
        Exponents of today's directions at earlier steps.
    error : ndarray, shape (s, k)
        Relative errors made between that step and the one before.
    last : float
        Largest column of R^-1 in the last step, relative to the columns of A U.
    """

    d: Array
    error: Array
    last: float = 1.0
    steps: int = 0

    @classmethod
    def none(cls, directions: int) -> GradedErrors:
        """No step yet."""
        return cls(np.zeros((0, directions)), np.zeros((0, directions)))

    def after(
        self, kept: NDArray[np.intp], inverse: Array, noise: Array, *, lost: bool
    ) -> GradedErrors:
        """One step more; `kept` are the directions left, `inverse` the columns of R^-1.

        `noise` is the rounding of A U in these directions of Q, absolute;
        `lost` says that a direction was below rounding.
        """
        made = np.maximum.accumulate(inverse * noise)
        scale = np.sqrt(max(1, kept.size)) * EPS
        last = _LARGE if lost else float(made[-1]) / scale if made.size else 1.0
        return GradedErrors(
            self.d[:, kept], np.concatenate([self.error[:, kept], made[None]]), last, self.steps + 1
        )

    def with_d(self, d: Array) -> GradedErrors:
        """The exponents after the last step."""
        history, error = np.concatenate([self.d, d[None]]), self.error
        if history.shape[0] > _KEPT:
            # The earlier exponents of each pair stand for both.
            odd = history.shape[0] % 2
            rest, made = history[odd:], error[odd:]
            history = np.concatenate([history[:odd], rest[::2]])
            error = np.concatenate([error[:odd], made[::2] + made[1::2]])
        return replace(self, d=history, error=error)

    def at(self, d: Array) -> Array:
        """Errors of the logarithms of directions whose exponents are d in the end."""
        order = np.argsort(-d, kind="stable")
        total = np.zeros(d.size)
        for before, made in zip(self.d, self.error, strict=True):
            closed = _closed_gaps(before[order], d[order])
            total[order] += made[order] * np.exp(np.minimum(closed, 600.0))
        safety = _SAFETY * (1.0 + _SMALL / np.sqrt(max(1, d.size)))
        return np.asarray(safety * _spread(total, d))

    def of_values(self, r: Array) -> float:
        """Error of forming T and of the decomposition of R D, R = `r` upper triangular."""
        inverse = inverse_columns(r, np.arange(r.shape[0]))
        return float(EPS * np.sqrt(self.steps) * np.linalg.norm(r) * inverse.max())


def _closed_gaps(before: Array, after: Array) -> Array:
    """By how much the gap to any other direction has closed, at most; `after` falls.

    Of a pair whose gap was D >= 0 and is F now, this is D - F, or D where it has changed sign.
    """
    growth = after - before
    behind = np.maximum.accumulate(growth[::-1])[::-1] - growth  # those that are smaller now
    beside = np.maximum.accumulate(before[::-1])[::-1] - before
    ahead = growth - np.minimum.accumulate(growth)  # those that are larger now
    above = before - np.minimum.accumulate(before)
    return np.asarray(np.max([behind, beside, ahead, above], axis=0))


def _spread(error: Array, d: Array) -> Array:
    """The largest error among directions, each faded by the ratio of its size to one's own."""
    order = np.argsort(-d, kind="stable")
    log, d = np.log(np.maximum(error[order], 1e-300)), d[order]
    smaller = np.maximum.accumulate((log + d)[::-1])[::-1] - d
    larger = np.maximum.accumulate(log - d) + d
    out = np.empty(d.size)
    out[order] = np.exp(np.maximum(smaller, larger))
    return out


def inverse_columns(r: Array, alive: NDArray[np.intp]) -> Array:
    """Norms of the columns of R^-1 for the directions alive, from random vectors, shape (k,).

    y = R^-T z has entries of variance |R^-1 e_i|^2 for z of standard normal entries.
    """
    k = alive.size
    part = r[:k, :k] if np.array_equal(alive, np.arange(k)) else r[np.ix_(alive, alive)]
    z = np.random.default_rng(0).standard_normal((part.shape[0], _VECTORS))
    y, _ = lapack.dtrtrs(part, z, trans=1)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(np.mean(y * y, axis=1))
    return np.asarray(np.nan_to_num(size, nan=_LARGE, posinf=_LARGE))
