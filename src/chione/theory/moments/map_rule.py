r"""One layer for pairs of inputs from its compiled map, for any activation.

What the map does not resolve, and inputs of zero, comes from integrals one by one. The distance of
nearly equal inputs is that of two inputs on one ray and what turning adds, neither a difference:

.. math:: D = E\,[\phi(\sqrt{q_1} z) - \phi(\sqrt{q_2} z)]^2
   + 2 \sqrt{q_1 q_2} \int_0^{1 - c} R\,d\gamma, \qquad
   E\,[\ldots]^2 = \tfrac14 t^2\,E\,(u \phi')^2\,(1 + O(t)), \qquad t = \log \frac{q_1}{q_2}
"""

# ruff: noqa: D102  (the methods are documented once, in AbstractPairRule)

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, cost
from chione.theory.moments.layer_map import LayerMap, layer_map
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_rules import (
    AbstractPairRule,
    ClosedRule,
    QuadratureRule,
    SeriesRule,
    Side,
    parity,
)
from chione.theory.moments.pair_series import Series

_PER_OCTAVE = 4  # ends of maps: other lengths that are much like these find the same map
_WIDER = 8.0  # factor by which a map may reach beyond the lengths of one layer, to hold all layers
_NARROWER = 0.1  # of the range of a map: one over so much less may hold where that does not
_NEAR = 1e-4  # 1 - |c| below which the distance is integrated; else the difference has ten digits
_ALIKE = 1e-4  # log of the ratio of lengths below which two inputs on one ray differ by a slope
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_ROOTS = 0.5 * (_POINTS + 1.0)  # of 1 - c over its end, in which R is smooth whatever the kinks
_SHARES = _WEIGHTS * _ROOTS


