r"""A user's formula beyond the point where something inside it overflows.

In float64 :math:`\log(1 + e^x)` is infinite above x = 709.78 and :math:`e^x / (1 + e^x)` is no
number, though both are a straight line there. Where a formula stops to be finite while its values
up to that point are a short polynomial in x to rounding, or have died away, it goes on as that.
A function that does overflow itself, such as :math:`e^x`, is neither and is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array

DEGREES = (0, 1, 2, 3)  # x^3 times a sigmoid is the steepest that people write
SAMPLES = 41
STRAIGHT = 1e-13  # of the largest value: what the polynomial may miss
DIED = 8.0 * EPS  # of the largest value anywhere: below it the rest is taken as zero
LEAVES = 1e-9  # of its size: a derivative that is off by more has underflowed on the way
SURE = 0.98  # of the last finite point: next to it a factor may have overflowed already


@dataclass(frozen=True)
class Continuation:
    """What a function is on one side beyond its last finite point.

    Parameters
    ----------
    start : float
        From where on, as a distance from zero; ``inf`` where the function needs none.
    coefficients : tuple of float
        Of 1, x, x^2, ...
    """

    start: float
    coefficients: tuple[float, ...]


NONE = Continuation(float("inf"), ())


@dataclass(frozen=True)
class Continued:
    """A function with its two continuations.

    Parameters
    ----------
    f : callable
        (n,) -> (n,), float64.
    left, right : Continuation
        Below -left.start and above right.start.
    """

    f: Callable[[Array], Array]
    left: Continuation
    right: Continuation

    def __call__(self, x: Array) -> Array:
        """The function at x (n,)."""
        with np.errstate(all="ignore"):
            y = self.f(x)
            for side, rest in ((-1.0, self.left), (1.0, self.right)):
                beyond = side * x > rest.start
                if np.any(beyond):
                    y = np.array(y)
                    y[beyond] = np.polynomial.polynomial.polyval(x[beyond], rest.coefficients)
        return y


def continued(f: Callable[[Array], Array], lower: Continued | None = None) -> Continued:
    """Find how `f` goes on where its formula overflows.

    Parameters
    ----------
    f : callable
        (n,) -> (n,), float64.
    lower : Continued, optional
        The function whose derivative `f` is: where that goes on as a polynomial, `f` goes on as
        the derivative of it.
    """
    with np.errstate(all="ignore"):
        return Continued(
            f,
            _beyond(f, -1.0, NONE if lower is None else lower.left),
            _beyond(f, 1.0, NONE if lower is None else lower.right),
        )


def _beyond(f: Callable[[Array], Array], side: float, lower: Continuation) -> Continuation:
    limit = _last_finite(f, side)
    if limit is None:
        return NONE
    if lower.coefficients:
        return _slope(f, side, limit, lower)
    t = np.linspace(0.25, SURE, SAMPLES)
    y = f(side * limit * t)
    near = np.abs(f(np.linspace(-4.0, 4.0, SAMPLES)))
    near = np.append(near[np.isfinite(near)], np.abs(y))
    if np.max(np.abs(y[t > 0.9])) <= DIED * np.max(near):
        return Continuation(SURE * limit, (0.0,))
    for degree in DEGREES:
        c = np.polynomial.polynomial.polyfit(t, y, degree)
        missed = np.max(np.abs(np.polynomial.polynomial.polyval(t, c) - y))
        if missed <= STRAIGHT * np.max(np.abs(y)):
            scaled = c / (side * limit) ** np.arange(degree + 1)
            return Continuation(SURE * limit, tuple(float(x) for x in scaled))
    return NONE


def _slope(
    f: Callable[[Array], Array], side: float, limit: float, lower: Continuation
) -> Continuation:
    """The derivative of a continuation, from where the formula of the derivative leaves it.

    That may be long before it stops to be finite: the square of e^400 is infinite, and one over it
    a zero that means nothing.
    """
    slope = np.polynomial.polynomial.polyder(lower.coefficients)
    t = np.linspace(0.25, SURE, SAMPLES)
    x = side * lower.start / SURE * t
    true = np.polynomial.polynomial.polyval(x, slope)
    size = np.max(np.abs(true)) + np.max(np.abs(f(np.linspace(-4.0, 4.0, SAMPLES))))
    wrong = np.flatnonzero(~(np.abs(f(x) - true) <= LEAVES * size))
    last = t[max(int(wrong[0]) - 1, 0)] if wrong.size else SURE
    start = min(SURE * limit, float(last) * lower.start / SURE)
    return Continuation(start, tuple(float(c) for c in slope))


def _last_finite(f: Callable[[Array], Array], side: float) -> float | None:
    """Distance up to which f is finite, or None where it is finite up to 2^200, or nowhere."""
    grid = 2.0 ** np.arange(2.0, 201.0)
    bad = np.flatnonzero(~np.isfinite(f(side * grid)))
    if not bad.size or bad[0] == 0:
        return None
    low, high = float(grid[bad[0] - 1]), float(grid[bad[0]])
    for _ in range(40):
        middle = 0.5 * (low + high)
        if np.isfinite(f(np.array([side * middle]))[0]):
            low = middle
        else:
            high = middle
    return low
