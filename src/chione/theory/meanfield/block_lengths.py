r"""Where the lengths of a repeated block lead: fixed points, or how they grow and fade.

.. math:: q_{l+1} = V(q_l), \qquad V(q) / q \to \begin{cases}
   a > 1 & q_l \sim a^l \\ 1 + v / q & q_l \sim v\,l \\
   1 + A\,q^{\beta - 1} & q_l \sim ((1 - \beta) A\,l)^{1 / (1 - \beta)} \\
   B\,q^s & \log q_l \sim (1 + s)^l \end{cases}
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.optimize import brentq

from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ChioneError,
    Estimate,
    Status,
    UnsupportedLayerError,
    missing,
    result,
)
from chione.theory.layers.block import BlockMap
from chione.theory.meanfield.block_law import BlockLaw, power_law
from chione.theory.meanfield.depth_scale import is_critical
from chione.theory.meanfield.limits import leading_power, limit, local_power

LENGTHS: Array = np.geomspace(1e-12, 1e12, 97)
LARGE: Array = 1e2 * 4.0 ** np.arange(9.0)  # where growth is read off, smallest first
SMALL: Array = 1e-4 * 4.0 ** -np.arange(8.0)  # where fading is
_NEAR, _FINER = 0.1, 16  # |V / q - 1| in which the grid is so many times finer
STABLE, UNSTABLE, HALF = "stable", "unstable", "half-stable"


@final
@result
class BlockPoint(AbstractResult):
    """A length that a block keeps.

    Parameters
    ----------
    q : Estimate
        The mean square.
    chi_parallel : Estimate
        Slope of the length map there.
    stability : {"stable", "unstable", "half-stable"}
        Whether lengths nearby move to it.
    """

    q: Estimate
    chi_parallel: Estimate
    stability: str


@dataclass(frozen=True)
class Lengths:
    """What lengths do from a given start.

    Parameters
    ----------
    word : str
        "settle", "stay", "fade", "grow exponentially", "grow linearly", "grow as a power" or
        "grow faster than exponentially".
    points : tuple of BlockPoint
        All fixed points.
    point : BlockPoint or None
        The one that lengths settle at.
    growth : Estimate
        Factor a block of exponential growth or fading, increment v of linear growth, power 1 + s
        of faster growth; missing otherwise.
    law : BlockLaw or None
        The law of q where it is a power.
    homogeneous : bool
        Whether V(q) / q is one number, so that no map depends on q.
    """

    word: str
    points: tuple[BlockPoint, ...]
    point: BlockPoint | None
    growth: Estimate
    law: BlockLaw | None
    homogeneous: bool

    @property
    def grows(self) -> bool:
        """Whether lengths leave every bound."""
        return self.word.startswith("grow")


def lengths_of(block: BlockMap, q0: float, one_minus_c: float = 1.0) -> Lengths:
    """Fixed points of a block's lengths, and where they go from `q0`."""
    start = float(np.clip(q0, LENGTHS[0], LENGTHS[-1]))
    if not np.isfinite(_ratios(block, np.array([start, 1.0]), one_minus_c).value).any():
        raise UnsupportedLayerError(
            "The block's map of lengths has a value at no length: numbers of one length do not "
            "determine what it does."
        )
    ratio = _ratios(block, LENGTHS, one_minus_c)
    known = np.isfinite(ratio.value)
    value, error = np.asarray(ratio.value)[known], np.asarray(ratio.error)[known]
    none = missing(Status.NONE)
    spread = float(value.max() - value.min())
    if spread <= 4.0 * float(error.max() + EPS * abs(value).max()):
        return _homogeneous(block, q0, Estimate(float(value.mean()), float(error.max()) + spread))
    points = _points(block, LENGTHS[known], value, error, one_minus_c)
    here = float(_ratios(block, np.array([start]), one_minus_c).value[0]) - 1.0
    above = [p for p in points if p.q.value > q0]
    below = [p for p in points if p.q.value <= q0 and p.q.value > 0.0]
    near = [p for p in points if abs(p.q.value - q0) <= max(p.q.error, 1e-12 * q0)]
    if near:
        return Lengths("settle", points, near[0], none, None, False)
    if here > 0.0:
        if above:
            return Lengths("settle", points, above[0], none, None, False)
        word, growth, law = _growth(block, one_minus_c)
        return Lengths(word, points, None, growth, law, False)
    if below:
        return Lengths("settle", points, below[-1], none, None, False)
    zero = next((p for p in points if p.q.value == 0.0), None)
    if zero is None:
        raise ChioneError(
            "the lengths of this block fall below 1e-12, and theory finds no point there; "
            "give it other weights."
        )
    return _fading(block, points, zero)


