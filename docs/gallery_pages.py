"""The gallery with its pictures: two processes draw the quick version of every entry.

    python docs/gallery_pages.py FOLDER NAME...     # what each of the two does

What was drawn is kept for as long as no file of the package changes.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import chione
from chione.gallery import ENTRIES, find

FIRST = [
    "# Gallery",
    "",
    "Every figure and table of the sources is one command away. Each makes a picture, the",
    "labelled data behind it, and a caption with its checks. Lines are theory, points are",
    "simulated networks with standard errors. The pictures here are the quick versions, with",
    "small networks and few points; without `--quick` they are finer.",
    "",
    "```bash",
    "chione reproduce --list",
    "chione reproduce poole-figure-1 --out figures",
    "chione reproduce --all --quick --check",
    "```",
]


def gallery_markdown(folder, *, pictures=True):
    """One section for each entry; pictures and checks come from `folder`, drawn where needed."""
    if pictures:
        draw_all(folder)
    lines = list(FIRST)
    for entry in ENTRIES.values():
        lines += ["", f"## {entry.title}", "", f"`chione reproduce {entry.name}`, after"]
        lines += [f"{entry.source}.", "", entry.caption]
        if pictures:
            lines += ["", f"![{entry.title}]({folder.name}/{entry.name}.png)"]
            checks = json.loads((folder / f"{entry.name}.json").read_text(encoding="utf-8"))
            lines += ["", *(f"- {sentence}" for sentence in checks)]
    return "\n".join(lines) + "\n"


def draw_all(folder):
    """Draw what `folder` does not hold for the present state of the package."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.txt"
    now = package_state()
    if state.exists() and state.read_text(encoding="utf-8") != now:
        state.unlink()
    todo = [n for n in ENTRIES if not state.exists() or not (folder / f"{n}.json").exists()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    halves = [
        subprocess.Popen([sys.executable, __file__, str(folder), *half], env=environment)
        for half in (todo[::2], todo[1::2])
        if half
    ]
    ended = [process.wait() for process in halves]  # both, whatever the first says
    if any(ended):
        raise SystemExit("A picture of the gallery could not be drawn; the reason stands above.")
    state.write_text(now, encoding="utf-8")


def package_state():
    """One word for the content of every file of the package, this file and the versions below."""
    root, digest = Path(chione.__file__).parent, hashlib.sha256()
    for path in [*sorted(root.rglob("*.py")), Path(__file__)]:
        digest.update(path.read_bytes())
    for name in ("numpy", "scipy", "matplotlib"):
        digest.update(__import__(name).__version__.encode())
    return digest.hexdigest()


def draw(folder, name):
    """NAME.png, and NAME.json with the sentences of the checks."""
    entry = find(name)
    made = entry.make(True)
    failed = [check.sentence for check in made.checks if not check.passed]
    if failed:
        raise SystemExit(f"{name}: {' '.join(failed)}")
    chione.plotting.save(made.figure, folder / f"{name}.png")
    sentences = [check.sentence for check in made.checks]
    (folder / f"{name}.json").write_text(json.dumps(sentences), encoding="utf-8")


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        draw(Path(sys.argv[1]), wanted)
