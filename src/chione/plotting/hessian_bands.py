"""What a picture of a Hessian's law draws of each band, and histograms that respect bands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.base import Array
from chione.theory.spectra.hessian import HessianSpectrum

_POINTS = 400  # of the curve of one band
_HIDDEN = 0.03  # mass that may lie under a peak that leaves the axis
_TALL = 8.0  # peaks that many times higher than the main band's need an axis of their own
_BINS = 60
_ROUNDING = 1e-10  # sampled eigenvalues that are zero, relative to the largest


@dataclass(frozen=True)
class BandView:
    """One band: its curve, its mass, and how high an axis has to be for it.

    Parameters
    ----------
    eigenvalue, density : ndarray, shape (n,)
        The curve; the density is 0 at both ends, or infinite where it has a pole.
    mass : float
        Mass of the band.
    top : float
        Density above which three hundredths of the mass lie at most.
    tall : bool
        Whether it is too high to share an axis with the widest band.
    """

    eigenvalue: Array
    density: Array
    mass: float
    top: float
    tall: bool

    @property
    def low(self) -> float:
        """Lower edge."""
        return float(self.eigenvalue[0])

    @property
    def high(self) -> float:
        """Upper edge."""
        return float(self.eigenvalue[-1])

    @property
    def peak(self) -> float:
        """Highest finite density."""
        return float(np.max(self.density[np.isfinite(self.density)]))

    @property
    def at_peak(self) -> float:
        """Where the density is highest."""
        return float(self.eigenvalue[np.argmax(self.density)])


def band_views(spectrum: HessianSpectrum) -> list[BandView]:
    """The bands of a law as a picture shows them, from below."""
    curve = spectrum.curve(_POINTS * len(spectrum.support))
    parts = []
    for k in range(len(spectrum.support)):
        own = slice(k * _POINTS, (k + 1) * _POINTS)
        x, y, cdf = curve.eigenvalue[own], curve.density[own], curve.cdf[own]
        mass = np.diff(cdf)
        height = np.minimum(y[1:], y[:-1])
        height = np.where(np.isfinite(height), height, 0.0)
        order = np.argsort(height)[::-1]
        k_top = int(np.searchsorted(np.cumsum(mass[order]), _HIDDEN * mass.sum()))
        parts.append((x, y, float(cdf[-1] - cdf[0]), float(height[order][min(k_top, 398)])))
    widest = max(parts, key=lambda p: p[0][-1] - p[0][0])
    return [BandView(x, y, m, top, top > _TALL * widest[3]) for x, y, m, top in parts]


@dataclass(frozen=True)
class Histogram:
    """Sampled eigenvalues by band.

    Parameters
    ----------
    stairs : tuple of (ndarray, ndarray)
        Edges and heights, as densities of all eigenvalues together.
    at_atoms : int
        Number of eigenvalues at an atom, which are in no bin.
    """

    stairs: tuple[tuple[Array, Array], ...]
    at_atoms: int


def histogram(spectrum: HessianSpectrum, samples: Array) -> Histogram:
    """Bins that fill each band from edge to edge, continued where sampled values lie beyond."""
    values = np.sort(np.ravel(samples))
    size = float(np.max(abs(values), initial=0.0))
    zero = abs(values) <= _ROUNDING * size if spectrum.atoms else np.zeros(values.size, dtype=bool)
    shown = values[~zero]
    levels, bands = spectrum.law.levels(), spectrum.support
    ends = [0.5 * (a[1] + b[0]) for a, b in pairwise(bands)]
    limits = [-np.inf, *ends, np.inf]
    out = []
    for k, (low, high) in enumerate(bands):
        own = shown[(shown >= limits[k]) & (shown < limits[k + 1])]
        most = min(_BINS, 2.5 * max(own.size, 1) ** 0.4)  # eigenvalues repel: counts scatter less
        bins = max(8, round(most if own.size else _BINS * (levels[k][1] - levels[k][0])))
        width = (high - low) / bins
        first, last = (own[0], own[-1]) if own.size else (low, high)
        before, after = np.ceil(np.clip([low - first, last - high], 0.0, high - low) / width)
        edges = low + width * np.arange(-before, bins + after + 1.0)
        # no bin reaches an atom or another band
        room = [0.5 * (low + a) for a, _ in spectrum.atoms if a < low]
        edges = np.unique(np.clip(edges, max([limits[k], *room]), limits[k + 1]))
        count, _ = np.histogram(own, edges)
        out.append((edges, count / (values.size * np.diff(edges))))
    return Histogram(tuple(out), int(zero.sum()))
