"""What a picture of a spectrum shows, as numbers: its window, and curves that close at edges.

Everything is in log v, the logarithm of a singular value or of its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chione.base import Array

Intervals = Sequence[tuple[float, float]]

_SHARES = (0.0, 1e-6, 1e-3, 1e-2, 5e-2)  # parts of the end bands that a window may leave out
_LONGER = 1.35  # a window is made so many times longer rather than leave out more
_SMALL = 1e-3  # mass of a band that is not looked for
_FLAT = 0.15  # exponent at an edge below which the density ends at a value of its own
_NEAR_EDGE = np.array([0.5, 0.25, 0.12, 0.05, 0.02, 5e-3, 1e-3])  # of the last point's distance
_UPPER = 2 / 3  # of the mass, at which the density is that of the bulk
_FAINT = 1 / 200  # of the highest density, below which nothing is seen
_PAD, _ROOM = 0.03, 0.07  # parts of a window beside an edge, beside a point mass


class Curve(NamedTuple):
    """The density of one band by log v, closed at its edges; inf at a hard one."""

    log_v: Array
    density: Array


class Window(NamedTuple):
    """Ends in log v, and the shares of the mass that lie beyond them, zeros not counted."""

    low: float
    high: float
    left: float
    right: float


def split(log_v: Array, density: Array, support: Intervals) -> list[Curve]:
    """The points of each band."""
    out = []
    for a, b in support:
        inside = (log_v > a) & (log_v < b) & np.isfinite(density)
        if inside.any():
            out.append(Curve(log_v[inside], density[inside]))
    return out


def bands_of(log_v: Array, density: Array, cdf: Array) -> list[tuple[float, float]]:
    """Bands of stored points: over a gap the distribution function rises less than the density."""
    if log_v.size < 2:
        return [(float(log_v[0]), float(log_v[0]))] if log_v.size else []
    chord = 0.5 * (density[1:] + density[:-1]) * np.diff(log_v)
    rise = np.diff(cdf)
    gap = np.flatnonzero((chord > 3.0 * rise) & (chord > 1e-6))
    starts, ends = [0, *(gap + 1)], [*gap, log_v.size - 1]
    return [(float(log_v[i]), float(log_v[j])) for i, j in zip(starts, ends, strict=True) if j > i]


def edges_of(curve: Curve) -> tuple[float, float]:
    """Ends of a band of which the points alone are known, where its density goes as a root to 0.

    A square root that the last two points follow ends where its square, a straight line, does.
    """
    out = []
    for end, inner in ((0, 1), (-1, -2)):
        x, y = curve
        edge = -np.inf if end == 0 else np.inf
        if x.size > 2 and y[end] < min(y[inner], 0.5 * np.max(y)) and abs(x[end] - x[inner]) < 2.0:
            step = (x[end] - x[inner]) * y[end] ** 2 / (y[inner] ** 2 - y[end] ** 2)
            edge = float(x[end] + np.clip(step, -3.0, 3.0))
        out.append(edge)
    return out[0], out[1]


def closed(curve: Curve, band: tuple[float, float]) -> Curve:
    """A band's density up to its edges: to 0 at a soft one, to infinity at a hard one."""
    x, y = curve
    for k, (edge, side) in enumerate(zip(band, (1.0, -1.0), strict=True)):
        if not np.isfinite(edge) or x.size < 3:
            continue
        end, inner = (0, 1) if k == 0 else (-1, -2)
        more_x, more_y = _end(edge, side, (x[end], x[inner]), (y[end], y[inner]))
        x = np.concatenate([more_x, x] if k == 0 else [x, more_x[::-1]])
        y = np.concatenate([more_y, y] if k == 0 else [y, more_y[::-1]])
    return Curve(x, y)


def _end(
    edge: float, side: float, x: tuple[float, float], y: tuple[float, float]
) -> tuple[Array, Array]:
    """Points from the edge to the last one known; `side` points into the band."""
    near, far = side * (x[0] - edge), side * (x[1] - edge)
    if near <= 0.0:
        return np.array([edge]), np.array([0.0])
    power = 0.5
    if min(y) > 0.0 and far > near:
        power = float(np.log(y[0] / y[1]) / np.log(near / far))
    away = near * _NEAR_EDGE[::-1]
    if abs(power) < _FLAT:  # it ends at a value of its own
        return np.array([edge, edge]), np.array([0.0, y[0]])
    power = float(np.clip(power, -1.0, 3.0))
    rim = 0.0 if power > 0.0 else np.inf
    return (
        np.concatenate([[edge], edge + side * away]),
        np.concatenate([[rim], y[0] * (away / near) ** power]),
    )


def mass_along(curves: Sequence[Curve]) -> tuple[Array, Array]:
    """Log v, and the mass of the continuous part up to there by the trapezoidal rule."""
    x = np.concatenate([c.log_v for c in curves])
    below, parts = 0.0, []
    for c in curves:
        y = np.where(np.isfinite(c.density), c.density, 0.0)
        steps = 0.5 * (y[1:] + y[:-1]) * np.diff(c.log_v)
        parts.append(below + np.concatenate([[0.0], np.cumsum(steps)]))
        below = float(parts[-1][-1])
    return x, np.concatenate(parts)


