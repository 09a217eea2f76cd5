"""chione: how signals and gradients travel through deep networks at initialisation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> room that defines it. Names are resolved on first use, so that `import chione`
# and `chione --help` stay quick and no optional framework is loaded by accident.
_EXPORTS = {
    "Estimate": "chione.base",
    "Status": "chione.base",
    "AbstractResult": "chione.base",
    "Table": "chione.base",
    "load": "chione.base.storage",
    "ChioneError": "chione.base",
    "ConvergenceError": "chione.base",
    "SpecError": "chione.base",
    "MLP": "chione.networks",
    "analyze": "chione.diagnosis",
    "Analysis": "chione.diagnosis",
    "gain_table": "chione.diagnosis",
    "expectation": "chione.gaussian",
    "bivariate": "chione.gaussian",
    "hermite_expansion": "chione.gaussian",
    "second_moment": "chione.theory",
    "derivative_second_moment": "chione.theory",
    "length_slope": "chione.theory",
    "derivative_kernel": "chione.theory",
    "one_minus_correlation_map": "chione.theory",
    "mean_field": "chione.theory",
    "plot": "chione.plotting",
    "trajectory": "chione.theory",
    "fixed_points": "chione.theory",
    "length_map": "chione.theory",
    "chi_parallel": "chione.theory",
    "chi_perp": "chione.theory",
    "correlation_map": "chione.theory",
    "kernel": "chione.theory",
    "critical_line": "chione.theory",
    "criticality": "chione.theory",
    "phase_diagram": "chione.theory",
    "process_kernel": "chione.theory",
    "backward": "chione.theory",
    "large_depth": "chione.theory",
    "norm_stability": "chione.theory",
    "finite_width": "chione.theory",
    "ntk": "chione.theory",
    "nngp": "chione.theory",
    "gain": "chione.theory",
    "describe_scheme": "chione.theory",
    "activation": "chione.activations",
    "simulate": "chione.simulation",
    "jacobian_spectrum": "chione.theory.jacobian",
    "derivative_law": "chione.theory.jacobian_law",
    "q_star_for_variance": "chione.theory.jacobian_isometry",
    "dynamical_isometry": "chione.theory.jacobian_isometry",
    "universality_class": "chione.theory.jacobian_limits",
    "hessian_spectrum": "chione.theory.hessian",
    "critical_energy": "chione.theory.hessian",
    "simulate_spectrum": "chione.simulation.spectra",
    "SimulationResult": "chione.simulation",
    "correlated_inputs": "chione.simulation",
    "great_circle": "chione.simulation",
    "gaussian_limit": "chione.simulation",
    "compare": "chione.diagnosis.compare",
}

# Rooms that `import chione` alone makes reachable, as in `chione.torch.inspect(model)`.
_ROOMS = ("activations", "gaussian", "networks", "plotting", "simulation", "theory", "torch")

__all__ = sorted({*_EXPORTS, "__version__"})


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in _ROOMS:
        return import_module(f"chione.{name}")
    raise AttributeError(f"module 'chione' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
