"""Tables and paragraphs of plain text, folded to the width of the reader's screen."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

_WIDTH = 98  # of a page where nothing says how wide the screen is
_NARROWEST = 20


def page_width(limit: int = _WIDTH) -> int:
    """Columns of the screen (``COLUMNS`` or the terminal), at most `limit`, at least 20."""
    return max(_NARROWEST, min(limit, shutil.get_terminal_size((limit, 24)).columns))


def paragraph(text: str, *, width: int | None = None, indent: str = "") -> str:
    """One paragraph, wrapped to `width` (the screen's by default); no word is broken."""
    return textwrap.fill(
        text,
        page_width() if width is None else width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    align: str = "",
    width: int | None = None,
) -> str:
    """Cells padded to columns; folded into one block a row where the screen is too narrow.

    Parameters
    ----------
    head : sequence of str, length m
        Names of the columns; empty ones are allowed.
    rows : sequence of sequences of str, each of length m
        The cells.
    align : str
        One letter a column, ``<`` or ``>``; columns without a letter go to the left.
    width : int, optional
        Columns of the screen, by default as many as it has.

    Returns
    -------
    str
        Lines without trailing blanks and without a final newline. Folded, each row becomes its
        first cell on a line of its own and, indented below it, ``name: cell`` for each other cell
        that is not empty.
    """
    align = align.ljust(len(head), "<")
    lines = [tuple(head), *(tuple(row) for row in rows)]
    wide = [max(len(line[k]) for line in lines) for k in range(len(head))]
    total = sum(wide) + 2 * (len(wide) - 1)
    width = page_width(limit=10_000) if width is None else width
    if total > width and len(head) > 1:
        return _folded(head, rows, width)
    text = [
        "  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, align, wide, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], "-" * total, *text[1:]])


def _folded(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    lines = []
    for row in rows:
        lines.append(paragraph(row[0], width=width))
        for name, cell in zip(head[1:], row[1:], strict=True):
            if cell:
                label = " ".join(f"{name}: {cell}".split() if name else cell.split())
                lines.append(paragraph(label, width=width, indent="  "))
    return "\n".join(lines)
