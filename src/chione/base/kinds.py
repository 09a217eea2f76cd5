"""Every class that a file of chione may hold, by name: nothing else is ever made from a file.

The kind of a class is its room and its name. Modules are imported when a file asks for them, so
that the ground floor knows the floors above by name alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from chione.base.errors import SpecError

_DATA = {
    "networks.Input": "networks.input",
    "networks.MLP": "networks.mlp",
    "networks.Network": "networks.network",
}

_RESULTS = {
    "base.Table": "base.table",
    "diagnosis.Alternative": "diagnosis.alternatives",
    "diagnosis.Analysis": "diagnosis.analysis",
    "diagnosis.AnalysisPicture": "diagnosis.picture",
    "diagnosis.Comparison": "diagnosis.compare",
    "diagnosis.CurveErrors": "diagnosis.curve_errors",
    "diagnosis.CurveData": "diagnosis.picture_data",
    "diagnosis.DiagramData": "diagnosis.picture_data",
    "diagnosis.GainRow": "diagnosis.gain_table",
    "diagnosis.GainTable": "diagnosis.gain_table",
    "diagnosis.MapData": "diagnosis.picture_data",
    "diagnosis.Measured": "diagnosis.measure",
    "diagnosis.NetworkAnalysis": "diagnosis.network_analysis",
    "diagnosis.NetworkChange": "diagnosis.network_changes",
    "diagnosis.NetworkComparison": "diagnosis.network_comparison",
    "diagnosis.Phase": "diagnosis.phases",
    "diagnosis.Slopes": "diagnosis.measure",
    "diagnosis.Verdict": "diagnosis.verdict",
    "diagnosis.WidthComparison": "diagnosis.finite_width",
    "freeprob.MeasureCurve": "freeprob.curve",
    "freeprob.Edge": "freeprob.edges",
    "freeprob.Outlier": "freeprob.outliers",
    "freeprob.Outliers": "freeprob.outliers",
    "freeprob.Threshold": "freeprob.outliers",
    "gaussian.HermiteExpansion": "gaussian.hermite",
    "simulation.CurveGeometry": "simulation.geometry",
    "simulation.GaussianLimit": "simulation.gaussian_limit",
    "simulation.NetworkSimulation": "simulation.network_result",
    "simulation.NetworkHessian": "simulation.hessian",
    "simulation.SimulatedRow": "simulation.network_result",
    "simulation.SimulatedSpectrum": "simulation.spectra",
    "simulation.SpectrumComparison": "simulation.spectrum_comparison",
    "simulation.SimulationResult": "simulation.result",
    "sweeps.BoundaryResult": "sweeps.boundary_result",
    "sweeps.DepthConstant": "sweeps.boundary_constant",
    "sweeps.SweepResult": "sweeps.results",
    "sweeps.SchemeTable": "sweeps.scheme_table",
    "theory.AffineSolution": "theory.critical.affine_solutions",
    "theory.BackwardPass": "theory.depth.gradients",
    "theory.Basins": "theory.meanfield.basins",
    "theory.BlockLaw": "theory.meanfield.block_law",
    "theory.BlockPhase": "theory.meanfield.blocks",
    "theory.BlockPoint": "theory.meanfield.block_lengths",
    "theory.BranchScale": "theory.critical.branch_scale",
    "theory.CorrelationPoint": "theory.meanfield.correlation_fixed_point",
    "theory.CriticalLine": "theory.critical.critical_line",
    "theory.CriticalPoint": "theory.critical.critical_point",
    "theory.Criticality": "theory.critical.criticality",
    "theory.DeepRun": "theory.depth.large_depth",
    "theory.Fading": "theory.meanfield.fading",
    "theory.FeatureUpdate": "theory.depth.feature_update",
    "theory.FiniteWidth": "theory.depth.finite_width",
    "theory.FixedPoint": "theory.meanfield.fixed_points",
    "theory.FixedPoints": "theory.meanfield.fixed_points",
    "theory.HessianCurve": "theory.spectra.hessian",
    "theory.HessianSpectrum": "theory.spectra.hessian",
    "theory.IndexOnset": "theory.spectra.hessian_critical",
    "theory.IsometricInitialization": "theory.spectra.jacobian_isometry",
    "theory.JacobianSpectrum": "theory.spectra.jacobian_result",
    "theory.KernelLayers": "theory.depth.kernels",
    "theory.KernelMatrix": "theory.depth.kernel_matrix",
    "theory.LargeDepth": "theory.depth.large_depth",
    "theory.LimitLaw": "theory.spectra.jacobian_limits",
    "theory.MeanField": "theory.meanfield.phase",
    "theory.MetricCovariance": "theory.depth.metric_covariance",
    "theory.NetworkTheory": "theory.layers.network_theory",
    "theory.NormFixedPoint": "theory.meanfield.norm_stability",
    "theory.NormMap": "theory.meanfield.norm_stability",
    "theory.NormStability": "theory.meanfield.norm_stability",
    "theory.Parametrization": "theory.depth.parametrization",
    "theory.PhaseDiagram": "theory.meanfield.diagram",
    "theory.PowerLaw": "theory.meanfield.power_laws",
    "theory.Recommendation": "theory.critical.recommendation",
    "theory.Settling": "theory.depth.settling",
    "theory.SpectrumCurve": "theory.spectra.jacobian_result",
    "theory.Tradeoff": "theory.depth.gradients",
    "theory.TokenExponents": "theory.meanfield.token_map",
    "theory.Trajectory": "theory.depth.trajectory",
    "theory.TransformerPhase": "theory.depth.transformer_phase",
    "theory.Trust": "theory.depth.finite_width",
    "theory.Universality": "theory.spectra.jacobian_limits",
    "torch.AdamEpsilon": "torch.formats.report",
    "torch.AuditReport": "torch.audits.report",
    "torch.CoordCheck": "torch.steps.coord_report",
    "torch.DeclaredLine": "torch.audits.report",
    "torch.ExampleStep": "torch.steps.report",
    "torch.Expected": "torch.expected.layer_report",
    "torch.ExpectedSignal": "torch.monitoring.record",
    "torch.Finding": "torch.audits.report",
    "torch.FirstStep": "torch.steps.report",
    "torch.FormatShare": "torch.formats.report",
    "torch.FormatVerdict": "torch.formats.report",
    "torch.InitializationReport": "torch.initialisation.changes",
    "torch.InspectionReport": "torch.inspection.report",
    "torch.LargestLearningRate": "torch.steps.largest_report",
    "torch.LayerChange": "torch.initialisation.changes",
    "torch.LayerReport": "torch.expected.layer_report",
    "torch.LayerSignal": "torch.monitoring.record",
    "torch.LayerStep": "torch.steps.report",
    "torch.ModelJacobian": "torch.spectra.result",
    "torch.ModelParametrization": "torch.steps.exponents",
    "torch.MonitorRecord": "torch.monitoring.record",
    "torch.MonitoredStep": "torch.monitoring.record",
    "torch.ParameterAudit": "torch.audits.report",
    "torch.ParameterReport": "torch.inspection.parameter_report",
    "torch.ParameterStep": "torch.steps.report",
    "torch.ParameterUpdate": "torch.monitoring.record",
    "torch.PrecisionReport": "torch.formats.report",
    "torch.Remark": "torch.monitoring.record",
    "torch.TensorRange": "torch.formats.report",
    "torch.Verdict": "torch.inspection.report",
}

KINDS = {kind: f"chione.{module}" for kind, module in (_DATA | _RESULTS).items()}
"""Kind -> module that defines the class."""


def kind_of(cls: type) -> str:
    """Room and name of a class, as in ``theory.MeanField``."""
    package, _, inside = cls.__module__.partition(".")
    return f"{inside.split('.')[0] or package}.{cls.__name__}"


def known(cls: type) -> bool:
    """Whether a file may hold objects of this class."""
    kind = kind_of(cls)
    return kind in KINDS or kind in _layers()


def _layers() -> dict[str, type[Any]]:
    """The layers that a network may have: they keep a table of their own."""
    return {kind_of(cls): cls for cls in import_module("chione.networks.kinds").KINDS}


def class_of(kind: Any) -> type[Any]:
    """The class of a kind.

    Raises
    ------
    SpecError
        If there is no such kind.
    """
    if isinstance(kind, str) and kind.startswith("networks.") and kind in _layers():
        return _layers()[kind]
    if not isinstance(kind, str) or kind not in KINDS:
        raise SpecError(
            f"it holds a {str(kind)[:60]!r}, which this version of chione does not know."
        )
    cls: type[Any] = getattr(import_module(KINDS[kind]), kind.split(".")[1])
    return cls
