r"""Bands of a spectrum at different widths, from the real axis.

At a real z off the spectrum x is real and every w lies off the support of t, on one branch of the
inverse of M each. Such a choice of branches and a real x belong to the spectrum's complement if and
only if log z is real on the branch of the upper half plane,

.. math:: \#\{l : w_l < 0\} = (L - 1)\,[x < 0] + \sum_j e_j\,[1 + b_j x < 0]

and z falls with x. The bands are what these stretches leave out; their ends are critical points of
log z, or places where a w reaches the support of t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Complex
from chione.theory.spectra.jacobian_widths_branches import branches
from chione.theory.spectra.jacobian_widths_equation import WidthsEquation
from chione.theory.spectra.jacobian_widths_real import NEAR, RealSolutions

_TOUCH = 1e-6  # in log lambda: stretches that meet at x = 0, w = 0 or infinity are one
_BOTTOM = 1e-7  # of 1 + x / rank: a stretch that ends there, at no critical point, begins at z = 0
_LARGE = 1e5  # x at which z lies within about 1e-5 of an atom, if it goes to one
_NARROW = 1e-13  # a band narrower than that is rounding
_SAME = 1e-9  # masses that differ by less are equal


@dataclass(frozen=True)
class Gap:
    """A stretch of log lambda off the spectrum.

    Parameters
    ----------
    log_lambda : tuple of float
        Its ends.
    hard : tuple of bool
        Whether they are critical points of log z, where the density next to it is a square root.
    above : float
        Mass above it.
    log_w : ndarray of complex, shape (2, G)
        The solutions at its ends.
    """

    log_lambda: tuple[float, float]
    hard: tuple[bool, bool]
    above: float
    log_w: Complex


@dataclass(frozen=True)
class Band:
    """A stretch of log lambda that carries spectrum.

    Parameters
    ----------
    log_lambda : tuple of float
        Its ends, -inf for zero.
    hard : tuple of bool
        Whether the density is a square root there.
    cdf : tuple of float
        The distribution function there, without an atom at the upper end.
    log_w : tuple of ndarray or None
        The solutions at its ends, where they are known.
    """

    log_lambda: tuple[float, float]
    hard: tuple[bool, bool]
    cdf: tuple[float, float]
    log_w: tuple[Complex | None, Complex | None]


def gaps(eq: WidthsEquation) -> tuple[Gap, ...]:
    """The complement of the continuous spectrum from below; atoms may lie inside or between."""
    real = RealSolutions(eq, branches(eq.law))
    runs: list[_Run] = []
    for sign in (1.0, -1.0):
        found = real.candidates(sign)
        for ks, margin in found.choices:
            runs += _runs(ks, found.x, margin)
    runs = _turning_points(real, runs)
    if not runs:
        return ()
    return _joined(sorted(_gaps_of(real, runs), key=lambda g: g.log_lambda))


@dataclass(frozen=True)
class _Run:
    """A stretch of x of one choice: its ends, and a point beyond each critical end, else NaN."""

    ks: tuple[int, ...]
    x: tuple[float, float]
    beyond: tuple[float, float]
    doubtful: tuple[tuple[float, float, float], ...] = ()  # (low, high, sign) of turning points
    exists: bool = True


def _runs(ks: tuple[int, ...], x: Array, margin: Array) -> list[_Run]:
    """Stretches of positive margin, and turning points of the margin near zero."""
    out = []
    on = margin > 0.0
    edges = np.nonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))[0]
    inner = np.arange(1, x.size - 1)
    near = np.isfinite(margin[inner - 1]) & np.isfinite(margin[inner + 1])
    near &= abs(margin[inner]) < NEAR
    with np.errstate(invalid="ignore"):
        top = (margin[inner] >= margin[inner - 1]) & (margin[inner] >= margin[inner + 1])
        low = (margin[inner] <= margin[inner - 1]) & (margin[inner] <= margin[inner + 1])
    for i, j in zip(edges[0::2], edges[1::2], strict=True):
        before = x[i - 1] if i > 0 and np.isfinite(margin[i - 1]) else np.nan
        after = x[j] if j < x.size and np.isfinite(margin[j]) else np.nan
        dips = [k + 1 for k in np.nonzero(near & low & on[1:-1])[0] if i < k + 1 < j - 1]
        doubt = tuple((float(x[k - 1]), float(x[k + 1]), -1.0) for k in dips)
        out.append(_Run(ks, (float(x[i]), float(x[j - 1])), (float(before), float(after)), doubt))
    for k in np.nonzero(near & top & ~on[1:-1])[0] + 1:
        if not (on[k - 1] or on[k + 1]):
            ends = (float(x[k - 1]), float(x[k + 1]))
            out.append(_Run(ks, ends, ends, ((*ends, 1.0),), False))
    return out


def _turning_points(real: RealSolutions, runs: list[_Run]) -> list[_Run]:
    """Runs cut where the exact margin dips below zero, and new ones where it rises above."""
    doubts = [(r, d) for r in runs for d in r.doubtful]
    if not doubts:
        return [r for r in runs if r.exists]
    ks = np.array([r.ks for r, _ in doubts])
    low, high, sign = np.array([d for _, d in doubts]).T
    x, margin = real.turning(ks, low, high, sign)
    out = []
    for run in runs:
        pieces = [run] if run.exists else []
        for (owner, d), place, m in zip(doubts, x, margin, strict=True):
            if owner is not run or not m * d[2] > 0.0:
                continue
            if d[2] > 0.0:
                pieces.append(_Run(run.ks, (place, place), (d[0], d[1])))
            else:
                last = pieces.pop()
                pieces.append(_Run(run.ks, (last.x[0], d[0]), (last.beyond[0], place)))
                pieces.append(_Run(run.ks, (d[1], last.x[1]), (place, last.beyond[1])))
        out += pieces
    return out


def _gaps_of(real: RealSolutions, runs: list[_Run]) -> list[Gap]:
    eq = real.eq
    ks = np.array([r.ks for r in runs for _ in (0, 1)])
    inner = np.array([r.x for r in runs]).ravel()
    outer = np.array([r.beyond for r in runs]).ravel()
    hard = np.isfinite(outer)
    x = inner.copy()
    if np.any(hard):
        x[hard] = real.critical(ks[hard], inner[hard], outer[hard])
    y = real.at(ks, x)
    log_w = np.log(abs(y.w)) + 1j * np.pi * (y.w < 0.0)
    out = []
    for i, run in enumerate(runs):
        left, right = 2 * i, 2 * i + 1  # z falls with x
        high = np.inf if _outer(real, run) else _snapped(eq, y.log_z[left], x[left], hard[left])
        low = _snapped(eq, y.log_z[right], x[right], hard[right])
        if abs(x[right] + eq.rank) <= _BOTTOM * eq.rank and not hard[right]:
            low = -np.inf
        if low < high:
            out.append(
                Gap((low, high), (bool(hard[right]), bool(hard[left])), _above(real, run, x[left]),
                    log_w[[right, left]])
            )  # fmt: skip
    return out


def _snapped(eq: WidthsEquation, log_z: float, x: float, hard: bool) -> float:
    """Log z at the end of a stretch; where x grows without end, the place of an atom."""
    if hard or abs(x) * eq.groups[0][-1] < _LARGE:
        return float(log_z)
    places = [eq.atom_place(a) for a, _ in eq.law.atoms if a > 0.0]
    near = [p for p in places if abs(p - log_z) < 10.0 / _LARGE]
    return near[0] if near else float(log_z)


def _outer(real: RealSolutions, run: _Run) -> bool:
    """Whether every w lies above all t."""
    return all(np.isinf(real.branches[k].high) for k in run.ks)


def _above(real: RealSolutions, run: _Run, x: float) -> float:
    """Mass above a gap, from the imaginary part of U."""
    a, n = real.eq.groups
    b, e = real.eq.factors
    own = [real.branches[k].above - (0.0 if real.branches[k].positive else 1.0) for k in run.ks]
    below = 1.0 + b * x < 0.0
    return float(np.clip(np.array(own) @ (n / a) + (below / b) @ e, 0.0, real.eq.rank))


def _joined(found: list[Gap]) -> tuple[Gap, ...]:
    """Stretches that meet where some w passes 0 or infinity are one gap."""
    out: list[Gap] = []
    for g in found:
        if out:
            last = out[-1]
            meet = g.log_lambda[0] - last.log_lambda[1] <= _TOUCH * max(1.0, abs(g.log_lambda[0]))
            soft = not (g.hard[0] or last.hard[1])
            if meet and soft and abs(g.above - last.above) < _SAME:
                ends = (last.log_lambda[0], max(g.log_lambda[1], last.log_lambda[1]))
                log_w = np.stack([last.log_w[0], g.log_w[1]])
                out[-1] = Gap(ends, (last.hard[0], g.hard[1]), last.above, log_w)
                continue
        out.append(g)
    return tuple(out)


def bands(eq: WidthsEquation, off: tuple[Gap, ...]) -> tuple[Band, ...]:
    """What the gaps leave out."""
    out = []
    low, hard, floor, state = -np.inf, False, 1.0 - eq.rank, None
    for g in off:
        if g.log_lambda[0] > low:
            ends = (state, g.log_w[0])
            out.append(Band((low, g.log_lambda[0]), (hard, g.hard[0]), (floor, 1 - g.above), ends))
        low, hard, floor, state = g.log_lambda[1], g.hard[1], 1.0 - g.above, g.log_w[1]
    if low < np.inf:
        out.append(Band((low, np.inf), (hard, False), (floor, 1.0), (state, None)))
    return tuple(b for b in out if b.log_lambda[1] - b.log_lambda[0] > _NARROW)
