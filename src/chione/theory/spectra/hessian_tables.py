"""Tables of points over a band of a model Hessian's law, dense where its mass is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Complex

_TABLE = 96  # points of a band before it is refined
_STEEP = 6.0  # mass between two points, in units of the average, that is too much
_REFINEMENTS = 120


class Bands(Protocol):
    """What a law knows along its bands."""

    def lift(self, re: Array) -> Complex:
        """F over Re F."""

    def z(self, f: Complex) -> Complex:
        """The place of F."""

    def edge(self, f: float) -> float:
        """The place of a real F."""

    def mass_below(self, x: Array, f: Complex) -> tuple[Array, Array]:
        """Mass up to x, and its error."""


@dataclass(frozen=True, eq=False)
class BandTable:
    """Points of one band: Re F runs over it like the sine squared of u.

    Parameters
    ----------
    u : ndarray, shape (n,)
        From 0 to pi/2.
    f, x, share : ndarray, shape (n,)
        F, the place, and the mass up to it.
    """

    u: Array
    f: Complex
    x: Array
    share: Array

    def spread(self, n: int) -> Array:
        """N values of u as dense as those of the table."""
        return np.interp(np.linspace(0.0, 1.0, n), np.linspace(0.0, 1.0, self.u.size), self.u)


def band_table(law: Bands, band: tuple[float, float], level: tuple[float, float]) -> BandTable:
    """Points over a band, denser where much of its mass lies between two of them.

    A band may hold nearly all its mass on a scale many decades below its width.

    Parameters
    ----------
    law : HessianLaw
        The law.
    band : tuple of float
        Ends of Re F.
    level : tuple of float
        Mass up to them.
    """
    (a, b), limit = band, _STEEP / _TABLE * (level[1] - level[0])
    u = np.linspace(0.0, np.pi / 2, _TABLE)
    f = law.lift(a + (b - a) * np.sin(u) ** 2)
    f[0], f[-1] = a, b
    share = np.empty(u.size)
    share[1:-1] = law.mass_below(np.real(law.z(f[1:-1])), f[1:-1])[0]
    share[0], share[-1] = level
    for _ in range(_REFINEMENTS):
        k = np.flatnonzero(np.diff(share) > limit)
        middle = 0.5 * (u[k] + u[k + 1])
        k, middle = k[middle > u[k]], middle[middle > u[k]]
        if not k.size:
            break
        new = law.lift(a + (b - a) * np.sin(middle) ** 2)
        more = law.mass_below(np.real(law.z(new)), new)[0]
        u, share = np.insert(u, k + 1, middle), np.insert(share, k + 1, more)
        f = np.insert(f, k + 1, new)
    x = np.concatenate([[law.edge(a)], np.real(law.z(f[1:-1])), [law.edge(b)]])
    return BandTable(u, f, np.maximum.accumulate(x), np.maximum.accumulate(share))
