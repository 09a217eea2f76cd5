r"""How far one can go along a step until the loss is back where it was.

With s the slope and :math:`\varphi(t) = (L(t) - L(0)) / t`, the root of :math:`\varphi` is found
between brackets by the secant, which on a quadratic loss is exact at once.

References
----------
[1] D. S. Kalra, M. Barkeshli (2026), critical sharpness, arXiv 2605.21486.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_FAR = 1e12  # steps beyond which the loss counts as never rising
_JUMP = 30.0  # at most so much further in one go


@dataclass(frozen=True)
class Crossing:
    """Where the loss is back at its start, in steps.

    Parameters
    ----------
    value, error : float
        The place, and half the bracket around it; inf and inf where the loss does not rise, and
        how far was looked, with the error inf, where the evaluations did not suffice.
    evaluations : int
        Of the loss.
    """

    value: float
    error: float
    evaluations: int


def crossing(
    loss: Callable[[float], float],
    start: float,
    slope: float,
    *,
    rtol: float,
    most: int,
    first: float = 1.0,
) -> Crossing:
    """The first place t > 0 that is found where loss(t) = start.

    Parameters
    ----------
    loss : callable
        Of t; what is not finite counts as above.
    start, slope : float
        loss(0) and its derivative there, below zero.
    rtol : float
        Relative width of the bracket to end with.
    most : int
        At most so many evaluations.
    first : float
        Where to look first.
    """
    low, at_low = 0.0, slope
    high, at_high = math.inf, math.nan
    below, above = slope, math.nan  # what was found at both ends; the others may have lost weight
    t, jump = first, 2.0
    for count in range(1, most + 1):
        value = loss(t)
        phi = (value - start) / t
        if math.isfinite(phi) and phi < 0.0:
            if high < math.inf:
                at_high *= 0.5  # Illinois: the end that stays loses weight
            low, at_low, below = t, phi, phi
        else:
            at_low = 0.5 * at_low if high < math.inf and low > 0.0 else at_low
            high, at_high = t, phi if math.isfinite(phi) else -8.0 * slope
            above = at_high
        if low > _FAR * first:
            return Crossing(math.inf, math.inf, count)
        if low > 0.0 and high <= low * (1.0 + rtol):
            break
        t = _next(low, at_low, high, at_high, slope, rtol, jump)
        jump = min(4.0 * jump, 1e3)  # a loss that flattens is followed in longer and longer jumps
    if high == math.inf:
        return Crossing(low, math.inf, count)
    root = min(max(_secant(low, below, high, above), low), high)
    return Crossing(root, max(root - low, high - root), count)


def _secant(low: float, at_low: float, high: float, at_high: float) -> float:
    return low - at_low * (high - low) / (at_high - at_low) if at_high > at_low else high


def _next(
    low: float, at_low: float, high: float, at_high: float, slope: float, rtol: float, jump: float
) -> float:
    """Where to look next: the secant, a little beyond it on the side that is further away."""
    if high == math.inf:
        bend = (at_low - slope) / low  # of the parabola through 0 and low
        root = -slope / bend if bend > 0.0 else math.inf
        return min(max(root * (1.0 + 0.4 * rtol), jump * low), max(_JUMP, jump) * low)
    root = _secant(low, at_low, high, at_high)
    if low == 0.0:
        return max(root * (1.0 - 0.4 * rtol), high / _JUMP)
    nudged = root * (1.0 + 0.4 * rtol if root - low < high - root else 1.0 - 0.4 * rtol)
    if not low * (1.0 + 0.1 * rtol) < nudged < high / (1.0 + 0.1 * rtol):
        return math.sqrt(low * high)
    return nudged
