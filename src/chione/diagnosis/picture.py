"""What the one-page picture of an analysis shows, as plain data: computed once, drawn at any time.

:func:`picture_of` computes, :func:`draw` only draws. The data stands by itself: saved as JSON and
read back it gives the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.base import AbstractResult, Array, plain, result
from chione.diagnosis.findings import Findings
from chione.diagnosis.picture_data import CurveData, DiagramData, MapData
from chione.theory import correlation_map, critical_line, length_map, phase_diagram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVE = 161  # points of a map
_COLUMNS, _ROWS = 161, 121  # cells of the phase diagram
_ORBIT = 60  # layers drawn as a staircase


@result
class AnalysisPicture(AbstractResult):
    """All that the page shows as a picture; a part that does not exist is a sentence instead.

    Parameters
    ----------
    activation : str
        Its name.
    sigma_w, sigma_b : float
        The network's own point.
    depth, width : int
        Its size.
    verdict : str
        The sentence below the title.
    lengths, correlations : MapData or str
        The two maps.
    diagram : DiagramData or str
        The phase diagram around the point.
    curves : tuple of CurveData
        Mean square, correlation and mean square gradient over the layers.
    """

    activation: str
    sigma_w: float
    sigma_b: float
    depth: int
    width: int
    verdict: str
    lengths: MapData | str
    correlations: MapData | str
    diagram: DiagramData | str
    curves: tuple[CurveData, ...]

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """Draw it; nothing is computed. With `ax` or `field` one panel, see `Analysis.plot`."""
        from chione.diagnosis.drawing import draw, page_of  # loads matplotlib: only when asked for

        title = (
            f"{self.activation},  $\\sigma_w = {self.sigma_w:.6g}$,  "
            f"$\\sigma_b = {self.sigma_b:.6g}$,  {self.depth} layers of width {self.width}"
        )
        page = page_of(
            title,
            self.verdict,
            maps=(self.lengths, self.correlations),
            diagram=self.diagram,
            point=(self.sigma_w, self.sigma_b),
            curves=self.curves,
        )
        return draw(page, ax=ax, field=field)

    def _parts(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` gives the picture back."""
        out = {name: getattr(self, name) for name in _NUMBERS}
        for name in ("lengths", "correlations", "diagram"):
            part = getattr(self, name)
            out[name] = part if isinstance(part, str) else vars(part)
        out["curves"] = [vars(curve) for curve in self.curves]
        return dict(plain(out))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnalysisPicture:
        """The picture that :meth:`to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `data` was not written by it.
        """
        return cls(
            **{name: data[name] for name in _NUMBERS},
            lengths=_map_back(data["lengths"]),
            correlations=_map_back(data["correlations"]),
            diagram=_diagram_back(data["diagram"]),
            curves=tuple(CurveData(**{k: _array(v) for k, v in c.items()}) for c in data["curves"]),
        )

    def __repr__(self) -> str:
        return f"AnalysisPicture({self.activation}, {self.depth} layers; .plot() draws it)"


_NUMBERS = ("activation", "sigma_w", "sigma_b", "depth", "width", "verdict")


def picture_of(analysis: Findings) -> AnalysisPicture:
    """Compute what the picture of an analysis shows beyond what the analysis holds."""
    net, verdict = analysis.network, analysis.verdict
    sentence = f"{verdict.sentence[0].upper()}{verdict.sentence[1:]}. {verdict.reason}"
    return AnalysisPicture(
        activation=net.activation.name,
        sigma_w=net.sigma_w,
        sigma_b=net.sigma_b,
        depth=net.depth,
        width=net.first_width,
        verdict=sentence,
        lengths=_lengths(analysis),
        correlations=_correlations(analysis),
        diagram=_diagram(analysis),
        curves=_curves(analysis),
    )


def _lengths(analysis: Findings) -> MapData | str:
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
    image = length_map(net.activation, q[1:], sigma_w=net.sigma_w, sigma_b=net.sigma_b)
    at_zero = net.sigma_b**2 + (net.sigma_w * float(net.activation(np.zeros(1))[0])) ** 2
    value = np.concatenate([[at_zero], np.asarray(image.value)])
    return MapData(q, value, np.concatenate([[0.0], np.asarray(image.error)]), orbit, points)


