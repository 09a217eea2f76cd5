"""Where the spectrum lives: bands between critical points of log z, and atoms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, Array
from chione.theory.spectra.jacobian_equation import MasterEquation

_SCAN = 241  # points of a gap at which the sign of dlog z / dlog w is looked at
_OUTER = 24  # the same outside of all t, by the logarithm of the distance
_CHEBYSHEV = np.cos(np.pi * (np.arange(16) + 0.5) / 16)[::-1]
_BARYCENTRIC = (-1.0) ** np.arange(16) * np.sin(np.pi * (np.arange(16) + 0.5) / 16)
_SECANT = 1e-6  # half width of the last secant
_CLOSE = 2e-14  # how near, relative, to an end of a gap the scan begins: nearer, sums are noise
_TOUCH = 1e-12  # distance in log w of bands that are one, cut by rounding
_LOWEST = -225.0  # of log |w|: below 1e-98 the cubes in the sums leave the range of float64
_TINY = 1e-15  # mass below which a soft tail is not followed


@dataclass(frozen=True)
class Band:
    """A stretch of radii |w| over which the density is positive.

    Parameters
    ----------
    log_r : tuple of float
        Ends in log |w|; -inf or +inf where the spectrum reaches 0 or infinity.
    hard : tuple of bool
        Whether the ends are critical points of log z, where the density is a square root.
    log_lambda : tuple of float
        The same ends in log lambda.
    reach : tuple of float
        Finite stand-ins for `log_r` beyond which no mass worth computing is left.
    """

    log_r: tuple[float, float]
    hard: tuple[bool, bool]
    log_lambda: tuple[float, float]
    reach: tuple[float, float]


def product_atoms(eq: MasterEquation) -> tuple[tuple[float, float], ...]:
    r"""Atoms of the spectrum in log lambda (-inf for zero) with their masses.

    The atom at 0 has mass P(t = 0) for every L. Orthogonal weights: an atom of t at a, of mass p,
    survives with mass 1 - L (1 - p) at :math:`(\sigma_w^2 a)^L` where that is positive.
    """
    out = []
    for a, p in eq.law.atoms:
        if a == 0.0:
            out.append((-np.inf, p))
        elif not eq.gaussian and 1.0 - eq.depth * (1.0 - p) > 0.0:
            place = eq.depth * (eq.log_gain + np.log(a))
            out.append((place, 1.0 - eq.depth * (1.0 - p)))
    return tuple(out)


def bands(eq: MasterEquation) -> tuple[Band, ...]:
    """The bands of the spectrum from below, without L = 1 with orthogonal weights."""
    spans: list[tuple[float, float, bool, bool]] = []
    support = [s for s in eq.law.support if s[1] > 0.0]
    ends = [0.0, *[x for s in support for x in s], np.inf]
    for a, b in zip(ends[0::2], ends[1::2], strict=True):
        if b > a:
            spans += _gap(eq, a, b)
    kept = {round(float(np.exp(p / eq.depth - eq.log_gain)), 12) for p, _ in product_atoms(eq)}
    for a, b in support:
        if a < b or round(a, 12) not in kept:
            spans.append((a, b, False, False))
    merged = _merge(spans)
    for place, _ in product_atoms(eq):  # an atom inside a band touches it: no root at its radius
        merged = _split(merged, float(np.exp(place / eq.depth - eq.log_gain)))
    return _ordered([_band(eq, *m) for m in merged])


def _ordered(found: list[Band]) -> tuple[Band, ...]:
    """Bands from below, disjoint in log lambda up to common ends.

    Log z rises between two bands, so what overlaps does so by rounding: bands that touch in w
    become one, of others the common end is the middle.
    """
    out: list[Band] = []
    for band in found:
        low, high = band.log_lambda
        if out and low < out[-1].log_lambda[1]:
            last = out[-1]
            if band.log_r[0] - last.log_r[1] <= _TOUCH * max(1.0, abs(band.log_r[0])):
                out[-1] = _joined(last, band)
                continue
            low = min(0.5 * (low + last.log_lambda[1]), high)
            out[-1] = replace(last, log_lambda=(min(last.log_lambda[0], low), low))
        least = low + 4.0 * EPS * max(1.0, abs(low)) if np.isfinite(low) else high
        out.append(replace(band, log_lambda=(low, max(high, least))))
    return tuple(out)


def _joined(a: Band, b: Band) -> Band:
    ends = (a.log_lambda[0], max(a.log_lambda[1], b.log_lambda[1]))
    log_r, reach = (a.log_r[0], b.log_r[1]), (a.reach[0], b.reach[1])
    return Band(log_r, (a.hard[0], b.hard[1]), ends, reach)


def _exists(eq: MasterEquation, r: Array) -> Array:
    """Below 0 where a root leaves the real axis at radius r, off the support of t."""
    res = eq.law.resolvent(r.astype(complex))
    p, m, q = res.p.real, res.m.real, res.q.real
    L = eq.depth
    with np.errstate(divide="ignore", invalid="ignore"):
        if eq.gaussian:  # the signs come first: at M P = 0 the slope is not defined
            value = L + (L - 1) * q / m + q / p
            outside = (m <= 0.0) if L > 1 else (p <= 0.0)
        else:
            value = L + (L - 1) * q / (m * p)
            outside = m * p <= 0.0
    return np.asarray(np.where(outside, -1.0, value))


def _gap(eq: MasterEquation, a: float, b: float) -> list[tuple[float, float, bool, bool]]:
    """Stretches of the gap (a, b) of the support of t that carry spectrum."""
    if a == 0.0 and eq.gaussian and eq.depth > 1:
        return [(a, b, False, False)]  # M < 0 below all t > 0
    if np.isinf(b) or (a == 0.0 and eq.law.support[0][0] > 0.0):
        return _outer_gap(eq, a, b)
    r = _gap_grid(a, b)
    sign = _exists(eq, r) < 0.0
    marks: list[float] = [a]
    for k in np.nonzero(sign[1:] != sign[:-1])[0]:
        marks.append(_edge(eq, a, b, float(r[k]), float(r[k + 1])))
    marks.append(b)
    out: list[tuple[float, float, bool, bool]] = []
    on = bool(sign[0])
    for i, (lo, hi) in enumerate(pairwise(marks)):
        if on:
            out.append((lo, hi, i > 0, i < len(marks) - 2))
        on = not on
    return out


def _outer_gap(eq: MasterEquation, a: float, b: float) -> list[tuple[float, float, bool, bool]]:
    r"""The same below and above all of t, where the slope S of log z changes its sign once at most.

    With :math:`w - 1/G = \mu_1 + \int d\nu(s) / (w - s)`, a positive measure on the hull of the
    support, S is a constant plus terms that all fall, or all rise, with the distance from it.
    """
    above = bool(np.isinf(b))
    u = np.linspace(np.log(_CLOSE), np.log(1e4 * (eq.depth + 1.0) if above else 1e40), _OUTER)

    def radius(u: Array) -> Array:
        return np.asarray(a * (1.0 + np.exp(u)) if above else b / (1.0 + np.exp(u)))

    on = np.nonzero(_exists(eq, radius(u)) < 0.0)[0]
    if on.size == 0:
        return []
    k = int(on[-1])
    if k == u.size - 1:
        return [(a, b, False, False)]
    at = float(radius(np.array(_root(lambda x: _exists(eq, radius(x)), u[k], u[k + 1]))))
    return [(a, at, False, True)] if above else [(at, b, True, False)]


def _gap_grid(a: float, b: float) -> Array:
    if a == 0.0:
        low = b * np.geomspace(1e-40, 0.5, _SCAN)
        return np.concatenate([low, b * (1.0 - np.geomspace(0.5, _CLOSE, _SCAN))[1:]])
    near = np.geomspace(_CLOSE * b / (b - a), 0.5, _SCAN)
    return np.unique(np.concatenate([a + (b - a) * near, b - (b - a) * near]))


def _edge(eq: MasterEquation, a: float, b: float, r0: float, r1: float) -> float:
    """Sign change between two radii, sought in the logarithm of the distance to the near end."""
    anchor = a if a > 0.0 and abs(r0 - a) <= abs(b - r1) else b
    anchor = 0.0 if a == 0.0 and r1 < 0.5 * b else anchor
    side = 1.0 if r0 >= anchor else -1.0
    u0, u1 = (float(np.log(side * (r - anchor))) for r in (r0, r1))
    u = _root(lambda u: _exists(eq, anchor + side * np.exp(u)), u0, u1)
    return float(anchor + side * np.exp(u))


def _root(f: Callable[[Array], Array], a: float, b: float) -> float:
    """Sign change of an f that is cheap in batches: by its Chebyshev interpolant, then a secant."""
    u = 0.5 * (a + b) + 0.5 * (b - a) * _CHEBYSHEV
    y = f(np.concatenate([[a], u, [b]]))
    if not y[0] * y[-1] < 0.0:
        return a if abs(y[0]) <= abs(y[-1]) else b
    k = int(np.nonzero(y[1:] * y[-1] > 0.0)[0][0])  # the sign has turned
    x0, x1 = (u[k - 1] if k > 0 else a), (u[k] if k < u.size else b)

    def interpolant(x: float) -> float:
        w = _BARYCENTRIC / (x - u + 1e-300)
        return float(w @ y[1:-1] / w.sum())

    if interpolant(x0) * interpolant(x1) < 0.0:
        guess = brentq(interpolant, x0, x1, xtol=1e-14, rtol=1e-14)
        pair = np.clip(guess + _SECANT * (b - a) * np.array([-1.0, 1.0]), x0, x1)
        z = f(pair)
        if z[0] != z[1]:
            x = float(pair[0] - z[0] * (pair[1] - pair[0]) / (z[1] - z[0]))
            if abs(x - guess) <= 8.0 * _SECANT * (b - a):
                return x
    return float(brentq(lambda x: float(f(np.array([x]))[0]), x0, x1, xtol=1e-12, rtol=1e-12))


def _merge(
    spans: list[tuple[float, float, bool, bool]],
) -> list[tuple[float, float, bool, bool]]:
    out: list[tuple[float, float, bool, bool]] = []
    for s in sorted(spans):
        if out and s[0] <= out[-1][1] and not (s[2] or out[-1][3]):
            out[-1] = (out[-1][0], max(out[-1][1], s[1]), out[-1][2], s[3])
        else:
            out.append(s)
    return [s for s in out if s[1] > s[0]]


def _split(
    spans: list[tuple[float, float, bool, bool]], r: float
) -> list[tuple[float, float, bool, bool]]:
    out = []
    for lo, hi, hard_lo, hard_hi in spans:
        if lo < r * (1.0 - 1e-12) and r * (1.0 + 1e-12) < hi:
            out += [(lo, r, hard_lo, False), (r, hi, False, hard_hi)]
        else:
            out.append((lo, hi, hard_lo, hard_hi))
    return out


def _band(eq: MasterEquation, lo: float, hi: float, hard_lo: bool, hard_hi: bool) -> Band:
    with np.errstate(divide="ignore"):
        log_r = (float(np.log(lo)), float(np.log(hi)))
    ends = []
    for r in (lo, hi):
        if r == 0.0 or np.isinf(r):
            ends.append(-np.inf if r == 0.0 else np.inf)
        else:
            ends.append(_log_lambda(eq, r))
    reach = (max(log_r[0], _bottom(eq)), min(log_r[1], _top(eq)))
    return Band(log_r, (hard_lo, hard_hi), (ends[0], ends[1]), reach)


def _log_lambda(eq: MasterEquation, r: float) -> float:
    """Log z on the real axis; at an atom of t, M/P = 1 and z has a limit (orthogonal)."""
    at_atom = any(abs(r - a) <= 1e-12 * a for a, _ in eq.law.atoms)
    if at_atom and not eq.gaussian:
        return float(eq.depth * (eq.log_gain + np.log(r)))
    return float(eq.at(np.array([complex(np.log(r))])).log_z.real[0])


def _bottom(eq: MasterEquation) -> float:
    """Log |w| below which less than about 1e-15 of the mass remains."""
    t, p = eq.law.nodes
    order = np.argsort(t)
    t, p = t[order], p[order]
    keep = t > 0.0
    t, mass = t[keep], np.cumsum(p[keep])
    quantile = t[min(int(np.searchsorted(mass, _TINY)), t.size - 1)]
    typical = t[min(int(np.searchsorted(mass, 0.01 * mass[-1])), t.size - 1)]
    return float(max(np.log(max(min(1e-2 * quantile, _TINY * typical), 1e-300)), _LOWEST))


def _top(eq: MasterEquation) -> float:
    """Log |w| above which less than about 1e-14 of the mass remains, where t is unbounded."""
    if np.isfinite(eq.law.limits[1]):
        return float("inf")
    log_r = float(np.log(eq.law.nodes[0].max())) + np.arange(0.0, 30.0)
    above = eq.above(np.asarray(log_r + 1j * eq.angle(log_r)))
    small = np.nonzero(~(above > 10.0 * _TINY))[0]  # NaN, where no root is left, counts as small
    return float(log_r[small[0] if small.size else -1])
