"""Real PyTorch models: measure them, judge them, initialise them so that they train."""

from chione.base import MissingExtraError

try:
    import torch as _torch
except ImportError as err:
    raise MissingExtraError("torch", "torch", "chione.torch") from err

from chione.torch.changes import InitializationReport, LayerChange
from chione.torch.exponents import ModelParametrization, parametrization
from chione.torch.gains import calculate_gain
from chione.torch.initialize import initialize_
from chione.torch.inspection import NonFiniteError, inspect
from chione.torch.layer_report import Expected, LayerReport
from chione.torch.report import InspectionReport, Verdict
from chione.torch.spectrum import ModelJacobian, jacobian_spectrum
from chione.torch.tensors import (
    critical_normal_,
    critical_uniform_,
    delta_orthogonal_,
    normal_,
    orthogonal_,
)

del _torch

__all__ = [
    "Expected",
    "InitializationReport",
    "InspectionReport",
    "LayerChange",
    "LayerReport",
    "ModelJacobian",
    "ModelParametrization",
    "NonFiniteError",
    "Verdict",
    "calculate_gain",
    "critical_normal_",
    "critical_uniform_",
    "delta_orthogonal_",
    "initialize_",
    "inspect",
    "jacobian_spectrum",
    "normal_",
    "orthogonal_",
    "parametrization",
]
