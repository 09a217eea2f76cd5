r"""Narrow features of a function: what can hide between all nodes of a quadrature.

A bump, a dip or a kink that is narrower than the distance of two nodes is not seen by any rule
that compares nodes with nodes. So functions that nobody vouches for are probed besides, at
irregular places in each octave of \|h|. Seven neighbouring probes tell whether the function is
close to a polynomial on their scale: the divided difference of order six vanishes for degree 5.
Where it does not, the place is looked at more and more closely, and panels are laid around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.gaussian.kept import is_known, is_unchanging

PROBES = 4079  # per octave and side where most of the mass is: 4e-4 apart near h = 1
# Octaves, counted from the standard deviation, and the part of the probes that they get: what
# matters is a width compared with the deviation, so that fewer will do nearer to zero
_SHARES = {3: 2, 2: 1, 1: 1, 0: 1, -1: 1, -2: 2, -3: 2, -4: 4} | dict.fromkeys(range(-10, -4), 16)
_FAR = 16.0  # standard deviations
_FINER = 8  # times as many where g says nothing, or where a feature was met by luck
_STENCIL = 7
_SMOOTH = 1e-13  # of the values: a divided difference below this is rounding
_DENORMAL = 1e-300
_FLAT = 1e-12  # of the largest value of the octave: a feature below this changes no digit
_MOST_RUNS = 24  # more places in one octave: the function is rough there, not smooth but for them
_SCALES = np.concatenate([-(2.0 ** np.arange(-20.0, 21.0)), 2.0 ** np.arange(-20.0, 21.0)])
_ZOOM = np.linspace(-1.0, 1.0, 129)
_ZOOMS = 12
_VISIBLE = 6.0  # widths at half height over which a bump shows above rounding


@dataclass(frozen=True)
class Feature:
    """One place where a function is not smooth on the scale of the probes.

    Parameters
    ----------
    at, width : float
        The place and the width at half height, as far as it was resolved.
    gap : float
        Distance of the probes there.
    edges : ndarray
        Panel edges that resolve it.
    """

    at: float
    width: float
    gap: float
    edges: Array

    @property
    def lucky(self) -> bool:
        """Whether the probes could as well have missed it, and may have missed others like it."""
        return _VISIBLE * self.width < self.gap


@dataclass(frozen=True)
class Found:
    """What the probes say of a function at one standard deviation.

    Parameters
    ----------
    edges : ndarray
        Panel edges around all features.
    lucky : tuple of Feature
        Those that the finest probes could have missed.
    gap : float
        Largest distance of two probes.
    silent : bool
        Whether the function is zero at every probe, and not known to be something else.
    """

    edges: Array
    lucky: tuple[Feature, ...]
    gap: float
    silent: bool


@dataclass(frozen=True)
class _Octave:
    probes: int
    features: tuple[Feature, ...]
    edges: Array
    ends: Array  # value at the first, a middle and the last probe
    at: Array  # where those are
    linear: bool
    zero: bool


class Features:
    """Narrow features of one function, looked for where they are needed and kept.

    Parameters
    ----------
    g : callable
        Vectorised function, (n,) -> (n,).
    breakpoints : tuple of float
        Places where g is known to break: nothing new is found there.
    nonzero : bool
        Whether g is known to be something else than zero somewhere, so that it is no surprise if
        all probes of a narrow Gaussian see zero (as those of a soft threshold do).

    Notes
    -----
    Seen are all features wider, foot to foot, than 1/1000 of the larger of their distance from
    zero and the standard deviation; a bell shows over six times its width at half height. A
    narrower one is met by luck: then, and where g is linear or zero at every probe, 8 times as
    many probes are used.
    """

    def __init__(
        self,
        g: Callable[[Array], Array],
        breakpoints: tuple[float, ...] = (),
        *,
        nonzero: bool = False,
    ) -> None:
        self.g = g
        self.nonzero = nonzero
        self.breakpoints = np.array(sorted(breakpoints))
        self._octaves: dict[tuple[int, int], _Octave] = {}
        self._around: dict[int, Array] = {}

    def at(self, sigma: float) -> Found:
        """Features that matter for standard deviations from `sigma` to two of it."""
        top = int(np.floor(np.log2(sigma)))
        shares = {top + j: share for j, share in _SHARES.items() if abs(top + j) < 1020}
        every = self._look({j: PROBES // share for j, share in shares.items()})
        if any(f.lucky for o in every for f in o.features) or _on_one_line(every):
            every = self._look({j: _FINER * PROBES // share for j, share in shares.items()})
        gap = max((2.0**j / (PROBES // share) for j, share in shares.items()), default=0.0)
        if top not in self._around:
            self._around[top] = self._around_breakpoints(2.0**top)
        around = self._around[top]
        return Found(
            np.concatenate([around, *(o.edges for o in every)]),
            tuple(f for o in every for f in o.features if f.lucky),
            2.0 * gap,
            not self.nonzero and all(o.zero for o in every) and not around.size,
        )

    @np.errstate(all="ignore")
    def _around_breakpoints(self, sigma: float) -> Array:
        """Panel edges graded towards breakpoints at which a narrow feature sits, and towards 0.

        Towards 0 the feature is looked for below the octaves that are probed.
        """
        edges = [np.empty(0)]
        every = sigma * 2.0 ** np.arange(-1.0, -50.0, -1.0)
        near = self.breakpoints[np.abs(self.breakpoints) < _FAR * sigma]
        centres = [(k, 0) for k in near]
        if 0.0 not in near:
            centres.append((0.0, -1 - min(_SHARES)))
        for k, first in centres:
            for side in (-1.0, 1.0):
                # on the far side of the next breakpoint g is another function
                other = side * (self.breakpoints - k)
                room = np.min(other[other > 0.0], initial=np.inf)
                whole, h = (k + side * steps[steps < room] for steps in (every, every[first:]))
                whole, h = whole[whole != k], h[h != k]
                if h.size < 3:
                    continue
                # towards k a smooth function changes less with each step
                change = np.abs(np.diff(np.asarray(self.g(h), dtype=np.float64)))
                scale = 1e3 * _SMOOTH * float(np.abs(self.g(h[:2])).max())
                if np.any(change[1:] > change[:-1] + scale):
                    edges.append(whole)  # the tail of the feature as well
        return np.concatenate(edges)

    def _look(self, probes: dict[int, int]) -> list[_Octave]:
        """Octaves on both sides, each with at least so many probes."""
        places = [(j, side) for j in probes for side in (-1, 1)]
        for j, side in places:
            known = self._octaves.get((j, side))
            if known is None or known.probes < probes[j]:
                self._octaves[j, side] = self._octave(j, side, probes[j])
        return [self._octaves[place] for place in places]

    @np.errstate(all="ignore")
    def _octave(self, j: int, side: int, probes: int) -> _Octave:
        unit, stencil = _places(probes)
        h = side * 2.0**j * unit
        y = np.asarray(self.g(h), dtype=np.float64)
        broken = _bent(y, stencil) > 0.0
        if len(self.breakpoints):
            ends = np.searchsorted(self.breakpoints, h)
            broken &= ends[: 1 - _STENCIL] == ends[_STENCIL - 1 :]  # no window across a breakpoint
        if np.sum(broken) > 0.25 * len(y):  # perhaps it falls or grows as fast as a Gaussian does
            broken &= ~(_bent(np.log(np.abs(y)), stencil) <= 0.0)
        features, edges = self._examine(h, y, np.flatnonzero(broken))
        three = np.array([0, len(y) // 3, len(y) - 1])
        bend = np.interp(unit[three[1]], unit[three[[0, 2]]], y[three[[0, 2]]]) - y[three[1]]
        linear = not broken.any() and bool(abs(bend) <= 1e-12 * np.abs(y).max())
        zero = not np.any(y)
        return _Octave(probes, features, edges, y[three], h[three], linear or zero, zero)

    def _examine(
        self, h: Array, y: Array, broken: NDArray[np.intp]
    ) -> tuple[tuple[Feature, ...], Array]:
        """The features behind the broken windows, and panel edges for them."""
        if not broken.size:
            return (), np.empty(0)
        runs = np.split(broken, np.flatnonzero(np.diff(broken) > _STENCIL) + 1)
        if len(runs) > _MOST_RUNS or broken.size > 0.25 * len(y):
            # nodes as dense as the probes then leave nothing out that the probes saw
            return (), np.linspace(h[0], h[-1], 2 + len(h) // 32)
        largest = float(np.abs(y[np.isfinite(y)]).max())
        features = []
        for run in runs:
            feature = self._zoom(h, y, int(run[0]), int(run[-1]) + _STENCIL - 1, _FLAT * largest)
            if feature is not None:
                features.append(feature)
        return tuple(features), np.concatenate([f.edges for f in features] or [np.empty(0)])

    def _zoom(self, h: Array, y: Array, first: int, last: int, flat: float) -> Feature | None:
        """The highest point above the polynomial through the clean ends of h[first : last + 1]."""
        clean = np.r_[first : first + 3, last - 2 : last + 1]
        base = np.polynomial.Polynomial.fit(h[clean], y[clean], len(clean) - 1)
        x = h[first : last + 1]
        off = np.abs(y[first : last + 1] - base(x))
        gap = width = float(np.abs(np.diff(x)).max())
        for _ in range(_ZOOMS):
            top = int(np.argmax(off))
            if not np.isfinite(off[top]):
                return None
            peak = float(x[top])
            beside = off[max(top - 1, 0) : top + 2]
            if beside.min() > 0.3 * off[top]:
                break
            x = peak + width * _ZOOM
            off = np.abs(np.asarray(self.g(x), dtype=np.float64) - base(x))
            width *= _ZOOM[1] - _ZOOM[0]
        if off.max() <= flat:
            return None
        width = float(np.sum(off > 0.5 * off.max()) * np.abs(np.diff(x)).max())
        steps = max(width, 1e-15 * abs(peak)) * 2.0 ** np.arange(-1.0, 40.0)
        steps = steps[steps < abs(h[last] - h[first])]
        inside = h[np.linspace(first, last, min(last - first + 1, 65)).astype(int)]
        edges = np.concatenate([peak - steps, [peak], peak + steps, inside])
        return Feature(peak, width, gap, edges)


@np.errstate(all="ignore")
def _bent(y: Array, stencil: Array) -> Array:
    """Divided differences of order six beyond rounding; NaN or below 0 where y is smooth."""
    rest = stencil[0] * y[: 1 - _STENCIL]
    for i in range(1, _STENCIL):
        rest += stencil[i] * y[i : len(y) - _STENCIL + 1 + i]
    size = np.abs(y)
    local = np.maximum(size[: 1 - _STENCIL], size[_STENCIL - 1 :])
    np.maximum(local, size[3 : 4 - _STENCIL], out=local)
    local *= _SMOOTH
    np.maximum(local, _DENORMAL, out=local)  # not 1e-13 of it: bells on zero show by their tails
    return np.asarray(np.abs(rest) - local)


def features_of(
    f: Callable[[Array], Array], breakpoints: tuple[float, ...] = ()
) -> Features | None:
    """Features of a function that nobody vouches for; kept for a user's activation."""
    if is_known(f):
        return None
    return _kept(f, breakpoints) if is_unchanging(f) else Features(f, breakpoints)


