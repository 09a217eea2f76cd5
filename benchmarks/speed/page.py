"""Writes docs/speed.md from the JSON file; nothing is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.page import DOCS, fill
from benchmarks.speed import rooms, table

PAGE = DOCS / "speed.md"


def blocks(found: dict[str, Any]) -> dict[str, str]:
    """What stands between the comments of each name."""
    rows = found["cases"]
    made = {
        "machine": "\n\n".join(filter(None, [table.machine(found["machine"]), table.skipped(rows)]))
    }
    made["losses"] = table.losses(rows)
    for room in rooms.ROOMS:
        mine = [row for row in rows if row["room"] == room]
        made[room] = table.markdown(mine) if mine else "Not measured."
    return made


def write(found: dict[str, Any], page: Path = PAGE) -> None:
    """Fill the page."""
    for name, text in blocks(found).items():
        fill(name, text, page)
