r"""Pairs of inputs through one layer, carried as 1 - \|c\| and the ratio of their lengths.

.. math:: 1 \mp c' = \frac{\sigma_w^2 D_\pm + (2 \sigma_b)^2 [c' < 0]
   - (\sqrt{V_1} - \sqrt{V_2})^2}{2 \sqrt{V_1 V_2}}, \qquad
   \frac{\partial c'}{\partial c} = \sigma_w^2 R\,\sqrt{\frac{q_1 q_2}{V_1 V_2}}

with D the mean square of the difference (or the sum) of both activations: the biases cancel in
it, and so does everything that E phi phi would round. Errors go through the same map with its
slope. What an error of the lengths does is bounded by how fast the activations turn with them,
:math:`r = |\partial_{\log q} \hat\phi|`: the angle moves by :math:`r^2 |\log(q_1/q_2)|` times the
error of that logarithm, or by :math:`r \sqrt{2 (1 - |c'|)}` times that of each length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.theory.depth.pair_inputs import Block, Listed, Pairs
from chione.theory.moments.map_rule import pair_rule
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_rules import AbstractPairRule, Side

Index = tuple[NDArray[np.intp], ...]

_NEAR = 0.05  # 1 - |c'| below which it is taken from the distance of the two inputs
_SHORT = 3e-3  # log(q1 / q2) below which moments are subtracted through their slopes
_UNBOUNDED = 1e200  # what an infinite mean square counts as: finite when divided by lengths
_TURN_FROM_SLOPE = 1e-3  # relative step of q for the second derivative of E phi^2


@dataclass(frozen=True)
class Scale:
    """Variances of weights and biases over the square of their largest standard deviation."""

    w2: float
    b2: float
    unit: float

    @classmethod
    def of(cls, sigma_w: float, sigma_b: float) -> Scale:
        """The scale of one network; squares of large sigmas would overflow."""
        unit = max(sigma_w, sigma_b) or 1.0
        return cls((sigma_w / unit) ** 2, (sigma_b / unit) ** 2, unit)

    def times(self, x: Any) -> Array:
        """The product of x with the square of the unit, infinite where float64 ends."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.unit * x * self.unit)


@dataclass(frozen=True)
class LayerLengths:
    r"""Lengths of the inputs of one side at one layer and what the layer makes of them, (n,) each.

    Parameters
    ----------
    q, error : ndarray
        Mean squares of the pre-activations and their relative error.
    square : ndarray
        E phi^2.
    after : ndarray
        V in units of the scale.
    own : ndarray
        Relative error of V at exact q.
    pull : ndarray
        :math:`d \log V / d \log q`.
    slope, bend, slope_error : ndarray
        First and second derivative of E phi^2 in log q, relative error of the first.
    turn : ndarray
        :math:`r^2 / 2` as above.
    leap : ndarray
        The part of 1 - c' that jumps contribute for each unit of log(q1 / q2).
    """

    q: Array
    error: Array
    square: Array
    after: Array
    own: Array
    pull: Array
    slope: Array
    bend: Array
    slope_error: Array
    turn: Array
    leap: Array

    def next(self, scale: Scale) -> tuple[Array, Array]:
        """Lengths one layer on, with their relative error."""
        return scale.times(self.after), self.pull * self.error + self.own + 2.0 * EPS


@dataclass(frozen=True)
class Step:
    r"""What a layer makes of a block of pairs.

    Parameters
    ----------
    value, value_error : ndarray
        Covariance of the next pre-activations.
    product, product_error : ndarray
        E phi phi.
    slope, slope_error : ndarray
        :math:`\sigma_w^2 R`, zero where it was not asked for.
    pairs : Pairs
        Angles one layer on.
    """

    value: Array
    value_error: Array
    product: Array
    product_error: Array
    slope: Array
    slope_error: Array
    pairs: Pairs


