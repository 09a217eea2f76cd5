"""Pages of the documentation that are made from the code: errata, gallery, reference."""

import importlib
import importlib.util
import inspect
from pathlib import Path

from formula_pictures import draw_pictures

import chione
from chione.gallery import ENTRIES, write
from chione.gallery.errata import errata_markdown


def write_pages(folder, *, pictures=False):
    """Write errata.md, gallery.md, reference.md and the formulas' pictures into `folder`."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    _keep(folder / "errata.md", errata_markdown())
    _keep(folder / "gallery.md", gallery_markdown(folder, pictures=pictures))
    _keep(folder / "reference.md", reference_markdown())
    draw_pictures(folder / "formulas")


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


def reference_markdown():
    """Every public name with its docstring; those of chione.torch where torch is installed."""
    lines = ["# Reference", "", "Everything that `import chione` offers by name."]
    lines += _listing([getattr(chione, n) for n in chione.__all__ if not n.startswith("_")], "")
    room = importlib.import_module("chione.freeprob")
    lines += ["", "`chione.freeprob` is the room of measures and free convolutions."]
    lines += _listing([getattr(room, n) for n in room.__all__], " of chione.freeprob")
    if importlib.util.find_spec("torch"):
        room = importlib.import_module("chione.torch")
        lines += ["", "`chione.torch` needs the extra `torch`."]
        lines += _listing([getattr(room, n) for n in room.__all__], " of chione.torch")
    return "\n".join(lines) + "\n"


def _listing(things, where):
    lines = []
    for heading, wanted, kind in (
        ("Functions", inspect.isfunction, "autofunction"),
        ("Classes", inspect.isclass, "autoclass"),
    ):
        lines += ["", f"## {heading}{where}", "", "```{eval-rst}"]
        for thing in filter(wanted, things):
            lines += [f".. {kind}:: {thing.__module__}.{thing.__name__}", ""]
        lines += ["```"]
    return lines


def _keep(path, text):
    """Write only what has changed, so that the next build is quick."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
