"""Bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chione.base import Array

_SCAN = 400  # points at which bands are looked for
_DENSE = 1e-7  # density that tells a band from a gap: a square root is this large at 1e-14


def scanned_bands(
    density: Callable[[Any], Array], low: float, high: float, atoms: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """Intervals of positive density inside [low, high], ends found by bisection."""
    margin = 1e-3 * (high - low)
    u = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, _SCAN))
    start = low if low == 0.0 else low - margin
    x = start + (high + margin - start) * u
    x = x[(x != 0.0)]
    on = density(x) > _DENSE
    if on[0]:
        x, on = np.concatenate([[start], x]), np.concatenate([[False], on])
    change = np.nonzero(on[1:] != on[:-1])[0]
    inner = np.where(on[change], x[change], x[change + 1])
    outer = np.where(on[change], x[change + 1], x[change])
    for _ in range(46):
        mid = 0.5 * (inner + outer)
        is_on = density(mid) > _DENSE
        inner, outer = np.where(is_on, mid, inner), np.where(is_on, outer, mid)
    ends = np.sort(0.5 * (inner + outer))
    out = [(float(a), float(b)) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
    return tuple(sorted([*out, *((a, a) for a, _ in atoms)]))
