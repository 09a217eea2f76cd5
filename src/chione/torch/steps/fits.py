"""Exponents in the width: slopes of logarithms, with the noise of seeds."""

from __future__ import annotations

import math

import numpy as np

from chione.base import Array

_STANDARD_ERRORS = 3.0


def slope(logs: Array, values: list[list[float]]) -> tuple[float, float]:
    """Slope over log n and its error, from models of each width."""
    y = np.array(values)
    x = logs - logs.mean()
    weight = x / (x @ x)
    found = float(weight @ y.mean(axis=1))
    each = y.var(axis=1, ddof=1) / y.shape[1]
    noise = math.sqrt(float(weight**2 @ each))
    return found, _STANDARD_ERRORS * noise + 1e-9


def bend(logs: Array, values: list[list[float]]) -> float:
    """How far the slope may be off because the points lie on no straight line.

    The slopes of the narrower and of the wider half of the widths stand apart: half of what the
    noise does not explain of that.
    """
    if len(logs) < 3:
        return 0.0
    order = np.argsort(logs)
    middle = len(order) // 2
    halves = []
    for part in (order[: middle + 1], order[middle:]):
        if len(part) < 2:
            return 0.0
        halves.append(slope(logs[part], [values[i] for i in part]))
    (one, first), (two, second) = halves
    return max(0.0, 0.5 * (abs(one - two) - math.hypot(first, second)))
