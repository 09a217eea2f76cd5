"""The largest depth that trains over sigma_w, beside the depth scales of theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLACK, BLUE, GREY, VERMILLION


@dataclass(frozen=True)
class BoundaryPicture:
    """What is drawn: arrays over sigma_w, lines of theory, then arrays over all that was tried."""

    title: str
    sigma_w: Array
    depth: Array
    lower: Array
    upper: Array
    censored: NDArray[np.int64]
    xi_c: Array
    xi_chi: Array
    line_sigma_w: Array
    line_xi_c: Array
    line_xi_chi: Array
    tried_sigma_w: Array
    tried_depth: Array
    tried_share: Array


def boundary_picture(data: BoundaryPicture) -> Picture:
    """Panels "depth" and "ratio"."""
    return Picture(
        {
            "depth": Panel(lambda ax: draw_boundary(ax, data), (5.6, 4.0)),
            "ratio": Panel(lambda ax: draw_ratio(ax, data), (4.6, 4.0)),
        },
        columns=2,
    )


def draw_boundary(ax: Axes, data: BoundaryPicture) -> None:
    """Every place that was tried, the boundary between, and six depth scales."""
    shown = ax.scatter(
        data.tried_sigma_w, data.tried_depth, c=data.tried_share, cmap="cividis", vmin=0.0,
        vmax=1.0, s=12.0, marker="s", linewidths=0.0, zorder=1, alpha=0.8,
    )  # fmt: skip
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.colorbar(shown, ax=ax, label="share of networks that train")
    # a dot for each value of theory where there are few, so that the line between is seen as such
    mark = "." if data.line_sigma_w.size == data.sigma_w.size else ""
    for scale, colour, dash, words in (
        (data.line_xi_c, BLUE, "-", r"theory: $6\,\xi_c$"),
        (data.line_xi_chi, VERMILLION, "--", r"theory: $6\,/\,|\log \chi_\perp|$"),
    ):
        if np.isfinite(scale).any():
            ax.plot(data.line_sigma_w, 6.0 * scale, color=colour, ls=dash, marker=mark, ms=5.0,
                    label=words, zorder=2)  # fmt: skip
    _points(ax, data)
    ax.set_yscale("log")
    # the longest depth scale is infinite: what was tried decides what is shown
    low, high = float(data.tried_depth.min()), float(data.tried_depth.max())
    ax.set_ylim(low / 1.3, high * 1.5)
    _plain_numbers(ax)
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel("depth $L$ in layers")
    ax.set_title(data.title, fontsize=8.5)
    ax.legend(loc="best")


def draw_ratio(ax: Axes, data: BoundaryPicture) -> None:
    """The boundary in depth scales: level where the theory holds."""
    scales = (
        # larger, to be seen around the other where both scales are equal
        (data.xi_c, BLUE, "o", 8.0, r"$L / \xi_c$"),
        (data.xi_chi, VERMILLION, "s", 4.0, r"$L\,|\log \chi_\perp|$"),
    )
    for scale, colour, marker, size, label in scales:
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.isfinite(scale) & (scale > 0.0) & (data.censored == 0)
        if not known.any():
            continue
        x, y = data.sigma_w[known], data.depth[known] / scale[known]
        bars = np.array([(data.depth - data.lower)[known], (data.upper - data.depth)[known]])
        ax.errorbar(
            x, y, np.maximum(bars / scale[known], 0.0), fmt=marker, ms=size, color=colour,
            mfc="white", label=label,
        )  # fmt: skip
    ax.axhline(6.0, color=GREY, lw=1.0, ls=":")
    ax.set_yscale("log")
    _plain_numbers(ax)
    ax.set_xlabel(r"standard deviation of the weights $\sigma_w$")
    ax.set_ylabel("largest depth that trains, in depth scales")
    ax.set_title("Where the theory holds this is level")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best")


def _plain_numbers(ax: Axes) -> None:
    """1, 2, 3, 6, 10 ... rather than powers: depths span a decade or two."""
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 6.0)))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _points(ax: Axes, data: BoundaryPicture) -> None:
    """Boundaries with bars; arrows where they lie beyond what was tried."""
    y, inside = data.depth, data.censored == 0
    bars = np.maximum(np.array([y - data.lower, data.upper - y]), 0.0)
    ax.errorbar(
        data.sigma_w[inside], y[inside], bars[:, inside], fmt="o", ms=5.0,
        color=BLACK, mfc="white", mew=1.2, label="measured boundary", zorder=4,
    )  # fmt: skip
    for sign, marker in ((1, "^"), (-1, "v")):
        beyond = data.censored == sign
        if beyond.any():
            words = "trains at all depths tried" if sign > 0 else "fails at all depths tried"
            ax.plot(
                data.sigma_w[beyond], y[beyond], marker, ms=6.0, color=BLACK, ls="none",
                label=words, zorder=4,
            )  # fmt: skip
