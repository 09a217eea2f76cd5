"""Puts measured tables into docs/doctor-evaluated.md, between two comments of the same name."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "doctor-evaluated.md"


def fill(name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end -->``."""
    page = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
    if len(block.findall(page)) != 1:
        raise ValueError(f"{PAGE.name} must have one place <!-- {name} --> ... <!-- end -->")
    PAGE.write_text(block.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page), encoding="utf-8")