def _ratios(block: BlockMap, q: Array, omc: float) -> Estimate:
    """V(q) / q; NaN where float64 does not hold it."""
    try:
        with np.errstate(all="ignore"):
            return block.value(q, omc) / q
    except (ChioneError, ArithmeticError):
        if len(q) == 1:
            return Estimate(np.array([np.nan]), np.array([np.nan]), np.zeros(1, np.int8))
    halves = [_ratios(block, part, omc) for part in np.array_split(q, 2)]
    columns = ([np.asarray(getattr(h, f)) for h in halves] for f in ("value", "error", "status"))
    return Estimate(*(np.concatenate(c) for c in columns))


def _homogeneous(block: BlockMap, q0: float, ratio: Estimate) -> Lengths:
    """V(q) = a q."""
    zero = BlockPoint(Estimate.exact(0.0), ratio, STABLE if ratio.value < 1.0 else UNSTABLE)
    if is_critical(ratio):
        any_q = BlockPoint(Estimate(q0, 4.0 * EPS * q0, Status.CONTINUUM), ratio, STABLE)
        return Lengths("stay", (any_q,), any_q, missing(Status.CONTINUUM), None, True)
    if ratio.value < 1.0:
        return Lengths("fade", (zero,), zero, ratio, None, True)
    return Lengths("grow exponentially", (zero,), None, ratio, None, True)


def _points(
    block: BlockMap, q: Array, ratio: Array, error: Array, omc: float
) -> tuple[BlockPoint, ...]:
    """Zero, where it is kept, and every crossing of V(q) / q = 1."""
    q, g = _refined(block, q, _told(ratio, error), omc)
    points = [_zero(block)]
    told = np.flatnonzero(g)
    for i, j in itertools.pairwise(told.tolist()):
        if g[i] * g[j] < 0.0:
            points.append(_crossing(block, np.log(q[i]), np.log(q[j]), omc))
    rise = np.diff(g)
    turns = 1 + np.flatnonzero((rise[1:] * rise[:-1] < 0.0) & (np.abs(g[1:-1]) < _NEAR))
    for i in turns.tolist():
        if g[i - 1] * g[i] > 0.0 and g[i] * g[i + 1] > 0.0:
            points += _around(block, np.log(q[i - 1]), np.log(q[i + 1]), omc)
    found = [p for p in points if p is not None]
    return tuple(sorted(found, key=lambda p: float(p.q.value)))


def _zero(block: BlockMap) -> BlockPoint | None:
    """The point q = 0, if the block keeps it."""
    try:
        if block.value(0.0).value != 0.0:
            return None
        slope = limit(np.sqrt(SMALL), block.value(SMALL) / SMALL)
    except ChioneError:
        return None  # a norm divides by zero there
    if slope.value < 1.0 - slope.error:
        return BlockPoint(Estimate.exact(0.0), slope, STABLE)
    if slope.value > 1.0 + slope.error:
        return BlockPoint(Estimate.exact(0.0), slope, UNSTABLE)
    step = block.value(SMALL[:1]).value[0] - SMALL[0]
    return BlockPoint(Estimate.exact(0.0), slope, STABLE if step < 0.0 else UNSTABLE)


def _crossing(block: BlockMap, low: float, high: float, omc: float) -> BlockPoint:
    def g(t: float) -> float:
        return float(block.value(float(np.exp(t)), omc).value) * float(np.exp(-t)) - 1.0

    q = float(np.exp(brentq(g, low, high, xtol=1e-15, rtol=4.0 * EPS, maxiter=200)))
    value, slope = block.value(q, omc), block.slope(q)
    pull = abs(1.0 - slope.value) - slope.error
    miss = abs(value.value - q) + value.error + 4.0 * EPS * q
    error = miss / pull if pull > 0.0 else np.inf
    stability = STABLE if abs(slope.value) < 1.0 else UNSTABLE
    return BlockPoint(Estimate(q, float(error)), slope, stability)


