"""Infinite width, exact: moments, maps, fixed points, phases, depth scales."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chione.theory.critical.affine_solutions import (
    AffineSolution,
    critical_affine,
    normalizing_affine,
    normalizing_parameter,
)
from chione.theory.critical.critical_line import CriticalLine, critical_line
from chione.theory.critical.critical_point import CriticalPoint
from chione.theory.critical.criticality import Criticality, criticality
from chione.theory.critical.recommendation import Recommendation
from chione.theory.depth.deep_trajectory import deep_trajectory
from chione.theory.depth.finite_width import (
    FiniteWidth,
    Trust,
    finite_width,
    mean_square_variance,
    trust,
)
from chione.theory.depth.gaussian_process import process_kernel
from chione.theory.depth.gradients import BackwardPass, Tradeoff, backward, tradeoff
from chione.theory.depth.initialization import describe_scheme, gain
from chione.theory.depth.kernel_matrix import KernelMatrix, kernel_matrix
from chione.theory.depth.kernels import KernelLayers, kernel_diagonal, kernel_layers, nngp, ntk
from chione.theory.depth.large_depth import DeepRun, LargeDepth, iterate_lengths, large_depth
from chione.theory.depth.metric_covariance import MetricCovariance, metric_covariance
from chione.theory.depth.settling import Settling, settling
from chione.theory.depth.trajectory import Trajectory, trajectory
from chione.theory.meanfield.basins import Basins, basins
from chione.theory.meanfield.correlation_map import correlation_map, one_minus_correlation_map
from chione.theory.meanfield.depth_scale import depth_scale
from chione.theory.meanfield.diagram import PhaseDiagram, phase_diagram
from chione.theory.meanfield.fixed_points import FixedPoint, FixedPoints, fixed_points
from chione.theory.meanfield.length_map import chi_parallel, chi_perp, length_map
from chione.theory.meanfield.norm_slope import first_order_slope, normalized_slope
from chione.theory.meanfield.norm_stability import (
    NormFixedPoint,
    NormMap,
    NormStability,
    norm_map,
    norm_stability,
)
from chione.theory.meanfield.phase import MeanField, mean_field
from chione.theory.meanfield.power_laws import PowerLaw
from chione.theory.moments.compiled_kernel import KernelMap, kernel_map
from chione.theory.moments.moments import (
    derivative_second_moment,
    fourth_moment,
    length_slope,
    mean,
    second_moment,
)
from chione.theory.moments.pair_kernels import derivative_kernel, kernel

# What layer kinds need is imported when it is first asked for: plain networks do without it.
if TYPE_CHECKING:
    from chione.theory.critical.branch_scale import BranchScale, branch_scale
    from chione.theory.depth.feature_update import FeatureUpdate, feature_update
    from chione.theory.depth.parametrization import Parametrization, parametrization
    from chione.theory.depth.transformer_phase import TransformerPhase, transformer_phase
    from chione.theory.layers.block import BlockMap
    from chione.theory.layers.network_theory import NetworkTheory, network_theory
    from chione.theory.layers.walk import Propagation, propagate
    from chione.theory.meanfield.block_law import BlockLaw
    from chione.theory.meanfield.block_lengths import BlockPoint
    from chione.theory.meanfield.blocks import BlockPhase, block_phase
    from chione.theory.meanfield.token_map import TokenExponents, TokenMap

_LATE = {
    "BlockLaw": "chione.theory.meanfield.block_law",
    "BlockMap": "chione.theory.layers.block",
    "BlockPhase": "chione.theory.meanfield.blocks",
    "BlockPoint": "chione.theory.meanfield.block_lengths",
    "BranchScale": "chione.theory.critical.branch_scale",
    "FeatureUpdate": "chione.theory.depth.feature_update",
    "NetworkTheory": "chione.theory.layers.network_theory",
    "Parametrization": "chione.theory.depth.parametrization",
    "Propagation": "chione.theory.layers.walk",
    "TokenExponents": "chione.theory.meanfield.token_map",
    "TokenMap": "chione.theory.meanfield.token_map",
    "TransformerPhase": "chione.theory.depth.transformer_phase",
    "block_phase": "chione.theory.meanfield.blocks",
    "branch_scale": "chione.theory.critical.branch_scale",
    "feature_update": "chione.theory.depth.feature_update",
    "network_theory": "chione.theory.layers.network_theory",
    "parametrization": "chione.theory.depth.parametrization",
    "propagate": "chione.theory.layers.walk",
    "transformer_phase": "chione.theory.depth.transformer_phase",
}

__all__ = [
    "AffineSolution",
    "BackwardPass",
    "Basins",
    "BlockLaw",
    "BlockMap",
    "BlockPhase",
    "BlockPoint",
    "BranchScale",
    "CriticalLine",
    "CriticalPoint",
    "Criticality",
    "DeepRun",
    "FeatureUpdate",
    "FiniteWidth",
    "FixedPoint",
    "FixedPoints",
    "KernelLayers",
    "KernelMap",
    "KernelMatrix",
    "LargeDepth",
    "MeanField",
    "MetricCovariance",
    "NetworkTheory",
    "NormFixedPoint",
    "NormMap",
    "NormStability",
    "Parametrization",
    "PhaseDiagram",
    "PowerLaw",
    "Propagation",
    "Recommendation",
    "Settling",
    "TokenExponents",
    "TokenMap",
    "Tradeoff",
    "Trajectory",
    "TransformerPhase",
    "Trust",
    "backward",
    "basins",
    "block_phase",
    "branch_scale",
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
    "feature_update",
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
    "kernel_matrix",
    "large_depth",
    "length_map",
    "length_slope",
    "mean",
    "mean_field",
    "mean_square_variance",
    "metric_covariance",
    "network_theory",
    "nngp",
    "norm_map",
    "norm_stability",
    "normalized_slope",
    "normalizing_affine",
    "normalizing_parameter",
    "ntk",
    "one_minus_correlation_map",
    "parametrization",
    "phase_diagram",
    "process_kernel",
    "propagate",
    "second_moment",
    "settling",
    "tradeoff",
    "trajectory",
    "transformer_phase",
    "trust",
]


def __getattr__(name: str) -> Any:
    """A public name of the layer kinds, imported now."""
    if name not in _LATE:
        raise AttributeError(f"module 'chione.theory' has no attribute {name!r}")
    found = getattr(import_module(_LATE[name]), name)
    globals()[name] = found
    return found
