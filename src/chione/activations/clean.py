"""Value and derivatives of a user's function with the accidents of its formula taken out.

What overflows inside the formula is continued (:mod:`continuation`), what cancels is fitted
(:mod:`steady`) or, next to zero, brought back from the second derivative (:mod:`near_zero`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from chione.activations import chebyshev
from chione.activations.continuation import Continued, continued
from chione.activations.near_zero import RADIUS, NearZero, is_noisy
from chione.activations.steady import Steady, steady
from chione.base import EPS, Array

Function = Callable[[Array], Array]
UNDERFLOW = 1e-100
STRAIGHT = 1e-10
FAINT = 64.0 * EPS
BESIDE_ZERO = 1e-300  # denormals misbehave


class Clean:
    """A function and up to two derivatives that were given with it.

    Parameters
    ----------
    functions : tuple of callable
        Value, first and second derivative, (n,) -> (n,), as far as they are known.
    kinks : tuple of float
        Where the function breaks, ascending.
    """

    def __init__(self, functions: tuple[Function, ...], kinks: tuple[float, ...]) -> None:
        self._functions, self._kinks = functions, kinks
        self._steady: dict[int, Steady] = {}
        inside = [abs(k) for k in kinks if k != 0.0]
        self._radius = min([RADIUS, *(0.5 * k for k in inside)])

    def __call__(self, order: int, x: Array) -> Array:
        """Value (`order` 0) or derivative (1, 2) at x (n,); NaN where the formula has none."""
        with np.errstate(all="ignore"):
            f = self.steady(order)
            y = f(x)
            lost = np.flatnonzero(~np.isfinite(y) & (np.abs(x) < UNDERFLOW))
            if lost.size:  # the square of x was zero on the way, as in sqrt(x*x)
                y = np.array(y)
                y[lost] = f(np.copysign(UNDERFLOW, x[lost]))
            for near in self._near(order):
                here = np.flatnonzero((near.side * x > 0.0) & (np.abs(x) < near.radius))
                if here.size:
                    y = np.array(y)
                    y[here] = near(x[here])
        return y

    def noise(self, order: int, q: Array, mean: float) -> Array:
        """Root mean square error under N(mean, q) of what stands for the formula, for each q."""
        sides = {near.side: near.radius for near in self._near(order)}
        return self.steady(order).noise(q, mean, (-sides.get(-1, 0.0), sides.get(1, 0.0)))

    def steady(self, order: int) -> Steady:
        """The steadied function of one order, made when it is first asked for."""
        if order not in self._steady:
            lower = self.steady(order - 1) if order else None
            f = chebyshev.subject(self._continued(order))
            self._steady[order] = steady(f, self._kinks, lower, self._around_zero(order, f))
        return self._steady[order]

    def _continued(self, order: int) -> Continued:
        lower = self._continued(order - 1) if order else None
        return continued(self._functions[order], lower)

    def _around_zero(self, order: int, f: chebyshev.Subject) -> tuple[float, float] | None:
        """The interval next to zero that has to be fitted, because nothing better is known."""
        sides = [s for s in (-1, 1) if is_noisy(f, s, self._radius)]
        sides = [
            s for s in sides if order >= self._highest_sharp or not self._begins_well(order, s)
        ]
        if not sides:
            return None
        return (-self._radius if -1 in sides else 0.0, self._radius if 1 in sides else 0.0)

    @cached_property
    def _highest_sharp(self) -> int:
        """Order of the highest derivative that keeps its digits next to zero; 0 for none."""
        return next((order for order in (2, 1) if self._is_sharp(order)), 0)

    def _is_sharp(self, order: int) -> bool:
        if len(self._functions) <= order:
            return False
        try:
            f = chebyshev.subject(self._functions[order])
            x = self._radius * np.linspace(-1.0, 1.0, 40)
            with np.errstate(all="ignore"):
                size, steep = (np.abs(self._functions[k](x)).max() for k in (order, order - 1))
            if not size > STRAIGHT * steep:
                return False  # a straight line, whose bend is all rounding
            return not any(is_noisy(f, side, self._radius) for side in (-1, 1))
        except Exception:  # torch has no second derivative of some functions
            return False

    def _beside(self, side: int) -> Array:
        return np.array([0.0 if 0.0 not in self._kinks else side * BESIDE_ZERO])

    def _at_zero(self, order: int, side: int) -> float:
        """Value or slope at zero: the formula's own, unless that is a rounding error or 0/0."""
        at = self._beside(side)
        with np.errstate(all="ignore"):
            own = float(self._functions[order](at)[0])
            if np.isfinite(own) and self._begins_well(order, side):
                return own
            return float(self.steady(order)(at)[0])

    def _begins_well(self, order: int, side: int) -> bool:
        """Whether the value at zero is no rounding error, as that of cos(x - pi/2) is."""
        with np.errstate(all="ignore"):
            at_zero = float(np.abs(self._functions[order](self._beside(side)))[0])
        return not 0.0 < at_zero < FAINT

    def _near(self, order: int) -> tuple[NearZero, ...]:
        return self._beside_zero[order] if order < self._highest_sharp else ()

    @cached_property
    def _beside_zero(self) -> tuple[tuple[NearZero, ...], ...]:
        """What replaces the value and the slope next to zero, where they lose digits."""
        highest = self._highest_sharp
        found: list[list[NearZero]] = [[] for _ in range(highest)]
        for order in range(highest):
            f = chebyshev.subject(self._functions[order])
            for side in (-1, 1):
                if not is_noisy(f, side, self._radius) or not self._begins_well(order, side):
                    continue
                value, slope = self._at_zero(0, side), self._at_zero(1, side)
                inside = self.steady(highest)
                near = NearZero(side, order, (value, slope), highest, inside, self._radius)
                if near.agrees(self.steady(order)):
                    found[order].append(near)
        return tuple(tuple(n) for n in found)
