"""Every formula of the documentation can be set as MathML, and the marks it needs are in it."""

import importlib.util
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml")
ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("mathml", ROOT / "docs" / "mathml.py")
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
mathml = MODULE.mathml


def formulas(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from re.findall(r":math:`([^`]+)`", text)
        return
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    yield from re.findall(r"\$\$(.+?)\$\$", text, re.S)
    yield from re.findall(r"\$([^$]+)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))


def parts(tex, *, block=False):
    root = xml.fromstring(mathml(tex, block=block))
    return [(e.tag.rsplit("}")[-1], (e.text or "").strip()) for e in root.iter()]


@pytest.mark.parametrize("folder", ["docs", "src"])
def test_every_formula_becomes_well_formed_mathml(folder):
    pages = [p for s in ("*.md", "*.py") for p in (ROOT / folder).rglob(s)]
    pages = [p for p in pages if not {"generated", "_build"} & set(p.parts)]
    found = [f for p in pages for f in formulas(p)]
    assert len(found) > 200
    for tex in found:
        assert xml.fromstring(mathml(tex, block=True)).tag.endswith("math")


def test_a_command_that_mathml_lacks_is_refused():
    with pytest.raises(ValueError, match=r"does not know: \\nosuchthing x"):
        mathml(r"\nosuchthing x", block=False)


def test_primes_stand_on_the_line_at_full_size():
    assert [t for _, t in parts(r"\phi'(x)")] == ["", "", "ϕ", "′", "(", "x", ")"]
    assert ("msup", "") not in parts(r"\phi''")
    assert [t for _, t in parts(r"\phi''^{2k}")].count("′") == 2
    assert ("msup", "") in parts(r"\phi''^2")
    assert [k for k, t in parts(r"\sum_{j'} x_{j'}") if t == "′"] == ["mi", "mi"]


def test_lines_that_are_aligned_become_rows_of_a_table():
    rows = parts(r"\begin{aligned} a &= b \\ c &= d \end{aligned}", block=True)
    assert [k for k, _ in rows].count("mtr") == 2
    assert [k for k, _ in parts(r"a = b \\ c = d", block=True)].count("mtr") == 2


def test_functions_have_space_around_them():
    tags = [k for k, _ in parts(r"2 \log z")]
    assert tags[-4:] == ["mspace", "mi", "mspace", "mi"]


def test_similar_is_a_relation_and_a_bar_has_no_space_beside_it():
    assert ("mo", "\N{TILDE OPERATOR}") in parts(r"X \sim N")
    assert mathml(r"|x|", block=False).count('lspace="0" rspace="0">|<') == 2