class PairLayer:
    """One layer, for all pairs of the inputs of two sides.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    scale : Scale
        Weights and biases.
    one, two : tuple of ndarray
        Lengths and their relative errors on both sides.
    before : PairLayer, optional
        The layer before, whose preparations serve again where they can.
    reach : tuple of float, optional
        Least and greatest length above zero in all layers.
    quick : bool
        Whether there are to be no integrals of single pairs.
    """

    def __init__(
        self,
        act: AbstractActivation,
        scale: Scale,
        one: tuple[Array, Array],
        two: tuple[Array, Array],
        before: PairLayer | None = None,
        reach: tuple[float, float] | None = None,
        quick: bool = False,
    ) -> None:
        self._scale = scale
        self.rule: AbstractPairRule = pair_rule(
            act, one[0], two[0], before.rule if before else None, reach, quick
        )
        self.one = _lengths(act, self.rule, scale, *one)
        self.two = self.one if two is one else _lengths(act, self.rule, scale, *two)

    def advance(self, pairs: Pairs, at: Block | Listed, with_slope: bool) -> Step:
        """The next covariances, angles and their errors of some of the pairs."""
        s, (one, two) = self._scale, (_of(x, k) for x, k in zip(self._both, at.keys, strict=True))
        left, right = (Side(x.q, x.square, k) for x, k in zip((one, two), at.sides, strict=True))
        kernel = self.rule.kernel if isinstance(at, Block) else self.rule.paired_kernel
        k, k_error = kernel(left, right, pairs.gap, pairs.sign)
        norm = np.sqrt(one.after) * np.sqrt(two.after)
        alive = norm > 0.0
        size = np.where(alive, norm, 1.0)
        covariance = s.w2 * k + s.b2
        c = np.where(alive, covariance / size, 0.0)
        kept = np.where(c < 0.0, -1.0, 1.0)
        gap = np.clip(1.0 - np.abs(c), 0.0, 1.0)
        own = s.w2 * k_error / size + 0.5 * np.abs(c) * (one.own + two.own) + 4.0 * EPS
        ratio, ratio_own = self._ratio(pairs, one, two)
        near = np.nonzero((gap < _NEAR) & alive)
        if near[0].size:
            self._from_distance(pairs, at, near, kept[near], (ratio, ratio_own), (gap, own))
        rule = self.rule.slope if isinstance(at, Block) else self.rule.paired_slope
        slope, slope_own, steep = _slopes(rule, (left, right), pairs, with_slope)
        carried = _times(s.w2 * np.sqrt(one.q) * np.sqrt(two.q) / size * steep, pairs.gap_error)
        carried = np.where(alive, carried + _moved(pairs, one, two, gap), 0.0)
        pull = 0.5 * (one.pull * one.error + two.pull * two.error)
        value_error = s.w2 * k_error + size * carried + np.abs(covariance) * (pull + 2.0 * EPS)
        ratio_error = np.maximum(one.pull, two.pull) * pairs.ratio_error + ratio_own
        after = Pairs(gap, kept, np.minimum(own + carried, 1.0), ratio, ratio_error)
        return Step(
            s.times(covariance),
            s.times(value_error),
            k,
            value_error / s.w2 if s.w2 else k_error,
            s.times(s.w2 * slope),
            s.times(s.w2 * slope_own),
            after,
        )

    @property
    def _both(self) -> tuple[LayerLengths, LayerLengths]:
        return self.one, self.two

    def _ratio(self, pairs: Pairs, one: LayerLengths, two: LayerLengths) -> tuple[Array, Array]:
        """Logarithm of the ratio of the next lengths, and what the layer adds to its error."""
        t, w2 = pairs.ratio, self._scale.w2
        with np.errstate(divide="ignore", invalid="ignore"):
            direct = np.log(one.after) - np.log(two.after)
            step = t * (0.5 * (one.slope + two.slope) - t / 12.0 * (one.bend - two.bend))
            short = np.where(np.abs(t) < _SHORT, np.log1p(w2 * step / two.after), np.nan)
        known = np.isfinite(short)
        ratio = np.where(known, short, np.where(np.isfinite(direct), direct, 0.0))
        relative = np.maximum(one.slope_error, two.slope_error) + 3.0 * (one.error + two.error)
        far = one.own + two.own + 4.0 * EPS * (1.0 + np.abs(ratio))
        return ratio, np.where(known, np.abs(ratio) * (relative + 1e-12), far)

    def _from_distance(
        self,
        pairs: Pairs,
        at: Block | Listed,
        near: Index,
        kept: Array,
        ratios: tuple[Array, Array],
        out: tuple[Array, Array],
    ) -> None:
        """Replace 1 - |c'| of nearly equal and opposite pairs, where that is more accurate."""
        s = self._scale
        first, second = at.places(near, len(self.two.q))
        one, two = _of(self.one, first), _of(self.two, second)
        d, d_error = self.rule.distance(
            Side(one.q, one.square, first),
            Side(two.q, two.square, second),
            pairs.ratio[near],
            pairs.gap[near],
            pairs.sign[near],
            kept,
        )
        root1, root2 = np.sqrt(one.after), np.sqrt(two.after)
        # sqrt V1 - sqrt V2 from the logarithm of their ratio
        t = np.expm1(0.5 * ratios[0][near]) * root2
        t_error = 0.5 * ratios[1][near] * root1
        biases = np.where(kept < 0.0, 4.0 * s.b2, 0.0)
        found = (s.w2 * d + biases - t * t) / (2.0 * root1 * root2)
        error = (s.w2 * d_error + 2.0 * np.abs(t) * t_error + t_error**2) / (2.0 * root1 * root2)
        error += 8.0 * EPS * (np.abs(found) + biases)
        better = error < out[1][near]
        places = tuple(x[better] for x in near)
        out[0][places] = np.clip(found[better], 0.0, 1.0)
        out[1][places] = error[better]


