"""Pictures of a measured model: its layers, and the spectrum of its Jacobian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.saving import save
from chione.plotting.spectrum_axis import spectrum_axis
from chione.plotting.spectrum_parts import window
from chione.plotting.style import BLUE, GREY, VERMILLION, new_figure, style

_KNOWN = 0.5  # error of a logarithm from which on a value counts as rounding

# Key of a layer, title, what the axis says, whether it is drawn on a logarithmic scale.
_PANELS = (
    ("mean_square", "Size of signals", r"mean square of $h$,  $q$", True),
    ("correlation", "Likeness of inputs", r"correlation of inputs,  $c$", False),
    ("gradient", "Size of gradients", r"mean square of $\partial L / \partial h$", True),
)


def plot_layers(report: Mapping[str, Any], *, path: str | None = None) -> Figure:
    """Mean square, correlation and gradient over the layers: points measured, line by theory.

    Parameters
    ----------
    report : mapping
        What ``InspectionReport.to_dict()`` gives: ``layers`` with ``name``, ``mean_square``,
        ``correlation``, ``gradient`` and ``expected``; ``model``; ``verdict``.
    path : str, optional
        Where to write the figure as well (.png, .svg, .pdf).

    Returns
    -------
    matplotlib.figure.Figure
    """
    layers = report["layers"]
    with style():
        figure = new_figure(6.4, 7.4, top=0.94)
        for i, (key, title, label, log) in enumerate(_PANELS):
            axes = figure.add_subplot(len(_PANELS), 1, i + 1)
            _draw(axes, layers, key, label, log=log)
            axes.set_title(title)
            if i == 0:
                axes.legend(loc="best")
            _name_layers(axes, layers, last=i + 1 == len(_PANELS))
        verdict = report["verdict"]
        words = {"yes": "trainable", "doubtful": "doubtful", "no": "not trainable"}
        state = words[verdict["trains"]]
        state += "" if verdict["trains"] == "yes" else f": {verdict['problem']}"
        figure.suptitle(f"{report['model']}: {state}", x=0.02, ha="left", fontsize=10.5)
    if path is not None:
        save(figure, path)
    return figure


def layers_picture(report: Mapping[str, Any]) -> Picture:
    """The three panels of :func:`plot_layers` by the name of their quantity."""

    def panel(key: str, title: str, label: str, log: bool) -> Panel:
        def draw(axes: Axes) -> None:
            _draw(axes, report["layers"], key, label, log=log)
            axes.set_title(title)
            axes.legend(loc="best")
            _name_layers(axes, report["layers"], last=True)

        return Panel(draw, (6.4, 3.2))

    panels = {row[0]: panel(*row) for row in _PANELS}
    return Picture(panels, whole=lambda: plot_layers(report))


def _draw(axes: Axes, layers: Any, key: str, label: str, *, log: bool) -> None:
    x = np.arange(len(layers))
    measured = _numbers([layer[key] for layer in layers])
    expected = _numbers([layer["expected"][key] for layer in layers])
    if log:
        measured[measured <= 0.0] = np.nan
        expected[expected <= 0.0] = np.nan
        if np.any(np.isfinite(measured)):
            axes.set_yscale("log")
    axes.plot(x, expected, color=VERMILLION, label="theory", zorder=2)
    axes.plot(x, measured, "o", color=BLUE, markersize=4.0, label="measured", zorder=3)
    unknown = np.isnan(expected) & np.isfinite(measured)
    if np.any(unknown):  # where theory has no rule the point is hollow
        axes.plot(
            x[unknown], measured[unknown], "o", markersize=4.0, markerfacecolor="white",
            markeredgecolor=GREY, label="no rule", zorder=4,
        )  # fmt: skip
    axes.set_ylabel(label)
    axes.margins(x=0.02)


def _name_layers(axes: Axes, layers: Any, *, last: bool) -> None:
    step = max(1, -(-len(layers) // 12))  # at most a dozen names are readable
    ticks = list(range(0, len(layers), step))
    axes.set_xticks(ticks)
    if not last:
        axes.set_xticklabels([])
        return
    names = [str(layers[i]["name"]) for i in ticks]
    short = [name if len(name) <= 24 else "..." + name[-21:] for name in names]
    axes.set_xticklabels(short, rotation=35, ha="right")
    axes.set_xlabel("layer, in order of execution")


@dataclass(frozen=True)
class Staircase:
    """The distribution function of measured eigenvalues, above rounding.

    Parameters
    ----------
    log_lambda, cdf : ndarray, shape (k,)
        Log eigenvalues, rising, and the fraction at or below each.
    floor : float
        Log eigenvalue up to which there is rounding alone; -inf if there is none.
    lost, total : int
        Singular values that are rounding, and all of them.
    """

    log_lambda: Array
    cdf: Array
    floor: float = float("-inf")
    lost: int = 0
    total: int = 0


def staircase_of_measures(nodes: Array, weights: Array) -> Staircase:
    """From spectral measures, shape (probes, k): their mean, without what rounding makes of 0."""
    order = np.argsort(nodes, axis=None)
    values = np.ravel(nodes)[order]
    cdf = np.cumsum(np.ravel(weights)[order]) / nodes.shape[0]
    floor = max(float(values[-1]), 1e-300) * 1e-16
    kept = values > floor
    return Staircase(np.log(values[kept]), cdf[kept], float(np.log(floor)))


def staircase_of_values(log_s: Array, errors: Array, outputs: int) -> Staircase:
    """From all singular values, those left out that are not known to one half of a logarithm."""
    exact_zero = np.isneginf(log_s) & (errors == 0.0)
    known = (errors < _KNOWN) & ~exact_zero
    lost = ~known & ~exact_zero
    floor = 2.0 * float(np.max(log_s[lost], initial=-np.inf))
    log = np.sort(2.0 * log_s[known])
    cdf = 1.0 - np.arange(log.size)[::-1] / outputs
    return Staircase(log, cdf, floor, int(lost.sum()), log_s.size)


def draw_distribution(axes: Axes, measured: Staircase, theory: tuple[Array, Array] | None) -> None:
    r"""Distribution function of the eigenvalues of :math:`J J^T` over the decades that have mass.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    measured : Staircase
        Drawn as such.
    theory : (ndarray, ndarray) or None
        Log eigenvalue and distribution function at infinite width.
    """
    x, cdf = measured.log_lambda, measured.cdf
    support = [(float(x[0]), float(x[-1]))] if x.size > 1 else []
    w = window(x, cdf - (cdf[0] if x.size else 0.0), support, also=[*x[:1]])
    # without theory all values are shown; beside it, those where its mass is
    low = min(w.low, float(x[0]) if x.size and theory is None else w.low)
    pad = 0.03 * (w.high - low) + 0.1
    axis = spectrum_axis(
        "log", low - pad, w.high + pad, zero=False, symbol=r"\lambda",
        words=r"eigenvalue $\lambda$ of $J J^\top$",
    )  # fmt: skip
    axis.apply(axes)
    if measured.floor > axis.low and measured.lost:
        left = float(axis.x(np.array(axis.ends[0])))
        axes.axvspan(left, float(axis.place(np.array(measured.floor))), color=GREY, alpha=0.13,
                     lw=0)  # fmt: skip
    axes.step(axis.place(x), cdf, where="post", color=BLUE, label="measured")
    if theory is not None:
        shown = (theory[0] > axis.low) & np.isfinite(theory[1])
        axes.plot(axis.place(theory[0][shown]), theory[1][shown], color=VERMILLION,
                  label="infinite width")  # fmt: skip
    if measured.lost:
        axes.annotate(
            f"{measured.lost} of {measured.total} singular values are rounding and are left out",
            (0.0, 1.0), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
            va="bottom", fontsize=7.2, color="#555555",
        )  # fmt: skip
    axes.set_ylim(0.0, 1.02)
    axes.set_title(r"Eigenvalues of $J J^\top$", pad=18.0 if measured.lost else None)
    axes.set_ylabel("fraction at or below")
    axes.legend(loc="best")


def _numbers(values: list[Any]) -> Array:
    return np.array([np.nan if v is None else float(v) for v in values])