def _correlations(analysis: Findings) -> MapData | str:
    net, theory = analysis.network, analysis.theory
    q, c_star = float(theory.q_star.value), float(theory.c_star.value)
    note, points = f"at $q^*$ = {q:.4g}", [(1.0, theory.phase != "chaotic")]
    if math.isfinite(c_star) and c_star < 1.0:
        points.append((c_star, True))
    if not (analysis.phase.reached and q > 0.0):  # no fixed point, or none with a map of its own
        q = float(analysis.curves.q[-1])
        why = "q* = 0" if analysis.phase.reached else "lengths settle nowhere"
        note, points = f"{why}: at q of layer {net.depth}", []
    if not (math.isfinite(q) and q > 0.0):
        return f"In layer {net.depth} mean squares are beyond float64: there is no map to draw."
    c = np.linspace(-1.0, 1.0, _CURVE)
    image = correlation_map(net.activation, c, q=q, sigma_w=net.sigma_w, sigma_b=net.sigma_b)
    # the stairs go along this map: those of the network have another q in every layer
    orbit = [float(analysis.curves.c[0])]
    while len(orbit) < min(_ORBIT, net.depth) and math.isfinite(orbit[-1]):
        step = correlation_map(
            net.activation, orbit[-1], q=q, sigma_w=net.sigma_w, sigma_b=net.sigma_b
        )
        orbit.append(float(step.value))
    stairs = np.array([x for x in orbit if math.isfinite(x)])
    value, error = np.asarray(image.value), np.asarray(image.error)
    return MapData(c, value, error, stairs, tuple(points), note)


def _diagram(analysis: Findings) -> DiagramData | str:
    net = analysis.network
    line = critical_line(net.activation)
    choices = [(a.sigma_w, a.sigma_b) for a in analysis.alternatives]
    wide = 1.25 * max(max(w for w, _ in choices), net.sigma_w, 1.6)
    high = max(1.25 * max(b for _, b in choices), 1.25 * net.sigma_b, 0.3 * wide)
    sigma_w = np.linspace(wide / _COLUMNS, wide, _COLUMNS)
    sigma_b = np.linspace(0.0, high, _ROWS)
    found = phase_diagram(net.activation, sigma_w=sigma_w, sigma_b=sigma_b)
    return DiagramData(
        sigma_w,
        sigma_b,
        np.asarray(found.q_star),
        np.asarray(found.errors["q_star"], dtype=np.float64),
        np.asarray(found.phase),
        np.array([line.sigma_w, line.sigma_b, line.chi_parallel], dtype=np.float64),
        np.asarray(found.reached),
    )


def _curves(analysis: Findings) -> tuple[CurveData, ...]:
    run, depth = analysis.simulation, analysis.network.depth
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = 10.0**analysis.layer_log10_gradient
        error = gradient * analysis.errors.gradient  # of all layers: a bound for each
    theory = {
        "lengths": (np.asarray(analysis.curves.q), analysis.errors.q),
        "correlations": (np.asarray(analysis.curves.c), analysis.errors.c),
        "gradients": (gradient, error),
    }
    out = []
    for name, (value, bound) in theory.items():
        mean = stderr = np.empty(0)
        if run is not None:
            mean, stderr = run.mean[name][:depth, 0], run.stderr[name][:depth, 0]
        mean, stderr = np.asarray(mean), np.asarray(stderr)
        out.append(CurveData(value, np.asarray(bound), mean, stderr, analysis.curves.layer))
    return tuple(out)


def _map_back(data: Any) -> MapData | str:
    if isinstance(data, str):
        return data
    arrays = {k: _array(data[k]) for k in ("x", "y", "error", "orbit")}
    points = tuple((float(x), bool(stable)) for x, stable in data["fixed_points"])
    return MapData(**arrays, fixed_points=points, note=str(data["note"]))


def _diagram_back(data: Any) -> DiagramData | str:
    if isinstance(data, str):
        return data
    arrays = {k: _array(data[k]) for k in ("sigma_w", "sigma_b", "q_star", "error", "line")}
    phase = np.asarray(data["phase"], dtype=np.str_)
    reached = data.get("reached")  # files of version 0.1 say nothing of it
    known = np.ones(phase.shape, np.bool_) if reached is None else np.asarray(reached, np.bool_)
    return DiagramData(**arrays, phase=phase, reached=known)


def _array(data: Any) -> Array:
    return np.asarray(data, dtype=np.float64)  # None, which stands for NaN, becomes NaN
