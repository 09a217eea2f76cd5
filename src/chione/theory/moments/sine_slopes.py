r"""Slopes of sines, in their logarithm: they are smaller than any float64 long before xi is zero.

For :math:`\phi(x) = b + a \sin(\omega x + \theta)`, with :math:`p = \omega^2 q`,

.. math:: E\,\phi'(u_1)\phi'(u_2) = \tfrac12 a^2 \omega^2 \left(e^{-p (1 - c)}
   + \cos 2\theta\, e^{-p (1 + c)}\right), \qquad
   \tfrac{d}{dq} E\,\phi^2 = a^2 \omega^2 \cos 2\theta\, e^{-2p}
   - a b\,\omega^2 \sin\theta\, e^{-p/2}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array

_POINTS = np.linspace(-1.0, 1.0, 33) + 0.0107  # off the zeros of sine and cosine
_SAME = 1e-12  # of the largest second derivative: a sine obeys phi'' = -omega^2 (phi - b)


@dataclass(frozen=True)
class Sine:
    """The parameters a, omega, theta and b."""

    a: float
    omega: float
    theta: float
    b: float

    def log_slope_kernel(self, q: Array, gap: Array) -> Array:
        """Log |E phi' phi'| at variance q and correlation 1 - gap."""
        p = self.omega**2 * q
        double = math.cos(2.0 * self.theta)
        with np.errstate(all="ignore"):
            # the second exponent is the smaller one by 2 p c
            rest = np.log(np.abs(1.0 + double * np.exp(-2.0 * p * (1.0 - gap))))
            return np.asarray(np.log(0.5 * (self.a * self.omega) ** 2) - p * gap + rest)

    def log_length_slope(self, q: Array) -> Array:
        """Log |dE phi^2 / dq|."""
        p = self.omega**2 * q
        first = self.a**2 * math.cos(2.0 * self.theta)
        second = -self.a * self.b * math.sin(self.theta)
        with np.errstate(all="ignore"):
            if abs(second) > EPS * abs(first):
                size = np.log(np.abs(second + first * np.exp(-1.5 * p))) - 0.5 * p
            else:
                size = np.log(abs(first)) - 2.0 * p
            return np.asarray(size + 2.0 * math.log(self.omega))

    def error(self, q: Array, gap: Array, q_error: Array, gap_error: Array) -> Array:
        """Error of the logarithms from those of q and of the gap (2 for that of lengths)."""
        p = self.omega**2 * q
        return np.asarray(
            self.omega**2 * gap * q_error + p * gap_error + 16.0 * EPS * (1.0 + p * gap)
        )


@lru_cache(maxsize=128)
def as_sine(phi: AbstractActivation) -> Sine | None:
    """The parameters, if the activation is a sine to rounding."""
    if phi.kinks:
        return None
    with np.errstate(all="ignore"):
        value, bent = phi.value(_POINTS), phi.second_derivative(_POINTS)
        scale = float(np.abs(bent).max())
        if not 0.0 < scale < np.inf or not np.all(np.isfinite(value)):
            return None
        slope, start = np.polyfit(value, bent, 1)
        if np.abs(slope * value + start - bent).max() > _SAME * scale or slope >= 0.0:
            return None
        omega, b = math.sqrt(-slope), -start / slope
        b = 0.0 if abs(b) <= _SAME * float(np.abs(value).max()) else float(b)
        at = np.zeros(1)
        sine, cosine = float(phi.value(at)[0]) - b, float(phi.derivative(at)[0]) / omega
    theta = math.atan2(sine, cosine)
    return Sine(math.hypot(sine, cosine), omega, 0.0 if abs(theta) <= _SAME else theta, b)


def depth_scales_of_logs(log_slope: Array, error: Array) -> tuple[Array, Array]:
    """-1 / log|slope| with its error, from the logarithm."""
    with np.errstate(all="ignore"):
        value = -1.0 / log_slope
        return value, error * value**2 + 4.0 * EPS * np.abs(value)
