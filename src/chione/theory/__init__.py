"""Infinite width, exact: moments, maps, fixed points, phases, depth scales."""

from chione.theory.moments import (
    derivative_second_moment,
    fourth_moment,
    length_slope,
    mean,
    second_moment,
)

__all__ = [
    "derivative_second_moment",
    "fourth_moment",
    "length_slope",
    "mean",
    "second_moment",
]
