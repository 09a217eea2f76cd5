"""Numbers and tables as the pages write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chione.base import Estimate, paragraph
from chione.diagnosis.numbers import error_text, value_text

__all__ = ["cell", "escaped", "number", "row_table", "sentence_of", "value_row"]


def number(x: float, digits: int = 6) -> str:
    """A number as tables and code have it."""
    return f"{x:.{digits}g}"


def value_row(name: str, estimate: Estimate, digits: int = 12) -> tuple[str, str, str]:
    """Name, value with the digits that are known, and error."""
    value, error = float(estimate.value), float(estimate.error)
    text = "0" if abs(value) <= error else value_text(estimate, digits)
    return name, text, error_text(estimate)


def row_table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> list[str]:
    """A table of Markdown; `align` has l or r for each column, r after the first by default."""
    marks = align or "l" + "r" * (len(head) - 1)
    rule = ["---" if m == "l" else "---:" for m in marks]
    return [_line(head), _line(rule), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell(c) for c in cells) + " |"


def cell(text: str) -> str:
    """Text that does not end a cell."""
    return text.replace("|", "\\|")


def sentence_of(text: str) -> str:
    """Text of the library, with stars and underscores that start no emphasis."""
    return paragraph(escaped(text))


def escaped(text: str) -> str:
    """The same, on the line that it is."""
    return text.replace("*", r"\*").replace("_", r"\_")
