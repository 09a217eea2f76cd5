"""What holds for every test: the width of a page, and which cases of a long list run by default."""

from __future__ import annotations

from collections import Counter

import pytest


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    """Text is folded to COLUMNS where a shell exports it, and pages are compared by the letter."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.hookimpl(tryfirst=True)  # before -m "not slow" chooses
def pytest_collection_modifyitems(items):
    """Of a test marked ``sampled(n)`` every n-th case runs by default; the others are slow ones.

    Where n shares no factor with the length of each list of parameters, all of its entries occur.
    """
    seen = Counter()
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is None or item.get_closest_marker("slow"):
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] % mark.args[0]:
            item.add_marker("slow")
        seen[test] += 1
