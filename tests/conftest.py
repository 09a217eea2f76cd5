"""What holds for every test: the width of a page, one browser, which cases run by default."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    """Text is folded to COLUMNS where a shell exports it, and pages are compared by the letter."""
    monkeypatch.delenv("COLUMNS", raising=False)


def chromium_path() -> str | None:
    """Debian's chromium, or None."""
    return shutil.which("chromium")


@pytest.fixture(scope="session")
def browser():
    """One headless chromium for all tests of a process; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (extra test)")
    path = chromium_path()
    if path is None:
        pytest.skip("needs the chromium of the system (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


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
