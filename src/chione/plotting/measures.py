"""Pictures of measures: the density as a line, point masses as bars, one matrix as a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from chione.base import EPS, Array
from chione.freeprob import as_measure
from chione.freeprob.curve import MeasureCurve
from chione.plotting.style import BLUE, SKY, VERMILLION, one_axes, style

_POINTS = 600
_TAIL = 1e-3  # mass at either end that a picture may leave out
_LONGER = 3.0  # how many times longer the whole support must be for that
_HARD = 0.04  # part of a band beside an edge at which the density rises without end
_FLAT = 0.1  # exponent at an edge below which the density does not go to 0 or to infinity
_ABOVE = 1e3  # times the axis: where such a density leaves the picture
_ROUNDING = 100.0  # units of rounding within which an eigenvalue lies on a point mass
_MOST = 4000  # point masses that are drawn


@dataclass(frozen=True)
class MeasurePicture:
    """What is painted.

    Parameters
    ----------
    low, high : float
        Ends of the axis.
    lines : tuple of pairs of ndarray
        Places and densities, band by band, closed at the edges.
    bars : ndarray, shape (k, 2)
        Places and masses of the point masses.
    top : float
        End of the density axis; 0 where there is no density.
    bins : pair of ndarray, or None
        Edges and heights of the histogram, point masses left out.
    note : str
        What lies beyond the axis.
    """

    low: float
    high: float
    lines: tuple[tuple[Array, Array], ...]
    bars: Array
    top: float
    bins: tuple[Array, Array] | None = None
    note: str = ""


def measure_figure(measure: Any, eigenvalues: Array | None = None) -> Figure:
    """Density and point masses of a measure, the eigenvalues of one matrix beside them.

    Parameters
    ----------
    measure : Measure, law, array of eigenvalues, or with ``to_measure()``
        The theory.
    eigenvalues : ndarray, optional
        Those of a matrix.
    """
    curve = as_measure(measure).curve(_POINTS)
    with style():
        figure, ax = one_axes(5.6, 3.8)
        draw_measure(ax, curve, eigenvalues)
    return figure


def draw_measure(ax: Axes, curve: MeasureCurve, eigenvalues: Array | None = None) -> None:
    """Draw what :func:`measure_figure` shows."""
    picture = measure_picture(curve, eigenvalues)
    handles: list[Any] = []
    ax.set_xlim(picture.low, picture.high)
    if picture.bins is not None:
        edges, heights = picture.bins
        ax.stairs(heights, edges, fill=True, color=SKY, alpha=0.6, lw=0)
        handles.append(Patch(color=SKY, alpha=0.6, label="one matrix"))
    for x, density in picture.lines:
        ax.plot(x, density, color=BLUE, zorder=3)
    if picture.lines:
        handles.insert(0, Line2D([], [], color=BLUE, label="density"))
    if picture.top > 0.0:
        ax.set_ylim(0.0, picture.top)
        ax.set_ylabel("density")
    if picture.bars.size:
        where = ax
        if picture.top > 0.0:
            where = ax.twinx()
            where.spines["right"].set_visible(True)
            where.spines["right"].set_color(VERMILLION)
            where.tick_params(axis="y", colors=VERMILLION)
        places, masses = picture.bars.T
        where.vlines(places, 0.0, masses, color=VERMILLION, lw=_width(places.size), zorder=4)
        where.set_ylim(0.0, 1.15 * masses.max())
        where.set_ylabel("mass of a point", color=VERMILLION)
        beside = " (right axis)" if picture.top > 0.0 else ""
        handles.append(Line2D([], [], color=VERMILLION, label=f"point mass{beside}"))
    ax.set_xlabel("x")
    if picture.note:
        ax.annotate(picture.note, (0.0, 1.0), xycoords="axes fraction", xytext=(0, 4),
                    textcoords="offset points", va="bottom", fontsize=7.2,
                    color="#555555")  # fmt: skip
    ax.set_title(_short(curve.name), pad=7.0 + 9.2 * bool(picture.note))
    if len(handles) > 1:
        ax.legend(handles=handles, loc="best")


def measure_picture(curve: MeasureCurve, eigenvalues: Array | None = None) -> MeasurePicture:
    """The picture as data."""
    bars = np.array(curve.atoms[:_MOST], dtype=np.float64).reshape(-1, 2)
    low, high, note = _window(curve, bars)
    lines = tuple(_closed(curve, band) for band in curve.bands)
    lines = tuple((x, y) for x, y in lines if x.size > 1)
    bins = None if eigenvalues is None else _bins(curve, eigenvalues, low, high)
    top = 1.15 * max((_height(x, y, low, high) for x, y in lines), default=0.0)
    if bins is not None:
        top = max(top, 1.05 * float(bins[1].max(initial=0.0)))
    drawn = tuple((x, np.minimum(np.nan_to_num(y, nan=0.0, posinf=np.inf), _ABOVE * top))
                  for x, y in lines)  # fmt: skip
    return MeasurePicture(low, high, drawn, bars, top, bins, note)


def _window(curve: MeasureCurve, bars: Array) -> tuple[float, float, str]:
    """All of the support, but for long tails that hold next to no mass."""
    ends = [x for band in curve.bands for x in band if np.isfinite(x)] + list(bars[:, 0])
    ends += [float(x) for x in curve.x[:1]] + [float(x) for x in curve.x[-1:]]
    low, high = min(ends), max(ends)
    note = ""
    if curve.x.size:
        inner = curve.x[(curve.cdf >= _TAIL) & (curve.cdf <= 1.0 - _TAIL)]
        near = [*inner[:1], *inner[-1:], *bars[bars[:, 1] >= _TAIL, 0]]
        if near and high - low > _LONGER * (max(near) - min(near)) > 0.0:
            low, high = min(near), max(near)
            left = float(np.interp(low, curve.x, curve.cdf))
            right = 1.0 - float(np.interp(high, curve.x, curve.cdf))
            note = f"Beyond this axis lie {left:.2g} of the mass on the left, {right:.2g} right."
    pad = 0.04 * (high - low) or max(abs(low), 1.0) * 0.5
    return low - pad, high + pad, note


def _closed(curve: MeasureCurve, band: tuple[float, float]) -> tuple[Array, Array]:
    """The density of one band with its ends: 0 at a soft edge, inf at a hard one."""
    inside = (curve.x > band[0]) & (curve.x < band[1])
    x, y = curve.x[inside], curve.density[inside]
    if x.size < 4:
        return x, y
    left = _end(x[:3] - band[0], y[:3])
    right = _end((band[1] - x[-3:])[::-1], y[-3:][::-1])
    if np.isfinite(band[0]):
        x, y = np.append(band[0], x), np.append(left, y)
    if np.isfinite(band[1]):
        x, y = np.append(x, band[1]), np.append(y, right)
    return x, y


def _end(distance: Array, density: Array) -> float:
    if np.all(density == density[0]) or np.any(density <= 0.0):
        return float(density[0])
    exponent = np.log(density[2] / density[0]) / np.log(distance[2] / distance[0])
    if exponent > _FLAT:
        return 0.0
    return float("inf") if exponent < -_FLAT else float(density[0])


def _height(x: Array, y: Array, low: float, high: float) -> float:
    """Highest point of a line, without what rises beside a hard edge."""
    seen = (x >= low) & (x <= high) & np.isfinite(y)
    if np.isinf(y[0]):
        seen &= x > x[0] + _HARD * (x[-1] - x[0])
    if np.isinf(y[-1]):
        seen &= x < x[-1] - _HARD * (x[-1] - x[0])
    return float(y[seen].max(initial=0.0))


def _bins(
    curve: MeasureCurve, eigenvalues: Array, low: float, high: float
) -> tuple[Array, Array] | None:
    """Bins that end where bands end; eigenvalues on point masses are no part of them."""
    x = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    places = np.array([a for a, _ in curve.atoms])
    if places.size:
        size = max(abs(x).max(), abs(places).max())
        near = np.min(abs(x[:, None] - places), axis=1)
        own = x[near > _ROUNDING * x.size * EPS * size]
    else:
        own = x
    own = own[(own >= low) & (own <= high)]
    if own.size == 0:
        return None
    ends = [e for band in curve.bands for e in band if low < e < high]
    cuts = sorted({low, high, *ends})
    usual = (high - low) / np.clip(2.5 * own.size**0.4, 5, 80)
    parts = [np.array([low])]
    for a, b in pairwise(cuts):
        count = max(1, int(np.ceil((b - a) / usual - 1e-6)))
        parts.append(np.linspace(a, b, count + 1)[1:])
    edges = np.concatenate(parts)
    counts, _ = np.histogram(own, edges)
    return edges, counts / (x.size * np.diff(edges))


def _width(count: int) -> float:
    return float(np.clip(60.0 / count, 0.6, 3.0))


def _short(name: str) -> str:
    return name if len(name) <= 70 else f"{name[:67]}..."
