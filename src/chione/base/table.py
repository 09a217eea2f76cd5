"""A table as it stands in a .csv file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

from chione.base.errors import SpecError
from chione.base.results import AbstractResult, result
from chione.base.text import text_table

_MOST_CELLS = 20_000_000
_SHOWN = 40  # rows of a printed table
Cell = float | str | None


@result
class Table(AbstractResult):
    """Named columns and rows of numbers, text and gaps: what a .csv file of chione holds.

    Parameters
    ----------
    columns : tuple of str, length m
        Names.
    rows : tuple of tuple, each of length m
        Numbers where a cell reads as one, None where it is empty, else text.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @staticmethod
    def read(lines: Iterable[str]) -> Table:
        """A table from the lines of a .csv file.

        Raises
        ------
        SpecError
            If rows differ in length, or there is no heading.
        """
        reader = csv.reader(lines, strict=True)
        columns = tuple(next(reader, ()))
        if not columns or not all(columns) or any("\x00" in c or len(c) > 200 for c in columns):
            raise SpecError("a table begins with the names of its columns.")
        rows = []
        for row in reader:
            if len(row) != len(columns):
                raise SpecError(
                    f"line {reader.line_num} has {len(row)} cells, the heading {len(columns)}."
                )
            rows.append(tuple(_cell(c) for c in row))
            if len(rows) * len(columns) > _MOST_CELLS:
                raise SpecError(f"it has more than {_MOST_CELLS} cells.")
        return Table(columns, tuple(rows))

    def __str__(self) -> str:
        cells = [[_text(c) for c in row] for row in self.rows[:_SHOWN]]
        align = "".join("<" if isinstance(c, str) else ">" for c in (self.rows or ((),))[0])
        more = len(self.rows) - _SHOWN
        end = f"\n... and {more} more rows" if more > 0 else ""
        return text_table(self.columns, cells, align=align) + end

    def _table(self) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
        return self.columns, list(self.rows)


def _cell(text: str) -> Cell:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _text(x: Cell) -> str:
    if x is None:
        return ""
    return f"{x:.8g}" if isinstance(x, float) else x
