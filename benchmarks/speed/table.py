"""What was measured, as a table for the terminal and for the page of the documentation."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from benchmarks.speed.harness import Row
from chione.base.text import text_table

HEAD = ("work", "by", "first call", "again", "CPU", "to chione", "largest error", "MB")


def rows(row: Row) -> list[list[str]]:
    """Lines of one case: chione, then its peers."""
    ours = row["ways"][0]
    return [
        [described(row) if k == 0 else "", way["name"], *_cells(row, way, ours if k else None)]
        for k, way in enumerate(row["ways"])
    ]


def described(row: Row) -> str:
    """The work, and of what the times are."""
    return f"{_named(row)} (a {row['unit']})" if row["unit"] else _named(row)


def _named(row: Row) -> str:
    """What was done; a command is set as one, with the quotes that a shell reads."""
    what: str = row["what"]
    return f"`{what}`" if what.startswith("chione ") and ", " not in what else what


def _cells(row: Row, way: dict[str, Any], ours: dict[str, Any] | None) -> list[str]:
    if not way["first"]:
        return [way["note"].partition(":")[0], "", "", "", "", ""]
    again = _time(row, way, "again", 0)
    cpu = _time(row, way, "again" if way["again"] else "first", 1)
    peak = "" if way["peak_mb"] is None else f"{way['peak_mb']:.0f}"
    return [
        _time(row, way, "first", 0),
        f"{again} ± {spread(way['again']):.0%}" if len(way["again"]) > 1 else again,
        cpu,
        ratio(ours, way) if ours is not None else "",
        "" if way["error"] is None else _error(way["error"]),
        peak,
    ]


def _time(row: Row, way: dict[str, Any], kind: str, column: int) -> str:
    """Median of the samples, of one unit; with a mark where only a part of the work was done."""
    if not way[kind]:
        return ""
    value = middle(way, kind, column) / (row["count"] if row["unit"] else 1)
    return ("≈ " if way["part"] < 1.0 else "") + seconds(value)


def middle(way: dict[str, Any], kind: str, column: int) -> float:
    """Median seconds of the whole work; column 0 is wall time, 1 is CPU time."""
    return median(sample[column] for sample in way[kind]) / way["part"]


def spread(samples: list[list[float]]) -> float:
    """Half the range of the wall times over their median."""
    wall = [sample[0] for sample in samples]
    return 0.5 * (max(wall) - min(wall)) / median(wall)


def ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """CPU time of a peer over that of chione; of first calls where one was not repeated."""
    kind = "again" if ours["again"] and theirs["again"] else "first"
    if not (ours[kind] and theirs[kind]):
        return ""
    value = middle(theirs, kind, 1) / max(middle(ours, kind, 1), 1e-12)
    return f"{_short(value)} x" + ("" if kind == "again" else " (first)")


def _short(value: float) -> str:
    """Two digits, without an exponent."""
    if value >= 10.0 or value == 0.0:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.{max(1, 1 - math.floor(math.log10(value)))}f}"


def seconds(value: float) -> str:
    """Seconds in the unit that suits them, three digits."""
    for name, size in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0)):
        limit = {"s": 120.0, "min": 7200.0}.get(name, 999.5 * size)
        if value < limit:
            return f"{value / size:.3g} {name}"
    return f"{value / 3600.0:.3g} h"


def notes(found: list[Row]) -> list[str]:
    """Why there are no figures where there are none; what is missing is told by `skipped`."""
    return [
        f"{_named(row)}, {way['name']}: {way['note']}"
        for row in found
        for way in row["ways"]
        if way["note"] and not way["note"].startswith("skipped")
    ]


def text(found: list[Row]) -> str:
    """The table for a terminal; `goal` is what was aimed at, in CPU time of chione."""
    lines = []
    for row in found:
        for k, cells in enumerate(rows(row)):
            goal = seconds(row["goal"]) if row["goal"] and k == 0 else ""
            lines.append([row["case"] if k == 0 else "", *cells[1:], goal])
    head = ["case", *HEAD[1:], "goal"]
    return "\n".join([text_table(head, lines, align="<<>>>>>>>", width=10_000), "", *notes(found)])


def markdown(found: list[Row]) -> str:
    """The table of one room for the page."""
    lines = [list(HEAD), ["---", "---", *["--:"] * (len(HEAD) - 2)]]
    for row in found:
        lines += rows(row)
    text = "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )
    return "\n\n".join([text, *notes(found)])


def losses(found: list[Row]) -> str:
    """Cases in which a peer needs less CPU time than chione, one a line; the errors beside."""
    lines = []
    for row in found:
        ours = row["ways"][0]
        for theirs in row["ways"][1:]:
            for kind, when in (("first", "the first call"), ("again", "further calls")):
                if not (ours[kind] and theirs[kind]):
                    continue
                times = middle(ours, kind, 1) / max(middle(theirs, kind, 1), 1e-12)
                if times > 1.1:
                    lines.append(
                        f"- {_named(row)}, {when}: {_short(times)} times as long as "
                        f"{theirs['name']}{_errors(ours, theirs)}"
                    )
    return "\n".join(lines) or "None at the time of measuring."


def _errors(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    if ours["error"] is None or theirs["error"] is None:
        return ""
    return f" (errors {_error(ours['error'])} and {_error(theirs['error'])})"


def _error(value: Any) -> str:
    """One digit; what is no number is kept in JSON as a word."""
    return f"{float(value):.0e}"


def machine(known: dict[str, Any]) -> str:
    """The machine in one paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    return (
        f"Measured on {known['date']} on one thread of {known['cpu']} ({known['cores']} cores, "
        f"{known['memory_gb']:g} GB), {known['system']}, load {known['load_before']:g} before; "
        f"{known['blas']}; {versions}."
    )


def skipped(found: list[Row]) -> str:
    """Peers that were missing, and why; empty if none was."""
    reasons = {
        way["note"].removeprefix("skipped: ")
        for row in found
        for way in row["ways"]
        if way["note"].startswith("skipped")
    }
    return "Skipped: " + "; ".join(sorted(reasons)) + "." if reasons else ""
