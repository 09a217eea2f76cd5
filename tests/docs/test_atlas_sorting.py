"""The table of the first page sorts in a browser, by name and by size, and works without."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from atlas.index_page import HEAD, SORTING

ROWS = [
    ("tanh", "1.12", "0.13x, yes"),
    ("abs", "1", "0.5x, doubtful"),
    ("sign", "", "infinite, no"),
    ("siren", "0.0333", "1.0e-20x, no"),
]


@pytest.fixture(scope="module")
def page(browser):
    cells = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in ROWS)
    head = "".join(f"<th>{name}</th>" for name in (HEAD[0], HEAD[3], HEAD[6]))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    page = browser.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.set_content(f'<div class="atlas-table">{table}</div>{SORTING}')
    yield page
    page.close()


def names(page):
    return page.locator("tbody tr td:first-child").all_inner_texts()


def test_a_click_sorts_and_another_turns_it_round(page):
    written = [row[0] for row in ROWS]
    assert names(page) == written
    page.get_by_role("button", name="activation").click()
    assert names(page) == sorted(written)
    # sizes, not letters; what has no number stands last in both directions
    page.get_by_role("button", name="sigma_w").click()
    assert names(page) == ["siren", "abs", "tanh", "sign"]
    page.get_by_role("button", name="sigma_w").click()
    assert names(page) == ["tanh", "abs", "siren", "sign"]
    page.get_by_role("button", name="gradient").focus()
    page.keyboard.press("Enter")
    assert names(page) == ["siren", "tanh", "abs", "sign"]


def test_a_reader_of_the_screen_hears_the_direction(page):
    page.get_by_role("button", name="sigma_w").click()
    sorted_by = page.locator("th[aria-sort]")
    assert sorted_by.count() == 1 and sorted_by.get_attribute("aria-sort") == "ascending"
