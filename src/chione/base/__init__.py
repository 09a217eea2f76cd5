"""Ground floor: numbers with errors, statuses, checks, costs, plain data, files, text."""

from chione.base import checks, cost
from chione.base.errors import (
    ChioneError,
    ConvergenceError,
    CostError,
    EngineError,
    MissingExtraError,
    NoPictureError,
    SpecError,
    UnsupportedLayerError,
    UnsupportedModuleError,
)
from chione.base.estimate import EPS, Array, Estimate, missing
from chione.base.files import check_writable, write_text, write_whole
from chione.base.labels import along
from chione.base.plain import plain
from chione.base.results import AbstractResult, result
from chione.base.status import Status
from chione.base.table import Table
from chione.base.text import page_width, paragraph, text_table

__all__ = [
    "EPS",
    "AbstractResult",
    "Array",
    "ChioneError",
    "ConvergenceError",
    "CostError",
    "EngineError",
    "Estimate",
    "MissingExtraError",
    "NoPictureError",
    "SpecError",
    "Status",
    "Table",
    "UnsupportedLayerError",
    "UnsupportedModuleError",
    "along",
    "check_writable",
    "checks",
    "cost",
    "missing",
    "page_width",
    "paragraph",
    "plain",
    "result",
    "text_table",
    "write_text",
    "write_whole",
]
