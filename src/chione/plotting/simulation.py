"""Simulated networks as points with error bars, theory as lines: a panel for each observable."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chione.base import Array
from chione.plotting.depth import wants_log
from chione.plotting.style import COLOURS, GREY, HEAT, LINES, MARKERS, new_figure, style
from chione.simulation import SimulationResult

_SERIES = 4  # more inputs or pairs than that cannot be told apart
_POINTS = 26
_LAYERS = 5  # histograms of so many layers share a panel

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
        figure = new_figure(3.8 * columns, 3.0 * rows)
        for k, name in enumerate(names):
            ax = figure.add_subplot(rows, columns, k + 1)
            draw_observable(ax, result, name, (theory or {}).get(name))
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


def draw_observable(
    ax: Axes, result: SimulationResult, name: str, theory: Array | None = None
) -> None:
    """Draw one observable: over the layers, as densities, or as a kernel against theory."""
    if result.dims[name] == ("layer", "bin"):
        _draw_histograms(ax, result, name, theory)
    elif result.dims[name][0] == "layer":
        _draw_layers(ax, result, name, theory)
    else:
        _draw_kernel(ax, result, name, theory)
    ax.set_ylabel(_LABELS.get(name, name))


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


def _draw_histograms(ax: Axes, result: SimulationResult, name: str, theory: Array | None) -> None:
    edges, density = result.edges[name], result.mean[name]
    chosen = np.unique(np.linspace(0, len(density) - 1, min(_LAYERS, len(density))).astype(int))
    colours = colormaps[HEAT](np.linspace(0.0, 0.85, len(chosen)))
    for k, l in enumerate(chosen):
        ax.stairs(density[l], edges[l], color=colours[k], lw=1.3, label=f"layer {l + 1}")
        if theory is not None:
            middle = 0.5 * (edges[l, 1:] + edges[l, :-1])
            ax.plot(middle, theory[l], color=colours[k], ls="--", lw=1.0)
    if wants_log(density[chosen].max(axis=1)):
        ax.set_yscale("log")
    ax.legend(title="dashed: theory" if theory is not None else None)
    ax.set_xlabel(_VALUES.get(name, "value"))


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
