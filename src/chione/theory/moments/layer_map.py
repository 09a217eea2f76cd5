r"""One layer as a compiled map of two lengths and an angle, for any activation.

.. math:: K = E\,\phi(u_1)\phi(u_2) = \sum_n a_n(q_1)\,a_n(q_2)\,c^n, \qquad
   R = E\,\phi'(u_1)\phi'(u_2) = \frac{\partial K}{\partial q_{12}}

A smooth phi needs a few dozen terms, or a few hundred next to :math:`|c| = 1`. With kinks the
series ends slowly there, and what the kinks contribute is summed in closed form or to infinity
(:mod:`~chione.theory.moments.series_end`), however near the two inputs are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import Array, ConvergenceError
from chione.theory.moments.layer_sums import Index, Rows, cut, sums
from chione.theory.moments.moments import moments
from chione.theory.moments.row_table import RowTable, exact_table, row_table
from chione.theory.moments.series_end import AbstractEnd, Side, series_end
from chione.theory.moments.truncation import ENOUGH, ENOUGH_SLOPE, Truncation, truncation

_SIZES = (192, 512, 1408)  # numbers of coefficients that are tried
_MOST = 4224  # tried where the two inputs nearly agree and less does not hold
_WIDE = 3e4  # ratio of lengths beyond which so many would be a burden
_HOPE = 30.0  # times what is wanted: more than this is not worth so many
_WANTED = 1e-11  # of the product next to |c| = 1, relative: beyond, pairs count as unresolved
_WANTED_SLOPE = 2e-9
_GOOD, _GOOD_SLOPE = 1e-14, 1e-13  # what is left at |c| = 1 with which no more terms are tried
_LARGE = 1 << 18  # pairs at a time
_BLOCK = 1 << 12  # pairs with lengths of their own at a time
_BESIDE = 1e-12  # 1 - |c| at which a map is to hold: at zero itself a jump has no slope
_MANY = 288  # terms beyond which the closed form of the kinks is quicker
_TOUCHING = 1e-32  # 1 - |c| below which inputs lie on one ray


@dataclass(frozen=True, eq=False)
class LayerMap:
    r"""E phi(u1) phi(u2) and E phi'(u1) phi'(u2) over a range of lengths and all angles.

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    table : RowTable
        Its Hermite coefficients.
    plain : Truncation
        What the series leaves out.
    end : AbstractEnd, optional
        How it ends next to :math:`|c| = 1` where phi has kinks.
    """

    activation: AbstractActivation
    table: RowTable
    plain: Truncation
    end: AbstractEnd | None

    @property
    def q_low(self) -> float:
        """Smallest length."""
        return self.table.low

    @property
    def q_high(self) -> float:
        """Largest length."""
        return self.table.high

    @property
    def last(self) -> Truncation:
        """What is left out next to |c| = 1."""
        return self.plain if self.end is None else self.end.without

    @property
    def product_error(self) -> float:
        r"""Bound on the error of K relative to :math:`\sqrt{E\phi(u_1)^2 E\phi(u_2)^2}`.

        It holds for all pairs that are resolved.
        """
        return self._worst(0)

    @property
    def slope_error(self) -> float:
        r"""Bound on the error of R relative to :math:`\sqrt{E\phi'(u_1)^2 E\phi'(u_2)^2}`.

        For jumps, where these are infinite, of R sqrt(1 - \|c\|) relative to the same sums over 64
        coefficients.
        """
        return self._worst(1)

    def _worst(self, which: int) -> float:
        gap = np.concatenate([[0.0], np.geomspace(1e-12, 1.0, 400)])
        known = self.resolved(gap)
        size = self.ends(gap) if which else 1.0
        return float((self.errors(gap)[which] * size)[known].max(initial=0.0))

    def errors(self, gap: Any) -> tuple[Array, Array]:
        """Bounds on the errors of K and R at 1 - |c|, relative as the attributes are."""
        gap = np.asarray(gap, dtype=np.float64)
        with np.errstate(divide="ignore"):
            log_c = np.log1p(-gap)
        own = self.table.error + 4.0 * ENOUGH, self.table.steep_error + 4.0 * ENOUGH_SLOPE
        closed = self._ended(log_c)
        out = []
        for which in range(2):
            error = own[which] + self.plain.left_out(log_c)[which]
            if self.end is not None:
                rest = self.end.without.left_out(log_c)[which] + self.end.error[which]
                error = np.where(closed, own[which] + rest, error)
            out.append(np.asarray(error))
        return out[0], out[1] / self.ends(gap)

    def ends(self, gap: Array) -> Array:
        """What R is multiplied by so that it stays finite at c = 1."""
        if not moments(self.activation).has_jumps:
            return np.ones_like(gap)
        return np.asarray(np.sqrt(np.maximum(gap, _TOUCHING)))

    def resolved(self, gap: Any) -> NDArray[np.bool_]:
        """Whether the map holds at 1 - |c|; elsewhere its values are NaN."""
        product, slope = self._resolved(np.asarray(gap, dtype=np.float64))
        return product & slope

    @cached_property
    def _everywhere(self) -> bool:
        """Whether nothing is unresolved: errors are largest at |c| = 1, of either way to sum."""
        gap = np.concatenate([[0.0], np.geomspace(1e-16, 1.0, 500)])
        return bool(np.all(self.resolved(gap)))

    def _resolved(self, gap: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The same for K and for R."""
        product, slope = self.errors(gap)
        ends = self.ends(gap)
        held = (slope * ends <= _WANTED_SLOPE) & ((gap > 0.0) | (ends == 1.0))
        return np.asarray(product <= _WANTED), np.asarray(held)

    def _ended(self, log_c: Array) -> NDArray[np.bool_]:
        """Where the series is not summed by its terms alone."""
        if self.end is None:
            return np.zeros(np.shape(log_c), dtype=bool)
        terms, enough = self.plain.terms(log_c)
        return np.asarray((terms > _MANY) | ~enough)

    def product(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> Array:
        """K at lengths that broadcast, at 1 - |c| and the sign of c."""
        return self.both(q1, q2, gap, sign)[0]

    def slope(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> Array:
        """R, likewise."""
        return self.both(q1, q2, gap, sign)[1]

    def both(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> tuple[Array, Array]:
        """K and R in one pass, of the broadcast shape; NaN where the map does not hold."""
        every = [np.asarray(x, dtype=np.float64) for x in (q1, q2, gap, sign)]
        shape = np.broadcast_shapes(*(x.shape for x in every))
        size = int(np.prod(shape))
        if size <= _LARGE:
            return self._both(*every)
        value, slope = np.empty(shape), np.empty(shape)
        step = max(1, _LARGE // (size // shape[0]))
        for start in range(0, shape[0], step):
            part = slice(start, start + step)
            value[part], slope[part] = self._both(*(cut(x, part, len(shape)) for x in every))
        return value, slope

    def _both(self, q1: Array, q2: Array, gap: Array, sign: Array) -> tuple[Array, Array]:
        """The same of so many pairs that working arrays are no burden."""
        shape = np.broadcast_shapes(q1.shape, q2.shape, gap.shape, sign.shape)
        full = shape or (1,)
        gap, sign = np.broadcast_to(gap, full), np.broadcast_to(sign, full)
        with np.errstate(divide="ignore"):
            log_c = np.log1p(-gap)
        ended = self._ended(log_c)
        terms = np.where(ended, 0, self.plain.terms(log_c)[0])
        last = np.zeros_like(terms)
        if self.end is not None:
            last[ended] = self.end.terms(log_c[ended])
        q1, q2 = q1.reshape(q1.shape or (1,)), q2.reshape(q2.shape or (1,))
        angle = gap, sign, log_c
        if max(q1.size, q2.size) == gap.size > _BLOCK:  # lengths of its own for every pair
            value, slope = np.empty(full), np.empty(full)
            lengths = [np.broadcast_to(q, full).ravel() for q in (q1, q2)]
            flat = [x.ravel() for x in angle]
            order = np.argsort(terms + last, axis=None)
            for start in range(0, len(order), _BLOCK):
                at = order[start : start + _BLOCK]
                one, two = (q[at] for q in lengths)
                here = flat[0][at], flat[1][at], flat[2][at]
                found = self._sums(one, two, here, terms.flat[at], last.flat[at])
                value.reshape(-1)[at], slope.reshape(-1)[at] = found
        else:
            value, slope = self._sums(q1, q2, angle, terms, last)
        slope = slope / (np.sqrt(q1) * np.sqrt(q2))
        if not self._everywhere:
            held = self._resolved(gap)
            value[~held[0]], slope[~held[1]] = np.nan, np.nan
        return value.reshape(shape), slope.reshape(shape)

    def _sums(
        self, q1: Array, q2: Array, angle: tuple[Array, Array, Array], terms: Index, last: Index
    ) -> tuple[Array, Array]:
        """K and dK/dc by so many terms; by `last` terms and the end of the series elsewhere."""
        n = int(max(terms.max(initial=1), last.max(initial=1)))
        one = self._side(q1, n)
        two = self._side(q2, n)
        gap, sign, log_c = angle
        c = sign * (1.0 - gap)
        value, slope = sums(Rows(one.a, one.index), Rows(two.a, two.index), c, terms)
        ended = last > 0
        if self.end is None or not ended.any():
            return value, slope
        k, r = sums(self.end.rows(one), self.end.rows(two), c, last)
        i, j = (np.broadcast_to(s.index, c.shape)[ended] for s in (one, two))
        more = self.end.rest(one, two, (i, j), (gap[ended], sign[ended], log_c[ended]))
        value[ended], slope[ended] = k[ended] + more[0], r[ended] + more[1]
        return value, slope

    def _side(self, q: Array, n: int) -> Side:
        """The different lengths and their first `n` coefficients."""
        different, index = np.unique(q, return_inverse=True)
        tolerance = 1e-9  # of interpolation beyond its ends, which is harmless
        if different.size and not (
            different[0] >= self.q_low * (1.0 - tolerance)
            and different[-1] <= self.q_high * (1.0 + tolerance)
        ):
            raise ConvergenceError(
                f"this map holds for lengths from {self.q_low:.6g} to {self.q_high:.6g}, not for "
                f"{different[0]:.6g} to {different[-1]:.6g}."
            )
        a = self.table.at(different, self.table.a[:, :n])
        return Side(different, a, index.reshape(q.shape))


@lru_cache(maxsize=16)  # of a few megabytes each at most
def layer_map(phi: AbstractActivation, q_low: float, q_high: float) -> LayerMap:
    """The compiled map of an activation for lengths in [q_low, q_high], kept for the next call.

    Raises
    ------
    ConvergenceError
        If phi has no Hermite coefficients in float64 there, or is too rough for them.
    """
    return _smallest(phi, lambda n: row_table(phi, q_low, q_high, n))


@lru_cache(maxsize=64)
def layer_map_at(phi: AbstractActivation, lengths: tuple[float, ...]) -> LayerMap:
    """The same for a few lengths, rising, and no others."""
    return _smallest(phi, lambda n: exact_table(phi, lengths, n))


def _smallest(phi: AbstractActivation, table: Callable[[int], RowTable]) -> LayerMap:
    """The map of as few coefficients as hold everywhere, or of as many as there may be."""
    best: LayerMap | None = None
    todo = list(_SIZES)
    while todo:
        n = todo.pop(0)
        if best is not None and todo and best.last.falls_short(n, _GOOD, _GOOD_SLOPE):
            n, todo = todo[0], [n]  # the most at once; the skipped one if that cannot be
        try:
            found = _with_table(phi, table(n))
        except ConvergenceError:  # more nodes than there may be: fewer terms have to do
            if best is None:
                raise
            continue
        best, last = found, found.last
        if n == _SIZES[-1] or (last.product[-1] <= _GOOD and last.slope[-1] <= _GOOD_SLOPE):
            break
    assert best is not None
    far = best.last.falls_short(_MOST, _HOPE * _WANTED, _HOPE * _WANTED_SLOPE)
    if not best.resolved(_BESIDE) and not far and best.q_high <= _WIDE * best.q_low:
        with suppress(ConvergenceError):
            return _with_table(phi, table(_MOST))
    return best


def _with_table(phi: AbstractActivation, table: RowTable) -> LayerMap:
    plain = truncation(table)
    return LayerMap(phi, table, plain, series_end(phi, table, plain))
