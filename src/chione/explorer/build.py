"""The page: static files and tables joined into one HTML file with a strict policy.

Modules have unique top-level names and import by name only, one import a line, so that joining
them is taking these words away. Script and style are named in the policy by their hashes; nothing
is loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from chione.activations.registry import catalogue
from chione.base.files import write_text
from chione.theory.depth import trainability

STATIC = Path(__file__).parent / "static"
DATA = Path(__file__).parent / "data"
_IMPORT = re.compile(r'^import\s+(?:\{[^}]*\}\s+from\s+)?"(\./[^"]+)";\s*$', re.MULTILINE)
_REEXPORT = re.compile(r"^export\s+\{[^}]*\};\s*$", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|class|const|let)\b)", re.MULTILINE)
_NAMED = re.compile(
    r"^(?:async\s+)?(?:function\*?|class|const|let)\s+([A-Za-z_$][\w$]*)", re.MULTILINE
)
_LINK = re.compile(r'\s*<link rel="stylesheet" href="[^"]+">')
_SCRIPT = re.compile(r'\s*<script type="module" src="[^"]+"></script>')


def page(fragment: str = "") -> str:
    """The whole page as text; it opens at the state of `fragment` where its address has none."""
    if not fragment:
        return _page()
    state = html.escape(fragment, quote=True)
    return _page().replace('<html lang="en">', f'<html lang="en" data-state="{state}">', 1)


@lru_cache(maxsize=1)
def _page() -> str:
    head, body = _frame()
    style = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (STATIC / "vendor" / "uPlot.min.css", STATIC / "style.css")
        if path.exists()
    )
    script = joined("app.js")
    worker = joined("worker.js") if (STATIC / "worker.js").exists() else ""
    data = json.dumps(tables(), separators=(",", ":"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)} blob:",
            f"style-src {_hash(style)}",
            "worker-src blob:",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return "".join(
        [
            "<!DOCTYPE html>\n",
            head.replace(
                "<head>",
                f'<head>\n<meta charset="utf-8">\n'
                f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
                1,
            ),
            f"<style>{style}</style>\n</head>\n",
            body,
            f'<script type="application/json" id="chione-tables">{_safe(data)}</script>\n',
            f'<script type="text/plain" id="worker-source">{_safe_code(worker)}</script>\n',
            f'<script type="module">{script}</script>\n</body>\n</html>\n',
        ]
    )


def write_page(path: str | Path, fragment: str = "") -> Path:
    """Write the explorer to one file, which works from any folder and needs no network.

    Parameters
    ----------
    path : str or Path
        Where; a file of that name is replaced at once or stays as it was.
    fragment : str
        Where the page opens, as :func:`fragment` writes it.

    Returns
    -------
    Path
        `path`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> where = pathlib.Path(tempfile.mkdtemp()) / "explorer.html"
    >>> write_page(where).name
    'explorer.html'
    """
    return write_text(path, page(fragment))


@lru_cache(maxsize=1)
def tables() -> dict[str, Any]:
    """What the page holds of the catalogue, in its order."""
    entries = [
        json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        for name in catalogue()
        if (DATA / f"{name}.json").exists()
    ]
    return {"version": 1, "rule": rule(), "activations": entries}


def rule() -> dict[str, Any]:
    """The limits of the verdict, where they stand once: in the rule itself."""
    tables = ("order", "forgotten", "stiff", "faint")
    numbers = ("careful", "vanished", "exploded", "chaos", "alike", "even_layers", "spread")
    out = {name: getattr(trainability, name.upper()) for name in (*tables, *numbers)}
    return {name: value if name in numbers else dict(value) for name, value in out.items()}


def joined(entry: str) -> str:
    """A module and all that it imports as one script."""
    order: list[str] = []
    _collect(entry, order, ())
    parts = []
    owners: dict[str, str] = {}
    for name in order:
        text = (STATIC / name).read_text(encoding="utf-8")
        for pattern in (_IMPORT, _REEXPORT, _EXPORT):
            text = pattern.sub("", text)
        if re.search(r"^\s*(import|export)\b", text, re.MULTILINE):
            raise ValueError(f"{name} imports or exports in a way that cannot be joined.")
        for word in _NAMED.findall(text):
            if owners.setdefault(word, name) != name:
                raise ValueError(f"{name} and {owners[word]} both declare {word}; rename one.")
        parts.append(f"// ---- {name}\n{text.strip()}\n")
    return _safe_code("\n".join(parts))


def _collect(name: str, order: list[str], above: tuple[str, ...]) -> None:
    if name in order:
        return
    if name in above:
        raise ValueError(f"{name} imports itself by way of {' -> '.join(above)}.")
    folder = (STATIC / name).parent
    for wanted in _IMPORT.findall((STATIC / name).read_text(encoding="utf-8")):
        found = (folder / wanted).resolve().relative_to(STATIC.resolve()).as_posix()
        _collect(found, order, (*above, name))
    order.append(name)


def _frame() -> tuple[str, str]:
    """Head (open) and body (open) of the page's own file, without what is put inline."""
    path = STATIC / "index.html"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<!doctype html>\s*", "", text, count=1, flags=re.IGNORECASE)
    text = re.sub(r'\s*<meta charset="[^"]*">', "", text, flags=re.IGNORECASE)
    text = _SCRIPT.sub("", _LINK.sub("", text))
    head, _, rest = text.partition("</head>")
    body, _, _ = rest.rpartition("</body>")
    return head, body


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _safe(data: str) -> str:
    """JSON that cannot end its script."""
    return data.replace("<", "\\u003c")


def _safe_code(code: str) -> str:
    """Code in which no text ends its script, and no comment hides one."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")
