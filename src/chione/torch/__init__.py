"""Real PyTorch models: measure them, judge them, initialise them so that they train."""

from chione.base import MissingExtraError

try:
    import torch as _torch
except ImportError as err:
    raise MissingExtraError("torch", "torch", "chione.torch") from err

from chione.torch.audits.audit import assert_initialized, audit
from chione.torch.audits.report import AuditReport, DeclaredLine, Finding, ParameterAudit
from chione.torch.doctor.doctor import inspect
from chione.torch.expected.layer_report import Expected, LayerReport
from chione.torch.initialisation.changes import InitializationReport, LayerChange
from chione.torch.initialisation.initialize import initialize_
from chione.torch.initialisation.tensors import (
    critical_normal_,
    critical_uniform_,
    delta_orthogonal_,
    normal_,
    orthogonal_,
)
from chione.torch.inspection.inspection import NonFiniteError
from chione.torch.inspection.report import InspectionReport, Verdict
from chione.torch.recommendation.gains import calculate_gain
from chione.torch.spectra.spectrum import ModelJacobian, jacobian_spectrum
from chione.torch.steps.exponents import ModelParametrization, parametrization

del _torch

__all__ = [
    "AuditReport",
    "DeclaredLine",
    "Expected",
    "Finding",
    "InitializationReport",
    "InspectionReport",
    "LayerChange",
    "LayerReport",
    "ModelJacobian",
    "ModelParametrization",
    "NonFiniteError",
    "ParameterAudit",
    "Verdict",
    "assert_initialized",
    "audit",
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
