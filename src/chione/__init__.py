"""chione: how signals and gradients travel through deep networks at initialisation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

# Public name -> room that defines it. Names are resolved on first use, so that `import chione`
# and `chione --help` stay quick and no optional framework is loaded by accident. Type checkers read
# the same table as `__init__.pyi`, which a test holds equal to it.
_EXPORTS = {
    "AbstractResult": "chione.base",
    "ChioneError": "chione.base",
    "ConvergenceError": "chione.base",
    "CostError": "chione.base",
    "Estimate": "chione.base",
    "MissingExtraError": "chione.base",
    "SpecError": "chione.base",
    "Status": "chione.base",
    "Table": "chione.base",
    "load": "chione.base.storage",
    "AbstractActivation": "chione.activations",
    "ActivationLike": "chione.activations",
    "activation": "chione.activations",
    "MLP": "chione.networks",
    "HermiteExpansion": "chione.gaussian",
    "bivariate": "chione.gaussian",
    "expectation": "chione.gaussian",
    "hermite_expansion": "chione.gaussian",
    "BackwardPass": "chione.theory",
    "CriticalLine": "chione.theory",
    "CriticalPoint": "chione.theory",
    "Criticality": "chione.theory",
    "FeatureUpdate": "chione.theory",
    "FiniteWidth": "chione.theory",
    "FixedPoint": "chione.theory",
    "FixedPoints": "chione.theory",
    "KernelLayers": "chione.theory",
    "KernelMatrix": "chione.theory",
    "LargeDepth": "chione.theory",
    "MeanField": "chione.theory",
    "MetricCovariance": "chione.theory",
    "Network": "chione.networks",
    "NetworkTheory": "chione.theory",
    "network_theory": "chione.theory",
    "NormStability": "chione.theory",
    "Parametrization": "chione.theory",
    "PhaseDiagram": "chione.theory",
    "PowerLaw": "chione.theory",
    "Recommendation": "chione.theory",
    "Settling": "chione.theory",
    "Trajectory": "chione.theory",
    "Trust": "chione.theory",
    "backward": "chione.theory",
    "chi_parallel": "chione.theory",
    "chi_perp": "chione.theory",
    "correlation_map": "chione.theory",
    "critical_line": "chione.theory",
    "criticality": "chione.theory",
    "derivative_kernel": "chione.theory",
    "derivative_second_moment": "chione.theory",
    "describe_scheme": "chione.theory",
    "feature_update": "chione.theory",
    "finite_width": "chione.theory",
    "fixed_points": "chione.theory",
    "gain": "chione.theory",
    "kernel": "chione.theory",
    "large_depth": "chione.theory",
    "kernel_matrix": "chione.theory",
    "length_map": "chione.theory",
    "length_slope": "chione.theory",
    "mean_field": "chione.theory",
    "nngp": "chione.theory",
    "norm_stability": "chione.theory",
    "ntk": "chione.theory",
    "one_minus_correlation_map": "chione.theory",
    "parametrization": "chione.theory",
    "phase_diagram": "chione.theory",
    "process_kernel": "chione.theory",
    "second_moment": "chione.theory",
    "deep_trajectory": "chione.theory",
    "settling": "chione.theory",
    "trajectory": "chione.theory",
    "TransformerPhase": "chione.theory",
    "transformer_phase": "chione.theory",
    "HessianSpectrum": "chione.theory.spectra",
    "HessianCurve": "chione.theory.spectra",
    "IndexOnset": "chione.theory.spectra",
    "critical_amplitude": "chione.theory.spectra",
    "critical_energy": "chione.theory.spectra",
    "energy_at_index": "chione.theory.spectra",
    "hessian_index": "chione.theory.spectra",
    "hessian_spectrum": "chione.theory.spectra",
    "index_onset": "chione.theory.spectra",
    "JacobianSpectrum": "chione.theory.spectra",
    "SpectrumCurve": "chione.theory.spectra",
    "jacobian_spectrum": "chione.theory.spectra",
    "IsometricInitialization": "chione.theory.spectra",
    "dynamical_isometry": "chione.theory.spectra",
    "q_star_for_variance": "chione.theory.spectra",
    "derivative_law": "chione.theory.spectra",
    "LimitLaw": "chione.theory.spectra",
    "Universality": "chione.theory.spectra",
    "universality_class": "chione.theory.spectra",
    "CurveGeometry": "chione.simulation",
    "GaussianLimit": "chione.simulation",
    "NetworkSimulation": "chione.simulation",
    "SimulationResult": "chione.simulation",
    "correlated_inputs": "chione.simulation",
    "gaussian_limit": "chione.simulation",
    "great_circle": "chione.simulation",
    "simulate": "chione.simulation",
    "SimulatedSpectrum": "chione.simulation.spectra",
    "simulate_spectrum": "chione.simulation.spectra",
    "Analysis": "chione.diagnosis",
    "NetworkAnalysis": "chione.diagnosis",
    "GainTable": "chione.diagnosis",
    "Verdict": "chione.diagnosis",
    "analyze": "chione.diagnosis",
    "gain_table": "chione.diagnosis",
    "Comparison": "chione.diagnosis.compare",
    "compare": "chione.diagnosis.compare",
    "BoundaryResult": "chione.sweeps",
    "SweepPlan": "chione.sweeps",
    "SweepResult": "chione.sweeps",
    "boundary": "chione.sweeps",
    "sweep": "chione.sweeps",
    "explore": "chione.explorer",
    "plot": "chione.plotting",
}

# Rooms that `import chione` alone makes reachable, as in `chione.torch.inspect(model)`.
_ROOMS = (
    *("activations", "base", "diagnosis", "explorer", "freeprob", "gallery", "gaussian"),
    *("networks", "plotting", "simulation", "sweeps", "theory", "torch"),
)

__all__ = sorted({*_EXPORTS, "__version__"})


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in _ROOMS:
        return import_module(f"chione.{name}")
    raise AttributeError(f"module 'chione' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
