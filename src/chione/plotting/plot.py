"""One door to the pictures: `plot(result)` for any result."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from matplotlib.figure import Figure

from chione.plotting.depth import DepthCurve, depth_figure, wants_log
from chione.plotting.diagram import DiagramPicture, phase_diagram_figure
from chione.plotting.geometry import gaussian_limit_figure, geometry_figure
from chione.plotting.simulation import simulation_figure
from chione.plotting.spectra import hessian_figure, spectrum_figure
from chione.plotting.style import BLUE, VERMILLION, one_axes, style
from chione.simulation import CurveGeometry, GaussianLimit, SimulationResult
from chione.theory import CriticalLine, PhaseDiagram, Trajectory
from chione.theory.hessian import HessianSpectrum
from chione.theory.jacobian import JacobianSpectrum


@runtime_checkable
class Plottable(Protocol):
    """A result that knows its own picture, as those of the upper floors do."""

    def plot(self) -> Figure:
        """The picture."""


def plot(result: Any) -> Figure:
    """Draw a result.

    Parameters
    ----------
    result : PhaseDiagram, CriticalLine, Trajectory, or any result with a method ``plot``
        What a function of chione returned.

    Returns
    -------
    matplotlib.figure.Figure
        Shown by a notebook; :func:`chione.plotting.save` writes it.

    Raises
    ------
    TypeError
        If there is no picture for this kind of object.
    """
    if isinstance(result, PhaseDiagram):
        return phase_figure(result, None)
    if isinstance(result, CriticalLine):
        return critical_line_figure(result)
    if isinstance(result, Trajectory):
        return trajectory_figure(result)
    if isinstance(result, SimulationResult):
        return simulation_figure(result)
    if isinstance(result, CurveGeometry):
        return geometry_figure(result)
    if isinstance(result, GaussianLimit):
        return gaussian_limit_figure(result)
    if isinstance(result, JacobianSpectrum):
        return spectrum_figure(result)
    if isinstance(result, HessianSpectrum):
        return hessian_figure(result)
    if isinstance(result, Plottable):
        return result.plot()
    raise TypeError(
        f"there is no picture for a {type(result).__name__}; plot() takes results of chione, "
        "such as those of phase_diagram, critical_line, trajectory, analyze or simulate."
    )


def phase_figure(
    diagram: PhaseDiagram, line: CriticalLine | None, *, title: str = "Phase diagram"
) -> Figure:
    """A phase diagram with its critical line."""
    empty = np.empty(0)
    curve = (empty, empty) if line is None else (np.asarray(line.sigma_w), np.asarray(line.sigma_b))
    picture = DiagramPicture(
        np.asarray(diagram.sigma_w),
        np.asarray(diagram.sigma_b),
        np.asarray(diagram.q_star),
        np.asarray(diagram.phase),
        curve,
    )
    return phase_diagram_figure(picture, title=title)


def critical_line_figure(line: CriticalLine) -> Figure:
    """The critical line in the plane of sigmas, and chi_parallel along it."""
    with style():
        figure, ax = one_axes(5.0, 3.8)
        ax.plot(line.sigma_w, line.sigma_b, color=BLUE)
        ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
        ax.set_ylabel(r"standard deviation of the biases $\sigma_b$")
        unstable = np.asarray(line.chi_parallel) > 1.0
        if np.any(unstable):
            there = np.where(unstable, line.sigma_b, np.nan)
            ax.plot(line.sigma_w, there, color=VERMILLION, ls="--", label="$q^*$ unstable")
            ax.legend()
        ax.set_title("Critical line")
    return figure


def trajectory_figure(curves: Trajectory) -> Figure:
    """Lengths, correlations and the gradient over the depth."""
    gradient = np.asarray(curves.gradient)
    return depth_figure(
        [
            DepthCurve(curves.q, "mean square", "$q^l$", log=wants_log(curves.q)),
            DepthCurve(curves.c, "correlation", "$c^l$"),
            DepthCurve(
                gradient,
                "mean square gradient",
                "$d^{\\,l} / d^L$",
                log=wants_log(gradient, factor=3.0),
            ),
        ]
    )