def _slopes(
    rule: Callable[..., tuple[Array, Array]],
    sides: tuple[Side, Side],
    pairs: Pairs,
    with_slope: bool,
) -> tuple[Array, Array, Array]:
    """R, its error, and the steepest R within the error of the angle."""
    gap, error = pairs.gap, pairs.gap_error
    if not with_slope:
        # R falls at most as fast as the inverse root of 1 - c, as at a jump
        steep = np.abs(rule(*sides, np.maximum(gap, error), pairs.sign)[0])
        none = np.zeros(gap.shape)
        return none, none, steep * np.where(8.0 * error > gap, 4.0, 1.0)
    value, own = rule(*sides, gap, pairs.sign)
    reach = np.maximum(error, gap / 64.0)
    beside, _ = rule(*sides, np.minimum(gap + reach, 1.0), pairs.sign)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = 2.5 * np.abs(beside - value) * np.where(reach > 0.0, error / reach, 0.0)
    return value, own + moved, np.abs(value) + moved


def _lengths(
    act: AbstractActivation, rule: AbstractPairRule, scale: Scale, q: Array, error: Array
) -> LayerLengths:
    m = moments(act)
    square = m.square(q)
    s = np.asarray(square.value)
    if not np.all(np.isfinite(s)):
        raise ConvergenceError(f"E phi^2 of {act} has no value in float64 at lengths {q.max():g}.")
    after = scale.w2 * s + scale.b2
    size = np.where(after > 0.0, after, 1.0)
    factors = np.array([1.0, 1.0 + _TURN_FROM_SLOPE, 1.0 - _TURN_FROM_SLOPE])[:, None]
    at = m.slope(factors * q)  # at the length and beside it, (3, n)
    first, above, below = np.nan_to_num(q * np.asarray(at.value))
    above, below = above * (1.0 + _TURN_FROM_SLOPE), below * (1.0 - _TURN_FROM_SLOPE)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope_error = np.nan_to_num(np.asarray(at.error)[0] / np.abs(np.asarray(at.value)[0]))
    stretch = rule.turn(Side(q, s, slice(None)))
    if q.max() > 1e150 and np.any(np.isinf(stretch)):
        raise ConvergenceError(f"Slopes of {act} have no value in float64 at lengths {q.max():g}.")
    stretch = np.nan_to_num(stretch, posinf=_UNBOUNDED)
    turn = scale.w2 * stretch / size - (0.5 * scale.w2 * first / size) ** 2
    return LayerLengths(
        q,
        error,
        s,
        after,
        scale.w2 * np.asarray(square.error) / size,
        scale.w2 * np.abs(first) / size,
        first,
        (above - below) / (2.0 * _TURN_FROM_SLOPE),
        slope_error,
        0.5 * np.maximum(turn, 0.0) + 1e-3 * scale.w2 * stretch / size,
        scale.w2 * _leap(m.jumps, q) / size,
    )


def _leap(jumps: tuple[tuple[float, float], ...], q: Array) -> Array:
    """Half the mean square that a jump contributes while the length changes by one e-fold."""
    out = np.zeros_like(q)
    root = np.sqrt(np.where(q > 0.0, q, 1.0))
    for k, size in jumps:
        z = np.abs(k) / root
        out += 0.25 * size**2 * z * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return out


def _moved(pairs: Pairs, one: LayerLengths, two: LayerLengths, gap: Array) -> Array:
    """What errors of both lengths make of 1 - |c'|."""
    each = np.sqrt(2.0 * one.turn) * one.error + np.sqrt(2.0 * two.turn) * two.error
    anyhow = each * np.sqrt(2.0 * gap)
    turn, t = np.maximum(one.turn, two.turn), np.abs(pairs.ratio)
    common = (1.0 + one.pull + two.pull) * (one.error + two.error) * gap
    close = turn * (2.0 * t + pairs.ratio_error) * pairs.ratio_error + common
    leap = 2.0 * np.maximum(one.leap, two.leap) * pairs.ratio_error
    return np.asarray(np.where(t < 0.5, np.minimum(anyhow, close), anyhow) + leap)


def _times(slope: Array, error: Array) -> Array:
    """Slope times error, where an infinite slope meets no error at all."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(error > 0.0, np.minimum(slope * error, 1.0), 0.0)


def _of(lengths: LayerLengths, key: Any) -> LayerLengths:
    return LayerLengths(*(getattr(lengths, name)[key] for name in lengths.__dataclass_fields__))
