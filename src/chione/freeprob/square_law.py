"""Building the law of v(h)^2: range, atoms, pieces, limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from chione.base import Array, checks
from chione.freeprob.pieces import Pieces, cut, joined, taken
from chione.freeprob.squares import Function, GaussianSquare, assemble
from chione.freeprob.stretches import interval

_TINY_WEIGHT = -46.0  # log of 1e-20: where the fourth moment no longer notices the tail
_FLAT = 1e-14  # a stretch between kinks that varies by less is an atom
_FAR = 1e6  # how far out, in units of the range, the limits of v^2 are looked for
_FARTHEST = 38.5  # standard deviations: beyond, the density is below the smallest float64
_OCTAVES = 40.0  # below the standard deviation, or below 1, at which v is looked at
_NEARLY = 1e-9  # of the largest value: stretches that vary by more need no look at their noise
_SCATTER = 32.0  # times the measured scatter of rounding: below that a value is 0


def gaussian_square(
    v: Function,
    q: float,
    *,
    breakpoints: tuple[float, ...] = (),
    slope: Function | None = None,
    features: Array | None = None,
    noise: Callable[[float, float], float] | None = None,
) -> GaussianSquare:
    r"""Law of :math:`v(h)^2` with :math:`h \sim N(0, q)`.

    Parameters
    ----------
    v : callable
        Function of arrays, smooth between the break points.
    q : float
        Variance of h, above 0.
    breakpoints : tuple of float
        Places where v or one of its derivatives jumps.
    slope : callable, optional
        The derivative of v between the break points; density and spread are sharper with it.
    features : ndarray, optional
        Places at which v has to be looked at, because something narrow may sit there.
    noise : callable, optional
        (a, b) -> rounding error of v between a and b, where v is computed from terms that may
        cancel: what is smaller there is 0. Without it v is taken at its word.

    Raises
    ------
    ValueError
        If q is not above 0.
    ConvergenceError
        If v is not piecewise smooth.

    Notes
    -----
    Whatever the width of the Gaussian, v is looked at on the scale of each power of 2 around 0
    and around each break point: where the pieces do not meet it they are cut further.
    """
    q = checks.positive("q", q)
    left, right = _range(v, q)
    cuts = sorted({b for b in breakpoints if left < b < right})
    probes = _probes(cuts, left, right, np.sqrt(q), features)
    even = _is_even(v, right, left, cuts, probes)
    if even:
        left, cuts, probes = 0.0, [b for b in cuts if b > 0.0], probes[probes > 0.0]
    atoms = _Atoms(2.0 if even else 1.0, np.sqrt(q))
    stretches: list[tuple[float, float]] = []
    spans = list(pairwise([left, *cuts, right]))
    values = [_sampled(v, a, b, probes) for a, b in spans]
    largest = max(float(np.max(abs(x))) for x in values)
    for i, ((a, b), value) in enumerate(zip(spans, values, strict=True)):
        error = 0.0
        if noise is not None and np.ptp(value) <= _NEARLY * largest:
            error = _SCATTER * noise(a, b)
        if not np.any(abs(value) > error):
            value = np.zeros(1)
        if np.ptp(value) <= max(_FLAT * np.max(abs(value)), error):
            lo = -np.inf if i == 0 and not even else a
            hi = np.inf if i == len(spans) - 1 else b
            atoms.add(float(np.median(value)), error, lo, hi)
        else:
            stretches.append((a, b))
    width = 1.25 * np.sqrt(q)
    found = [cut(v, s, first_width=width, probes=probes, slope=slope) for s in stretches]
    pieces = _without_limits(joined(found), atoms, even, (left, right)) if found else None
    law = _assemble((v, slope), q, atoms.merged(), pieces, atoms.factor, (left, right))
    far = _beyond(q, breakpoints, pieces, even, (left, right))
    return replace(law, far=far, breakpoints=breakpoints)


def _beyond(
    q: float,
    breakpoints: tuple[float, ...],
    pieces: Pieces | None,
    even: bool,
    span: tuple[float, float],
) -> tuple[tuple[float, ...], ...]:
    """Stretches beyond the stored range; a constant one at its end was counted to infinity."""
    if pieces is None:
        return ()
    (left, right), reach = span, _FARTHEST * np.sqrt(q)
    ends = np.concatenate([pieces.center - pieces.half, pieces.center + pieces.half])
    far: list[tuple[float, ...]] = []
    if right < reach and np.isclose(ends.max(), right, rtol=1e-9):
        far.append((right, *sorted(b for b in breakpoints if right < b < reach), reach))
    if not even and -reach < left and np.isclose(ends.min(), left, rtol=1e-9):
        far.append((-reach, *sorted(b for b in breakpoints if -reach < b < left), left))
    return tuple(far)


def _without_limits(
    pieces: Pieces, atoms: _Atoms, even: bool, span: tuple[float, float]
) -> Pieces | None:
    """Outermost pieces on which v has its limit to the last digit are an atom, if most of it is.

    Beside a value that more than half of the mass rounds to, the rest cannot be told from an atom
    there in float64, and what is made of the law has to know.
    """
    keep = np.ones(pieces.half.size, dtype=bool)
    found = []
    for side in (1,) if even else (-1, 1):
        outermost = -1 if side > 0 else 0
        last = float(pieces.value[outermost, outermost])
        there = np.all(pieces.value == last, axis=1)[::-side]
        run = int(np.argmin(there)) if not there.all() else there.size
        if not run or last == 0.0:
            continue
        k = np.arange(keep.size)[::-side][run - 1]
        edge = pieces.center[k] - side * pieces.half[k]
        if side > 0 and np.isclose(pieces.center[-1] + pieces.half[-1], span[1], rtol=1e-9):
            found.append((last, float(edge), np.inf, np.arange(keep.size)[::-side][:run]))
        if side < 0 and np.isclose(pieces.center[0] - pieces.half[0], span[0], rtol=1e-9):
            found.append((last, -np.inf, float(edge), np.arange(keep.size)[::-side][:run]))
    if sum(atoms.mass(a, b) for _, a, b, _ in found) <= 0.5:
        return pieces
    for value, a, b, rows in found:
        atoms.add(value, 0.0, a, b)
        keep[rows] = False
    return taken(pieces, keep)


class _Atoms:
    """Stretches of constant v, gathered by their value up to its error."""

    def __init__(self, factor: float, sigma: float) -> None:
        self.factor, self._sigma = factor, sigma
        self._found: list[tuple[float, float, float]] = []  # |v|, its error, mass

    def add(self, value: float, error: float, low: float, high: float) -> None:
        """One stretch (low, high)."""
        self._found.append((abs(value), error, self.mass(low, high)))

    def mass(self, low: float, high: float) -> float:
        """Mass of h in (low, high)."""
        return self.factor * interval(low / self._sigma, high / self._sigma)

    def merged(self) -> dict[float, float]:
        """Mass of each place v^2; of values that are equal up to rounding the surest is taken."""
        out: dict[float, float] = {}
        kept: list[tuple[float, float]] = []
        for value, error, mass in sorted(self._found, key=lambda x: (x[1], -x[2])):
            same = (k for k, e in kept if abs(k - value) <= max(0.5 * _FLAT * k, error + e))
            key = next(same, None)
            if key is None:
                kept.append((value, error))
                key = value
            out[key * key] = out.get(key * key, 0.0) + mass
        return out


def _probes(
    cuts: list[float], left: float, right: float, sigma: float, features: Array | None
) -> Array:
    """Places at powers of 2 from 0 and from each break point, and those that were handed in."""
    steps = sigma * 2.0 ** np.arange(-_OCTAVES, 5.0)
    if sigma > 1.0:  # down to the scale on which functions are written, however wide the Gaussian
        steps = np.concatenate([2.0 ** np.arange(-_OCTAVES, np.log2(sigma) - _OCTAVES), steps])
    # a break point that was found is known to about 1e-12: nearer to it the wrong side is met
    near = [(c, steps[steps >= 1e-9 * abs(c)]) for c in {0.0, *cuts}]
    around = [c + side * x for c, x in near for side in (-1.0, 1.0)]
    extra = [np.empty(0)] if features is None else [features]
    h = np.unique(np.concatenate(around + extra))
    return np.asarray(h[(h > left) & (h < right)])


def _sampled(v: Function, a: float, b: float, probes: Array) -> Array:
    """Values between a and b."""
    h = a + (b - a) * (0.5 - 0.5 * np.cos(np.linspace(0.02, np.pi - 0.02, 201)))
    inside = probes[(probes > a + 0.5e-9 * abs(a)) & (probes < b - 0.5e-9 * abs(b))]
    return np.asarray(v(np.concatenate([h, inside])), dtype=np.float64)


def _assemble(
    functions: tuple[Function, Function | None],
    q: float,
    atoms: dict[float, float],
    pieces: Pieces | None,
    factor: float,
    span: tuple[float, float],
) -> GaussianSquare:
    place = np.array(sorted(atoms), dtype=np.float64)
    mass = np.array([atoms[a] for a in place], dtype=np.float64)
    if pieces is None:
        limits = (float(place.min()), float(place.max()))
        return GaussianSquare(q, place, mass, None, factor, limits, *functions, place, mass, None)
    limits = _limits(functions[0], pieces, place, span)
    return assemble(functions, q, (place, mass), pieces, factor, limits)


def _range(v: Function, q: float) -> tuple[float, float]:
    """Where p(h) max(1, t^4 / E t^4-scale) is above 1e-20 of its largest value."""
    z = np.linspace(0.0, 60.0, 601)
    out = []
    for side in (-1.0, 1.0):
        with np.errstate(all="ignore"):
            t = v(side * np.sqrt(q) * z) ** 2
            log = -0.5 * z * z + 4.0 * np.log(np.maximum(t / max(t[0], 1e-300), 1.0))
            if t[0] == 0.0:
                log = -0.5 * z * z + 4.0 * np.log1p(t)
        log = np.where(np.isfinite(log), log, -np.inf)
        last = float(z[np.nonzero(log >= log.max() + _TINY_WEIGHT)[0][-1]]) + 0.1
        out.append(side * np.sqrt(q) * max(last, 9.6))
    return float(out[0]), float(out[1])


def _is_even(v: Function, right: float, left: float, cuts: list[float], probes: Array) -> bool:
    if right != -left or any(-b not in cuts for b in cuts):
        return False
    h = np.concatenate([right * np.linspace(1e-3, 1.0, 257), probes])
    a, b = v(h) ** 2, v(-h) ** 2
    return bool(np.all(abs(a - b) <= 1e-15 * np.maximum(a, b)))


def _limits(
    v: Function, pieces: Pieces, place: Array, span: tuple[float, float]
) -> tuple[float, float]:
    e = np.sort(pieces.ends, axis=1)
    low = np.min(e**2, axis=1)
    low[(e[:, 0] < 0.0) & (e[:, 1] > 0.0)] = 0.0
    values = np.concatenate([low, np.max(e**2, axis=1), place])
    reach = max(abs(span[0]), abs(span[1]))
    far = reach * np.geomspace(1.0, _FAR, 121)
    with np.errstate(all="ignore"):
        sides = (-1.0, 1.0) if span[0] < 0.0 else (1.0,)
        tails = [np.asarray(v(s * far), dtype=np.float64) ** 2 for s in sides]
    top, bottom = float(values.max()), float(values.min())
    for tail in tails:
        tail = tail[np.isfinite(tail)]
        if tail.size == 0:
            return bottom, np.inf
        if tail[-1] > 4.0 * max(top, 1.0) and tail[-1] >= tail.max():
            top = np.inf
        top, bottom = max(top, float(tail.max())), min(bottom, float(tail.min()))
    return (0.0 if bottom < 1e-9 * min(top, 1.0) else bottom), top
