"""Newton's method for many roots at once, each kept inside a bracket of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chione.base.estimate import EPS, Array

Function = Callable[[Array, NDArray[np.intp]], tuple[Array, Array, Array]]

_STEPS = 80  # bisection alone would take 60 to the last bit
_FULL_STEPS = 2  # steps of all roots, before those that have settled are left out


def bracketed_newton(
    f: Function, low: Array, high: Array, start: Array, *, logarithmic: bool = False
) -> Array:
    r"""Roots of functions that are above zero at `low` and below zero at `high`.

    .. math:: x \leftarrow x - \frac{f(x)}{f'(x)}, \qquad
       \text{or the middle of the bracket where that leaves it}

    Parameters
    ----------
    f : callable
        Called as ``f(x, index)`` with the places x, shape (k,), of the roots numbered `index`;
        returns f, f' and the size below which f is nothing but rounding. Where f' is not known it
        is NaN, and the bracket is halved.
    low, high, start : ndarray, shape (n,)
        Brackets and first guesses.
    logarithmic : bool
        Whether brackets, of positive x then, are halved in log x.

    Returns
    -------
    ndarray, shape (n,)
        Each root stops at a step of four units in the last place, or where f is rounding: next to
        a double root that moves x for ever.
    """
    x, low, high = start.copy(), low.copy(), high.copy()
    active = np.arange(x.size)
    for step in range(_STEPS):
        if active.size == 0:
            break
        at = x[active]
        value, slope, noise = f(at, active)
        left = np.where(value > 0.0, at, low[active])
        right = np.where(value > 0.0, high[active], at)
        with np.errstate(all="ignore"):
            new = at - value / slope
        outside = ~((new >= left) & (new <= right))
        middle = np.sqrt(left * right) if logarithmic else 0.5 * (left + right)
        new[outside] = middle[outside]
        x[active], low[active], high[active] = new, left, right
        if step >= _FULL_STEPS:
            moved = np.abs(new - at) > 4.0 * EPS * np.abs(at)
            active = active[moved & (np.abs(value) > noise)]
    return x
