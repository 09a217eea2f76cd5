"""A picture of a spectrum as data, and how it is painted."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from chione.base import Array
from chione.plotting.spectrum_axis import SpectrumAxis
from chione.plotting.spectrum_bins import Histogram, height
from chione.plotting.spectrum_parts import Curve
from chione.plotting.style import BLACK, BLUE, GREY, SKY, VERMILLION

Corner = Literal["upper left", "upper right", "upper center"]

_ABOVE = 1e3  # times the axis: where a density that rises without end leaves the picture
_LINE = 92  # letters of a note that fit above the axes


@dataclass(frozen=True)
class Bar:
    """A point mass.

    Parameters
    ----------
    log_v : float
        Its place, -inf for 0.
    mass : float
        By the law; NaN where only networks tell.
    seen : float
        Share of the networks' values there; NaN without networks.
    """

    log_v: float
    mass: float
    seen: float = float("nan")


@dataclass(frozen=True)
class SpectrumPicture:
    """What is painted.

    Parameters
    ----------
    axis : SpectrumAxis
        Places and limits.
    curves : tuple of Curve
        The law's density by log v, band by band.
    bars : tuple of Bar
        Point masses, on an axis of their own.
    bins : Histogram or None
        The networks.
    floor : float
        Log v up to which networks are rounding; -inf if none is.
    outliers : tuple of float
        Log v of outliers.
    title : str
        Heading.
    notes : tuple of str
        What is not seen: mass beyond the axis, values below rounding.
    line : str
        Name of the curve in the legend.
    """

    axis: SpectrumAxis
    curves: tuple[Curve, ...] = ()
    bars: tuple[Bar, ...] = ()
    bins: Histogram | None = None
    floor: float = float("-inf")
    outliers: tuple[float, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()
    line: str = "infinite width"
    top: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "top", height(self.axis, self.curves, self.bins))

    @property
    def shown_bars(self) -> tuple[Bar, ...]:
        """Those inside the window, and those at 0."""
        low, high = self.axis.low, self.axis.high
        slack = 1e-9 * (1.0 + abs(high))
        return tuple(
            b for b in self.bars if b.log_v == -np.inf or low - slack <= b.log_v <= high + slack
        )

    @property
    def mass_top(self) -> float:
        """Top of the axis of point masses."""
        masses = [x for b in self.shown_bars for x in (b.mass, b.seen) if np.isfinite(x)]
        highest = max(masses, default=0.0)
        return 1.15 if highest > 0.55 else max(1.6 * highest, 1e-12)

    def drawn(self, curve: Curve) -> tuple[Array, Array]:
        """Coordinates of a curve, a hard edge beyond the top."""
        with np.errstate(over="ignore", invalid="ignore"):
            y = self.axis.density(curve.log_v, curve.density)
            x = self.axis.place(curve.log_v)
        y = np.minimum(np.where(np.isnan(y), np.inf, y), _ABOVE * self.top)
        keep = np.isfinite(x) & (x > 0.0 if self.axis.kind == "log" else True)
        return x[keep], y[keep]


def paint(ax: Axes, picture: SpectrumPicture) -> None:
    """Paint a picture on axes, with an axis of masses on the right where there are bars."""
    picture.axis.apply(ax)
    alone = not picture.curves and picture.bins is None
    if not alone:
        _densities(ax, picture)
    if picture.shown_bars:
        _bars(ax, picture, alone=alone)
    if picture.axis.has_gutter:
        low = float(picture.axis.x(np.array(picture.axis.ends[0])))
        ax.axvline(low, color=GREY, lw=0.7, ls=(0, (2, 2)))
    lines = [t for note in picture.notes for t in textwrap.wrap(note, _LINE)]
    if lines:
        ax.annotate(
            "\n".join(lines), (0.0, 1.0), xycoords="axes fraction", xytext=(0, 4),
            textcoords="offset points", va="bottom", fontsize=7.2, color="#555555",
        )  # fmt: skip
    ax.set_title(picture.title, pad=7.0 + 9.2 * len(lines))
    _legend(ax, picture, "point mass" if alone else "point mass (right axis)")


def _densities(ax: Axes, picture: SpectrumPicture) -> None:
    axis = picture.axis
    if picture.floor > axis.low:
        left = float(axis.x(np.array(axis.ends[0])))
        ax.axvspan(left, float(axis.place(np.array(picture.floor))), color=GREY, alpha=0.13, lw=0)
    if picture.bins is not None:
        ax.stairs(
            picture.bins.heights, axis.x(picture.bins.edges), fill=True, color=SKY, alpha=0.6,
            lw=0, zorder=2,
        )  # fmt: skip
    for curve in picture.curves:
        ax.plot(*picture.drawn(curve), color=BLUE, zorder=3, solid_joinstyle="round")
    if picture.outliers:
        ax.plot(
            axis.place(np.array(picture.outliers)), [0.0] * len(picture.outliers), marker="v",
            ls="none", ms=6, color=BLACK, clip_on=False, zorder=6,
        )  # fmt: skip
    ax.set_ylim(0.0, picture.top)
    ax.set_ylabel(axis.density_label)
    ax.yaxis.get_offset_text().set(ha="right", x=-0.01)  # the notes begin at the axis


def _bars(ax: Axes, picture: SpectrumPicture, *, alone: bool) -> None:
    """Bars of mass, of the law in front of those of the networks."""
    own = ax if alone else ax.twinx()
    axis = picture.axis
    for b in picture.shown_bars:
        at = axis.zero_position if b.log_v == -np.inf else axis.position(np.array(b.log_v))
        x = float(axis.x(np.array(at)))
        if np.isfinite(b.seen):
            own.vlines(x, 0.0, b.seen, color=SKY, lw=9, alpha=0.6, zorder=4)
        if np.isfinite(b.mass):
            own.vlines(x, 0.0, b.mass, color=VERMILLION, lw=3, zorder=5)
        top = max(v for v in (b.mass, b.seen) if np.isfinite(v))
        value = b.mass if np.isfinite(b.mass) else b.seen
        right = axis.has_gutter and b.log_v == -np.inf
        own.annotate(
            f"{value:.3g}", (x, top), xytext=(-6 if right else 0, 2), textcoords="offset points",
            ha="left" if right else "center", va="bottom", fontsize=8,
            color=VERMILLION if np.isfinite(b.mass) else BLUE, zorder=7,
            bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.4},
        )  # fmt: skip
    own.set_ylim(0.0, picture.mass_top)
    own.set_ylabel("mass of a point", color=VERMILLION)
    own.tick_params(axis="y", colors=VERMILLION)
    own.spines["left" if alone else "right"].set(visible=True, color=VERMILLION)


def _legend(ax: Axes, picture: SpectrumPicture, point: str) -> None:
    handles: list[Line2D | Patch] = []
    if picture.curves:
        handles.append(Line2D([], [], color=BLUE, label=picture.line))
    if picture.bins is not None or any(np.isfinite(b.seen) for b in picture.shown_bars):
        handles.append(Patch(color=SKY, alpha=0.6, label="sampled networks"))
    if any(np.isfinite(b.mass) for b in picture.shown_bars):
        handles.append(Line2D([], [], color=VERMILLION, lw=3, label=point))
    if picture.outliers:
        handles.append(
            Line2D([], [], color=BLACK, marker="v", ls="none", label="outlier along the input")
        )
    if len(handles) < 2:
        return
    corner = _corner(picture)
    start = 0.11 if picture.axis.has_gutter and corner == "upper left" else 0.0
    ax.legend(
        handles=handles, loc=corner, bbox_to_anchor=(start, 0.0, 1.0 - start, 1.0),
        borderaxespad=0.9,
    )  # fmt: skip


def _corner(picture: SpectrumPicture) -> Corner:
    """The upper corner, or the upper middle, in which the least is drawn."""
    left, right = picture.axis.limits
    best: Corner = "upper left"
    least = np.inf
    parts: dict[Corner, tuple[float, float]] = {
        "upper left": (0.0, 0.45), "upper right": (0.55, 1.0), "upper center": (0.27, 0.73),
    }  # fmt: skip
    for name, (low, high) in parts.items():
        used = 0.0
        for c in filter(lambda c: c.log_v.size, picture.curves):
            with np.errstate(over="ignore", invalid="ignore"):
                u = (picture.axis.position(c.log_v) - left) / (right - left)
                y = picture.axis.density(c.log_v, c.density) / picture.top
            inside = (u >= low) & (u <= high) & np.isfinite(y)
            used = max(used, float(np.max(np.minimum(y[inside], 1.0), initial=0.0)))
        for b in picture.shown_bars:
            at = picture.axis.zero_position
            if b.log_v > -np.inf:
                at = float(picture.axis.position(np.array(b.log_v)))
            if low <= (at - left) / (right - left) <= high:
                used = max(used, b.mass / picture.mass_top if np.isfinite(b.mass) else 0.5)
        if used < least - 0.02:
            best, least = name, used
    return best
