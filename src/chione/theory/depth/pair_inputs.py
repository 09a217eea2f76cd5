r"""The first layer of pairs of inputs: lengths and angles, from the inputs' own digits.

.. math:: h^1_x = \sigma_w \frac{W x}{\sqrt d} + \sigma_b b, \qquad
   q = \frac{\sigma_w^2}{d} |\hat x|^2, \qquad
   c = \frac{\hat x \cdot \hat y}{|\hat x| |\hat y|}, \qquad
   \hat x = \Bigl(x, \tfrac{\sigma_b}{\sigma_w} \sqrt d\Bigr)

Where two inputs are nearly parallel or opposite, 1 - \|c\| comes from the part p of y that is
orthogonal to x: :math:`1 - c^2 = |p|^2 / |\hat y|^2`, computed with error-free products.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations.accurate import product_error
from chione.base import EPS, Array

Index = NDArray[np.intp]

NEAR = 1e-2  # 1 - |c| below which the difference of the inputs tells more than their product
_BLOCK = 1 << 15  # numbers at a time: a few arrays of them stay in the cache


@dataclass(frozen=True)
class Pairs:
    r"""Angles and ratios of lengths of a block of pairs, with the absolute errors of both.

    Parameters
    ----------
    gap : ndarray, shape (n, m)
        :math:`1 - |c|`.
    sign : ndarray, shape (n, m)
        1 or -1: the correlation is ``sign * (1 - gap)``.
    gap_error : ndarray, shape (n, m)
    ratio : ndarray, shape (n, m)
        :math:`\log(q_1 / q_2)`.
    ratio_error : ndarray, shape (n, m)
    """

    gap: Array
    sign: Array
    gap_error: Array
    ratio: Array
    ratio_error: Array

    @property
    def parts(self) -> tuple[Array, ...]:
        """All five arrays."""
        return self.gap, self.sign, self.gap_error, self.ratio, self.ratio_error

    @property
    def correlation(self) -> Array:
        """C itself, rounded."""
        return self.sign * (1.0 - self.gap)


@dataclass(frozen=True)
class Block:
    """Entries (n, m): inputs `rows` of side one with the inputs `columns` of side two.

    Parameters
    ----------
    rows, columns : slice
        Inputs of both sides.
    """

    rows: slice
    columns: slice = field(default_factory=lambda: slice(None))

    @property
    def sides(self) -> tuple[slice, slice]:
        """Which inputs of both sides."""
        return self.rows, self.columns

    @property
    def keys(self) -> tuple[Any, Any]:
        """What makes an array over the inputs of each side stand beside the entries."""
        return (self.rows, None), self.columns

    def places(self, near: tuple[Index, ...], of_two: int) -> tuple[Index, Index]:
        """Inputs of some of the entries; side two has `of_two`, where one may stand for all."""
        i, j = near[0] + (self.rows.start or 0), near[1] + (self.columns.start or 0)
        return i, np.minimum(j, of_two - 1)


@dataclass(frozen=True)
class Listed:
    """Entries (k,), each of an input of side one and one of side two.

    Parameters
    ----------
    one, two : ndarray of int, shape (k,)
        The inputs.
    """

    one: Index
    two: Index

    @property
    def sides(self) -> tuple[Index, Index]:
        """Which inputs of both sides."""
        return self.one, self.two

    @property
    def keys(self) -> tuple[Any, Any]:
        """What makes an array over the inputs of each side stand beside the entries."""
        return self.one, self.two

    def places(self, near: tuple[Index, ...], _of_two: int) -> tuple[Index, Index]:
        """Inputs of some of the entries."""
        return self.one[near[0]], self.two[near[0]]


class FirstLayer:
    """Mean squares of the first pre-activations and the angles between them.

    Parameters
    ----------
    a, b : ndarray, shapes (n, d), (m, d)
        Inputs, one a row.
    sigma_w, sigma_b : float
        Standard deviations.
    """

    def __init__(self, a: Array, b: Array, sigma_w: float, sigma_b: float) -> None:
        self._d = d = a.shape[1]
        self.noise = float((8.0 + np.sqrt(d)) * EPS)
        with np.errstate(over="ignore", divide="ignore"):
            column = np.sqrt(d) * (sigma_b / sigma_w if sigma_w else np.inf)
        beside = not np.isfinite(column)  # weights that count for nothing
        unit = sigma_b if beside else sigma_w
        rows = [
            _augmented(x * (0.0 if beside else 1.0), np.sqrt(d) if beside else column)
            for x in (a, b)
        ]
        (self._a, ka, self._na), (self._b, kb, self._nb) = rows
        self._ka, self._kb = ka, kb
        self.lengths = tuple(
            _square_of(unit * n / np.sqrt(d), k) for n, k in ((self._na, ka), (self._nb, kb))
        )
        self.relative = 2.0 * self.noise

    def pairs(self, at: Block) -> Pairs:
        """Angles of a block of pairs."""
        rows, columns = at.sides
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = 2.0 * (
                np.log(self._na)[rows, None]
                - np.log(self._nb)[columns]
                + np.log(2.0) * (self._ka[rows, None] - self._kb[columns])
            )
        return self._close(at, self.cosines(at), ratio)

    def cosines(self, at: Block) -> Array:
        """Cosines of the angles of a block of pairs, to `noise`."""
        rows, columns = at.sides
        return np.asarray(self.units(0, rows) @ self.units(1, columns).T)

    def units(self, side: int, index: Any) -> Array:
        """Directions of some inputs of side 0 or 1, the bias among their components."""
        x, n = ((self._a, self._na), (self._b, self._nb))[side]
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(n[index] > 0.0, 1.0 / n[index], 0.0)[:, None] * x[index])

    def listed(self, at: Listed) -> Pairs:
        """Angles of some pairs, each from its own inner product."""
        (i, j), n = at.sides, len(at.one)
        c, ratio = np.zeros(n), np.zeros(n)
        norm = self._na[i] * self._nb[j]
        step = max(1, _BLOCK // self._a.shape[1])
        for start in range(0, n, step):
            k = slice(start, start + step)
            c[k] = np.einsum("ij,ij->i", self._a[i[k]], self._b[j[k]])
        with np.errstate(divide="ignore", invalid="ignore"):
            c = np.where(norm > 0.0, c / norm, 0.0)
            ratio = 2.0 * (
                np.log(self._na[i])
                - np.log(self._nb[j])
                + np.log(2.0) * (self._ka[i] - self._kb[j])
            )
        return self._close(at, c, ratio)

    def _close(self, at: Block | Listed, c: Array, ratio: Array) -> Pairs:
        """Pairs from cosines and ratios, with those of nearly parallel ones made anew."""
        ratio[~np.isfinite(ratio)] = 0.0  # an input of zero: no angle depends on it
        gap, sign = np.maximum(1.0 - np.abs(c), 0.0), np.where(c < 0.0, -1.0, 1.0)
        gap_error = np.full_like(gap, self.noise)
        ratio_error = 2.0 * self.noise + 2.0 * EPS * np.abs(ratio)
        near = np.nonzero(gap < NEAR)
        step = max(1, _BLOCK // self._a.shape[1])
        for start in range(0, len(near[0]), step):
            some = tuple(x[start : start + step] for x in near)
            i, j = at.places(some, len(self._b))
            gap[some] = g = self.gap(i, j)
            gap_error[some] = 4.0 * self.noise * g
            ratio[some], ratio_error[some] = self._ratio(i, j)
        return Pairs(gap, sign, gap_error, ratio, ratio_error)

    def gap(self, i: Index, j: Index) -> Array:
        """1 - |c| of pairs that are nearly parallel or opposite, to a few times `noise`."""
        x, y = self._a[i], self._b[j]
        xx = np.einsum("ij,ij->i", x, x)
        factor = np.einsum("ij,ij->i", x, y) / xx
        product = factor[:, None] * x
        p = (y - product) - product_error(factor[:, None], x, product)
        p -= (np.einsum("ij,ij->i", p, x) / xx)[:, None] * x
        sine_squared = np.minimum(np.einsum("ij,ij->i", p, p) / self._nb[j] ** 2, 1.0)
        return np.asarray(sine_squared / (1.0 + np.sqrt(1.0 - sine_squared)))

    def _ratio(self, i: Index, j: Index) -> tuple[Array, Array]:
        """The logarithm of the ratio of lengths from the inputs' difference."""
        shift = np.clip(self._ka[i] - self._kb[j], -60, 60)
        x, y = np.ldexp(self._a[i], shift[:, None]), self._b[j]
        parts = (x - y) * (x + y)
        step = parts.sum(axis=1) / self._nb[j] ** 2
        noise = self.noise * np.abs(parts).sum(axis=1) / self._nb[j] ** 2
        far = np.abs(step) > 0.1
        with np.errstate(divide="ignore", invalid="ignore"):
            direct = 2.0 * (
                np.log(self._na[i] / self._nb[j]) + np.log(2.0) * (self._ka[i] - self._kb[j])
            )
            ratio = np.where(far, direct, np.log1p(step))
        error = np.where(far, 2.0 * self.noise + 2.0 * EPS * np.abs(ratio), 2.0 * noise)
        return ratio, error + 4.0 * EPS * np.abs(ratio)


def _augmented(x: Array, column: float) -> tuple[Array, Array, Array]:
    """Rows with the bias beside them, scaled by powers of two 2^-k; their k and their norms."""
    rows = np.concatenate([x, np.full((len(x), 1), column)], axis=1) if column else x
    largest = np.abs(rows).max(axis=1)
    k = np.where(largest > 0.0, np.frexp(largest)[1], 0)
    rows = np.ldexp(rows, -k[:, None])
    return rows, k, np.sqrt(np.einsum("ij,ij->i", rows, rows))


def _square_of(root: Array, k: Array) -> Array:
    """The square of root * 2^k, infinite where float64 ends."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(root, k) ** 2
