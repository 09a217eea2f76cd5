"""Check every link inside built pages: the file is there, and so is the place in it.

    python docs/link_check.py docs/_build/html

No address outside the folder is asked for.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OWN_FRAGMENTS = {"explorer.html", "search.html"}  # their fragment is a state or a query, no place


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Collect what points somewhere and what can be pointed at."""
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ("href", "src") and value is not None:
                self.links.append(value)


def broken(folder):
    """[(page, link, why)] of all links within `folder` that lead nowhere."""
    folder = Path(folder).resolve()
    pages = {
        path: Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if path.name not in OWN_FRAGMENTS
    }
    if not pages:
        raise SystemExit(f"{folder} holds no pages; build the documentation first.")
    out = []
    for path, page in pages.items():
        for link in page.links:
            why = _why(path, link, folder, pages)
            if why:
                out.append((path.relative_to(folder).as_posix(), link, why))
    return out


def _why(path, link, folder, pages):
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if not target.is_relative_to(folder):
        return "leaves the documentation"
    if not target.is_file():
        return "no such file"
    place = unquote(parts.fragment)
    if place and target in pages and place not in pages[target].anchors:
        return "no such place in the page"
    return ""


if __name__ == "__main__":
    found = broken(sys.argv[1])
    for page, link, why in found:
        print(f"{page}: {link}: {why}")
    print(f"{len(found)} broken links")
    raise SystemExit(1 if found else 0)
