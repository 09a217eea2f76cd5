"""How chione's figures look: colours, dashes, letters and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito's palette: told apart in greyscale and by all common kinds of colour vision.
BLACK, BLUE, SKY, GREEN = "#1a1a1a", "#0072B2", "#56B4E9", "#009E73"
VERMILLION, ORANGE, PURPLE, GREY = "#D55E00", "#E69F00", "#CC79A7", "#8a8a8a"
# The first seven are theirs; of the others each differs in lightness from those that have its dash.
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK,
           "#882255", "#661100", "#117733", "#332288", "#BBBB33")  # fmt: skip
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HEAT = "cividis"  # lightness rises evenly, so it survives greyscale

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 9.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#444444",
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,  # save turns it on where numbers share a power of ten
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.7,
    "errorbar.capsize": 0.0,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "chione",  # otherwise the ids inside an SVG are random
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "figure.dpi": 100.0,
    "savefig.dpi": 160.0,
    "savefig.facecolor": "white",
}


def look(i: int) -> dict[str, Any]:
    """Colour and dash of series number i; twelve of them can be told apart, in greyscale too."""
    return {"color": COLOURS[i % len(COLOURS)], "ls": LINES[i % len(LINES)]}


@contextmanager
def style() -> Iterator[None]:
    """The look of chione inside the block; the user's settings come back at its end."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's style sheet would change our bytes and hide our labels
        for key, value in _RC.items():
            mpl.rcParams[key] = value  # type: ignore[index]  # the stubs list every key
        yield


def new_figure(width: float, height: float, *, top: float = 1.0) -> Figure:
    """An empty figure of that size in inches, outside pyplot's global list of figures.

    The axes share the part of the height below `top`; what is above is free for a heading.
    """
    layout = ConstrainedLayoutEngine(rect=(0.0, 0.0, 1.0, top), hspace=0.04, wspace=0.03)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def one_axes(width: float = 5.0, height: float = 3.8) -> tuple[Figure, Axes]:
    """A figure with one set of axes."""
    figure = new_figure(width, height)
    return figure, figure.add_subplot()
