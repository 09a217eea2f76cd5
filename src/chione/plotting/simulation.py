"""Simulated networks as points with error bars, theory as lines: a panel for each observable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from chione.base import Array
from chione.plotting.depth import wants_log
from chione.plotting.histograms import draw_histograms
from chione.plotting.style import COLOURS, GREY, LINES, MARKERS, new_figure, style
from chione.simulation import SimulationResult

_SERIES = 4  # more inputs or pairs than that cannot be told apart
_POINTS = 26

_LABELS: Mapping[str, str] = {
    "lengths": "mean square $q^l$",
    "activation_lengths": r"mean square $\langle x^2\rangle$",
    "correlations": "correlation $c^l$",
    "one_minus_correlations": "distance $1-c^l$",
    "angles": "angle (radians)",
    "saturation": "share of saturated units",
    "effective_rank": "effective rank of the batch",
    "gradients": "mean square gradient $d^l/d^L$",
    "error_products": r"error products $\langle\delta_a\delta_b\rangle$",
    "weight_gradients": r"weight gradient $\langle(\partial E/\partial W)^2\rangle$",
    "ntk": r"tangent kernel $\Theta$, simulated",
    "fluctuations": r"fluctuation $n\,\mathrm{Var}\,q$",
    "four_point": "four-point vertex $V$",
    "preactivation_histogram": "density of $h$",
    "activation_histogram": "density of $x$",
    "gradient_histogram": r"density of $\delta$",
}
_TITLES: Mapping[str, str] = {
    "lengths": "Lengths",
    "activation_lengths": "Activations",
    "correlations": "Correlations",
    "one_minus_correlations": "Distances",
    "angles": "Angles",
    "saturation": "Saturation",
    "effective_rank": "Effective rank",
    "gradients": "Gradients",
    "error_products": "Products of errors",
    "weight_gradients": "Weight gradients",
    "ntk": "Tangent kernel",
    "fluctuations": "Fluctuations",
    "four_point": "Four-point vertex",
    "preactivation_histogram": "Pre-activations",
    "activation_histogram": "Activations",
    "gradient_histogram": "Error signals",
}
_VALUES = {
    "preactivation_histogram": "pre-activation $h$",
    "activation_histogram": "activation $x$",
    "gradient_histogram": r"error signal $\delta$",
}


def simulation_figure(
    result: SimulationResult, theory: Mapping[str, Array] | None = None
) -> Figure:
    """All observables of a simulation, one panel each.

    Parameters
    ----------
    result : SimulationResult
        What :func:`chione.simulate` returned.
    theory : mapping of str to ndarray, optional
        Infinite-width values of the shapes of the means, drawn as lines.
    """
    names = tuple(result.mean)
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    with style():
        wide, high = 3.8 * columns, 3.0 * rows + 0.6
        figure = new_figure(wide, high, top=1.0 - 0.3 / high)
        figure.text(0.012, 1.0 - 0.06 / high, _heading(result), fontsize=10.5, fontweight="bold",
                    va="top")  # fmt: skip
        for k, name in enumerate(names):
            ax = figure.add_subplot(rows, columns, k + 1)
            draw_observable(ax, result, name, (theory or {}).get(name))
        _explain(figure, result, with_theory=bool(theory))
    return figure


def observable_figure(result: SimulationResult, name: str, theory: Array | None = None) -> Figure:
    """One observable of a simulation.

    Raises
    ------
    ValueError
        If the simulation did not observe it.
    """
    if name not in result.mean:
        raise ValueError(f"name must be one of {', '.join(result.mean)}, but it is {name!r}.")
    with style():
        figure = new_figure(4.8, 3.6)
        draw_observable(figure.add_subplot(), result, name, theory)
    return figure


def _heading(result: SimulationResult) -> str:
    net = result.network
    return (
        f"{net.activation.name},  $\\sigma_w = {net.sigma_w:.6g}$,  $\\sigma_b = "
        f"{net.sigma_b:.6g}$,  {net.depth} layers"
    )


def _explain(figure: Figure, result: SimulationResult, *, with_theory: bool) -> None:
    """One key for all panels, below them: what is a line and what are points."""
    width = result.network.first_width
    words = f"mean of {result.n_networks} networks of width {width}, standard error"
    points = figure.axes[0].errorbar(
        [], [], yerr=[], fmt="o", ms=3.6, mfc="white", mec=GREY, ecolor=GREY, elinewidth=1.1
    )
    entries: list[tuple[Any, str]] = [(points, words)]
    if with_theory:
        entries.insert(0, (Line2D([], [], color=GREY), "theory, infinite width"))
    figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=2)


def draw_observable(
    ax: Axes, result: SimulationResult, name: str, theory: Array | None = None
) -> None:
    """Draw one observable: over the layers, as densities, or as a kernel against theory."""
    if result.dims[name] == ("layer", "bin"):
        draw_histograms(ax, result.edges[name], result.mean[name], theory)
        ax.set_xlabel(_VALUES.get(name, "value"))
    elif result.dims[name][0] == "layer":
        _draw_layers(ax, result, name, theory)
    else:
        _draw_kernel(ax, result, name, theory)
    ax.set_ylabel(_LABELS.get(name, name))
    rest = ax.get_title(loc="left")  # what is shown of many
    ax.set_title(", ".join(part for part in (_TITLES.get(name, name), rest) if part))


def _draw_layers(ax: Axes, result: SimulationResult, name: str, theory: Array | None) -> None:
    layers = result.layers
    mean, stderr = (a.reshape(len(layers), -1) for a in (result.mean[name], result.stderr[name]))
    lines = None if theory is None else theory.reshape(len(layers), -1)
    shown = np.unique(np.linspace(0, len(layers) - 1, min(_POINTS, len(layers))).astype(int))
    series = min(_SERIES, mean.shape[1])
    for k in range(series):
        colour = COLOURS[k % len(COLOURS)]
        if lines is not None:
            ax.plot(layers, lines[:, k], color=colour, ls=LINES[k % len(LINES)], zorder=2)
        ax.errorbar(
            layers[shown],
            mean[shown, k],
            yerr=np.nan_to_num(stderr[shown, k]),
            fmt=MARKERS[k % len(MARKERS)],
            ms=3.6,
            mfc="white",
            mec=colour,
            ecolor=colour,
            elinewidth=1.1,
            mew=1.1,
            zorder=3,
            label=_series_label(result, name, k),
        )
    if wants_log(mean[:, :series]):
        ax.set_yscale("log")
    if series > 1:
        ax.legend()
    if mean.shape[1] > series:
        ax.set_title(f"first {series} of {mean.shape[1]}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer $l$")


def _series_label(result: SimulationResult, name: str, k: int) -> str:
    if result.dims[name][1:] == ("pair",):
        i, j = result.pairs[k]
        return f"inputs {i + 1}, {j + 1}"
    return f"input {k + 1}"


def _draw_kernel(ax: Axes, result: SimulationResult, name: str, theory: Array | None) -> None:
    upper = np.triu_indices(result.mean[name].shape[0])
    mean, stderr = result.mean[name][upper], np.nan_to_num(result.stderr[name][upper])
    place = np.arange(mean.size, dtype=np.float64) if theory is None else theory[upper]
    ax.errorbar(
        place, mean, yerr=stderr, fmt="o", ms=3.6, mfc="white", mec=COLOURS[1], ecolor=COLOURS[1]
    )
    if theory is None:
        ax.set_xlabel("pair of inputs")
        return
    ends = [min(place.min(), mean.min()), max(place.max(), mean.max())]
    ax.plot(ends, ends, color=GREY, lw=1.0, zorder=1)
    ax.set_xlabel(r"tangent kernel $\Theta$, theory")