class MapRule(AbstractPairRule):
    """The compiled map of a layer over the lengths of both sides.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    compiled : LayerMap
        Its map.
    sides : tuple of ndarray
        Lengths of both sides.
    quick : bool
        Whether there are to be no integrals: what the map does not hold is refused.
    """

    seconds: ClassVar[float] = 2e-6
    _last: tuple[Any, ...] | None = None  # what the last block was, with its R

    def __init__(
        self,
        act: AbstractActivation,
        compiled: LayerMap,
        sides: tuple[Array, Array],
        quick: bool = False,
    ) -> None:
        self._quick = quick
        self._act, self.compiled, self._parity = act, compiled, parity(act)
        self._slow, self._jumps = QuadratureRule(act), moments(act).has_jumps
        first = _own(act, sides[0])
        self._own = first, first if sides[1] is sides[0] else _own(act, sides[1])

    def kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        value, slope = self._both(one.q, two.q, gap, sign)
        self._last = (gap, sign, one.index, two.index, slope)
        size = np.sqrt(one.square) * np.sqrt(two.square)
        error = self.compiled.errors(gap)[0] * size
        same = (gap == 0.0) & (sign > 0.0) & (one.q == two.q) & (one.q > 0.0)
        if same.any():  # E phi^2, which needs no map
            value[same] = np.broadcast_to(one.square, same.shape)[same]
            error[same] = self._broadcast(1, one, same.shape)[same]
        lost = np.isnan(value)
        if lost.any():
            self._mend(0, (one, two), (gap, sign), lost, (value, error, size))
        return value, error

    def slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        last = self._last
        if last and last[0] is gap and last[1] is sign and last[2] is one.index:
            value = last[4].copy()
        else:
            value = self._both(one.q, two.q, gap, sign)[1]
        top = np.sqrt(self._broadcast(2, one, gap.shape) * self._broadcast(2, two, gap.shape, 1))
        size = np.maximum(top, np.abs(np.nan_to_num(value)))
        error = self.compiled.errors(gap)[1] * size
        same = (gap == 0.0) & (sign > 0.0) & (one.q == two.q) & (one.q > 0.0)
        if same.any() and not self._jumps:  # E phi'^2
            value[same], error[same] = (self._broadcast(k, one, same.shape)[same] for k in (2, 3))
        lost = np.isnan(value)
        if self._jumps:  # infinite at c = 1
            at_end = lost & (gap == 0.0)
            value[at_end], error[at_end] = np.inf, np.inf
            lost &= ~at_end
        if lost.any():
            self._mend(1, (one, two), (gap, sign), lost, (value, error, size))
        return value, error

    def paired_kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.kernel(one, two, gap, sign)

    def paired_slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.slope(one, two, gap, sign)

    def _broadcast(self, row: int, side: Side, shape: tuple[int, ...], which: int = 0) -> Array:
        """What is known of single lengths, beside the entries of a block or a list."""
        values = self._own[which][row][side.index]
        if len(shape) == 2 and which == 0:
            values = values[:, None]
        return np.broadcast_to(values, shape)

    def _both(self, q1: Array, q2: Array, gap: Array, sign: Array) -> tuple[Array, Array]:
        """K and R, NaN where the map does not hold."""
        alive = (q1 > 0.0) & (q2 > 0.0)
        if np.all(alive):
            return self.compiled.both(q1, q2, gap, sign)
        value, slope = (np.full(gap.shape, np.nan) for _ in range(2))
        q1, q2, alive = np.broadcast_arrays(q1, q2, alive)
        value[alive], slope[alive] = self.compiled.both(
            q1[alive], q2[alive], gap[alive], sign[alive]
        )
        return value, slope

    def _mend(
        self,
        which: int,
        sides: tuple[Side, Side],
        angle: tuple[Array, Array],
        lost: NDArray[np.bool_],
        out: tuple[Array, Array, Array],
    ) -> None:
        """K (0) or R (1) of the entries `lost`, from a map of their own lengths or by integrals.

        A map over a wide range of lengths is as good as at its worst length.
        """
        q1, q2 = (np.broadcast_to(s.q, lost.shape) for s in sides)
        alive = lost & (q1 > 0.0) & (q2 > 0.0)
        if alive.any():
            both = np.concatenate([q1[alive], q2[alive]])
            ends = _ends(float(both.min()), float(both.max()))
            if ends[1] / ends[0] < _NARROWER * self.compiled.q_high / self.compiled.q_low:
                own = _found(self._act, *ends)
                if own is not None:
                    g = angle[0][alive]
                    found = own.both(q1[alive], q2[alive], g, angle[1][alive])[which]
                    out[1][alive] = own.errors(g)[which] * out[2][alive]
                    out[0][alive] = found
                    lost = lost & np.isnan(out[0])
        if lost.any():
            self._integrate(which, (q1, q2), angle, lost, out)

    def _integrate(
        self,
        which: int,
        lengths: tuple[Array, Array],
        angle: tuple[Array, Array],
        lost: NDArray[np.bool_],
        out: tuple[Array, Array, Array],
    ) -> None:
        """Integrals for the entries `lost`; without a length nothing depends on the angle."""
        if self._quick:
            raise ConvergenceError(f"The map of {self._act} does not hold for some pairs.")
        q1, q2 = (q[lost] for q in lengths)
        gap, sign = (x[lost] for x in angle)
        still = (q1 == 0.0) | (q2 == 0.0)
        gap, sign = np.where(still, 1.0, gap), np.where(still, 1.0, sign)
        rows = np.stack([q1, q2, gap, sign])
        rows, back = np.unique(rows, axis=1, return_inverse=True)
        cost.tick()  # integrals take between 2 and 30 ms: no estimate is any good
        one, two = (Side(q, q, slice(None)) for q in rows[:2])
        rule = self._slow.slope if which else self._slow.kernel
        value, error = rule(one, two, rows[2], rows[3])
        back = back.ravel()
        out[0][lost], out[1][lost] = value[back], error[back]

    def distance(
        self, one: Side, two: Side, ratio: Array, gap: Array, sign: Array, kept: Array
    ) -> tuple[Array, Array]:
        out, error = np.full(gap.shape, np.nan), np.full(gap.shape, np.nan)
        if self._jumps:  # an input and itself: rounding would come back as its root in each layer
            same = (gap == 0.0) & (ratio == 0.0) & (sign > 0.0)
            out[same], error[same] = 0.0, 0.0
            return out, error
        like = (kept > 0.0) & ((sign > 0.0) | (self._parity == 1))
        like |= (kept < 0.0) & (sign < 0.0) & (self._parity == -1)
        same = like & (gap == 0.0) & (ratio == 0.0)
        out[same], error[same] = 0.0, 0.0
        like &= ~same & (gap < _NEAR) & (np.abs(ratio) < _ALIKE) & (one.q > 0.0) & (two.q > 0.0)
        if not like.any():
            return out, error
        q1, q2, g, t = one.q[like], two.q[like], gap[like], ratio[like]
        size = np.sqrt(q1) * np.sqrt(q2)
        gaps = g[:, None] * _ROOTS**2
        values = self.compiled.slope(q1[:, None], q2[:, None], gaps)
        turned = 2.0 * size * g * (values @ _SHARES)
        apart = t * t * self.turn(Side(size, size, slice(None)))
        own = self.compiled.errors(g)[1] + 1e-8 * np.sqrt(g / _NEAR) ** 4 + 8.0 * EPS
        bend = 2.0 * np.abs(t) if self._act.kinks else 100.0 * t * t
        out[like] = apart + turned
        error[like] = np.abs(turned) * own + apart * (bend + 1e-12)
        return out, error

    def turn(self, side: Side) -> Array:
        return self._slow.turn(side)


