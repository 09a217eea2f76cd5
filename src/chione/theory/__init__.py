"""Infinite width, exact: moments, maps, fixed points, phases, depth scales."""

from chione.theory.affine_solutions import (
    AffineSolution,
    critical_affine,
    normalizing_affine,
    normalizing_parameter,
)
from chione.theory.basins import Basins, basins
from chione.theory.correlation_map import (
    correlation_map,
    derivative_kernel,
    kernel,
    one_minus_correlation_map,
)
from chione.theory.critical_line import CriticalLine, critical_line
from chione.theory.criticality import Criticality, CriticalPoint, criticality
from chione.theory.deep_trajectory import deep_trajectory
from chione.theory.depth_curves import Trajectory, trajectory
from chione.theory.diagram import PhaseDiagram, phase_diagram
from chione.theory.finite_width import FiniteWidth, Trust, finite_width, mean_square_variance, trust
from chione.theory.fixed_points import FixedPoint, FixedPoints, fixed_points
from chione.theory.gradients import BackwardPass, Tradeoff, backward, tradeoff
from chione.theory.initialization import describe_scheme, gain
from chione.theory.kernel_map import KernelMap, kernel_map
from chione.theory.kernels import KernelLayers, kernel_diagonal, kernel_layers, nngp, ntk
from chione.theory.large_depth import DeepRun, LargeDepth, iterate_lengths, large_depth
from chione.theory.length_map import chi_parallel, chi_perp, length_map
from chione.theory.metric_covariance import MetricCovariance, metric_covariance
from chione.theory.moments import (
    derivative_second_moment,
    fourth_moment,
    length_slope,
    mean,
    second_moment,
)
from chione.theory.norm_slope import first_order_slope, normalized_slope
from chione.theory.phase import MeanField, depth_scale, mean_field
from chione.theory.power_laws import PowerLaw
from chione.theory.process_kernel import process_kernel
from chione.theory.recommendation import Recommendation
from chione.theory.stability import (
    NormFixedPoint,
    NormMap,
    NormStability,
    norm_map,
    norm_stability,
)

__all__ = [
    "AffineSolution",
    "BackwardPass",
    "Basins",
    "CriticalLine",
    "CriticalPoint",
    "Criticality",
    "DeepRun",
    "FiniteWidth",
    "FixedPoint",
    "FixedPoints",
    "KernelLayers",
    "KernelMap",
    "LargeDepth",
    "MeanField",
    "MetricCovariance",
    "NormFixedPoint",
    "NormMap",
    "NormStability",
    "PhaseDiagram",
    "PowerLaw",
    "Recommendation",
    "Tradeoff",
    "Trajectory",
    "Trust",
    "backward",
    "basins",
    "chi_parallel",
    "chi_perp",
    "correlation_map",
    "critical_affine",
    "critical_line",
    "criticality",
    "deep_trajectory",
    "depth_scale",
    "derivative_kernel",
    "derivative_second_moment",
    "describe_scheme",
    "finite_width",
    "first_order_slope",
    "fixed_points",
    "fourth_moment",
    "gain",
    "iterate_lengths",
    "kernel",
    "kernel_diagonal",
    "kernel_layers",
    "kernel_map",
    "large_depth",
    "length_map",
    "length_slope",
    "mean",
    "mean_field",
    "mean_square_variance",
    "metric_covariance",
    "nngp",
    "norm_map",
    "norm_stability",
    "normalized_slope",
    "normalizing_affine",
    "normalizing_parameter",
    "ntk",
    "one_minus_correlation_map",
    "phase_diagram",
    "process_kernel",
    "second_moment",
    "tradeoff",
    "trajectory",
    "trust",
]
