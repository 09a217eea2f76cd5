"""The density and the distribution function of a measure on points that crowd at the edges."""

from __future__ import annotations

import numpy as np

from chione.base import AbstractResult, Array, Status, along, result
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.quantiles import Segments, quantile

_FEWEST = 8  # points of a band, however little mass it has
_TAIL = 1e-9  # mass beyond the points where a band has no end


@result
class MeasureCurve(AbstractResult):
    r"""The continuous part of a measure on a graded grid, from the left.

    Parameters
    ----------
    name : str
        The measure in words.
    x : ndarray, shape (n,)
        Points; on a band [a, b] equally spaced in :math:`\theta`,
        :math:`x = a + (b - a) \sin^2(\theta / 2)`, without the ends.
    density, density_error : ndarray, shape (n,)
        Density of the continuous part, and a bound on its error.
    cdf, cdf_error : ndarray, shape (n,)
        Mass at or below x, atoms included, and a bound on its error.
    bands : tuple of pairs
        The ends of the bands.
    atoms : tuple of pairs
        Places and masses.
    """

    axes = along("x", *("x", "density", "density_error", "cdf", "cdf_error"))

    name: str
    x: Array
    density: Array
    density_error: Array
    cdf: Array
    cdf_error: Array
    bands: tuple[tuple[float, float], ...]
    atoms: tuple[tuple[float, float], ...]

    @property
    def status(self) -> Status:
        """UNDEFINED where there is no point because the measure is made of atoms alone, else OK."""
        return Status.OK if self.x.size else Status.UNDEFINED

    @property
    def sentence(self) -> str:
        """What the curve holds, for a reader."""
        mass = sum(m for _, m in self.atoms)
        if not self.x.size:
            return f"No curve: {self.name} is made of atoms alone ({len(self.atoms)}), no density."
        words = f"{self.x.size} points on {len(self.bands)} band{'s' * (len(self.bands) != 1)}"
        if not self.atoms:
            return f"{words} of {self.name}."
        return f"{words} of {self.name}; its atoms, of mass {mass:.6g}, are no part of it."


def curve(law: AbstractMeasure, parts: Segments, name: str, n: int) -> MeasureCurve:
    """The curve of a law at about n points: by the mass of each band, eight at the least."""
    bands = [(a, b) for a, b in law.support if b > a]
    x = np.concatenate([np.zeros(0), *(_points(law, parts, a, b, n) for a, b in bands)])
    with np.errstate(all="ignore"):
        values = (law.density(x), law.density_error(x), law.cdf(x), law.cdf_error(x))
    return MeasureCurve(name, x, *values, tuple(bands), law.atoms)


def _points(law: AbstractMeasure, parts: Segments, a: float, b: float, n: int) -> Array:
    mine = (parts.low >= a) & (parts.high <= b) & (parts.high > parts.low)
    mass = float(np.sum((parts.upto - parts.below)[mine]))
    total = float(np.sum((parts.upto - parts.below)[parts.high > parts.low]))
    count = max(_FEWEST, round(n * mass / total)) if total > 0.0 else _FEWEST
    if not (np.isfinite(a) and np.isfinite(b)):
        ends = quantile(law, parts, np.array([_TAIL, 1.0 - _TAIL]))[0]
        a, b = max(a, float(ends[0])), min(b, float(ends[1]))
    angle = np.pi * (np.arange(count) + 0.5) / count
    left = a + (b - a) * np.sin(0.5 * angle) ** 2
    right = b - (b - a) * np.cos(0.5 * angle) ** 2
    x = np.where(angle < 0.5 * np.pi, left, right)
    places = [place for place, _ in law.atoms]
    return np.asarray(np.unique(x[~np.isin(x, places)]))
