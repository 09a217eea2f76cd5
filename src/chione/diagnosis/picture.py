"""An analysis as the data of a one-page picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chione.base import Array
from chione.diagnosis.report import layer_log10_gradient
from chione.plotting import DepthCurve, DiagramPicture, MapPicture, Page, wants_log
from chione.theory import correlation_map, critical_line, length_map, phase_diagram

if TYPE_CHECKING:
    from chione.diagnosis.analyze import Analysis

_CURVE = 161  # points of a map
_COLUMNS, _ROWS = 161, 121  # cells of the phase diagram
_ORBIT = 60  # layers drawn as a staircase


def page_of(analysis: Analysis) -> Page:
    """The content of the page; a part that does not exist is a sentence instead."""
    net = analysis.network
    title = (
        f"{net.activation.name},  $\\sigma_w = {net.sigma_w:.6g}$,  "
        f"$\\sigma_b = {net.sigma_b:.6g}$,  {net.depth} layers of width {net.widths[1]}"
    )
    verdict = analysis.verdict
    sentence = f"{verdict.sentence[0].upper()}{verdict.sentence[1:]}. {verdict.reason}"
    return Page(
        title, sentence, _lengths(analysis), _correlations(analysis), _diagram(analysis),
        _depth(analysis),
    )  # fmt: skip


def _lengths(analysis: Analysis) -> MapPicture | str:
    net = analysis.network
    orbit = np.asarray(analysis.curves.q)[:_ORBIT]
    orbit = orbit[np.isfinite(orbit)]
    points = tuple(
        (float(p.q.value), p.stability == "stable") for p in analysis.theory.fixed_points.points
    )
    q_star = float(analysis.theory.q_star.value)
    reach = [q for q, _ in points] + [float(orbit[0]) if orbit.size else 1.0]
    top = 1.25 * max(reach)
    if not math.isfinite(q_star) and orbit.size:  # divergent: follow the first few layers
        top = float(orbit[: min(6, orbit.size)].max())
    if not (math.isfinite(top) and top > 0.0):
        return "Mean squares are not finite, so there is no map to draw."
    q = np.linspace(0.0, top, _CURVE)
    image = length_map(net.activation, q[1:], sigma_w=net.sigma_w, sigma_b=net.sigma_b).value
    at_zero = net.sigma_b**2 + (net.sigma_w * float(net.activation(np.zeros(1))[0])) ** 2
    return MapPicture(q, np.concatenate([[at_zero], image]), orbit, points)


def _correlations(analysis: Analysis) -> MapPicture | str:
    net, theory = analysis.network, analysis.theory
    q, c_star = float(theory.q_star.value), float(theory.c_star.value)
    if not math.isfinite(q):
        return "Mean squares do not settle, so there is no correlation map at a fixed point."
    if q == 0.0:
        return "The fixed point is q* = 0: signals die, and correlations with them."
    c = np.linspace(-1.0, 1.0, _CURVE)
    image = correlation_map(net.activation, c, q=q, sigma_w=net.sigma_w, sigma_b=net.sigma_b).value
    orbit = np.asarray(analysis.curves.c)[:_ORBIT]
    points = [(1.0, theory.phase != "chaotic")]
    if math.isfinite(c_star) and c_star < 1.0:
        points.append((c_star, True))
    return MapPicture(c, np.asarray(image), orbit[np.isfinite(orbit)], tuple(points))


def _diagram(analysis: Analysis) -> DiagramPicture | str:
    net = analysis.network
    line = critical_line(net.activation)
    choices = [(a.sigma_w, a.sigma_b) for a in analysis.alternatives]
    wide = 1.25 * max(max(w for w, _ in choices), net.sigma_w, 1.6)
    high = max(1.25 * max(b for _, b in choices), 1.25 * net.sigma_b, 0.3 * wide)
    return diagram_picture(
        net.activation,
        np.linspace(wide / _COLUMNS, wide, _COLUMNS),
        np.linspace(0.0, high, _ROWS),
        (np.asarray(line.sigma_w), np.asarray(line.sigma_b)),
        (net.sigma_w, net.sigma_b),
    )


def diagram_picture(
    phi: object,
    sigma_w: Array,
    sigma_b: Array,
    line: tuple[Array, Array],
    point: tuple[float, float] | None = None,
) -> DiagramPicture:
    """The phase diagram over a grid, ready to be drawn."""
    diagram = phase_diagram(phi, sigma_w=sigma_w, sigma_b=sigma_b)
    return DiagramPicture(
        sigma_w, sigma_b, np.asarray(diagram.q_star), np.asarray(diagram.phase), line, point
    )


def _depth(analysis: Analysis) -> tuple[DepthCurve, ...]:
    run, depth = analysis.simulation, analysis.network.depth
    empty = np.empty(0)
    measured = dict.fromkeys(("lengths", "correlations", "gradients"), (empty, empty))
    if run is not None:
        for name in measured:
            measured[name] = (run.mean[name][:depth, 0], run.stderr[name][:depth, 0])
    with np.errstate(over="ignore"):
        gradient = 10.0 ** np.array(layer_log10_gradient(analysis))
    q = np.asarray(analysis.curves.q)
    return (
        DepthCurve(q, "mean square", "$q^l$", *measured["lengths"], log=wants_log(q)),
        DepthCurve(np.asarray(analysis.curves.c), "correlation", "$c^l$",
                   *measured["correlations"]),
        DepthCurve(gradient, "mean square gradient", "$d^{\\,l} / d^{\\,out}$",
                   *measured["gradients"], log=wants_log(gradient, factor=3.0)),
    )  # fmt: skip
