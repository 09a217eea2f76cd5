"""Reports as plain text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from chione.base import page_width, paragraph, text_table
from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.folding import Folder, Line, Parameter

_DEEPEST = 8  # words of a path that a short table may tell apart
_LONGEST = 48  # lines of a short table: a screen or so
_NAME = 44

_LEGEND = (
    "q, c: mean square of h and mean correlation between inputs; gradient: mean square of "
    "dLoss/dh; jacobian: |dy/dh|^2 / n_y; theory '?': no rule for this layer."
)
_SHORT_LEGEND = (
    "q, c: mean square of h and mean correlation between inputs; gradient: mean square of "
    "dLoss/dh; off: factor between theory and what was measured, '?': no rule; a..b: from the "
    "first to the last copy."
)


def report_text(title: str, table: str, notes: Sequence[str], verdict: str, *, short: bool) -> str:
    """A table, and the notes and the verdict below it."""
    legend = _SHORT_LEGEND if short else _LEGEND
    say = [paragraph(line) if line else "" for line in (legend, *notes, "", verdict)]
    return "\n".join([paragraph(title), "", table, "", *say])


def short_table(
    layers: Sequence[LayerReport], parameters: Sequence[Parameter], alone: str | None
) -> tuple[str, bool]:
    """The table of a screen; and whether it has the short columns."""
    for depth in (None, *range(_DEEPEST, 0, -1)):
        lines = Folder(parameters, depth, True, alone).lines(layers)
        if len(lines) <= _LONGEST:
            break
    return _fitting(lines)


def full_table(
    layers: Sequence[LayerReport],
    parameters: Sequence[Parameter],
    depth: int | None,
    fold: bool,
    alone: str | None,
) -> tuple[str, bool]:
    """Rows one by one unless they are to be folded or cut at a depth; and the same."""
    return _fitting(Folder(parameters, depth, fold, alone).lines(layers))


def _fitting(lines: Sequence[Line]) -> tuple[str, bool]:
    """All columns where the screen has room for them, else the short ones."""
    head, cells = _cells(lines, _WIDE)
    short = _width(head, cells) > page_width(limit=10_000)
    return _table(*(_cells(lines, _NARROW) if short else (head, cells))), short


def _table(head: list[str], cells: list[list[str]]) -> str:
    return text_table(head, cells, align="<<<".ljust(len(head), ">"))


def _width(head: list[str], cells: list[list[str]]) -> int:
    wide = [max(len(line[k]) for line in (head, *cells)) for k in range(len(head))]
    return sum(wide) + 2 * (len(wide) - 1)


def _cells(lines: Sequence[Line], columns: Sequence[_Column]) -> tuple[list[str], list[list[str]]]:
    """Head and cells; columns that are empty everywhere are left out, but for numbers of theory."""
    cells = [[_name(line), *(say(line) for _, say in columns)] for line in lines]
    keep = [0, *(k for k in range(1, len(columns) + 1) if any(row[k] for row in cells))]
    head = ["layer", *(name for name, _ in columns)]
    return [head[k] for k in keep], [[row[k] for k in keep] for row in cells]


def _name(line: Line) -> str:
    times = f" ({line.times} x)" if line.times > 1 else ""
    indent = "  " * line.level
    return f"{indent}{_cut(line.name, _NAME - len(indent) - len(times))}{times}"


def _does(line: Line) -> str:
    if line.whole:
        return f"{len(line.rows) // line.times} rows"
    return line.rows[0].operation if line.rows else ""


def _then(line: Line) -> str:
    return "" if line.whole or not line.rows else _cut(line.rows[0].activation or "", 16)


def _both(line: Line) -> str:
    then = _then(line)
    return f"{_does(line)}, {then}" if then else _does(line)


def _shape(line: Line) -> str:
    """The shape of the output of the last copy, without the batch."""
    if not line.rows:
        return ""
    return "x".join(map(str, line.rows[-1].shape[1:])) or "1"


def _parameters(line: Line) -> str:
    if not line.total:
        return ""
    frozen = f" ({line.total - line.trainable:,} frozen)" if line.trainable < line.total else ""
    return f"{line.total:,}{frozen}"


def _of(read: Callable[[LayerReport], str]) -> Callable[[Line], str]:
    """A cell that goes from the first row of a line to the last."""

    def say(line: Line) -> str:
        if not line.rows:
            return ""
        first, last = read(line.rows[0]), read(line.rows[-1])
        return first if first == last else f"{first or '-'}..{last or '-'}"

    return say


def _of_copies(read: Callable[[LayerReport], str]) -> Callable[[Line], str]:
    """The same, where it makes no sense for the rows of a whole block."""
    say = _of(read)
    return lambda line: "" if line.whole else say(line)


def _off(line: Line) -> str:
    """The largest factor between theory and what was measured over the rows of a line."""
    if not line.rows:
        return ""
    pairs = [
        (x.mean_square, x.expected.mean_square)
        for x in line.rows
    ] + [(x.gradient, x.expected.gradient) for x in line.rows]  # fmt: skip
    gaps = [abs(math.log(a / b)) for a, b in pairs if a > 0.0 and b > 0.0]
    return f"x{_three(math.exp(max(gaps)))}" if gaps else "?"


_Column: TypeAlias = tuple[str, Callable[[Line], str]]
_NARROW: tuple[_Column, ...] = (
    ("does, then", _both),
    ("parameters", _parameters),
    ("sigma_w", _of_copies(lambda x: _two(x.sigma_w))),
    ("q", _of(lambda x: _two(x.mean_square))),
    ("c", _of(lambda x: _correlation(x.one_minus_c, "", 2))),
    ("gradient", _of(lambda x: _two(x.gradient))),
    ("off", _off),
    ("dead", _of_copies(lambda x: _percent(x.dead) if x.dead > 0.0 else "")),
)
_WIDE: tuple[_Column, ...] = (
    ("does", _does),
    ("then", _then),
    ("out", _shape),
    ("parameters", _parameters),
    ("sigma_w", _of_copies(lambda x: _number(x.sigma_w))),
    ("sigma_b", _of_copies(lambda x: _number(x.sigma_b))),
    ("q", _of(lambda x: _number(x.mean_square))),
    ("theory", _of(lambda x: _number(x.expected.mean_square, "?"))),
    ("c", _of(lambda x: _correlation(x.one_minus_c, ""))),
    ("theory", _of(lambda x: _correlation(1.0 - x.expected.correlation, "?"))),
    ("gradient", _of(lambda x: _number(x.gradient))),
    ("theory", _of(lambda x: _number(x.expected.gradient, "?"))),
    ("jacobian", _of(lambda x: _number(x.jacobian))),
    ("sat", _of_copies(lambda x: _percent(x.saturation))),
    ("dead", _of_copies(lambda x: _percent(x.dead))),
)


def _two(x: float | None) -> str:
    return "" if x is None or not math.isfinite(x) else f"{x:.2g}"


def _three(x: float) -> str:
    return f"{x:.2f}" if x < 100.0 else f"{x:.0e}"


def _number(x: float | None, missing: str = "") -> str:
    if x is None or not math.isfinite(x):
        return missing
    if x == 0.0:
        return "0"
    return f"{x:.3f}" if 0.01 <= abs(x) < 100.0 else f"{x:.1e}"


def _correlation(one_minus_c: float, missing: str, digits: int = 4) -> str:
    if not math.isfinite(one_minus_c):
        return missing
    return (
        f"{1.0 - one_minus_c:.{digits}f}"
        if abs(one_minus_c) > 10.0 ** (1 - digits)
        else f"1-{one_minus_c:.0e}"
    )


def _percent(x: float) -> str:
    return "" if not math.isfinite(x) else f"{x:.0%}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[3 - width :]
