"""The explorer's modules, one by one, in a real browser: every request is answered from disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

ORIGIN = "http://explorer.test"
CHROMIUM = "/usr/bin/chromium"
STATIC = Path(str(resources.files("chione"))) / "explorer" / "static"


@contextmanager
def modules_page() -> Iterator[Any]:
    """An empty page on which ``import("/formula.js")`` works and nothing leaves the machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no chromium at {CHROMIUM}")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/*", _answer)
        page.goto(f"{ORIGIN}/blank.html")
        yield page
        browser.close()


def _answer(route: Any) -> None:
    path = route.request.url.removeprefix(f"{ORIGIN}/")
    file = STATIC / path
    if path == "blank.html":
        route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
    elif route.request.url.startswith(ORIGIN) and file.is_file():
        route.fulfill(body=file.read_text(encoding="utf-8"), content_type="text/javascript")
    else:
        route.abort()
