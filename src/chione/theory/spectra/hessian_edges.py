r"""Edges of the law of a sum of parts: real critical points of z(F).

.. math:: z'(F) = 1 - S(F), \qquad S(F) = \sum_i \int \frac{d\rho_i(t)}{(F - t)^2}

S is convex between the carriers of rho: beyond the outermost ones it falls to zero and crosses 1
once; between two of them it crosses 1 twice, or not at all, which is where a gap closes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import copysign, exp, log

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS
from chione.theory.spectra.hessian_parts import AbstractPart

Carrier = tuple[float, float, float]
_LOWEST = 1e-300
_FAR = 700.0  # logits: exp of them is still a float64


def bands(parts: Sequence[AbstractPart]) -> tuple[tuple[float, float], ...]:
    """Intervals of Re F over which a sum of parts has a density, from below."""
    carriers = _merged([c for p in parts for c in p.carrier if c[2] > 0.0])
    if len(carriers) == 1 and carriers[0][0] == carriers[0][1]:
        a, _, weight = carriers[0]
        root = float(np.sqrt(weight))
        return ((a - root if a != weight else root * (root - 1.0), a + root),)
    far = 1.01 * np.sqrt(sum(c[2] for c in carriers))
    first, last = carriers[0], carriers[-1]
    ends = [first[0] - _crossing(parts, first[0], -1.0, _near(first), far)]
    for left, right in pairwise(carriers):
        a, b = left[1], right[0]
        below, above = _lowest(parts, a, b)
        if _share(parts, a, below) < 1.0:
            ends.append(a + _crossing(parts, a, 1.0, _near(left), below))
            ends.append(b - _crossing(parts, b, -1.0, _near(right), above))
    ends.append(last[1] + _crossing(parts, last[1], 1.0, _near(last), far))
    return tuple((float(a), float(b)) for a, b in zip(ends[0::2], ends[1::2], strict=True))


def _sum(parts: Sequence[AbstractPart], at: float, d: float, power: int) -> float:
    """Integral of (at + d - t)^-power: the distance d keeps its digits beside a pole at `at`."""
    out = 0.0
    for p in parts:
        spread = False
        for low, high, weight in p.carrier:
            spread = low != high
            size = ((at - low) + d) ** power
            out += weight / size if size != 0.0 else copysign(np.inf, size)
        if spread:  # instead of the poles that it does not have
            f = at + d
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                term = float(np.real(-p.slope(f) if power == 2 else 0.5 * p.bend(f)))
            return np.inf if np.isnan(term) else term + _sum(_others(parts, p), at, d, power)
    return out


def _others(parts: Sequence[AbstractPart], part: AbstractPart) -> list[AbstractPart]:
    return [p for p in parts if p is not part]


def _share(parts: Sequence[AbstractPart], at: float, d: float) -> float:
    return _sum(parts, at, d, 2)


def _crossing(
    parts: Sequence[AbstractPart], at: float, side: float, low: float, high: float
) -> float:
    """The distance from `at` at which S = 1; 0 where S lies below 1 up to a spread carrier."""

    def f(log_d: float) -> float:
        return log(_share(parts, at, side * exp(log_d)))

    a, b = float(np.log(low)), float(np.log(high))
    if f(a) <= 0.0:
        return 0.0 if low == _LOWEST else low
    return float(np.exp(_root(f, a, b))) if f(b) < 0.0 else high


def _near(carrier: Carrier) -> float:
    """A distance at which S > 1: a pole alone makes it 1 at the root of its weight."""
    low, high, weight = carrier
    return 0.99 * float(np.sqrt(weight)) if low == high else _LOWEST


def _lowest(parts: Sequence[AbstractPart], a: float, b: float) -> tuple[float, float]:
    """Distances from a and from b of the lowest point of S between two carriers."""

    def split(u: float) -> tuple[float, float]:
        return (b - a) / (1.0 + np.exp(-u)), (b - a) / (1.0 + np.exp(u))

    def slope(u: float) -> float:
        below, above = split(u)
        at, d = (a, below) if u < 0.0 else (b, -above)
        return float(np.clip(_sum(parts, at, d, 3), -1e300, 1e300))

    if slope(-_FAR) <= 0.0 or slope(_FAR) >= 0.0:
        return split(-_FAR if slope(-_FAR) <= 0.0 else _FAR)
    # bisection: the slope runs through hundreds of decades, which a secant cannot follow
    low, high = -_FAR, _FAR
    for _ in range(70):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    return split(0.5 * (low + high))


def _merged(carriers: list[Carrier]) -> list[Carrier]:
    """Sorted carriers, those that overlap or touch as one."""
    out: list[Carrier] = []
    for low, high, weight in sorted(carriers):
        if out and low <= out[-1][1]:
            a, b, w = out.pop()
            out.append((a, max(b, high), w + weight))
        else:
            out.append((low, high, weight))
    return out


def _root(f: Callable[[float], float], a: float, b: float) -> float:
    return float(brentq(f, a, b, xtol=1e-15, rtol=4.0 * EPS))