def window(
    log_v: Array, mass: Array, support: Intervals, *, also: Sequence[float] = (),
    linear: bool = False, density: Array | None = None,
) -> Window:  # fmt: skip
    """Where the mass of the continuous part is seen.

    On a logarithmic axis at least 95 % of the lowest and 99 % of the highest band that have any;
    more where that does not stretch the axis. Where the density by log v is below 1/200 of its
    highest, nothing is seen and the axis begins later (the lower ends of some laws reach over
    thousands of decades). A linear axis ends at the edge of the law.

    Parameters
    ----------
    log_v, mass : ndarray
        Points, and the mass of the continuous part at or below them.
    support : sequence of (float, float)
        Its bands.
    also : sequence of float
        What has to be shown, too: point masses, outliers.
    linear : bool
        Whether lengths are those of v.
    density : ndarray, optional
        By log v, at the points.
    """
    total = float(mass[-1]) if mass.size else 0.0
    at = [float(x) for x in also if np.isfinite(x)]
    if total <= 0.0 or not support:
        return _around(at)
    ends = [
        (a, b, float(np.interp(a, log_v, mass, left=0.0)), float(np.interp(b, log_v, mass)))
        for a, b in support
    ]
    kept = [e for e in ends if e[3] - e[2] > _SMALL * total] or ends
    (a, _, m0, m1), (_, b, n0, n1) = kept[0], kept[-1]

    def lower(c: float) -> float:
        return a if c == 0.0 else float(np.interp(m0 + c * (m1 - m0), mass, log_v))

    def upper(c: float) -> float:
        return b if c == 0.0 else float(np.interp(n1 - c * (n1 - n0), mass, log_v))

    top = upper(1e-2)

    def length(low: float, high: float) -> float:  # of v in units of that at `top`
        if not linear:
            return high - low
        return float(np.exp(min(high - top, 700.0)) - np.exp(min(low - top, 700.0)))

    most = _LONGER * length(lower(_SHARES[-1]), top) + 1e-12
    low = next((x for x in map(lower, _SHARES) if length(x, top) <= most), lower(_SHARES[-1]))
    if linear:  # to the edge, unless it lies far beyond all that can be seen
        most = _LONGER * length(low, upper(_SHARES[1]))
    high = next((x for x in map(upper, _SHARES) if length(low, x) <= most), top)
    if density is not None and not linear:
        low = _first_seen(log_v, mass, density, low)
    if linear and np.exp(low - high) < 0.6:
        low = -np.inf
    low, high = min([low, *at]), max([high, *at])
    left = float(np.interp(low, log_v, mass, left=0.0)) if np.isfinite(low) else 0.0
    return Window(low, high, left, total - float(np.interp(high, log_v, mass)))


def _first_seen(log_v: Array, mass: Array, density: Array, low: float) -> float:
    """Where the density from `low` on can first be seen, if it cannot be seen there."""
    # The upper half: a lower tail over hundreds of logarithms can hold the median itself.
    usual = float(np.interp(mass[0] + _UPPER * (mass[-1] - mass[0]), mass, density))
    highest = min(float(np.max(density, where=np.isfinite(density), initial=0.0)), 8.0 * usual)
    above = log_v >= low
    faint = density[above] < _FAINT * highest
    if not faint.any() or not faint[0] or faint.all():
        return low
    return float(log_v[above][np.argmin(faint)])


def _around(places: Sequence[float]) -> Window:
    """A window of point masses alone."""
    if not places:
        return Window(-1.0, 1.0, 0.0, 0.0)
    pad = max(0.5, 0.3 * (max(places) - min(places)))
    return Window(min(places) - pad, max(places) + pad, 0.0, 0.0)


def padded(
    w: Window, curves: Sequence[Curve], places: Sequence[float] = (), *, linear: bool
) -> Window:
    """A little room beside edges, more beside point masses at an end, none where it is cut."""
    low, high = w.low, w.high
    left, right = (_ROOM if any(abs(p - e) < 1e-9 for p in places) else _PAD for e in (low, high))
    if any(c.log_v[0] < low for c in curves) and left == _PAD:
        left = 0.0
    if not linear:
        return w._replace(low=low - left * (high - low), high=high + right * (high - low))
    length = 1.0 - float(np.exp(low - high))
    start = float(np.exp(low - high)) - max(left, _PAD) * length
    if low > -np.inf:
        low = high + float(np.log(start)) if start > 0.0 else -np.inf
    return w._replace(low=low, high=high + float(np.log1p(right * length)))


def cut(curve: Curve, low: float) -> Curve:
    """The part of a curve above an end of the window."""
    x, y = curve
    if not x.size or x[0] >= low or x[-1] <= low:
        return curve if x.size and x[-1] > low else Curve(x[:0], y[:0])
    start = float(np.interp(low, x, y))
    return Curve(np.concatenate([[low], x[x > low]]), np.concatenate([[start], y[x > low]]))
