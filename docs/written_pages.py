"""Pages that are made from the code: errata, gallery, reference, results, commands."""

from pathlib import Path

from command_pages import commands_markdown
from formula_pictures import draw_pictures
from gallery_pages import gallery_markdown
from reference_pages import reference_pages
from result_pages import result_pages

from chione.gallery.errata import errata_markdown


def write_pages(folder, *, pictures=True):
    """Write all of them into `folder`."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    _keep(folder / "errata.md", errata_markdown())
    _keep(folder / "gallery.md", gallery_markdown(folder / "gallery", pictures=pictures))
    pages = {"commands.md": commands_markdown(), **reference_pages(), **result_pages()}
    for name, text in pages.items():
        _keep(folder / name, text)
    draw_pictures(folder / "formulas")


def _keep(path, text):
    """Write only what has changed, so that the next build is quick."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
