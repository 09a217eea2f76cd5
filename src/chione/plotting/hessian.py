"""Pictures of the model Hessian: density, index over energy, critical energy over ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.hessian_bands import BandView, band_views, histogram
from chione.plotting.style import BLACK, BLUE, COLOURS, GREY, SKY, VERMILLION, one_axes, style
from chione.simulation.hessian import NetworkHessian
from chione.theory.spectra.hessian import (
    HessianCurve,
    HessianSpectrum,
    critical_energy,
    hessian_index,
    index_onset,
)
from chione.theory.spectra.hessian_structure import STRUCTURES, Structure

_BINS = 60
_NAMES = {
    "wigner": "Wishart + Wigner",
    "relu": "Wishart + ReLU blocks",
    "linear": "Wishart + linear blocks",
    "product": "product + Wigner",
}
_DASHES = ("-", "--", "-.", ":")
_POINTS = 240


def hessian_figure(spectrum: HessianSpectrum, samples: Array | None = None) -> Figure:
    r"""Density of the model Hessian's eigenvalues with zero and the critical energy marked.

    Parameters
    ----------
    spectrum : HessianSpectrum
        The theory: a line that ends at the edges of each band, filled below zero. A point mass is
        a bar of its mass on an axis of its own; a band too narrow and high to be seen beside the
        others is drawn again in an inset.
    samples : ndarray, optional
        Eigenvalues of sampled matrices, drawn as a histogram over the bands. Those at an atom are
        counted in words.
    """
    with style():
        figure, ax = one_axes(5.8, 3.8)
        draw_hessian(ax, spectrum, samples)
    return figure


def draw_hessian(ax: Axes, spectrum: HessianSpectrum, samples: Array | None = None) -> None:
    """Draw what :func:`hessian_figure` shows."""
    views = band_views(spectrum)
    wide = [v for v in views if not v.tall]
    if samples is not None:
        _draw_samples(ax, spectrum, samples, [v.tall for v in views])
    for view in wide:
        _draw_band(ax, view)
    low, high = (min(v.low for v in views), max(v.high for v in views))
    room = 0.04 * (high - low)
    ax.set_xlim(min(low, 0.0) - room, high + room)
    top = max(v.top for v in wide)
    ax.set_ylim(0.0, 1.25 * top)
    masses = [(place, mass) for place, mass in spectrum.atoms]
    masses += [(0.5 * (v.low + v.high), v.mass) for v in views if v.tall]
    if masses:
        _draw_masses(ax, masses)
    tall = [v for v in views if v.tall]
    for k, view in enumerate(tall[:2]):
        _draw_inset(ax, view, spectrum, samples, k)
    for view in wide:
        if view.peak > 1.2 * view.top:
            ax.annotate(f"peak {view.peak:.3g}", (view.at_peak, 1.23 * top), fontsize=7.5,
                        ha="left", va="top", xytext=(4, 0), textcoords="offset points")  # fmt: skip
    ax.axvline(0.0, color=BLACK, lw=0.8, ls=":", zorder=1)
    ax.set_xlabel(r"eigenvalue $\lambda$ of the Hessian")
    ax.set_ylabel("density")
    share = float(spectrum.negative_fraction.value)
    ax.set_title(
        f"{_NAMES[spectrum.structure]}, $\\phi$ = {spectrum.ratio:g}\n"
        f"$\\epsilon$ = {spectrum.energy:g} {_times_critical(spectrum)}: {share:.3g} negative"
    )
    handles = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    if not tall:
        ax.legend(handles.values(), handles.keys(), loc="upper right")


def _times_critical(spectrum: HessianSpectrum) -> str:
    critical = float(critical_energy(spectrum.ratio, structure=spectrum.structure).value)
    if critical == 0.0:
        return r"($\epsilon_c$ = 0)"
    return f"= {spectrum.energy / critical:.3g} $\\epsilon_c$"


def _draw_band(ax: Axes, view: BandView) -> None:
    y = np.minimum(view.density, 4.0 * view.top)  # a pole of the density leaves the axis
    ax.plot(view.eigenvalue, y, color=BLUE, zorder=3, label="theory")
    below = view.eigenvalue <= 0.0
    if below.any():
        ax.fill_between(view.eigenvalue[below], 0.0, y[below], color=VERMILLION, alpha=0.25, lw=0,
                        zorder=2, label="negative")  # fmt: skip


def _draw_samples(
    ax: Axes, spectrum: HessianSpectrum, samples: Array, hidden: Sequence[bool]
) -> None:
    drawn = histogram(spectrum, samples)
    shown = [s for s, hide in zip(drawn.stairs, hidden, strict=True) if not hide]
    for k, (edges, height) in enumerate(shown):
        ax.stairs(height, edges, fill=True, color=SKY, alpha=0.5,
                  label="sampled matrix" if k == 0 else None)  # fmt: skip
    if drawn.at_atoms:
        share = drawn.at_atoms / samples.size
        ax.plot([], [], " ", label=f"{share:.3g} of it at 0")


def _draw_masses(ax: Axes, masses: Sequence[tuple[float, float]]) -> None:
    """Bars on an axis of their own, from 0 to 1: a mass is no density."""
    low, high = ax.get_xlim()
    right = ax.twinx()
    right.spines["right"].set_visible(True)
    right.spines["right"].set_color(VERMILLION)
    right.tick_params(axis="y", colors=VERMILLION)
    right.set_ylim(0.0, 1.0)
    right.set_ylabel("mass of a point or narrow band", color=VERMILLION)
    for place, mass in masses:
        right.bar(place, mass, width=0.012 * (high - low), color=VERMILLION, zorder=4)
        right.annotate(f"{mass:.3g}", (place, mass), xytext=(0, 3), textcoords="offset points",
                       color=VERMILLION, fontsize=8, ha="center",
                       bbox={"fc": "white", "ec": "none", "pad": 0.8, "alpha": 0.8})  # fmt: skip


def _draw_inset(
    ax: Axes, view: BandView, spectrum: HessianSpectrum, samples: Array | None, k: int
) -> None:
    inset = ax.inset_axes((0.50, 0.58 - 0.42 * k, 0.46, 0.36), zorder=6)
    if samples is not None:
        _draw_samples(inset, spectrum, samples, [v.low != view.low for v in band_views(spectrum)])
    _draw_band(inset, view)
    room = 0.08 * (view.high - view.low)
    inset.set_xlim(view.low - room, view.high + room)
    inset.set_ylim(0.0, 1.25 * view.top)
    inset.axvline(0.0, color=BLACK, lw=0.8, ls=":")
    inset.tick_params(labelsize=6.5)
    inset.locator_params(axis="x", nbins=4)
    inset.ticklabel_format(axis="both", style="sci", scilimits=(-2, 3), useMathText=True)
    for axis in (inset.xaxis, inset.yaxis):
        axis.get_offset_text().set_fontsize(6.5)
    inset.set_title(f"the narrow band, mass {view.mass:.3g}", fontsize=7.5, pad=3.0)


def draw_hessian_curve(ax: Axes, curve: HessianCurve, field: str = "density") -> None:
    """Density or distribution function at the stored points, shaded by their errors."""
    y, error = {
        "density": (curve.density, curve.density_error),
        "cdf": (curve.cdf, curve.cdf_error),
    }[field]
    shown = np.isfinite(y)
    x, y, error = curve.eigenvalue[shown], y[shown], error[shown]
    ax.plot(x, y, color=BLUE)
    ax.fill_between(x, y - error, y + error, color=BLUE, alpha=0.2, lw=0)
    ax.axvline(0.0, color=BLACK, lw=0.8, ls=":")
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(r"eigenvalue $\lambda$ of the Hessian")
    ax.set_ylabel("density" if field == "density" else r"share of eigenvalues up to $\lambda$")


def index_figure(
    ratios: Sequence[float] = (0.1, 0.25, 0.5, 1.0, 2.0),
    *,
    structure: Structure = "wigner",
    highest: float | None = None,
) -> Figure:
    r"""Share of negative eigenvalues over energy for several ratios, with eps_c marked.

    Parameters
    ----------
    ratios : sequence of float
        Parameters per datum.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are.
    highest : float, optional
        Last energy of the axis; four times the largest critical energy by default.
    """
    with style():
        figure, ax = one_axes(5.6, 3.8)
        draw_index(ax, ratios, structure=structure, highest=highest)
    return figure


def draw_index(
    ax: Axes,
    ratios: Sequence[float],
    *,
    structure: Structure = "wigner",
    highest: float | None = None,
    at: tuple[float, float] | None = None,
) -> None:
    """Draw what :func:`index_figure` shows; `at` marks one energy and its index."""
    critical = np.asarray(critical_energy(np.array(ratios), structure=structure).value)
    top = highest if highest is not None else max(4.0 * float(critical.max()), 0.5)
    if at is not None:
        top = max(4.0 * float(critical.max()), 1.3 * at[0]) or 0.5
        ax.plot(*([v] for v in at), "o", color=BLACK, ms=5, zorder=6, label="this Hessian")
    for k, (ratio, start) in enumerate(zip(ratios, critical, strict=True)):
        colour, dash = COLOURS[k % len(COLOURS)], _DASHES[k % len(_DASHES)]
        begin = max(float(start), 1e-12 * top)
        energy = begin + (top - begin) * np.linspace(0.0, 1.0, _POINTS) ** 3
        share = np.asarray(hessian_index(ratio, energy, structure=structure).value)
        base = index_onset(float(ratio), structure=structure).base
        x, y = [0.0, start, *energy], [0.0 if start else base, base, *share]
        ax.plot(x, y, color=colour, ls=dash, label=f"$\\phi$ = {ratio:g}")
        if start == 0.0:  # the share that is negative at any energy above 0
            ax.plot([0.0], [base], "o", color=colour, ms=4.5, mfc="white", clip_on=False, zorder=5)
        elif start <= top:
            ax.plot([start], [0.0], "v", color=colour, ms=6, clip_on=False, zorder=5)
    ax.plot([], [], "v", color=GREY, ms=6, label=r"$\epsilon_c(\phi)$")
    if np.any(critical == 0.0):
        ax.plot([], [], "o", color=GREY, ms=4.5, mfc="white", label=r"$\epsilon \to 0$")
    ax.set_xlim(0.0, top)
    ax.set_ylim(0.0, 0.52)
    ax.set_xlabel(r"energy $\epsilon$")
    ax.set_ylabel(r"index $\alpha$: share of negative eigenvalues")
    ax.set_title(f"Index over energy, {_NAMES[structure]}")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def critical_figure(structures: Sequence[Structure] = STRUCTURES) -> Figure:
    r"""The critical energy over the ratio: below the curve no eigenvalue is negative."""
    with style():
        figure, ax = one_axes(5.4, 3.8)
        draw_critical(ax, structures)
    return figure


def draw_critical(
    ax: Axes, structures: Sequence[Structure], *, at: tuple[float, float] | None = None
) -> None:
    """Draw what :func:`critical_figure` shows; `at` marks one ratio and energy."""
    # close to 1 the curves fall like powers of 1 - phi: points as dense there in logarithms
    ratio = np.unique(np.concatenate([np.linspace(1e-3, 0.9, 120), 1.0 - np.geomspace(0.1, 1e-3)]))
    for k, structure in enumerate(structures):
        value = np.asarray(critical_energy(ratio, structure=structure).value)
        ax.plot(ratio, value, color=COLOURS[k], ls=_DASHES[k % len(_DASHES)],
                label=_NAMES[structure])  # fmt: skip
    if len(structures) == 1:
        ax.fill_between(ratio, 1e-12, value, color=SKY, alpha=0.25, lw=0)
        ax.annotate("no negative eigenvalues", (0.04, 0.05), xycoords="axes fraction", fontsize=8)
    if at is not None:
        ax.plot([at[0]], [at[1]], "o", color=BLACK, ms=5, zorder=5, label="this Hessian")
    ax.axvline(1.0, color=BLACK, lw=0.8, ls=":")
    ax.annotate(r"$\epsilon_c = 0$ from here", (1.0, 0.97), xycoords=("data", "axes fraction"),
                xytext=(4, 0), textcoords="offset points", fontsize=8, va="top")  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlim(0.0, max(1.35, 1.05 * at[0] if at is not None else 0.0))
    ax.set_ylim(1e-6, 30.0)
    ax.set_xlabel(r"parameters per datum $\phi$")
    ax.set_ylabel(r"critical energy $\epsilon_c$")
    ax.set_title("Energy up to which no eigenvalue is negative")
    ax.legend(loc="lower left" if at is None and len(structures) > 1 else "upper left")


def draw_network_hessian(ax: Axes, hessian: NetworkHessian) -> None:
    """Histogram of the eigenvalues of a network's Hessian, those that are zero in words."""
    values = hessian.eigenvalues
    size = float(np.max(abs(values), initial=0.0))
    zero = abs(values) <= 1e-10 * size
    shown: Any = values[~zero]
    if shown.size:
        ax.hist(shown, bins=int(min(_BINS, max(8.0, 2.5 * shown.size**0.4))), color=SKY, alpha=0.6)
    if zero.any():
        ax.annotate(f"{zero.mean():.3g} of them at 0", (0.98, 0.95), xycoords="axes fraction",
                    ha="right", va="top", color=VERMILLION, fontsize=8)  # fmt: skip
    ax.axvline(0.0, color=BLACK, lw=0.8, ls=":")
    ax.set_xlabel(r"eigenvalue $\lambda$ of the Hessian")
    ax.set_ylabel("number of eigenvalues")
    negative = float(np.mean(values[~zero] < 0.0) * np.mean(~zero)) if shown.size else 0.0
    ax.set_title(f"loss {hessian.loss:.3g}: {negative:.3g} negative")
