"""Pictures of results. Only this room knows matplotlib."""

from chione.plotting.depth import DepthCurve, depth_figure, draw_depth, wants_log
from chione.plotting.diagram import DiagramPicture, draw_diagram, phase_diagram_figure
from chione.plotting.legends import settle_legends
from chione.plotting.maps import (
    MapPicture,
    cobweb,
    correlation_map_figure,
    draw_map,
    length_map_figure,
)
from chione.plotting.page import Page, page_figure
from chione.plotting.phases import critical_line_figure, phase_figure, trajectory_figure
from chione.plotting.plot import plot
from chione.plotting.saving import save
from chione.plotting.style import COLOURS, LINES, MARKERS, look, new_figure, style

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "DepthCurve",
    "DiagramPicture",
    "MapPicture",
    "Page",
    "cobweb",
    "correlation_map_figure",
    "critical_line_figure",
    "depth_figure",
    "draw_depth",
    "draw_diagram",
    "draw_map",
    "length_map_figure",
    "look",
    "new_figure",
    "page_figure",
    "phase_diagram_figure",
    "phase_figure",
    "plot",
    "save",
    "settle_legends",
    "style",
    "trajectory_figure",
    "wants_log",
]
