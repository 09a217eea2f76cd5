r"""Moments of an activation at pairs of Gaussians, pair by pair, from lengths and distances.

.. math:: K' = E\,\phi(u_1)\phi(u_2), \quad D' = E\,(\phi(u_1) - \phi(u_2))^2, \quad
   R = E\,\phi'(u_1)\phi'(u_2), \qquad u \sim N\!\left(0, \begin{pmatrix} q_1 & k \\ k & q_2
   \end{pmatrix}\right), \quad D = q_1 + q_2 - 2k

Given the mean square D of the difference instead of c, nothing cancels where the two are close.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_rules import (
    AbstractPairRule,
    ClosedRule,
    QuadratureRule,
    SeriesRule,
    Side,
)
from chione.theory.moments.pair_series import Series

_RECENT = 8  # sets of lengths that are kept: a block has a few activations
_AHEAD = 4.0  # how far a series reaches beyond lengths that grow from layer to layer
_NEAR = 0.05  # 1 - |c| below which D' does not come from the difference of moments
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Moved:
    """One layer's moments with bounds on their errors, one entry a pair.

    Parameters
    ----------
    kernel, distance, slope : ndarray
        K', D' and R.
    kernel_error, distance_error, slope_error : ndarray
        Bounds on their errors, those of the inputs included.
    """

    kernel: Array
    kernel_error: Array
    distance: Array
    distance_error: Array
    slope: Array
    slope_error: Array


@dataclass(frozen=True)
class Lengths:
    r"""Moments at single lengths, with bounds on their errors.

    Parameters
    ----------
    q, error : ndarray, shape (n,)
        Mean squares and their errors.
    square, square_error, square_own : ndarray
        E phi^2, its error, and what of it the integral itself has (not the lengths).
    mean, mean_error : ndarray
        E phi.
    slope, slope_error : ndarray
        E phi'^2.
    turn : ndarray
        :math:`\sqrt{E (u \phi')^2} / 2`, how fast phi moves with log q.
    """

    q: Array
    error: Array
    square: Array
    square_error: Array
    square_own: Array
    mean: Array
    mean_error: Array
    slope: Array
    slope_error: Array
    turn: Array


class PairMoments:
    """Moments of one activation over one set of lengths.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    q, error : ndarray, shape (n,)
        All mean squares that pairs refer to, and bounds on their errors.
    rule : AbstractPairRule
        What gives the moments at these lengths.
    """

    _pulled_last: tuple[Index, Index, tuple[Array, Array]] | None = None  # the last answer

    def __init__(
        self, act: AbstractActivation, q: Array, error: Array, rule: AbstractPairRule
    ) -> None:
        self.rule = rule
        self.at = _lengths(act, rule, q, error)

    def pairs(self, i: Index, j: Index, d: Array, d_error: Array) -> Moved:
        """Moments of the pairs (i, j) of lengths, at the mean squares `d` of their difference."""
        at = self.at
        q1, q2 = at.q[i], at.q[j]
        root = np.sqrt(q1) * np.sqrt(q2)
        alive = root > 0.0
        size = np.where(alive, root, 1.0)
        step = (np.sqrt(q1) - np.sqrt(q2)) ** 2
        omc = np.clip(np.where(alive, (d - step) / (2.0 * size), 1.0), 0.0, 2.0)
        omc_error = self._angle_error(i, j, omc, d_error, size)
        sign = np.where(omc > 1.0, -1.0, 1.0)
        gap = np.minimum(omc, 2.0 - omc)
        one, two = Side(q1, at.square[i], i), Side(q2, at.square[j], j)
        slope, slope_error, steep = self._slope(one, two, gap, sign, omc_error)
        kernel, own = self._kernel(one, two, sign * (1.0 - gap))
        turned = steep * root * omc_error
        stretched = self._stretched(i, j)
        norm = np.sqrt(at.square[i]) * np.sqrt(at.square[j])
        # |K'| cannot pass the norms, and R may be infinite at c = 1
        turned = np.where(omc_error > 0.0, np.minimum(turned, 2.0 * norm), 0.0)
        error = own + turned + stretched
        distance, distance_error = self._distance(one, two, (gap, sign), (kernel, own))
        common, apart = self._pull(i, j)
        moved = 2.0 * turned + common * distance + apart
        return Moved(kernel, error, distance, distance_error + moved, slope, slope_error)

    def _angle_error(self, i: Index, j: Index, omc: Array, d_error: Array, size: Array) -> Array:
        """What errors of D and of both lengths make of 1 - c."""
        relative = self._relative
        apart = np.abs(np.sqrt(self.at.q[i]) - np.sqrt(self.at.q[j])) / np.sqrt(size)
        lengths = 0.5 * (relative[i] + relative[j])
        own = np.where(i == j, 0.0, 4.0 * EPS * np.minimum(apart + omc, 1.0))
        return np.asarray(d_error / (2.0 * size) + lengths * (omc + apart) + own)

    @cached_property
    def _relative(self) -> Array:
        """Relative errors of the lengths."""
        q = np.where(self.at.q > 0.0, self.at.q, 1.0)
        return np.asarray(self.at.error / q)

    def _stretched(self, i: Index, j: Index) -> Array:
        """What errors of the lengths make of K' at a fixed correlation."""
        at, relative = self.at, self._relative
        root = np.sqrt(at.square)
        return np.asarray(at.turn[i] * root[j] * relative[i] + root[i] * at.turn[j] * relative[j])

    def _pull(self, i: Index, j: Index) -> tuple[Array, Array]:
        """What errors of the lengths make of D': a part of it, and a part that is its own.

        Layers with the same lengths ask for the same pairs, and get the same answer.
        """
        if (
            self._pulled_last is None
            or self._pulled_last[0] is not i
            or self._pulled_last[1] is not j
        ):
            self._pulled_last = i, j, self._pulled(i, j)
        return self._pulled_last[2]

    def _pulled(self, i: Index, j: Index) -> tuple[Array, Array]:
        at, relative = self.at, self._relative
        both = relative[i] + relative[j]
        norm = np.where(at.square > 0.0, np.sqrt(at.square), 1.0)
        rate = at.turn / norm
        common = 2.0 * (2.0 + rate[i] + rate[j]) * both
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.abs(np.log(at.q[i] / at.q[j]))
        ratio = np.where(np.isfinite(ratio), np.minimum(ratio, 1.0), 1.0)
        turn = np.maximum(at.turn[i], at.turn[j]) ** 2
        apart = np.where(i == j, 0.0, 2.0 * turn * (2.0 * ratio + both) * both)
        return common, apart

    def _slope(
        self, one: Side, two: Side, gap: Array, sign: Array, omc_error: Array
    ) -> tuple[Array, Array, Array]:
        """R, its error, and its largest size within the error of the angle."""
        reach = np.maximum(omc_error, gap / 64.0)
        # at the angle and beside it, in one evaluation
        angles = np.concatenate([gap, np.minimum(gap + reach, 1.0)])
        found, errors = self._slopes(_twice(one), _twice(two), angles, np.concatenate([sign, sign]))
        n = len(gap)
        value, own, beside = found[:n], errors[:n], found[n:]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(beside - value) * np.where(reach > 0.0, omc_error / reach, 0.0)
        change = np.where(omc_error > 0.0, 2.5 * np.nan_to_num(change, nan=np.inf), 0.0)
        lengths = np.abs(value) * 4.0 * (self._relative[one.index] + self._relative[two.index])
        return value, own + change + lengths, np.abs(value) + change

    def _slopes(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.rule.paired_slope(one, two, gap, sign)

    def _kernel(self, one: Side, two: Side, c: Array) -> tuple[Array, Array]:
        return self.rule.paired_kernel(one, two, 1.0 - np.abs(c), np.where(c < 0.0, -1.0, 1.0))

    def _distance(
        self, one: Side, two: Side, angle: tuple[Array, Array], kernel: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """D' from the distance rule where the two are close, else from the moments."""
        gap, sign = angle
        at = self.at
        value = one.square + two.square - 2.0 * kernel[0]
        # what the lengths lack moves all three together, and is added by the caller
        error = at.square_own[one.index] + at.square_own[two.index] + 2.0 * kernel[1]
        error = error + 2.0 * EPS * (one.square + two.square)
        near = (gap < _NEAR) & (sign > 0.0) & (one.q > 0.0) & (two.q > 0.0)
        if near.any():
            first, second = (Side(s.q[near], s.square[near], s.index[near]) for s in (one, two))
            ratio, like = np.log(first.q / second.q), np.ones(int(near.sum()))
            found, own = self.rule.distance(first, second, ratio, gap[near], like, like)
            better = np.isfinite(found) & (own < error[near])
            places = np.flatnonzero(near)[better]
            value[places], error[places] = found[better], own[better]
        same = (gap == 0.0) & (sign > 0.0) & (one.index == two.index)
        return np.where(same, 0.0, np.maximum(value, 0.0)), np.where(same, 0.0, error)


def _twice(side: Side) -> Side:
    """The same side two times, one after the other."""
    return Side(*(np.concatenate([x, x]) for x in (side.q, side.square, side.index)))


class Prepared:
    """Moments of one activation along a walk: what one layer prepared serves at later ones.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    """

    def __init__(self, act: AbstractActivation) -> None:
        self._act = act
        self._recent: dict[tuple[bytes, bytes, bool], PairMoments] = {}
        self._series: Series | None = None
        self._misses = 0

    def at(self, q: Array, error: Array, alone: bool = False) -> PairMoments:
        """Those at the mean squares `q` with bounds on their errors, (n,).

        `alone` says that no pairs will be asked for, so that nothing need be prepared for them.
        """
        key = q.tobytes(), error.tobytes(), alone
        found = self._recent.pop(key, None)
        found = found or PairMoments(self._act, q, error, self._rule(q, alone))
        self._recent[key] = found
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return found

    def _rule(self, q: Array, alone: bool) -> AbstractPairRule:
        act, forms = self._act, self._act.closed_forms
        if forms.kernel is not None and forms.difference is not None:
            return ClosedRule(act)
        series = None if alone else self._series_over(q)
        return QuadratureRule(act) if series is None else SeriesRule(series, (q, q))

    def _series_over(self, q: Array) -> Series | None:
        """A series over the lengths; over more than they ask for where they moved before."""
        known = self._series
        series = Series.of(self._act, q, known)
        if series is None or series is known:
            return series
        self._misses += 1
        # a block asks for the same few lengths again and again; lengths that move ask for more
        if self._misses > _RECENT and known is not None:
            low, high = float(q.min()), float(q.max())
            wide = min(known.low, low / _AHEAD), max(known.high, high * _AHEAD)
            series = Series.of(self._act, np.array(wide)) or series
        self._series = series
        return series


def _lengths(act: AbstractActivation, rule: AbstractPairRule, q: Array, error: Array) -> Lengths:
    m = moments(act)
    square, mean, slope = m.square(q), m.mean(q), m.derivative_square(q)
    value = np.asarray(square.value)
    if not np.all(np.isfinite(value)):
        raise ConvergenceError(f"E phi^2 of {act} has no value in float64 at lengths {q.max():g}.")
    turn = np.sqrt(np.maximum(np.nan_to_num(rule.turn(Side(q, value, slice(None)))), 0.0))
    relative = error / np.where(q > 0.0, q, 1.0)
    moved = 2.0 * turn * np.sqrt(value) * relative  # |d E phi^2| <= 2 |d phi| |phi|
    return Lengths(
        q,
        error,
        value,
        np.asarray(square.error) + moved,
        np.asarray(square.error),
        np.asarray(mean.value),
        np.asarray(mean.error) + turn * relative,
        np.asarray(slope.value),
        np.asarray(slope.error) + 4.0 * np.abs(np.asarray(slope.value)) * relative,
        turn,
    )
