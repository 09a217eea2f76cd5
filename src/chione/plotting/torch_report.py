"""Pictures of a measured model: its layers, and the spectrum of its Jacobian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLUE, GREY, VERMILLION, new_figure, one_axes, save, style

# Key of a layer, what the axis says, whether it is drawn on a logarithmic scale.
_PANELS = (
    ("mean_square", r"mean square of $h$,  $q$", True),
    ("correlation", r"correlation of inputs,  $c$", False),
    ("gradient", r"mean square of $\partial L / \partial h$", True),
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
        figure = new_figure(6.4, 6.8, top=0.94)
        for i, (key, label, log) in enumerate(_PANELS):
            axes = figure.add_subplot(len(_PANELS), 1, i + 1)
            _draw(axes, layers, key, label, log=log)
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

    def panel(key: str, label: str, log: bool) -> Panel:
        def draw(axes: Axes) -> None:
            _draw(axes, report["layers"], key, label, log=log)
            axes.legend(loc="best")
            _name_layers(axes, report["layers"], last=True)

        return Panel(draw, (6.4, 3.2))

    panels = {key: panel(key, label, log) for key, label, log in _PANELS}
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


def plot_spectrum(
    nodes: Array,
    weights: Array,
    theory: tuple[Array, Array] | None,
    *,
    path: str | None = None,
) -> Figure:
    r"""Distribution function of the eigenvalues of :math:`J J^T`.

    Parameters
    ----------
    nodes, weights : ndarray, shape (probes, k)
        Spectral measures; their mean is drawn as a staircase.
    theory : (ndarray, ndarray) or None
        Log eigenvalue and distribution function at infinite width.
    path : str, optional
        Where to write the figure as well.
    """
    with style():
        figure, axes = one_axes()
        draw_distribution(axes, nodes, weights, theory)
    if path is not None:
        save(figure, path)
    return figure


def draw_distribution(
    axes: Axes, nodes: Array, weights: Array, theory: tuple[Array, Array] | None
) -> None:
    """Draw what :func:`plot_spectrum` shows."""
    order = np.argsort(nodes, axis=None)
    values = np.ravel(nodes)[order]
    cdf = np.cumsum(np.ravel(weights)[order]) / nodes.shape[0]
    positive = values > max(float(values[-1]), 1e-300) * 1e-16
    axes.step(values[positive], cdf[positive], where="post", color=BLUE, label="measured")
    if theory is not None:
        axes.plot(np.exp(theory[0]), theory[1], color=VERMILLION, label="infinite width")
    axes.set_xscale("log")
    if np.any(positive):
        axes.set_xlim(float(values[positive][0]) / 2.0, float(values[-1]) * 2.0)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(r"eigenvalue $\lambda$ of $J J^\top$")
    axes.set_ylabel("fraction at or below")
    axes.legend(loc="best")


def _numbers(values: list[Any]) -> Array:
    return np.array([np.nan if v is None else float(v) for v in values])
