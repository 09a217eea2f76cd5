"""Real PyTorch models: measure them, judge them, initialise them so that they train."""

from importlib import import_module as _import_module
from typing import Any as _Any

from chione.base import MissingExtraError

try:
    import torch as _torch
except ImportError as err:
    raise MissingExtraError("torch", "torch", "chione.torch") from err

from chione.torch.audits.audit import assert_initialized, audit
from chione.torch.audits.report import AuditReport, DeclaredLine, Finding, ParameterAudit
from chione.torch.doctor.doctor import inspect
from chione.torch.expected.layer_report import Expected, LayerReport
from chione.torch.formats.precision import precision
from chione.torch.formats.report import (
    AdamEpsilon,
    FormatShare,
    FormatVerdict,
    PrecisionReport,
    TensorRange,
)
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
from chione.torch.inspection.parameter_report import ParameterReport
from chione.torch.inspection.report import InspectionReport, Verdict
from chione.torch.monitoring.bands import MonitorBands
from chione.torch.monitoring.monitor import Monitor
from chione.torch.monitoring.record import (
    MonitorRecord,
    TrainingWarning,
    read_record,
)
from chione.torch.recommendation.gains import calculate_gain
from chione.torch.spectra.result import ModelJacobian
from chione.torch.spectra.spectrum import jacobian_spectrum
from chione.torch.steps.coord_check import coord_check
from chione.torch.steps.coord_report import CoordCheck
from chione.torch.steps.exponents import ModelParametrization, parametrization
from chione.torch.steps.first_step import first_step
from chione.torch.steps.largest import largest_learning_rate
from chione.torch.steps.largest_report import LargestLearningRate
from chione.torch.steps.report import ExampleStep, FirstStep, LayerStep, ParameterStep

del _torch

__all__ = [
    "AdamEpsilon",
    "AuditReport",
    "CoordCheck",
    "DeclaredLine",
    "ExampleStep",
    "Expected",
    "Finding",
    "FirstStep",
    "FormatShare",
    "FormatVerdict",
    "InitializationReport",
    "InspectionReport",
    "LargestLearningRate",
    "LayerChange",
    "LayerReport",
    "LayerStep",
    "ModelJacobian",
    "ModelParametrization",
    "Monitor",
    "MonitorBands",
    "MonitorRecord",
    "NonFiniteError",
    "ParameterAudit",
    "ParameterReport",
    "ParameterStep",
    "PrecisionReport",
    "TensorRange",
    "TrainingWarning",
    "Verdict",
    "assert_initialized",
    "audit",
    "calculate_gain",
    "coord_check",
    "critical_normal_",
    "critical_uniform_",
    "delta_orthogonal_",
    "first_step",
    "initialize_",
    "inspect",
    "jacobian_spectrum",
    "largest_learning_rate",
    "normal_",
    "orthogonal_",
    "parametrization",
    "precision",
    "read_record",
]

# Callbacks of other libraries: each library is imported only when its class is asked for.
_CALLBACKS = {
    "LightningMonitor": ("chione.torch.monitoring.lightning_callback", "lightning_monitor"),
    "TrainerMonitor": ("chione.torch.monitoring.trainer_callback", "trainer_monitor"),
}


def __getattr__(name: str) -> _Any:
    if name in _CALLBACKS:
        module, make = _CALLBACKS[name]
        return getattr(_import_module(module), make)()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
