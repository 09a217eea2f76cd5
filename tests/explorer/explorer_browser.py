"""The explorer's built page in a real browser, and all that went wrong there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
"""


@dataclass
class Visit:
    """The page in a browser, with what it asked for and complained about."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until the page has drawn its state, sampled networks and written its address."""
        self.page.locator("body[data-state=rest]").wait_for(timeout=20_000)

    def go(self, fragment: str) -> None:
        """Another address on the same page, as a link to it would do."""
        script = "(to) => { document.body.dataset.state = 'moved'; location.hash = to; }"
        if self.page.evaluate("location.hash") != fragment:
            self.page.evaluate(script, fragment)
        self.settle()

    def activation(self, text: str) -> None:
        """Type an activation."""
        self.page.fill("#activation", text)
        self.page.press("#activation", "Enter")
        self.page.locator(f'#activation[data-shown="{text}"]').wait_for()
        self.settle()

    def set(self, name: str, value: object) -> None:
        """Type a number."""
        box = self.page.locator(f"#number-{name}")
        box.fill(str(value))
        box.press("Enter")
        self.settle()

    def hash(self) -> dict[str, str]:
        """The state in the address."""
        self.settle()
        text = self.page.evaluate("location.hash.slice(1)")
        return {k: unquote(v) for k, v in (part.split("=", 1) for part in text.split("&"))}

    def numbers(self) -> str:
        """The six numbers of the fixed point, as text."""
        self.settle()
        return str(self.page.locator("#numbers").inner_text())

    def code(self, language: str) -> str:
        """The network as code."""
        self.settle()
        self.page.click(f"#code-tab-{language}")
        return str(self.page.locator("#code-text").inner_text())

    def check(self) -> None:
        """Nothing was complained about, and no policy broken."""
        assert self.complaints == []
        assert self.page.evaluate("violations") == []


@contextmanager
def visit(browser: Any, url: str, fragment: str = "", **context: Any) -> Iterator[Visit]:
    """Open the page, by default on a desktop; fails at the end if the page complained."""
    settings = {"viewport": {"width": 1440, "height": 900}, "accept_downloads": True} | context
    opened = browser.new_context(**settings)
    page = opened.new_page()
    found = Visit(page, url)
    page.add_init_script(WATCH)
    page.on("console", lambda m: found.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: found.complaints.append(str(e)))
    page.on("request", lambda r: found.requests.append(r.url))
    page.goto(url + fragment)
    found.settle()
    yield found
    found.check()
    opened.close()
