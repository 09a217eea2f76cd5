"""Pictures of the model Hessian: theory as a line, matrices and networks as histograms."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.style import BLACK, BLUE, SKY, VERMILLION, one_axes, style
from chione.simulation.hessian import NetworkHessian
from chione.theory.spectra.hessian import HessianSpectrum

_BINS = 60


def hessian_figure(spectrum: HessianSpectrum, samples: Array | None = None) -> Figure:
    """Density of the model Hessian's eigenvalues, sampled matrices as a histogram."""
    with style():
        figure, ax = one_axes(5.2, 3.6)
        draw_hessian(ax, spectrum, samples)
    return figure


def draw_hessian(ax: Axes, spectrum: HessianSpectrum, samples: Array | None = None) -> None:
    """Draw what :func:`hessian_figure` shows."""
    if samples is not None:
        ax.hist(samples, bins=_BINS, density=True, color=SKY, alpha=0.6, label="sampled matrix")
    for a, b in spectrum.support:
        x = a + (b - a) * np.sin(np.linspace(0.0, np.pi / 2, 400)) ** 2
        ax.plot(x, spectrum.density(x).value, color=BLUE, label="theory")
    for place, mass in spectrum.atoms:
        ax.annotate(f"{mass:.3g}", (place, 0.0), color=VERMILLION, ha="center", va="bottom")
    ax.axvline(0.0, color=BLACK, lw=0.7, ls=":")
    ax.set_xlabel("eigenvalue of the Hessian")
    ax.set_ylabel("density")
    share = float(spectrum.negative_fraction.value)
    ax.set_title(f"ratio {spectrum.ratio:g}, energy {spectrum.energy:g}: {share:.3g} negative")
    ax.set_ylim(bottom=0.0)
    handles = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    ax.legend(handles.values(), handles.keys())


def draw_network_hessian(ax: Axes, hessian: NetworkHessian) -> None:
    """Histogram of the eigenvalues of a network's Hessian."""
    values = hessian.eigenvalues
    ax.hist(values, bins=min(_BINS, max(8, values.size // 4)), color=SKY, alpha=0.6)
    ax.axvline(0.0, color=BLACK, lw=0.7, ls=":")
    ax.set_xlabel("eigenvalue of the Hessian")
    ax.set_ylabel("number of eigenvalues")
    ax.set_title(f"loss {hessian.loss:.3g}: {np.mean(values < 0.0):.3g} negative")
