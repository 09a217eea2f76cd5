"""Write the atlas: each page in a process of a pool, kept until the code that made it changes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from atlas import neighbours
from atlas.across import across_page
from atlas.entries import Entry, entries
from atlas.index_page import index_page, torch_names
from atlas.page import NEIGHBOURS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# What makes the numbers; a change elsewhere leaves the pages as they are.
_ROOMS = ("base", "gaussian", "freeprob", "activations", "networks", "theory", "diagnosis")
_FILES = (
    "src/chione/plotting/style.py",
    "src/chione/plotting/saving.py",
    "src/chione/plotting/powers.py",
    "benchmarks/which_initialisation.json",
)
_SLOWEST = ("snake", "gcu", "siren", "phish", "sinc", "smish", "ricker", "isru")
"""Pages that take several times as long as others; begun first, so that none is waited for."""


def write_atlas(folder: Path, wanted: tuple[Entry, ...] | None = None) -> None:
    """Write all pages, their pictures and the first page into `folder`."""
    chosen = entries() if wanted is None else wanted
    folder = Path(folder)
    kept = folder / ".kept"
    kept.mkdir(parents=True, exist_ok=True)
    code = code_hash()
    names = {
        e.slug: hashlib.sha256(f"{code}{astuple(e)}".encode()).hexdigest()[:16] for e in chosen
    }
    _make([e for e in chosen if not (kept / f"{names[e.slug]}.json").exists()], kept, names)
    found = {
        e.slug: json.loads((kept / f"{names[e.slug]}.json").read_text("utf-8")) for e in chosen
    }
    titles = {e.slug: e.title for e in chosen}
    near = neighbours.nearest({slug: np.array(f["values"]) for slug, f in found.items()})
    pages = {
        slug: f["page"].replace(NEIGHBOURS, neighbours.words(near[slug], titles))
        for slug, f in found.items()
    }
    pages["across"] = across_page()
    pages["index"] = index_page({s: f["row"] for s, f in found.items()}, torch_names(chosen))
    for slug, text in pages.items():
        _keep(folder / f"{slug}.md", text.encode())
    for slug, name in names.items():
        _keep(folder / f"{slug}.png", (kept / f"{name}.png").read_bytes())
    _forget(folder, kept, set(pages), set(names.values()))


def make_page(entry: Entry, kept: Path, name: str) -> None:
    """Compute one page and its picture, and put both away; the picture first."""
    from atlas.facts import facts
    from atlas.index_page import summary
    from atlas.page import page
    from atlas.pictures import draw

    found = facts(entry)
    draw(found, kept / f"{name}.png")
    made: dict[str, Any] = {
        "page": page(found),
        "row": summary(found),
        "values": neighbours.standard_values(found.phi).tolist(),
    }
    part = kept / f"{name}.part"
    part.write_text(json.dumps(made), encoding="utf-8")
    part.replace(kept / f"{name}.json")


def code_hash() -> str:
    """What the pages depend on: the rooms of the theory, this package, the measured table."""
    rooms = [ROOT / "src" / "chione" / name for name in _ROOMS]
    files = [path for room in rooms for path in room.rglob("*.py")]
    files += [*HERE.glob("*.py"), *(ROOT / name for name in _FILES)]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for library in ("numpy", "scipy", "matplotlib"):
        digest.update(f"{library}{__import__(library).__version__}".encode())
    return digest.hexdigest()


def _make(missing: list[Entry], kept: Path, names: dict[str, str]) -> None:
    if not missing:
        return
    order = sorted(missing, key=lambda e: e.slug not in _SLOWEST)
    at_once = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else
                  os.cpu_count() or 1, len(order))  # fmt: skip
    context = multiprocessing.get_context("spawn")  # a fork would copy threads of the caller
    with ProcessPoolExecutor(at_once, mp_context=context) as pool:
        running = [pool.submit(make_page, e, kept, names[e.slug]) for e in order]
        for job in running:
            job.result()


def _keep(path: Path, content: bytes) -> None:
    """Write only what has changed, so that the next build is quick."""
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def _forget(folder: Path, kept: Path, pages: set[str], names: set[str]) -> None:
    """Remove pages that are no more, and what older code made."""
    for path in [*folder.glob("*.md"), *folder.glob("*.png")]:
        if path.stem not in pages:
            path.unlink()
    for path in kept.iterdir():
        if path.stem not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
