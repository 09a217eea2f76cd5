"""Infinite width, exact: moments, maps, fixed points, phases, depth scales."""

from chione.theory.affine_solutions import (
    AffineSolution,
    critical_affine,
    normalizing_affine,
    normalizing_parameter,
)
from chione.theory.criticality import Criticality, CriticalPoint, criticality
from chione.theory.initialization import Recommendation, describe_scheme, gain
from chione.theory.moments import (
    derivative_second_moment,
    fourth_moment,
    length_slope,
    mean,
    second_moment,
)

__all__ = [
    "AffineSolution",
    "CriticalPoint",
    "Criticality",
    "Recommendation",
    "critical_affine",
    "criticality",
    "derivative_second_moment",
    "describe_scheme",
    "fourth_moment",
    "gain",
    "length_slope",
    "mean",
    "normalizing_affine",
    "normalizing_parameter",
    "second_moment",
]
