"""What is looked up is there: every public name, result class, command and option; links hold."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import click
import pytest

import chione as ch
from chione.base.kinds import KINDS
from chione.cli.app import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def docs():
    """Imports a module of the documentation's own code by name."""
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module
    sys.path.remove(str(DOCS))


def test_every_public_name_stands_in_the_reference(docs):
    pytest.importorskip("torch")
    pages = docs("reference_pages").reference_pages()
    index = pages["reference.md"]
    for name in ch._EXPORTS:
        thing = getattr(ch, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert f"`ch.{name}" in index, name
    for room in ("freeprob", "theory", "simulation", "torch", "networks", "activations"):
        module = importlib.import_module(f"chione.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            ours = getattr(thing, "__module__", "").startswith(f"chione.{room}")
            if ours and (inspect.isfunction(thing) or inspect.isclass(thing)):
                assert re.search(rf"`ch(\.{room})?\.{name}\W", index), (room, name)


def test_an_entry_is_documented_once(docs):
    pages = docs("reference_pages").reference_pages()
    documented = [n for p in pages.values() for n in re.findall(r"^\.\. auto\w+:: (\S+)", p, re.M)]
    assert len(documented) == len(set(documented)) > 150


def test_every_result_class_has_an_example(docs):
    """A page without one shows nothing; a line in docs/result_examples.py adds it."""
    pytest.importorskip("torch")
    results = {kind for kind in KINDS if not kind.startswith("networks.")}
    assert results == set(docs("result_examples").EXAMPLES)


def test_the_page_of_a_result_shows_what_it_holds_makes_and_prints(docs):
    pages = docs("result_pages")
    links = {cls: name for name, cls in pages.classes().items()}
    makers, parts = pages._makers(links), pages._parts(links)
    cls = ch.FixedPoints
    page = pages._page("FixedPoints", cls, links, makers, parts, pages.Examples())
    assert "{py:obj}`ch.fixed_points <" in page
    assert "[`MeanField.fixed_points`](MeanField.md)" in page
    made = ch.fixed_points("tanh", sigma_w=1.5, sigma_b=0.1)
    assert str(made) in page
    for name, data in made.to_xarray().data_vars.items():
        assert f"| `{name}` | {', '.join(data.dims) or 'one number'} |" in page


def test_an_example_that_makes_another_class_is_refused(docs, monkeypatch):
    pages, examples = docs("result_pages"), docs("result_examples")
    monkeypatch.setitem(examples.EXAMPLES, "theory.FixedPoint", (examples.FIXED, ""))
    with pytest.raises(TypeError, match=r"The example of theory\.FixedPoint makes a FixedPoints"):
        pages.Examples().of(ch.FixedPoint)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_stands_on_the_page(docs, name):
    page = docs("command_pages").commands_markdown()
    section = page.split(f"\n## chione {name}\n")[1].split("\n## ")[0]
    command = importlib.import_module(f"chione.cli.{name}").command
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            for flag in (*option.opts, *option.secondary_opts):
                assert f"`{flag}`" in section, flag
    assert "```bash\nchione " in section  # an example


def test_broken_links_are_found(docs, tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">1</a><a href="#here">2</a><a href="no.html">3</a>'
        '<a href="b.html#nowhere">4</a><img src="b.html"><a href="https://example.org/x">5</a>'
        '<a href="../up.html">6</a><a href="b.html#with%20space">7</a></p>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a name="with space"></a></p>')
    assert docs("link_check").broken(tmp_path) == [
        ("a.html", "no.html", "no such file"),
        ("a.html", "b.html#nowhere", "no such place in the page"),
        ("a.html", "../up.html", "leaves the documentation"),
    ]


def test_the_gallery_shows_pictures_and_checks_and_draws_them_once(docs, tmp_path, monkeypatch):
    pages = docs("gallery_pages")
    monkeypatch.setattr(pages, "ENTRIES", {n: pages.find(n) for n in ("hessian-densities",)})
    page = pages.gallery_markdown(tmp_path / "gallery")
    assert "](gallery/hessian-densities.png)" in page
    assert "\n- holds: " in page
    picture = tmp_path / "gallery" / "hessian-densities.png"
    drawn = picture.stat().st_mtime_ns
    assert picture.read_bytes()[:4] == b"\x89PNG"
    pages.gallery_markdown(tmp_path / "gallery")
    assert picture.stat().st_mtime_ns == drawn
    monkeypatch.setattr(pages, "package_state", lambda: "a changed package")
    pages.gallery_markdown(tmp_path / "gallery")
    assert picture.stat().st_mtime_ns > drawn
    assert "png" not in pages.gallery_markdown(tmp_path / "none", pictures=False)
