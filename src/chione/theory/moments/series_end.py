r"""How the Hermite series of pairs ends where phi has kinks and the two inputs nearly agree.

Either what the kinks make of a pair is summed in closed form and their products are taken out of
the series, or the series goes on to infinity by the law of its coefficients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array
from chione.theory.moments.kink_part import KinkPart, kink_parts
from chione.theory.moments.kink_tail import KinkTail
from chione.theory.moments.layer_sums import Index, Rows
from chione.theory.moments.row_table import RowTable
from chione.theory.moments.truncation import ENOUGH, ENOUGH_SLOPE, Truncation, left

MOST_PAIRS = 64  # of kinks
_TOUCHING = 1e-32  # 1 - |c| below which inputs lie on one ray
_BLOCK = 1 << 13
_ROUNDED = 6.0  # roundings of a term of the closed form
_ORDINARY = (1e-13, 1e-12)  # errors of K and R that count alike when orders are compared
_TAIL_ERROR = (
    3e-9  # of a tail from 192 terms on, relative; it falls with the square of their number
)


@dataclass(frozen=True)
class Side:
    """One side of many pairs.

    Parameters
    ----------
    q : ndarray, shape (n,)
        The different lengths, rising.
    a : ndarray, shape (N, n)
        Their coefficients.
    index : ndarray of int
        Which of them stands where.
    """

    q: Array
    a: Array
    index: Index


@dataclass(frozen=True)
class AbstractEnd(ABC):
    """A way to end the series.

    Parameters
    ----------
    without : Truncation
        What is left out.
    error : tuple of float
        Errors of K and R besides, relative.
    """

    without: Truncation
    error: tuple[float, float]

    @abstractmethod
    def terms(self, log_c: Array) -> Index:
        """How many terms are summed at log |c|."""

    @abstractmethod
    def rows(self, side: Side) -> Rows:
        """The coefficients whose products are summed."""

    @abstractmethod
    def rest(
        self, one: Side, two: Side, at: tuple[Index, Index], angle: tuple[Array, Array, Array]
    ) -> tuple[Array, Array]:
        """What is to be added to K and to dK/dc of pairs of columns, (k,).

        `angle` holds 1 - |c|, the sign of c, and log |c|.
        """


@dataclass(frozen=True)
class ClosedEnd(AbstractEnd):
    """The kinks in closed form."""

    part: KinkPart
    minus: Array  # (m, N) at the nodes of the table
    table: RowTable

    def terms(self, log_c: Array) -> Index:
        """As the abstract one says."""
        return self.without.terms(log_c)[0]

    def rows(self, side: Side) -> Rows:
        """As the abstract one says."""
        minus = self.table.at(side.q, self.minus[:, : len(side.a)])
        return Rows(side.a, side.index, minus)

    def rest(
        self, one: Side, two: Side, at: tuple[Index, Index], angle: tuple[Array, Array, Array]
    ) -> tuple[Array, Array]:
        """As the abstract one says."""
        gap, sign, _ = angle
        value, slope = np.empty(len(gap)), np.empty(len(gap))
        for start in range(0, len(gap), _BLOCK):
            part = slice(start, start + _BLOCK)
            q1, q2 = one.q[at[0][part]], two.q[at[1][part]]
            near = np.maximum(gap[part], _TOUCHING)
            value[part], slope[part] = self.part.moments(q1, q2, near, sign[part])
        return value, slope


@dataclass(frozen=True)
class TailEnd(AbstractEnd):
    """The series of a kink at zero to infinity."""

    tail: KinkTail

    def terms(self, log_c: Array) -> Index:
        """As the abstract one says."""
        return np.full(log_c.shape, self.tail.start)

    def rows(self, side: Side) -> Rows:
        """As the abstract one says."""
        return Rows(side.a, side.index)

    def rest(
        self, one: Side, two: Side, at: tuple[Index, Index], angle: tuple[Array, Array, Array]
    ) -> tuple[Array, Array]:
        """As the abstract one says."""
        _, sign, log_c = angle
        value, slope = np.empty(len(sign)), np.empty(len(sign))
        rows = self.tail.rows(one.q), self.tail.rows(two.q)
        for start in range(0, len(sign), _BLOCK):
            part = slice(start, start + _BLOCK)
            at_part = at[0][part], at[1][part]
            value[part], slope[part] = self.tail.sums(*rows, *at_part, log_c[part], sign[part])
        return value, slope


def series_end(phi: AbstractActivation, table: RowTable, plain: Truncation) -> AbstractEnd | None:
    """The better end of a series that leaves `plain` out, or None where there is none."""
    if not phi.kinks or len(phi.kinks) ** 2 > MOST_PAIRS or plain.product[-1] <= ENOUGH:
        return None
    candidates: list[AbstractEnd] = []
    for whole in kink_parts(phi):
        minus = np.zeros_like(table.a)
        for m, more in enumerate(whole.by_order(table.q, table.a.shape[1])):
            if m and not whole.jumps[:, m].any():
                continue
            minus = minus + more
            part = replace(whole, jumps=whole.jumps[:, : m + 1])
            rest = left(table, minus)
            candidates.append(_closed(part, minus, rest, table))
            if phi.kinks == (0.0,) and part.jumps[0, 0] == 0.0 and m:
                candidates.append(_tail(part, rest, plain))
    return min(candidates, key=_badness)


def _badness(end: AbstractEnd) -> float:
    last = end.without.product[-1], end.without.slope[-1]
    return float(max((x + e) / o for x, e, o in zip(last, end.error, _ORDINARY, strict=True)))


def _closed(part: KinkPart, minus: Array, rest: Truncation, table: RowTable) -> ClosedEnd:
    """The error is the rounding of all terms, which may cancel."""
    size = part.size(table.q) ** 2
    ratios = [
        float((s / np.where(x > 0.0, x, 1.0)).max())
        for s, x in ((size, table.square), (size * (part.order + 1.0), table.steep))
    ]
    one, two = (_ROUNDED * EPS * (1.0 + x) for x in ratios)
    return ClosedEnd(rest, (one, two), part, minus, table)


def _tail(part: KinkPart, rest: Truncation, plain: Truncation) -> TailEnd:
    """A tail from as few terms on as its law holds for."""
    good = (rest.product <= 0.2 * ENOUGH) & (rest.slope <= 0.2 * ENOUGH_SLOPE) & (rest.n >= 190)
    found = np.flatnonzero(good)
    last = int(found[0]) if found.size else len(rest.n) - 1
    start = int(rest.n[last])
    start -= start % 2
    own = _TAIL_ERROR * (192.0 / start) ** 2
    error = own * float(plain.product[last]), own * float(plain.slope[last])
    return TailEnd(rest.up_to(int(rest.n[last])), error, KinkTail(part.jumps[0], start))
