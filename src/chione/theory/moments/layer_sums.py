r"""Sums :math:`\sum_n a_n b_n c^n` and their slopes for many pairs, each with its number of terms.

Pairs whose lengths stand along axes (a column of lengths against a row of others) are summed
block by block as arrays; the few that need more terms than the others are gathered one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, cost

Index = NDArray[np.intp]

_BLOCK = 1 << 14  # entries at a time: the working set stays in the second-level cache
_GATHERED = 3.0  # cost of a term of a pair that is gathered, beside one in an array


@dataclass(frozen=True)
class Rows:
    """Coefficients of one side, a column for each length.

    Parameters
    ----------
    a : ndarray, shape (N, n)
        Hermite coefficients.
    index : ndarray of int
        Column of each place of the side, of a shape that broadcasts.
    minus : ndarray, shape (N, n), optional
        Coefficients whose products are taken away again.
    """

    a: Array
    index: Index
    minus: Array | None = None


def sums(one: Rows, two: Rows, c: Array, terms: Index) -> tuple[Array, Array]:
    """Value and derivative in c of each sum over its first `terms` terms.

    `c` and `terms` have the full shape; the indices of the two sides broadcast to it.
    """
    value, slope = np.zeros(c.shape), np.zeros(c.shape)
    if one.index.size == two.index.size == 1:
        _one_pair(one, two, c, terms, (value, slope))
        return value, slope
    left = _by_blocks(one, two, c, terms, value, slope)
    _gathered(one, two, c, terms, (value, slope), np.flatnonzero(left))
    return value, slope


def _one_pair(one: Rows, two: Rows, c: Array, terms: Index, out: tuple[Array, Array]) -> None:
    """Many correlations of one pair of lengths, those with as many terms together."""
    i, j = int(one.index.flat[0]), int(two.index.flat[0])
    product = one.a[:, i] * two.a[:, j]
    if one.minus is not None and two.minus is not None:
        product = product - one.minus[:, i] * two.minus[:, j]
    value, slope = (x.reshape(-1) for x in out)
    flat_c, flat_n = c.reshape(-1), terms.reshape(-1)
    order = np.argsort(flat_n, kind="stable")
    for start in range(0, len(order), _BLOCK // 2):
        cost.tick()
        at = order[start : start + _BLOCK // 2]
        x, v, d = flat_c[at], np.zeros(len(at)), np.zeros(len(at))
        for p in product[: flat_n[at[-1]]][::-1].tolist():
            d *= x
            d += v
            v *= x
            v += p
        value[at], slope[at] = v, d


def _by_blocks(
    one: Rows, two: Rows, c: Array, terms: Index, value: Array, slope: Array
) -> NDArray[np.bool_]:
    """Sum what is alike along the first axis; returned is what is still to be summed."""
    left = terms > 0
    per_row = max(1, c.size // max(1, len(c)))
    step = max(1, _BLOCK // per_row)
    for start in range(0, len(c), step):
        cost.tick()
        part = slice(start, start + step)
        i, j = cut(one.index, part, c.ndim), cut(two.index, part, c.ndim)
        if max(i.size, j.size) == c[part].size > 1:
            continue  # nothing is shared along an axis
        n = _bulk(terms[part])
        if n == 0:
            continue
        here = (terms[part] > 0) & (terms[part] <= n)
        x = np.where(here, c[part], 0.0)
        v, d = np.zeros_like(x), np.zeros_like(x)
        a, b = one.a[:n, i], two.a[:n, j]
        for k in range(n - 1, -1, -1):
            d *= x
            d += v
            v *= x
            product = a[k] * b[k]
            if one.minus is not None and two.minus is not None:
                product -= one.minus[k, i] * two.minus[k, j]
            v += product
        value[part][here], slope[part][here] = v[here], d[here]
        left[part] &= ~here
    return left


def cut(values: Any, part: slice, ndim: int) -> Any:
    """A part along the first axis of an array that broadcasts along `ndim` axes."""
    full = values.reshape((1,) * (ndim - values.ndim) + values.shape)
    return full[part] if full.shape[0] > 1 else full


def _bulk(terms: Index) -> int:
    """Number of terms up to which all entries are summed together, the rest one by one."""
    flat = np.sort(terms, axis=None)
    total = np.concatenate([np.cumsum(flat[::-1])[::-1], [0]])
    above = total[1:]  # terms of the entries behind each
    price = flat * flat.size + _GATHERED * above
    return int(flat[int(np.argmin(price))])


def _gathered(
    one: Rows, two: Rows, c: Array, terms: Index, out: tuple[Array, Array], places: Index
) -> None:
    """Sum entries one by one, those with as many terms together."""
    if not places.size:
        return
    value, slope = (x.reshape(-1) for x in out)
    flat_c, flat_n = c.reshape(-1), terms.reshape(-1)
    i = np.broadcast_to(one.index, c.shape).reshape(-1)
    j = np.broadcast_to(two.index, c.shape).reshape(-1)
    places = places[np.argsort(flat_n[places], kind="stable")]
    for start in range(0, len(places), _BLOCK // 2):
        cost.tick()
        at = places[start : start + _BLOCK // 2]
        x, n, p, q = flat_c[at], flat_n[at], i[at], j[at]
        v, d = np.zeros(len(at)), np.zeros(len(at))
        alive = len(at)
        for k in range(int(n[-1]) - 1, -1, -1):
            if alive:  # entries join where their own sum begins
                alive = int(np.searchsorted(n, k, side="right"))
            v_, d_, x_ = v[alive:], d[alive:], x[alive:]
            d_ *= x_
            d_ += v_
            v_ *= x_
            product = one.a[k].take(p[alive:]) * two.a[k].take(q[alive:])
            if one.minus is not None and two.minus is not None:
                product -= one.minus[k].take(p[alive:]) * two.minus[k].take(q[alive:])
            v_ += product
        value[at], slope[at] = v, d
