"""Pages of formulas show their pictures, name what exists, and link into the explorer rightly."""

import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

import chione as ch
from chione.explorer.state import MODES
from chione.gallery import ENTRIES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "formulas").glob("*.md"))
WORDS = ("Assumptions, and where", "**See also.**", "## ")


@pytest.fixture(scope="module")
def pictures():
    sys.path.insert(0, str(DOCS))
    try:
        import formula_pictures

        yield formula_pictures
    finally:
        sys.path.remove(str(DOCS))
        for name in [
            n for n in sys.modules if n.split(".")[0] in ("formula_pictures", "gallery_pages")
        ]:
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_a_page_has_every_part_and_its_picture(page, pictures):
    text = page.read_text(encoding="utf-8")
    assert all(part in text for part in WORDS)
    assert re.findall(r"!\[[^\]]{40,}\]\(\.\./generated/formulas/(.+)\.png\)", text) == [page.stem]
    assert page.stem in pictures.PICTURES
    assert len(re.findall(r"```python", text)) >= 2


def test_no_picture_is_drawn_for_nothing(pictures):
    assert sorted(pictures.PICTURES) == [p.stem for p in PAGES]


def test_a_picture_is_the_same_bytes_again(pictures, tmp_path):
    for name in ("a", "b"):
        pictures.drawing.save(pictures.PICTURES["kernels"], tmp_path / f"{name}.png")
    assert len({(tmp_path / f"{n}.png").read_bytes() for n in ("a", "b")}) == 1


def test_pictures_are_drawn_again_only_when_the_code_changes(pictures, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda draw, path: (drawn.append(path), path.touch()))
    pictures.draw_pictures(tmp_path)
    pictures.draw_pictures(tmp_path)
    assert len(drawn) == len(pictures.PICTURES)
    (tmp_path / "hermite.png").unlink()
    pictures.draw_pictures(tmp_path)
    assert [p.stem for p in drawn[len(pictures.PICTURES) :]] == ["hermite"]
    monkeypatch.setattr(pictures, "package_state", lambda: "another package")
    pictures.draw_pictures(tmp_path)
    assert len(drawn) == 2 * len(pictures.PICTURES) + 1


def test_simulated_dots_lie_at_the_lines_of_theory(pictures):
    from chione.plotting import style

    with style():
        right = pictures.PICTURES["lengths"]().axes[1]
    lines = [x.get_ydata() for x in right.get_lines() if x.get_label().startswith("input of")]
    means = [box[0].get_ydata() for box in right.containers]
    assert len(lines) == len(means) == 3
    for theory, found in zip(lines, means, strict=True):
        # five networks of width 1000: (2 + V/K^2) / 5000 is below 0.0006 here
        assert np.max(np.abs(found / theory - 1)) < 4.5 * 0.0006**0.5


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_gallery_entries_functions_and_explorer_links_exist(page):
    text = page.read_text(encoding="utf-8")
    for named in re.findall(r"`chione reproduce ([^`]+)`((?:(?:,| and) `[^`]+`)*)", text):
        for name in (named[0], *re.findall(r"`([^`]+)`", named[1])):
            assert name in ENTRIES
    for name in re.findall(r"\{(?:func|class)\}`\.(\w+)`", text):
        assert name in ch.__all__
    for link in re.findall(r'href="\.\./explorer\.html#([^"]+)"', text):
        state = dict(parse_qsl(link.replace("&amp;", "&")))
        assert set(state) - {"mode"} == {"activation", "sigma_w", "sigma_b"}
        assert state.get("mode", "plain") in MODES
        assert ch.activation(state["activation"])
        assert float(state["sigma_w"]) > 0 and float(state["sigma_b"]) >= 0


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_a_numbered_step_does_not_run_into_the_paragraph_before_it(page):
    markdown = pytest.importorskip("markdown_it").MarkdownIt().enable("table")
    text = re.sub(r"\$\$.*?\$\$", "formula", page.read_text(encoding="utf-8"), flags=re.S)
    for token in markdown.parse(text):
        if token.type == "inline":
            assert not re.search(r"\n\d\. ", token.content), token.content[:80]
