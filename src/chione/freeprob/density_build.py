"""From a density and its intervals to a law."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from chione.base import EPS, Array, SpecError, checks
from chione.freeprob.density_law import DensityLaw
from chione.freeprob.density_pieces import DensityPieces, cut

_MASS = 1e-8  # how far from 1 the mass of a density may be that is not asked to be divided by it

_LOST = 1e-3  # part of the mass that may hide in what no piece resolves


def density_law(
    f: Callable[[Array], Array], support: Any, atoms: Any = (), *, normalize: bool = False
) -> DensityLaw:
    """The law of a density; see :func:`chione.freeprob.from_density`."""
    if not callable(f):
        raise SpecError(f"f must be a function of one array, but it is {f!r:.60}.")
    intervals = _intervals(support)
    place, mass = _atoms(atoms)
    parts = [cut(f, a, b) for a, b in intervals]
    names = ("origin", "far", "exponent", "series", "doubt")
    pieces = DensityPieces(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))
    every = DensityLaw(f, intervals, place, mass, pieces, 0.0)
    power = 1.0 / (1.0 + pieces.alpha)
    continuous = math.fsum(every.masses)
    error = float(np.sum(pieces.doubt * power)) + 4.0 * EPS * continuous
    total = continuous + math.fsum(mass)
    if continuous <= 0.0:
        raise SpecError("the density is 0 on all of its intervals; use atoms alone instead.")
    if error > _LOST * total:
        raise SpecError(
            f"the mass of the density is known to {error:.1g} of {total:.3g} only: it may not be "
            "integrable; give intervals that end where it is infinite."
        )
    if not normalize and abs(total - 1.0) > _MASS + 4.0 * error:
        raise SpecError(
            f"the mass of a measure is 1, but density and atoms have {total:.10g}; pass "
            "normalize=True to divide by it."
        )
    if total == 1.0:
        scaled = f
    else:

        def scaled(x: Array) -> Array:
            return np.asarray(f(x)) / total

    pieces = DensityPieces(
        pieces.origin, pieces.far, pieces.exponent, pieces.series / total, pieces.doubt / total
    )
    # what is within the error of 1 may be 1: then dividing by it was wrong by as much
    doubt = 0.0 if normalize else min(abs(total - 1.0), error)
    return DensityLaw(scaled, intervals, place, mass / total, pieces, doubt + error / total)


def _intervals(support: Any) -> tuple[tuple[float, float], ...]:
    sentence = "give one pair (a, b) with a < b, or a list of pairs that do not overlap"
    try:
        a = np.asarray(support, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(f"support cannot be read from {support!r:.60}; {sentence}.") from None
    if a.ndim == 1:
        a = a[None]
    if a.ndim != 2 or a.shape[1] != 2 or a.shape[0] == 0:
        raise SpecError(f"support has the shape {a.shape}; {sentence}.")
    if not np.all(np.isfinite(a)):
        raise SpecError(
            f"support reaches to {a[~np.isfinite(a)][0]}, but free probability here needs compact "
            "support; cut the density where its tail no longer matters, with normalize=True."
        )
    a = a[np.argsort(a[:, 0])]
    if np.any(a[:, 0] >= a[:, 1]) or any(p[1] > q[0] for p, q in pairwise(a)):
        raise SpecError(f"support is {a.tolist()}; {sentence}.")
    return tuple((float(x), float(y)) for x, y in a)


def _atoms(atoms: Any) -> tuple[Array, Array]:
    if len(atoms) == 0:
        return np.zeros(0), np.zeros(0)
    a = checks.real_array("atoms", atoms, accepts="pairs (place, mass)")
    if a.ndim != 2 or a.shape[1] != 2:
        raise SpecError(f"atoms must be pairs (place, mass), but their shape is {a.shape}.")
    a = a[np.argsort(a[:, 0])]
    if np.any(a[:, 1] <= 0.0) or np.unique(a[:, 0]).size < a.shape[0]:
        raise SpecError("atoms must have distinct places and masses above 0.")
    return a[:, 0], a[:, 1]
