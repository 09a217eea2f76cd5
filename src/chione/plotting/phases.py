"""Pictures of phase diagrams, critical lines and trajectories that others ask for by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base.words import coded
from chione.plotting.depth import DepthCurve, depth_figure, wants_log
from chione.plotting.diagram import DiagramPicture, phase_diagram_figure, shown
from chione.plotting.style import BLUE, VERMILLION, one_axes, style
from chione.theory import CriticalLine, PhaseDiagram, Trajectory


def phase_figure(
    diagram: PhaseDiagram, line: CriticalLine | None, *, title: str = "Phase diagram"
) -> Figure:
    """A phase diagram with its critical line."""
    return phase_diagram_figure(diagram_picture(diagram, line), title=title)


def critical_line_figure(line: CriticalLine) -> Figure:
    """The critical line in the plane of sigmas, and chi_parallel along it."""
    with style():
        figure, ax = one_axes(5.0, 3.8)
        draw_line(ax, line)
    return figure


def trajectory_figure(curves: Trajectory) -> Figure:
    """Lengths, correlations and the gradient over the depth."""
    known = depth_curves(curves)
    return depth_figure([known[name] for name in ("q", "c", "gradient")])


def diagram_picture(diagram: PhaseDiagram, line: CriticalLine | None) -> DiagramPicture:
    """What the picture of a diagram shows."""
    empty = np.empty(0)
    curve = (empty, empty) if line is None else (np.asarray(line.sigma_w), np.asarray(line.sigma_b))
    rows, columns = shown(diagram.sigma_b.size), shown(diagram.sigma_w.size)
    some = np.ix_(rows, columns)
    phase = coded(diagram, "phase")
    return DiagramPicture(
        np.asarray(diagram.sigma_w)[columns],
        np.asarray(diagram.sigma_b)[rows],
        np.asarray(diagram.q_star)[some],
        np.array(phase.words)[phase.codes[some]],
        curve,
    )


def draw_line(ax: Axes, line: CriticalLine) -> None:
    """The line in the plane of sigmas; dashed where q* is unstable."""
    ax.plot(line.sigma_w, line.sigma_b, color=BLUE)
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")
    unstable = np.asarray(line.chi_parallel) > 1.0
    if np.any(unstable):
        there = np.where(unstable, line.sigma_b, np.nan)
        ax.plot(line.sigma_w, there, color=VERMILLION, ls="--", label="$q^*$ unstable")
        ax.legend()
    ax.set_title("Critical line")


def draw_slope(ax: Axes, line: CriticalLine) -> None:
    """chi_parallel along the line."""
    ax.plot(line.sigma_w, line.chi_parallel, color=BLUE)
    ax.axhline(1.0, color=VERMILLION, ls="--", lw=1.0)
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"slope of the length map $\chi_\parallel$")
    ax.set_title("Along the critical line")


def depth_curves(curves: Trajectory) -> dict[str, DepthCurve]:
    """Each curve of a trajectory, ready to be drawn."""
    gradient = np.asarray(curves.gradient)
    log = wants_log(gradient, factor=3.0)
    distance = np.asarray(curves.one_minus_c)
    known = {
        "q": DepthCurve(curves.q, "mean square", "$q^l$", log=wants_log(curves.q)),
        "c": DepthCurve(curves.c, "correlation", "$c^l$"),
        "gradient": DepthCurve(gradient, "mean square gradient", "$d^{\\,l} / d^L$", log=log),
        "one_minus_c": DepthCurve(distance, "distance", "$1 - c^l$", log=wants_log(distance)),
        "chi": DepthCurve(curves.chi, "factor on the gradient", r"$\chi_\perp^l$"),
        "log10_gradient": DepthCurve(curves.log10_gradient, "decimal log of the gradient", ""),
    }
    return {name: replace(curve, layer=curves.layer) for name, curve in known.items()}
