"""Building the law of v(h)^2: range, atoms, pieces, limits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from chione.base import Array, checks
from chione.freeprob.pieces import Pieces, cut
from chione.freeprob.squares import GaussianSquare, assemble, interval

_TINY_WEIGHT = -46.0  # log of 1e-20: where the fourth moment no longer notices the tail
_FLAT = 1e-14  # a stretch between kinks that varies by less is an atom
_FAR = 1e6  # how far out, in units of the range, the limits of v^2 are looked for


def gaussian_square(
    v: Callable[[Array], Array], q: float, *, breakpoints: tuple[float, ...] = ()
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

    Raises
    ------
    ValueError
        If q is not above 0.
    ConvergenceError
        If v is not piecewise smooth.
    """
    q = checks.positive("q", q)
    left, right = _range(v, q)
    cuts = sorted({b for b in breakpoints if left < b < right})
    even = _is_even(v, right, left, cuts)
    if even:
        left, cuts = 0.0, [b for b in cuts if b > 0.0]
    points = [left, *cuts, right]
    factor = 2.0 if even else 1.0
    atoms: dict[float, float] = {}
    stretches: list[tuple[float, float]] = []
    for i, (a, b) in enumerate(pairwise(points)):
        value = v(a + (b - a) * (0.5 - 0.5 * np.cos(np.linspace(0.02, np.pi - 0.02, 201))))
        if np.ptp(value) <= _FLAT * np.max(abs(value)) or not np.any(value):
            lo = -np.inf if i == 0 and not even else a
            hi = np.inf if i == len(points) - 2 else b
            place = float(np.square(np.median(value)))
            key = next((p for p in atoms if abs(p - place) <= _FLAT * place), place)
            mass = factor * interval(lo / np.sqrt(q), hi / np.sqrt(q))
            atoms[key] = atoms.get(key, 0.0) + mass
        else:
            stretches.append((a, b))
    pieces = _join([cut(v, s, first_width=1.25 * np.sqrt(q)) for s in stretches])
    return _assemble(v, q, atoms, pieces, factor, (left, right))


def _assemble(
    v: Callable[[Array], Array],
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
        return GaussianSquare(q, place, mass, None, factor, limits, v, place, mass, None)
    return assemble(v, q, (place, mass), pieces, factor, _limits(v, pieces, place, span))


def _range(v: Callable[[Array], Array], q: float) -> tuple[float, float]:
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


def _is_even(v: Callable[[Array], Array], right: float, left: float, cuts: list[float]) -> bool:
    if right != -left or any(-b not in cuts for b in cuts):
        return False
    h = right * np.linspace(1e-3, 1.0, 257)
    a, b = v(h) ** 2, v(-h) ** 2
    return bool(np.all(abs(a - b) <= 1e-15 * np.maximum(a, b)))


def _limits(
    v: Callable[[Array], Array], pieces: Pieces, place: Array, span: tuple[float, float]
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


def _join(parts: list[Pieces]) -> Pieces | None:
    if not parts:
        return None
    names = ("center", "half", "h", "weight", "value", "series", "flat")
    return Pieces(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))
