"""The page on paper, without motion, and how soon it shows itself."""

from __future__ import annotations

from typing import Any

import pytest
from explorer_browser import visit

SEEN = """(selectors) => selectors.filter((selector) => {
  const found = [...document.querySelectorAll(selector)];
  return found.length === 0 || found.some((one) => one.getClientRects().length > 0);
})"""

# left out on paper: what only a hand can use
TOOLS = [".tools", ".presets", ".controls", "#zoom-in", "#copy-code"]
KEPT = ["h1", "#verdict", "#numbers", "#diagram canvas", ".charts .chart", "#code-text", "footer"]

MOVING = """() => [...document.querySelectorAll("*")].filter((one) => {
  const { transitionDuration, animationName } = getComputedStyle(one);
  const lasts = transitionDuration.split(", ").some((time) => parseFloat(time) > 0);
  return lasts || animationName !== "none";
}).length + document.getAnimations().length"""

PAINTS = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  const [first] = list.getEntriesByName("first-contentful-paint");
  if (first) resolve(first.startTime / 1000);
}).observe({ type: "paint", buffered: true }))"""


@pytest.fixture
def own(browser: Any, url: str) -> Any:
    with visit(browser, url, "#activation=gelu&sigma_w=1.5&sigma_b=0.1") as found:
        yield found


def test_on_paper_there_are_results_and_no_tools(own: Any) -> None:
    assert own.page.evaluate(SEEN, TOOLS + KEPT) == TOOLS + KEPT
    own.page.emulate_media(media="print", color_scheme="dark")
    assert own.page.evaluate(SEEN, TOOLS + KEPT) == KEPT
    dark = "getComputedStyle(document.body).backgroundColor"
    assert own.page.evaluate(dark) == "rgb(255, 255, 255)"
    # dark words on white paper, whatever the screen has
    ink = own.page.evaluate("getComputedStyle(document.querySelector('#verdict-text')).color")
    assert max(int(part) for part in ink[4:-1].split(",")) < 128
    assert own.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert own.page.pdf()[:5] == b"%PDF-"


def test_who_asks_for_no_motion_gets_none(own: Any) -> None:
    own.page.emulate_media(reduced_motion="no-preference")
    assert own.page.evaluate(MOVING) > 0
    own.page.emulate_media(reduced_motion="reduce")
    assert own.page.evaluate(MOVING) == 0
    own.set("sigma_w", 2.5)
    assert own.page.evaluate(MOVING) == 0


@pytest.mark.slow
def test_the_first_paint_from_disk_comes_within_a_second(browser: Any, url: str) -> None:
    times = []
    for _ in range(3):
        page = browser.new_page()
        page.goto(url)
        times.append(page.evaluate(PAINTS))
        page.close()
    assert 0.0 < min(times) < 1.0, times