def _own(act: AbstractActivation, q: Array) -> Array:
    """E phi^2 and E phi'^2 of single lengths, each with its error, (4, n); jumps have no slope."""
    m = moments(act)
    found = [
        np.asarray(x) for e in (m.square(q), m.derivative_square(q)) for x in (e.value, e.error)
    ]
    if m.has_jumps:
        found[2], found[3] = np.ones_like(q), np.ones_like(q)
    return np.stack(found)


def pair_rule(
    act: AbstractActivation,
    q1: Array,
    q2: Array,
    before: AbstractPairRule | None = None,
    reach: tuple[float, float] | None = None,
    quick: bool = False,
) -> AbstractPairRule:
    """The quickest rule that holds for these lengths.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    q1, q2 : ndarray
        Lengths of both sides.
    before : AbstractPairRule, optional
        That of the layer before, which serves again where it can.
    reach : tuple of float, optional
        Least and greatest length above zero in all layers.
    quick : bool
        Whether there are to be no integrals of single pairs.

    Raises
    ------
    ConvergenceError
        If there is no quick rule and none else was wanted.
    """
    if act.closed_forms.kernel is not None and act.closed_forms.difference is not None:
        return ClosedRule(act)
    compiled = _map(act, q1, q2, before, reach)
    if compiled is not None:
        return MapRule(act, compiled, (q1, q2), quick)
    known = before.series if isinstance(before, SeriesRule) else None
    series = Series.of(act, np.concatenate([q1, q2]), known)
    if series is not None:
        return SeriesRule(series, (q1, q2))
    if quick:
        raise ConvergenceError(f"{act} has no map at these lengths.")
    return QuadratureRule(act)


def _map(
    act: AbstractActivation,
    q1: Array,
    q2: Array,
    before: AbstractPairRule | None,
    reach: tuple[float, float] | None,
) -> LayerMap | None:
    """The map over these lengths, if there is one: that of the layer before where it holds."""
    alive = [q[q > 0.0] for q in (q1, q2)]
    if not any(q.size for q in alive):
        return None
    low, high = (float(f(np.concatenate(alive))) for f in (np.min, np.max))
    if isinstance(before, MapRule):
        known = before.compiled
        if known.q_low <= low and high <= known.q_high:
            return known
    if reach is not None and reach[1] / reach[0] <= _WIDER * high / low:
        low, high = min(low, reach[0]), max(high, reach[1])
    return _found(act, *_ends(low, high))


def _ends(low: float, high: float) -> tuple[float, float]:
    """Ends of the map for a range of lengths, in whole steps."""
    first = float(np.floor(_PER_OCTAVE * np.log2(low)))
    last = max(float(np.ceil(_PER_OCTAVE * np.log2(high))), first + 1.0)
    return 2.0 ** (first / _PER_OCTAVE), 2.0 ** (last / _PER_OCTAVE)


@lru_cache(maxsize=64)
def _found(act: AbstractActivation, low: float, high: float) -> LayerMap | None:
    """The map of a range, or None; that there is none is kept as well."""
    try:
        return layer_map(act, low, high)
    except ConvergenceError:
        return None
