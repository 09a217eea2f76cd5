"""Ground floor: errors, statuses, results, checks of input."""

from chione.base import checks
from chione.base.errors import (
    ChioneError,
    ConvergenceError,
    MissingExtraError,
    SpecError,
    UnsupportedModuleError,
)
from chione.base.results import Array, Estimate, missing
from chione.base.status import Status

__all__ = [
    "Array",
    "ChioneError",
    "ConvergenceError",
    "Estimate",
    "MissingExtraError",
    "SpecError",
    "Status",
    "UnsupportedModuleError",
    "checks",
    "missing",
]
