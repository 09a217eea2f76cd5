"""Multiplication by what is no signal: a number, or a parameter."""

from __future__ import annotations

import math

from chione.networks import Scale


def scale_of(mean_square: float) -> Scale:
    """The scale with this mean square; a gain for each channel counts with its mean square."""
    return Scale(math.sqrt(mean_square) if 0.0 <= mean_square < math.inf else 0.0)
