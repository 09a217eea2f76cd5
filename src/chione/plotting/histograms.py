"""Histograms of several layers in one panel: what is a point mass is told in words."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from chione.base import Array
from chione.plotting.style import look

_LAYERS = 3  # more histograms lie on top of each other
_BINS = 44  # in the part that is shown: finer ones show the scatter of counts
_SPIKE = 3.0  # times the highest other bin: a point mass
_FAINT = 2e-3  # of the highest bin: beyond, the axis ends


def draw_histograms(ax: Axes, edges: Array, density: Array, theory: Array | None) -> None:
    """Densities of the first, the middle and the last layer, theory as a thin dark line.

    A bin that is far higher than all others holds a point mass, as relu has at 0. The axis is
    made for the others, and the share of that bin is written down.

    Parameters
    ----------
    ax : Axes
        Where.
    edges, density : ndarray, shapes (L, K + 1) and (L, K)
        Bins and mean densities of each layer.
    theory : ndarray, shape (L, K), optional
        Infinite-width densities, averaged over the bins.
    """
    chosen = np.unique(np.linspace(0, len(density) - 1, min(_LAYERS, len(density))).astype(int))
    spikes = {l: _spike(density[l]) for l in chosen}
    tops = [float(_without(density[l], spikes[l]).max(initial=0.0)) for l in chosen]
    top = max(tops) or 1.0
    ends = [_ends(edges[l], density[l], _FAINT * top) for l in chosen]
    left, right = min(a for a, _ in ends), max(b for _, b in ends)
    shares, places = [], []
    for k, l in enumerate(chosen):
        colour, dash = look(k)["color"], look(k)["ls"]
        keep = np.ones(density.shape[1], np.bool_)
        spike = spikes[l]
        if spike is not None:
            keep[spike] = False
            shares.append(float(density[l, spike] * np.diff(edges[l])[spike]))
            inside = edges[l, spike] <= 0.0 <= edges[l, spike + 1]
            places.append(0.0 if inside else float(edges[l, spike : spike + 2].mean()))
        at, height = _coarser(edges[l], np.where(keep, density[l], np.nan), right - left)
        ax.stairs(height, at, color=colour, ls=dash, lw=1.4, label=f"layer {l + 1}")
        if theory is not None and np.isfinite(theory[l]).any():
            middle = 0.5 * (edges[l, 1:] + edges[l, :-1])
            (line,) = ax.plot(middle, np.where(keep, theory[l], np.nan), color="#1a1a1a", lw=0.8)
            if l == chosen[-1]:
                line.set_label("theory")
    if shares:
        low, high = 100.0 * min(shares), 100.0 * max(shares)
        span = f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"
        ax.plot([], [], " ", label=f"{span} in the bin at {places[-1]:.2g}")
    ax.set_xlim(left, right)
    ax.set_ylim(0.0, 1.12 * top)
    ax.legend()


def _spike(density: Array) -> int | None:
    """The bin of a point mass, if there is one."""
    at = int(np.argmax(density))
    rest = _without(density, at)
    return at if rest.size and density[at] > _SPIKE * rest.max() > 0.0 else None


def _without(density: Array, at: int | None) -> Array:
    return density if at is None else np.delete(density, at)


def _ends(edges: Array, density: Array, faint: float) -> tuple[float, float]:
    """Where the density is more than faint."""
    seen = np.flatnonzero(density > faint)
    if seen.size == 0:
        return float(edges[0]), float(edges[-1])
    return float(edges[seen[0]]), float(edges[seen[-1] + 1])


def _coarser(edges: Array, density: Array, span: float) -> tuple[Array, Array]:
    """Bins put together, as many as make about 44 of the span; a gap stays a gap."""
    wide = np.diff(edges)
    many = max(1, round(span / _BINS / float(np.median(wide))))
    pieces = np.flatnonzero(np.isnan(density))
    cuts = np.unique([*range(0, density.size, many), *pieces, *(pieces + 1), density.size])
    mass = np.add.reduceat(density * wide, cuts[:-1])
    return edges[cuts], mass / np.diff(edges[cuts])