def _told(ratio: Array, error: Array) -> Array:
    """V(q) / q - 1, zero where it is not told from zero."""
    return np.where(np.abs(ratio - 1.0) > 2.0 * error, ratio - 1.0, 0.0)


def _refined(block: BlockMap, q: Array, g: Array, omc: float) -> tuple[Array, Array]:
    """A grid that is finer where V(q) / q comes close to 1 and two crossings may be close."""
    near = np.abs(g) < _NEAR
    cells = np.flatnonzero(near[1:] & near[:-1])
    if len(cells) == 0:
        return q, g
    share = np.arange(1.0, _FINER) / _FINER
    more = (q[cells, None] * (q[cells + 1] / q[cells])[:, None] ** share).ravel()
    ratio = _ratios(block, more, omc)
    every = np.concatenate([q, more])
    values = np.concatenate([g, _told(np.asarray(ratio.value), np.asarray(ratio.error))])
    order = np.argsort(every)
    return every[order], values[order]


def _around(block: BlockMap, low: float, high: float, omc: float) -> list[BlockPoint | None]:
    """Points around a turn of V(q) / q: two crossings, one that touches, or none."""

    def turn(t: float) -> float:
        q = float(np.exp(t))
        return float(block.slope(q).value) - float(block.value(q, omc).value) / q

    if turn(low) * turn(high) >= 0.0:
        return []
    t = float(brentq(turn, low, high, xtol=1e-14))
    q, beside = np.exp([t, low])
    value = block.value(np.array([q, beside]), omc)
    g, known = value.value / np.array([q, beside]) - 1.0, 4.0 * value.error[0] / q + 1e-13
    if abs(g[0]) <= known:
        slope, step = block.slope(float(q)), 1e-3
        bend = abs(turn(t + step) - turn(t - step)) / (2.0 * step)
        error = q * (slope.error + np.sqrt(known)) / bend if bend > 0.0 else np.inf
        return [BlockPoint(Estimate(float(q), float(error)), slope, HALF)]
    if g[0] * g[1] > 0.0:
        return []
    return [_crossing(block, low, t, omc), _crossing(block, t, high, omc)]


def _growth(block: BlockMap, omc: float) -> tuple[str, Estimate, BlockLaw | None]:
    """How lengths grow where nothing stops them."""
    ratio = _ratios(block, LARGE, omc)
    known = np.isfinite(ratio.value)
    q = LARGE[known][::-1]
    ratio = ratio[known][::-1]
    x = q**-0.5
    speed = float(local_power(q, ratio.value)[0])
    if speed > 0.02:
        power = limit(x[1:], _estimate(local_power(q, ratio.value), 1e-12)) + 1.0
        return "grow faster than exponentially", power, None
    factor = limit(x[::-1], ratio[::-1])
    if factor.value - 1.0 > max(1e-7, 4.0 * factor.error):
        return "grow exponentially", factor, None
    steps = block.value(q, omc) - q
    beta = float(local_power(q, steps.value)[0])
    if abs(beta) < 0.05:
        v = limit(x[::-1], steps[::-1])
        return "grow linearly", v, power_law("q", 1.0, v)
    p = 1.0 / (1.0 - beta)
    a = limit(x[::-1], steps[::-1] * q[::-1] ** -beta)
    size: Estimate = a * (1.0 - beta)
    amplitude = size**p
    return "grow as a power", missing(Status.NONE), power_law("q", p, amplitude)


def _estimate(values: Array, error: float) -> Estimate:
    return Estimate(values, np.full(len(values), error), np.zeros(len(values), np.int8))


def _fading(block: BlockMap, points: tuple[BlockPoint, ...], zero: BlockPoint) -> Lengths:
    slope = zero.chi_parallel
    if slope.value < 1.0 - max(2.0 * slope.error, 64.0 * EPS):
        return Lengths("fade", points, zero, slope, None, False)
    found = leading_power(lambda q: q - block.value(q), SMALL)
    law = None
    if found is not None:
        p, kappa = found
        law = power_law("q", -p, (p / kappa) ** p)
    return Lengths("fade", points, zero, missing(Status.CRITICAL), law, False)
