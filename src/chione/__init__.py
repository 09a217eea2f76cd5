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
    "ChioneError": "chione.base",
    "ConvergenceError": "chione.base",
    "SpecError": "chione.base",
    "MLP": "chione.networks",
    "criticality": "chione.theory",
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
    "activations": "chione.activations",
    "simulate": "chione.simulation",
    "SimulationResult": "chione.simulation",
    "correlated_inputs": "chione.simulation",
    "great_circle": "chione.simulation",
    "gaussian_limit": "chione.simulation",
    "compare": "chione.diagnosis.compare",
}

__all__ = sorted({*_EXPORTS, "__version__"})


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name == "torch":  # the room, so that `chione.torch.inspect` needs no import of its own
        return import_module("chione.torch")
    raise AttributeError(f"module 'chione' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
