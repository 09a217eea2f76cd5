"""Pictures of sweeps: a quantity over two axes with lines of theory, over one axis, over a list."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from chione.base import Array
from chione.plotting.style import BLACK, COLOURS, GREY, HEAT, LINES, MARKERS

_OUTLINE: list[patheffects.AbstractPathEffect] = [
    patheffects.withStroke(linewidth=3.4, foreground="#111111")
]
_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)), "-.")
_HALF = 0.5
_BELOW = 5.0  # letters between the axes and the legend: ticks and words of the axis stand there
_LONGEST_WORD, _TITLE = 28, 66  # letters of a row's name, and of a line of a title
_WIDE = 5.0  # last value over first from which logarithms are worth an axis


@dataclass(frozen=True)
class Axis:
    """Values along an axis, and the words below it."""

    values: Array
    words: str
    log: bool = False

    @property
    def edges(self) -> Array:
        """Borders of the cells: halfway between values, on the scale of the axis."""
        x = np.log(self.values) if self.log else np.asarray(self.values, dtype=float)
        inner = 0.5 * (x[1:] + x[:-1])
        ends = [x[0] - (inner[0] - x[0]), x[-1] + (x[-1] - inner[-1])]
        if not self.log and x[0] >= 0.0:
            ends[0] = max(ends[0], 0.0)  # what is drawn here has no negative values
        out = np.concatenate([ends[:1], inner, ends[1:]])
        return np.asarray(np.exp(out) if self.log else out)


@dataclass(frozen=True)
class Curve:
    """A line of theory over a map; NaN where it is broken."""

    x: Array
    y: Array
    label: str


@dataclass(frozen=True)
class SweepMap:
    """A quantity over two axes.

    Parameters
    ----------
    x, y : Axis
        Columns and rows.
    values : ndarray, shape (rows, columns)
        NaN where nothing is known.
    words : str
        What the colours mean.
    limits : tuple of float
        Values of the darkest and the lightest colour.
    curves : tuple of Curve
        Lines of theory.
    title : str
        Line above.
    log : bool
        Whether colours are logarithmic.
    """

    x: Axis
    y: Axis
    values: Array
    words: str
    limits: tuple[float, float]
    curves: tuple[Curve, ...] = ()
    title: str = ""
    log: bool = False


@dataclass(frozen=True)
class Series:
    """Means with standard errors over one axis, and the single seeds behind them."""

    label: str
    mean: Array
    stderr: Array
    seeds: Array = field(default_factory=lambda: np.empty((0, 0)))


@dataclass(frozen=True)
class SweepLines:
    """Some series over an axis of numbers, with marks where theory expects a change."""

    x: Axis
    series: tuple[Series, ...]
    words: str
    marks: tuple[tuple[float, str], ...] = ()
    title: str = ""
    log: bool = False


@dataclass(frozen=True)
class SweepDots:
    """Some series over a list of words, one row each."""

    rows: tuple[str, ...]
    series: tuple[Series, ...]
    words: str
    row_words: str
    title: str = ""
    guess: float | None = None
    log: bool = False


# ---- maps ------------------------------------------------------------------------------------


def draw_map(ax: Axes, picture: SweepMap) -> None:
    """Colours for the quantity, hatching where nothing is known, outlined lines of theory."""
    low, high = picture.limits
    norm = LogNorm(low, high) if picture.log else Normalize(low, high)
    mesh = ax.pcolormesh(
        picture.x.edges, picture.y.edges, np.ma.masked_invalid(picture.values),
        cmap=HEAT, norm=norm, rasterized=True,
    )  # fmt: skip
    if not np.all(np.isfinite(picture.values)):
        ax.patch.set(facecolor="#e6e6e6", hatch="////", edgecolor="#b5b5b5")
    figure = ax.get_figure(root=True)
    if figure is not None:
        bar = figure.colorbar(mesh, ax=ax, pad=0.02)
        bar.set_label(picture.words)
        bar.outline.set_visible(False)
    _scale(ax, "x", picture.x)
    _scale(ax, "y", picture.y)
    for k, curve in enumerate(picture.curves):
        ax.plot(
            curve.x, curve.y, color="white", lw=2.0, ls=_STYLES[k % len(_STYLES)],
            path_effects=_OUTLINE, label=curve.label, zorder=3,
        )  # fmt: skip
    ax.set_xlim(*picture.x.edges[[0, -1]])
    ax.set_ylim(*picture.y.edges[[0, -1]])
    _titled(ax, picture.title)
    _below(ax, len(picture.curves))


def _scale(ax: Axes, which: str, axis: Axis) -> None:
    """Scale, ticks and words of one axis."""
    if axis.log:
        getattr(ax, f"set_{which}scale")("log")
        one = getattr(ax, f"{which}axis")
        one.set_major_formatter(ScalarFormatter())
        one.set_minor_formatter(NullFormatter())
        low, high = float(axis.values[0]), float(axis.values[-1])
        one.set_ticks([t for t in _round_numbers(low, high) if low <= t <= high], minor=False)
        one.set_ticks([], minor=True)
    getattr(ax, f"set_{which}label")(axis.words)


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... where that is enough for an axis; 1, 10, 100 on long ones."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    steps = (1.0,) if last - first > 4 else (1.0, 2.0, 5.0)
    return [float(f"{m}e{k}") for k in range(first, last + 1) for m in steps]


def _below(ax: Axes, entries: int) -> None:
    """A legend under the axes, so that it hides no data."""
    if entries:
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=_BELOW,
            ncol=min(entries, 3), handlelength=3.2, columnspacing=1.4,
        )  # fmt: skip


# ---- lines and dots --------------------------------------------------------------------------


def draw_lines(ax: Axes, picture: SweepLines) -> None:
    """One line a series, bars of one standard error, dashed marks of theory."""
    x = picture.x.values
    for k, one in enumerate(picture.series):
        colour = COLOURS[k % len(COLOURS)]
        for seed in one.seeds:
            ax.plot(x, seed, ls="none", marker=".", ms=3, color=colour, alpha=0.35)
        ax.errorbar(
            x, one.mean, yerr=_bars(one.stderr), color=colour, ls=LINES[k % len(LINES)],
            marker=MARKERS[k % len(MARKERS)], ms=4.5, lw=1.4, label=one.label or None,
        )  # fmt: skip
    _scale(ax, "x", picture.x)
    for k, (place, label) in enumerate(picture.marks):
        ax.axvline(place, color=BLACK, lw=1.1, ls=("--", ":", "-.")[k % 3], label=label)
    if picture.log:
        ax.set_yscale("log")
    ax.set_ylabel(picture.words)
    _titled(ax, picture.title)
    named = sum(bool(one.label) for one in picture.series) + len(picture.marks)
    _below(ax, named)


def draw_dots(ax: Axes, picture: SweepDots) -> None:
    """One row a word: small points for seeds, a large one with its bar for their mean."""
    n = len(picture.series)
    rows = np.arange(len(picture.rows))[::-1]  # the first on top
    for k, one in enumerate(picture.series):
        y = rows - (_HALF * 0.9) * (k - 0.5 * (n - 1)) / max(n - 1, 1) * (n > 1)
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
        for seed in one.seeds:
            ax.plot(seed, y, ls="none", marker=".", ms=3.5, color=colour, alpha=0.4)
        ax.errorbar(
            one.mean, y, xerr=_bars(one.stderr), color=colour, ls="none", marker=marker, ms=5.5,
            lw=1.4, label=one.label or None,
        )  # fmt: skip
    if picture.guess is not None:
        ax.axvline(picture.guess, color=GREY, lw=1.0, ls=":", label="guessing")
    for row in rows[:-1]:
        ax.axhline(row - _HALF, color="#dddddd", lw=0.6, zorder=0)
    ax.set_yticks(rows, [_cut(word) for word in picture.rows])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    if picture.log:
        ax.set_xscale("log")
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlabel(picture.words)
    ax.set_ylabel(picture.row_words)
    _titled(ax, picture.title, _TITLE - min(max(map(len, picture.rows)), _LONGEST_WORD))
    named = sum(bool(one.label) for one in picture.series) + (picture.guess is not None)
    _below(ax, named)


def _cut(word: str) -> str:
    """A word that leaves room for the picture."""
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 3] + "..."


def _titled(ax: Axes, title: str, letters: int = _TITLE) -> None:
    if title:
        ax.set_title(textwrap.fill(title, letters))


def _bars(stderr: Array) -> Array | None:
    """Error bars, or none where a single seed knows no error."""
    return np.where(np.isfinite(stderr), stderr, 0.0) if np.any(np.isfinite(stderr)) else None


def is_geometric(values: Sequence[float] | Array) -> bool:
    """Whether values are spaced evenly in their logarithms rather than in themselves."""
    x = np.asarray(values, dtype=float)
    if x.size < 3 or x[0] <= 0.0 or x[-1] < _WIDE * x[0]:
        return False
    logs, steps = np.diff(np.log(x)), np.diff(x)
    return bool(logs.std() / logs.mean() < steps.std() / steps.mean())
