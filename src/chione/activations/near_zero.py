r"""A user's formula next to zero, where cancellation leaves it few digits of its own size.

:math:`e^x - 1` loses all of them at x = 1e-16, :math:`1 - \cos x` at 1e-8. Their second derivative
does not, and Taylor's theorem with the remainder as an integral brings it back:

.. math:: f(x) = f(0) + f'(0)\,x + x^2 \int_0^1 (1 - s) f''(s x)\,ds, \qquad
   f'(x) = f'(0) + x \int_0^1 f''(s x)\,ds

Where the second derivative is zero at zero, as that of :math:`2 / (1 + e^{-2x}) - 1` is, it has the
rounding of the other terms itself, and the value is brought back from the first one:

.. math:: f(x) = f(0) + x \int_0^1 f'(s x)\,ds

Each integral is a smooth function of x. Where it keeps its size down to zero, or hardly counts
beside the terms before it, one Chebyshev fit takes its place: ten points of a formula for each x
would be most of what a kernel costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.activations import chebyshev
from chione.activations.chebyshev import Panels, Subject
from chione.activations.steady import noise_of
from chione.base import EPS, Array

RADIUS = 0.125  # beyond it the cancellation costs three bits at most
OCTAVES = np.arange(4.0, 45.0, 4.0)
NOISY = 16.0 * EPS
LEVEL = 0.25  # smallest over largest value: a fit of less has lost digits where it is small
_X, _W = np.polynomial.legendre.leggauss(10)
_S, _W = 0.5 * (_X + 1.0), 0.5 * _W


@dataclass(frozen=True)
class NearZero:
    """Value or derivative of a function on one side of zero.

    Parameters
    ----------
    side : {-1, 1}
        The side.
    order : {0, 1}
        The value, or the first derivative.
    at_zero : tuple of float
        f(0) and f'(0) from this side.
    highest : {1, 2}
        Order of the derivative it is brought back from.
    derivative : callable
        That derivative.
    radius : float
        How far this goes.
    """

    side: int
    order: int
    at_zero: tuple[float, float]
    highest: int
    derivative: Callable[[Array], Array]
    radius: float

    def __call__(self, x: Array) -> Array:
        """At points x (n,) of this side, closer to zero than the radius."""
        value, slope = self.at_zero
        with np.errstate(under="ignore"):
            if self._fit is None:
                inside = self._mean(x)
            else:
                panel = np.zeros(len(x), dtype=np.intp)
                inside = chebyshev.evaluate(self._fit, panel, x, 0)
            if self.highest == 1:
                return np.asarray(value + x * inside)
            if self.order:
                return np.asarray(slope + x * inside)
            return np.asarray(value + x * (slope + x * inside))

    def _mean(self, x: Array) -> Array:
        """The integral over s at points x (n,)."""
        inside = self.derivative((x[:, None] * _S).ravel()).reshape(len(x), len(_S))
        weights = _W if self.highest == 1 or self.order else _W * (1.0 - _S)
        return np.asarray(inside @ weights)

    @cached_property
    def _fit(self) -> Panels | None:
        """The integral as a series in x, where that is as accurate next to zero too."""
        ends = sorted((0.0, self.side * self.radius))
        # what is fitted is a mean of a sharp derivative: no cancellation, hence no floor
        mean = Subject(self._mean, np.ones(1), np.zeros(1))
        panels = chebyshev.fit(mean, np.array(ends[:1]), np.array(ends[1:]))
        if not panels.resolved[0]:
            return None
        size = np.abs(self._mean(self.side * self.radius * np.linspace(1e-9, 1.0, 40)))
        before = abs(self.at_zero[1 if self.highest == 2 else 0])
        counts = self.radius * size.max() > before  # somewhere more than the term before it
        if counts and size.min() < LEVEL * size.max():
            return None
        return Panels(
            panels.low,
            panels.high,
            np.where(
                np.abs(panels.coefficients) < 0.1 * EPS * size.max(), 0.0, panels.coefficients
            ),
            panels.noise,
            panels.resolved,
            panels.finite,
        )

    def agrees(self, f: Callable[[Array], Array]) -> bool:
        """Whether this is what the formula gives where that still has its digits."""
        x = self.side * self.radius * np.linspace(0.5, 1.0, 20)
        with np.errstate(all="ignore"):
            ours, theirs = self(x), f(x)
        size = abs(self.at_zero[self.order]) + np.abs(ours) + np.abs(x * self.at_zero[1])
        return bool(np.all(np.abs(ours - theirs) <= 64.0 * EPS * np.maximum(size, 0.1)))


def is_noisy(f: Subject, side: int, radius: float = RADIUS) -> bool:
    """Whether f loses digits of its own size on some octave between 2^-44 and the radius."""
    high = radius * 2.0 ** (OCTAVES[0] - OCTAVES)
    ends = np.stack([0.5 * high, high])
    low, high = ends if side > 0 else -ends[::-1]
    panels = chebyshev.fit(f, low, high)
    noise, settled = noise_of(panels)  # what does not settle is a steep place, not noise
    size = np.max(np.abs(panels.coefficients), axis=1)
    # what has died away from there, like a narrow bump, is too steep for an octave and lost nothing
    smooth = np.where(noise <= 1e-6 * size, size, 0.0)
    within = np.maximum.accumulate(smooth[::-1])[::-1]
    return bool(np.any(settled & (size >= EPS * within) & (noise > NOISY * size + 1e-290)))
