"""The pictures of the pages of formulas, each drawn from chione's own numbers."""

import hashlib
from pathlib import Path

from gallery_pages import package_state

from formula_pictures import depth, maps, spectra
from formula_pictures.drawing import save

PICTURES = maps.PICTURES | depth.PICTURES | spectra.PICTURES


def draw_pictures(folder):
    """Write every picture into `folder`, as NAME.png, unless they stand there for this code."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state, now = folder / "state.txt", _state()
    if state.exists() and state.read_text(encoding="utf-8") != now:
        state.unlink()
    for name, draw in PICTURES.items():
        if not (state.exists() and (folder / f"{name}.png").exists()):
            save(draw, folder / f"{name}.png")
    state.write_text(now, encoding="utf-8")


def _state():
    """One word for the content of the package and of the files beside this one."""
    digest = hashlib.sha256(package_state().encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
