"""What holds for every test: the page has its own width, whatever the screen it runs on."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    """Text is folded to COLUMNS where a shell exports it, and pages are compared by the letter."""
    monkeypatch.delenv("COLUMNS", raising=False)
