"""Pictures of phase diagrams, critical lines and trajectories that others ask for by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import ChioneError, checks
from chione.base.words import coded
from chione.plotting.depth import DepthCurve, depth_figure, wants_log
from chione.plotting.diagram import FIELD_WORDS, DiagramPicture, phase_diagram_figure, shown
from chione.plotting.style import BLUE, VERMILLION, one_axes, style
from chione.theory import CriticalLine, PhaseDiagram, Trajectory, critical_line


def phase_figure(
    diagram: PhaseDiagram,
    line: CriticalLine | None,
    *,
    title: str = "Phase diagram",
    field: str = "q_star",
    levels: Sequence[float] | None = (),
) -> Figure:
    """A phase diagram with its critical line.

    Parameters
    ----------
    diagram : PhaseDiagram
        What is drawn.
    line : CriticalLine or None
        The line of its activation.
    title : str
        Line above the picture.
    field : str
        The quantity of the heat map: "q_star", "chi_parallel", "chi_perp", "c_star",
        "one_minus_c_star", "xi_q" or "xi_c".
    levels : sequence of float, optional
        Where level lines are drawn; None lets the picture choose, and () is for none.
    """
    checks.one_of("field", field, tuple(FIELD_WORDS))
    return phase_diagram_figure(diagram_picture(diagram, line, field, levels), title=title)


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


def diagram_picture(
    diagram: PhaseDiagram,
    line: CriticalLine | None,
    field: str = "q_star",
    levels: Sequence[float] | None = (),
) -> DiagramPicture:
    """What the picture of a diagram shows; names of the phases stand in that of q* only."""
    empty = np.empty(0)
    curve, unstable = (empty, empty), np.empty(0, np.bool_)
    if line is not None:
        curve = (np.asarray(line.sigma_w), np.asarray(line.sigma_b))
        unstable = np.asarray(line.chi_parallel) > 1.0
    rows, columns = shown(diagram.sigma_b.size), shown(diagram.sigma_w.size)
    some = np.ix_(rows, columns)
    phase = coded(diagram, "phase")
    return DiagramPicture(
        np.asarray(diagram.sigma_w)[columns],
        np.asarray(diagram.sigma_b)[rows],
        np.asarray(getattr(diagram, field))[some],
        np.array(phase.words)[phase.codes[some]] if field == "q_star" else np.empty((0, 0), "U1"),
        curve,
        unstable=unstable,
        reached=(np.asarray(diagram.reached) | np.isnan(diagram.q_star))[some],
        name=field,
        levels=levels,
    )


def line_of(diagram: PhaseDiagram) -> CriticalLine | None:
    """The critical line of the diagram's activation; None for one that is known by name only."""
    try:
        return critical_line(diagram.activation)
    except ChioneError:  # a function of the user's own, read back from a file
        return None


def draw_line(ax: Axes, line: CriticalLine) -> None:
    """The line in the plane of sigmas; dashed where q* is unstable."""
    ax.plot(line.sigma_w, line.sigma_b, color=BLUE)
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")
    if line.sigma_w.size == 1:
        ax.plot(line.sigma_w, line.sigma_b, "D", ms=7, color=BLUE, label="critical point")
        ax.legend()
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
