"""Puts measured tables into a page of docs, between two comments of the same name."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "doctor-evaluated.md"


def fill(name: str, text: str, path: Path = PAGE) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end -->``."""
    page = path.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
    if len(block.findall(page)) != 1:
        raise ValueError(f"{path.name} must have one place <!-- {name} --> ... <!-- end -->")
    path.write_text(block.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page), encoding="utf-8")
