"""A picture as panels by name: all of them in a figure, or one of them wherever it is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import SpecError
from chione.plotting.legends import settle_legends
from chione.plotting.powers import write_powers
from chione.plotting.style import new_figure, style


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Parameters
    ----------
    draw : callable
        Draws on the axes that it is given.
    size : tuple of float
        Width and height in inches that suit it.
    """

    draw: Callable[[Axes], None]
    size: tuple[float, float] = (3.8, 3.0)


@dataclass(frozen=True)
class Picture:
    """Panels by the name of the quantity they show.

    Parameters
    ----------
    panels : mapping of str to Panel
        Everything that can be drawn.
    shown : tuple of str
        What is drawn where nothing is asked for; all by default.
    columns : int
        Panels side by side.
    whole : callable, optional
        Makes the figure with all panels, where it is more than panels in a grid.
    """

    panels: Mapping[str, Panel]
    shown: tuple[str, ...] = ()
    columns: int = 3
    whole: Callable[[], Figure] | None = None


def assemble(picture: Picture, *, ax: Axes | None = None, field: str | None = None) -> Figure:
    """Draw a picture into a figure of its own, or one of its panels on given axes.

    Raises
    ------
    SpecError
        If there is no panel of the name `field`.
    """
    if field is not None and field not in picture.panels:
        raise SpecError(f"field must be one of {', '.join(picture.panels)}, but it is {field!r}.")
    names = (field,) if field is not None else picture.shown or tuple(picture.panels)
    if ax is not None:  # in the user's own style
        picture.panels[names[0]].draw(ax)
        figure = ax.get_figure(root=True)
        if not isinstance(figure, Figure):
            raise ValueError("ax belongs to no figure; make it with figure.add_subplot().")
        return figure
    if field is None and picture.whole is not None:
        figure = picture.whole()
        settle_legends(figure)
        write_powers(figure)
        return figure
    panels = [picture.panels[name] for name in names]
    columns = min(picture.columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    with style():
        wide, high = max(p.size[0] for p in panels), max(p.size[1] for p in panels)
        figure = new_figure(wide * columns, high * rows)
        for k, panel in enumerate(panels):
            panel.draw(figure.add_subplot(rows, columns, k + 1))
    settle_legends(figure)
    write_powers(figure)
    return figure
