"""Legends that hide nothing: a free corner, more room at the top, or a place beside the axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from chione.base import Array
from chione.plotting.style import style

_PLACES: tuple[Any, ...] = ("upper right", "upper left", "lower right", "lower left",
           "center right", "center left", "upper center", "lower center")  # fmt: skip
_STEP = 2.0  # pixels between the points of a line that are looked at
_MOST = 4000  # points of one straight piece, which may reach far beyond the picture
_STEPS = 12  # headroom grows by an eighth of the height a step: at most to two and a half times


def settle_legends(figure: Figure) -> None:
    """Move each legend of the figure off the data of its axes.

    The place where it is stays if nothing lies there; otherwise the first free corner or side is
    taken. Where none is free the axis is made longer at its top, and where that is not enough the
    legend goes to the right of the axes. On a heat map, where a legend has a ground of its own,
    only lines, points and words count, and the axes stay as they are.
    """
    owners = [ax for ax in figure.axes if ax.get_legend() is not None and ax.get_visible()]
    if not any(_hides(ax) for ax in owners):
        return
    with style():
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)  # sizes are known only after it
        for ax in owners:
            legend = ax.get_legend()
            if legend is not None and _hides(ax):
                _settle(ax, legend)


def _hides(ax: Axes) -> bool:
    return ax.axison


def _is_heat_map(ax: Axes) -> bool:
    return any(isinstance(c, QuadMesh) for c in ax.collections)


def _settle(ax: Axes, legend: Legend) -> None:
    box = _box(legend)
    if not box.overlaps(ax.get_window_extent()):
        return  # beside the axes
    if box.height > 0.6 * ax.get_window_extent().height:
        _beside(legend)
        return
    ink = _ink(ax)
    if _free(box, ink):
        legend.set_loc(_name_of(ax, box))  # "best" would look again, and see less
        return
    for place in _PLACES:
        legend.set_loc(place)
        if _free(_box(legend), ink):
            return
    if _is_heat_map(ax):
        legend.set_loc(_name_of(ax, box))
        return
    low, high = ax.get_ylim()
    for _ in range(_STEPS):
        _raise(ax)
        ink = _ink(ax)
        for place in (*_PLACES[:2], _PLACES[6]):  # at the top
            legend.set_loc(place)
            if _free(_box(legend), ink):
                return
    ax.set_ylim(low, high)
    _beside(legend)


def _box(legend: Legend) -> Bbox:
    return legend.get_window_extent().padded(2.0)


def _free(box: Bbox, ink: Array) -> bool:
    x, y = ink.T
    inside = (x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)
    return not bool(inside.any())


def _name_of(ax: Axes, box: Bbox) -> Any:
    """The place whose corner or side the box is nearest to."""
    frame = ax.get_window_extent()
    x = (0.5 * (box.x0 + box.x1) - frame.x0) / frame.width
    y = (0.5 * (box.y0 + box.y1) - frame.y0) / frame.height
    across = "left" if x < 0.4 else "right" if x > 0.6 else "center"
    up = "lower" if y < 0.4 else "upper" if y > 0.6 else "center"
    return "center" if up == across else f"{up} {across}"


def _beside(legend: Legend) -> None:
    legend.set_bbox_to_anchor((1.02, 0.5))
    legend.set_loc("center left")


def _raise(ax: Axes) -> None:
    """An eighth more room at the top, on whatever scale the axis has."""
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(np.array(ax.get_ylim(), dtype=np.float64))
    top = scale.inverted().transform(np.array([high + 0.125 * (high - low)]))
    ax.set_ylim(top=float(top[0]))


# ---- where the ink is --------------------------------------------------------------------------


def _ink(ax: Axes) -> Array:
    """Points in pixels that a legend should not lie on, shape (K, 2)."""
    parts = [_of_line(line) for line in ax.lines if line.get_visible()]
    heat = _is_heat_map(ax)  # level lines and hatching are everywhere
    parts += [_of_collection(c) for c in ax.collections if c.get_visible() and not heat]
    parts += [_of_path(p.get_path(), p.get_transform()) for p in ax.patches if p.get_visible()]
    parts += [_of_box(t.get_window_extent()) for t in ax.texts if t.get_text()]
    parts = [p for p in parts if p.size]
    return np.concatenate(parts) if parts else np.empty((0, 2))


def _of_line(line: Any) -> Array:
    marks = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=np.float64))
    parts = []
    if line.get_linestyle() not in ("None", "none", "", " "):
        parts.append(_filled(line.get_transform().transform_path(line.get_path())))
    if line.get_marker() not in ("None", "none", "", " ", None):
        half = 0.5 * line.get_markersize() * line.figure.dpi / 72.0
        ring = np.array([[0.0, 0.0], [half, 0.0], [-half, 0.0], [0.0, half], [0.0, -half]])
        parts.append((marks[:, None] + ring).reshape(-1, 2))
    return np.concatenate(parts) if parts else np.empty((0, 2))


def _of_collection(found: Any) -> Array:
    if isinstance(found, LineCollection):
        paths = found.get_paths()
        parts = [_of_path(path, found.get_transform()) for path in paths]
    elif len(found.get_offsets()) > 0 and found.get_offset_transform() is not None:
        places = np.ma.filled(np.ma.asarray(found.get_offsets(), dtype=np.float64), np.nan)
        if places.any():
            return np.asarray(found.get_offset_transform().transform(places))
        parts = [_of_path(path, found.get_transform()) for path in found.get_paths()]
    else:
        parts = [_of_path(path, found.get_transform()) for path in found.get_paths()]
    parts = [p for p in parts if p.size]
    return np.concatenate(parts) if parts else np.empty((0, 2))


def _of_path(path: Path, transform: Any) -> Array:
    return _filled(transform.transform_path(path))


def _filled(path: Path) -> Array:
    """Points along a path in pixels, so dense that no legend fits between two of them."""
    with np.errstate(invalid="ignore", over="ignore"):
        corners = np.asarray(path.vertices, dtype=np.float64)
        start, step = corners[:-1], np.diff(corners, axis=0)
        long = np.hypot(*step.T) / _STEP
        joined = np.isfinite(long)
        if path.codes is not None:
            joined &= np.asarray(path.codes)[1:] != Path.MOVETO
    start, step = start[joined], step[joined]
    many = np.clip(np.ceil(long[joined]), 1, _MOST).astype(int)
    place = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    at = np.repeat(np.arange(len(many)), many)
    between = start[at] + (place / many[at])[:, None] * step[at]
    return np.concatenate([between, corners[np.isfinite(corners).all(axis=1)]])


def _of_box(box: Bbox) -> Array:
    x, y = np.linspace(box.x0, box.x1, 12), np.linspace(box.y0, box.y1, 4)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
