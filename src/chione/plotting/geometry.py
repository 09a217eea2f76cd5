"""The great circle unfolding through the layers, and the way to the Gaussian process."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chione.base import Array
from chione.plotting.depth import wants_log
from chione.plotting.style import BLUE, GREY, VERMILLION, new_figure, style
from chione.simulation import CurveGeometry, GaussianLimit

_PICTURES = 4
_LABELS: Mapping[str, str] = {
    "metric": "metric $g = |v|^2/N$",
    "euclidean_length": r"length / $\sqrt{N}$",
    "curvature": r"curvature $\sqrt{N}\,\kappa$",
    "grassmannian_length": "length of the tangents",
}


_TITLES: Mapping[str, str] = {
    "metric": "Metric along the curve",
    "euclidean_length": "Length of the curve",
    "curvature": "Curvature",
    "grassmannian_length": "Turns of the tangent",
}


def geometry_figure(curve: CurveGeometry, theory: Mapping[str, Array] | None = None) -> Figure:
    """Pictures of the curve in a few layers above, its geometry over the layers below.

    Parameters
    ----------
    curve : CurveGeometry
        What :func:`chione.simulation.great_circle` returned.
    theory : mapping of str to ndarray, optional
        Infinite-width values for the quantities of ``curve.mean``, drawn as lines.
    """
    depth = curve.network.depth
    chosen = np.unique(np.linspace(0, depth - 1, min(_PICTURES, depth)).astype(int))
    with style():
        figure = new_figure(3.0 * _PICTURES, 5.6)
        for k, l in enumerate(chosen):
            ax = figure.add_subplot(2, _PICTURES, k + 1)
            draw_curve(ax, curve.components[l], float(curve.explained[l, :2].sum()))
            ax.set_title(f"layer {l + 1}")
        for k, name in enumerate(curve.mean):
            ax = figure.add_subplot(2, _PICTURES, _PICTURES + k + 1)
            draw_quantity(ax, curve, name, (theory or {}).get(name))
    return figure


def draw_curve(ax: Axes, components: Array, share: float) -> None:
    """Two principal components; points shaded by the angle, so that the order can be followed."""
    closed = np.vstack([components, components[:1]])
    ax.plot(closed[:, 0], closed[:, 1], color=GREY, lw=0.8, zorder=1)
    shade = np.arange(len(components))
    ax.scatter(components[:, 0], components[:, 1], c=shade, cmap="cividis", s=9, zorder=2)
    ax.set_xlabel(f"two components: {100 * share:.0f} %")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xticks([])
    ax.set_yticks([])


def draw_quantity(ax: Axes, curve: CurveGeometry, name: str, theory: Array | None) -> None:
    """One quantity of the curve over the layers."""
    layers = np.arange(1, curve.network.depth + 1)
    mean, stderr = curve.mean[name], np.nan_to_num(curve.stderr[name])
    if theory is not None:
        ax.plot(layers, theory, color=BLUE, label="theory, infinite width")
    ax.errorbar(
        layers, mean, yerr=stderr, fmt="o", ms=3.6, mfc="white", mec=VERMILLION, ecolor=VERMILLION,
        label="simulated networks",
    )  # fmt: skip
    if not np.any(np.isfinite(mean)):
        ax.text(0.5, 0.5, "corners: no curvature", ha="center", transform=ax.transAxes)
    elif wants_log(mean):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer $l$")
    ax.set_ylabel(_LABELS[name])
    ax.set_title(_TITLES[name])
    if name == "metric":
        ax.legend()


def gaussian_limit_figure(limit: GaussianLimit) -> Figure:
    """Excess kurtosis and MMD against the width, with the fitted powers."""
    with style():
        figure = new_figure(7.6, 3.2)
        draw_kurtosis(figure.add_subplot(1, 2, 1), limit)
        draw_mmd(figure.add_subplot(1, 2, 2), limit)
    return figure


def draw_kurtosis(ax: Axes, limit: GaussianLimit) -> None:
    """Excess kurtosis against the width."""
    values, errors = limit.kurtosis.mean(axis=1), limit.kurtosis_stderr.max(axis=1)
    _draw_power(ax, limit, values, errors, limit.kurtosis_rate)
    ax.set_ylabel("excess kurtosis")
    ax.set_title("Outputs become Gaussian")


def draw_mmd(ax: Axes, limit: GaussianLimit) -> None:
    """Maximum mean discrepancy against the width."""
    _draw_power(ax, limit, *_root(limit.mmd2, limit.mmd2_stderr), limit.mmd_rate)
    ax.set_ylabel("maximum mean discrepancy")
    ax.set_title("Distance from the limit")


def _draw_power(
    ax: Axes, limit: GaussianLimit, values: Array, errors: Array, rate: tuple[float, float]
) -> None:
    shown = values > 0.0
    ax.errorbar(
        limit.widths[shown], values[shown], yerr=errors[shown], fmt="o", ms=4,
        mfc="white", mec=VERMILLION, ecolor=VERMILLION,
    )  # fmt: skip
    if np.isfinite(rate[0]) and shown.any():
        weight = (values[shown] / errors[shown]) ** 2
        middle = np.average(np.log(limit.widths[shown]), weights=weight)
        height = np.average(np.log(values[shown]), weights=weight)
        line = np.exp(height - rate[0] * (np.log(limit.widths) - middle))
        label = f"$n^{{-{rate[0]:.2f} \\pm {rate[1]:.2f}}}$"
        ax.plot(limit.widths, line, color=BLUE, label=label)
        ax.legend()
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("width $n$")


def _root(squares: Array, errors: Array) -> tuple[Array, Array]:
    """MMD from its square; negative squares have no root and are left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        roots = np.sqrt(squares)
        return np.nan_to_num(roots, nan=-1.0), errors / (2.0 * roots)