@lru_cache(maxsize=64)
def _kept(f: Callable[[Array], Array], breakpoints: tuple[float, ...]) -> Features:
    with np.errstate(all="ignore"):
        nonzero = bool(np.any(f(_SCALES)))
    return Features(f, breakpoints, nonzero=nonzero)


def _on_one_line(octaves: list[_Octave]) -> bool:
    """Whether a function is zero, constant or linear at every probe."""
    if not all(o.linear for o in octaves):
        return False
    h = np.concatenate([o.at for o in octaves])
    y = np.concatenate([o.ends for o in octaves])
    low, high = np.argmin(h), np.argmax(h)
    line = y[low] + (h - h[low]) * ((y[high] - y[low]) / (h[high] - h[low]))
    return bool(np.all(np.abs(line - y) <= 1e-12 * np.abs(y).max()))


@lru_cache(maxsize=16)
def _places(probes: int) -> tuple[Array, Array]:
    """Irregular places in [1, 2) and the weights (7, n - 6) of the divided differences.

    One probe in each of equal cells, moved by multiples of the golden ratio: no regular comb of
    features falls between all of them.
    """
    k = np.arange(probes)
    t = 1.0 + (k + 0.1 + 0.8 * np.mod(k * 0.6180339887498949, 1.0)) / probes
    near = np.stack([t[i : probes - _STENCIL + 1 + i] for i in range(_STENCIL)]) * probes
    weights = np.ones_like(near)
    for i in range(_STENCIL):
        for other in range(_STENCIL):
            if other != i:
                weights[i] /= near[i] - near[other]
    weights /= np.abs(weights).sum(0)
    return t, weights
