"""Infinite width, exact: moments, maps, fixed points, phases, depth scales."""

from chione.theory.affine_solutions import (
    AffineSolution,
    critical_affine,
    normalizing_affine,
    normalizing_parameter,
)
from chione.theory.correlation_map import (
    correlation_map,
    derivative_kernel,
    kernel,
    one_minus_correlation_map,
)
from chione.theory.criticality import Criticality, CriticalPoint, criticality
from chione.theory.depth_curves import Trajectory, trajectory
from chione.theory.fixed_points import FixedPoint, FixedPoints, fixed_points
from chione.theory.initialization import Recommendation, describe_scheme, gain
from chione.theory.kernel_map import KernelMap, kernel_map
from chione.theory.length_map import chi_parallel, chi_perp, length_map
from chione.theory.moments import (
    derivative_second_moment,
    fourth_moment,
    length_slope,
    mean,
    second_moment,
)
from chione.theory.phase import MeanField, depth_scale, mean_field
from chione.theory.power_laws import PowerLaw

__all__ = [
    "AffineSolution",
    "CriticalPoint",
    "Criticality",
    "FixedPoint",
    "FixedPoints",
    "KernelMap",
    "MeanField",
    "PowerLaw",
    "Recommendation",
    "Trajectory",
    "chi_parallel",
    "chi_perp",
    "correlation_map",
    "critical_affine",
    "criticality",
    "depth_scale",
    "derivative_kernel",
    "derivative_second_moment",
    "describe_scheme",
    "fixed_points",
    "fourth_moment",
    "gain",
    "kernel",
    "kernel_map",
    "length_map",
    "length_slope",
    "mean",
    "mean_field",
    "normalizing_affine",
    "normalizing_parameter",
    "one_minus_correlation_map",
    "second_moment",
    "trajectory",
]
