"""The pictures of the pages of formulas, each drawn from chione's own numbers at every build."""

from pathlib import Path

from formula_pictures import depth, maps, spectra
from formula_pictures.drawing import save

PICTURES = maps.PICTURES | depth.PICTURES | spectra.PICTURES


def draw_pictures(folder):
    """Write every picture into `folder`, as NAME.png."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        save(draw, folder / f"{name}.png")
