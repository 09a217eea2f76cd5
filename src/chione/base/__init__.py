"""Ground floor: numbers with errors, statuses, checks, costs, plain data, files, text."""

from chione.base import checks, cost
from chione.base.errors import (
    ChioneError,
    ConvergenceError,
    CostError,
    MissingExtraError,
    SpecError,
    UnsupportedModuleError,
)
from chione.base.estimate import EPS, Array, Estimate, missing
from chione.base.files import check_writable, write_text, write_whole
from chione.base.plain import plain
from chione.base.status import Status
from chione.base.text import page_width, paragraph, text_table

__all__ = [
    "EPS",
    "Array",
    "ChioneError",
    "ConvergenceError",
    "CostError",
    "Estimate",
    "MissingExtraError",
    "SpecError",
    "Status",
    "UnsupportedModuleError",
    "check_writable",
    "checks",
    "cost",
    "missing",
    "page_width",
    "paragraph",
    "plain",
    "text_table",
    "write_text",
    "write_whole",
]
