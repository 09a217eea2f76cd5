"""Pages that are made from the code: errata, gallery, reference, results, commands."""

from pathlib import Path

from command_pages import commands_markdown
from reference_pages import reference_pages
from result_pages import result_pages

from chione.gallery import ENTRIES, write
from chione.gallery.errata import errata_markdown


def write_pages(folder, *, pictures=False):
    """Write all of them into `folder`."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    _keep(folder / "errata.md", errata_markdown())
    _keep(folder / "gallery.md", gallery_markdown(folder, pictures=pictures))
    pages = {"commands.md": commands_markdown(), **reference_pages(), **result_pages()}
    for name, text in pages.items():
        _keep(folder / name, text)


def gallery_markdown(folder, *, pictures=False):
    """One section for each entry; with `pictures` the quick version of each is drawn."""
    lines = [
        "# Gallery",
        "",
        "Every figure and table of the sources is one command away. Each makes a picture, the",
        "labelled data behind it, and a caption with its checks. Lines are theory, points are",
        "simulated networks with standard errors.",
        "",
        "```bash",
        "chione reproduce --list",
        "chione reproduce poole-figure-1 --out figures",
        "chione reproduce --all --quick --check",
        "```",
    ]
    for entry in ENTRIES.values():
        lines += ["", f"## {entry.title}", "", f"`{entry.name}`, after {entry.source}.", ""]
        lines += [entry.caption]
        if pictures:
            write(entry, entry.make(True), Path(folder))
            lines += ["", f"![{entry.title}]({entry.name}.png)"]
    return "\n".join(lines) + "\n"


def _keep(path, text):
    """Write only what has changed, so that the next build is quick."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
