"""The one-page picture of an analysis: maps, phase diagram, curves over the depth."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.plotting.depth import DepthCurve, draw_depth
from chione.plotting.diagram import DiagramPicture, draw_diagram
from chione.plotting.maps import MapPicture, draw_map, explain_discs
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLACK, GREY, new_figure, style


@dataclass(frozen=True)
class Page:
    """What the page shows; a panel without data says why it is empty.

    Parameters
    ----------
    title, verdict : str
        Heading and the sentence below it.
    lengths, correlations : MapPicture or str
        The two maps, or a sentence that says why there is none.
    diagram : DiagramPicture or str
        The phase diagram with the network's own point.
    depth : tuple of DepthCurve
        Lengths, correlations and gradients over the depth.
    """

    title: str
    verdict: str
    lengths: MapPicture | str
    correlations: MapPicture | str
    diagram: DiagramPicture | str
    depth: tuple[DepthCurve, ...]


def page_figure(page: Page) -> Figure:
    """Draw the page: two rows of three panels below a heading.

    Parameters
    ----------
    page : Page
        The content.
    """
    with style():
        verdict = textwrap.wrap(page.verdict, 138)
        figure = new_figure(11.6, 7.0, top=0.915 - 0.03 * len(verdict))
        figure.text(0.012, 0.982, page.title, fontsize=14, fontweight="bold", va="top")
        figure.text(0.012, 0.938, "\n".join(verdict), fontsize=10.5, color="#333333", va="top")
        axes = figure.subplots(2, 3, gridspec_kw={"width_ratios": (1.0, 1.0, 1.25)})
        _map(axes[0, 0], page.lengths, "q", "mean square", "Length map")
        _map(axes[0, 1], page.correlations, "c", "correlation", "Correlation map")
        _diagram(axes[0, 2], page.diagram)
        for ax, curve, title in zip(axes[1], page.depth, _DEPTH_TITLES, strict=True):
            ax.set_title(title)
            draw_depth(ax, curve)
        if page.depth[0].measured.size:
            axes[1, 0].legend(loc="best")
        if isinstance(page.lengths, MapPicture):
            explain_discs(axes[0, 0], page.lengths)
    return figure


def page_picture(page: Page) -> Picture:
    """The panels of the page by name; drawn whole they are the page."""
    panels = {
        name: Panel(partial(draw_depth, curve=curve))
        for name, curve in zip(("q", "c", "gradient"), page.depth, strict=True)
    }
    panels["lengths"] = Panel(
        lambda ax: _map(ax, page.lengths, "q", "mean square", "Length map"), (4.2, 4.0)
    )
    panels["correlations"] = Panel(
        lambda ax: _map(ax, page.correlations, "c", "correlation", "Correlation map"), (4.2, 4.0)
    )
    panels["diagram"] = Panel(lambda ax: _diagram(ax, page.diagram), (5.6, 4.0))
    return Picture(panels, shown=("gradient",), whole=lambda: page_figure(page))


def _diagram(ax: Axes, picture: DiagramPicture | str) -> None:
    ax.set_title("Phase diagram")
    figure = ax.get_figure(root=True)
    if isinstance(picture, str) or figure is None:
        _empty(ax, str(picture))
    else:
        draw_diagram(figure, ax, picture)


_DEPTH_TITLES = ("Lengths over the depth", "Correlation of two inputs", "Gradient")


def _map(ax: Axes, picture: MapPicture | str, symbol: str, words: str, title: str) -> None:
    ax.set_title(title)
    if isinstance(picture, str):
        _empty(ax, picture)
    else:
        draw_map(ax, picture, symbol=symbol, words=words)


def _empty(ax: Axes, reason: str) -> None:
    """An empty panel that says why it is empty."""
    ax.text(
        0.5,
        0.5,
        textwrap.fill(reason, 34),
        ha="center",
        va="center",
        color=BLACK,
        transform=ax.transAxes,
    )
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_color(GREY)
