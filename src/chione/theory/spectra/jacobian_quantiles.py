"""Quantiles of a spectrum in log lambda: atoms, gaps, and Newton inside a bracket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.theory.spectra.jacobian_solvers import AbstractSolver

_POINTS = 200  # of the curve whose points bracket
_DRAW_POINTS = 2000  # of the curve that samples are read from
_DEEP = 1e-3  # mass below a curve that is no longer little
_STEPS = 100  # Newton needs about five; bisection from a bracket of the curve fifty
_MARGIN = 2.0  # at a square-root edge the slope falls by half over the stated error
_LOST = 1e-9  # miss, beyond the stated error of the cdf, of a quantile that was not found
_MET = 0.1  # share of the stated error of the cdf below which a miss is no longer reduced


@dataclass(frozen=True)
class _Part:
    """An atom (low = high) or a band in log lambda, with the cdf below and at its top."""

    low: float
    high: float
    below: float
    upto: float


def log_quantiles(solver: AbstractSolver, p: Array) -> tuple[Array, Array]:
    """The lowest log lambda with cdf >= p and its error, for p of shape (n,).

    NaN with an infinite error where the solver has no values. A p within the error of the level of
    a gap has the lower end of the gap.
    """
    value, error = np.full(p.size, np.nan), np.full(p.size, np.inf)
    parts, level_error = _parts(solver)
    grid, v = solver.curve(_POINTS)
    todo = np.ones(p.size, dtype=bool)
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        gap = not last and parts[k + 1].low > part.high
        here = todo & ((p <= part.upto + (level_error if gap else 0.0)) | last)
        at_ends = here & (((k == 0) & (p == 0.0)) | (part.low == part.high))
        value[at_ends], error[at_ends] = part.low, 8.0 * EPS * max(1.0, abs(part.low))
        top = here & ~at_ends & (p >= part.upto) & (gap | last)
        value[top], error[top] = part.high, 8.0 * EPS * max(1.0, abs(part.high))
        inner = np.nonzero(here & ~at_ends & ~top)[0]
        if inner.size:
            mine = (grid > part.low) & (grid < part.high)
            found = _invert(solver, p[inner], part, grid[mine], v.cdf[mine])
            value[inner], error[inner] = found
        todo &= ~here
    error[np.isinf(value)] = 0.0
    return _rising(p, value), error


def _rising(p: Array, value: Array) -> Array:
    """The values in an order that rises with p: rounding, below the stated errors, may turn it."""
    found = np.nonzero(~np.isnan(value))[0]
    order = found[np.argsort(p[found], kind="stable")]
    x, out = value[order], value.copy()
    if np.any(x[1:] < x[:-1]):
        up, down = np.maximum.accumulate(x), np.minimum.accumulate(x[::-1])[::-1]
        out[order] = np.where(up == down, up, 0.5 * (up + down))
    return out


def draw(solver: AbstractSolver, p: Array) -> Array:
    """Quantiles for samples: log lambda at p, interpolated on a fine curve of each band.

    Below the lowest point of a curve the distribution function goes on as a power of lambda where
    little is left of it, else by the quantiles themselves.
    """
    out = np.full(p.size, np.nan)
    parts, _ = _parts(solver)
    grid, v = solver.curve(_DRAW_POINTS) if solver.support else (np.empty(0), None)
    for part in parts:
        here = np.isnan(out) & (p <= part.upto)
        if part.low == part.high or v is None:
            out[here] = part.low
            continue
        mine = (grid > part.low) & (grid < part.high)
        x, cdf, density = grid[mine], v.cdf[mine], v.density[mine]
        inner = np.append(True, np.diff(cdf) > 0.0)
        x, cdf, density = x[inner], cdf[inner], density[inner]
        tail = max(cdf[0] - part.below, 0.0)
        table, levels = np.append(x, min(part.high, x[-1] + 1.0)), np.append(cdf, part.upto)
        if np.isfinite(part.low):
            table, levels = np.append(part.low, table), np.append(part.below, levels)
        out[here] = np.interp(p[here], levels, table)
        deep = here & (p < cdf[0]) & np.isinf(part.low)
        if tail > 0.0 and np.any(deep):
            share = np.maximum((p[deep] - part.below) / tail, 1e-300)
            power = x[0] + np.log(share) * tail / max(density[0], 1e-300)
            exact = log_quantiles(solver, p[deep])[0] if tail > _DEEP else power
            out[deep] = np.where(np.isnan(exact), power, exact)
    out[np.isnan(out)] = parts[-1].high
    return out


def _parts(solver: AbstractSolver) -> tuple[list[_Part], float]:
    """Atoms and bands from below, with the distribution function at their ends."""
    spans = sorted([*solver.support, *((a, a) for a, _ in solver.atoms)])
    ends = np.array([x for s in spans for x in s])
    finite = np.isfinite(ends)
    cdf, error = np.where(ends > 0.0, 1.0, 0.0), np.zeros(ends.size)
    if finite.any():
        v = solver.values(ends[finite])
        cdf[finite], error[finite] = v.cdf, v.cdf_error
    mass = dict(solver.atoms)
    cdf[ends == -np.inf] = mass.get(-np.inf, 0.0)
    out = []
    for (low, high), at_low, at_high in zip(spans, cdf[0::2], cdf[1::2], strict=True):
        if low == high:
            out.append(_Part(low, low, at_low - mass[low], at_low))
        else:
            out.append(_Part(low, high, at_low, at_high - mass.get(high, 0.0)))
    return out, float(np.nan_to_num(error).max(initial=0.0)) + 4.0 * EPS


def _invert(
    solver: AbstractSolver, p: Array, part: _Part, grid: Array, cdf: Array
) -> tuple[Array, Array]:
    """Newton for cdf(x) = p inside one band, each point by itself."""
    points = np.concatenate([[part.low], grid, [part.high]])
    levels = np.concatenate([[part.below], np.clip(cdf, part.below, part.upto), [part.upto]])
    j = np.clip(np.searchsorted(levels, p), 1, points.size - 1)
    low, high = points[j - 1], points[j]
    x = _start(p, low, high, levels[j - 1], levels[j])
    best, miss_at, error, slack = (np.full(p.size, fill) for fill in (np.nan, *3 * (np.inf,)))
    active = np.arange(p.size)
    for _ in range(_STEPS):
        y, at = solver.values(x[active]), x[active]
        miss = y.cdf - p[active]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = _MARGIN * (abs(miss) + y.cdf_error) / y.density
            newton = at - miss / y.density
        better = abs(miss) < miss_at[active]  # not where the cdf is NaN
        which = active[better]
        best[which], miss_at[which], error[which] = at[better], abs(miss)[better], found[better]
        last_bit = EPS * np.maximum(1.0, abs(at)) * y.density  # of log lambda, seen in the cdf
        slack[which] = (_LOST + 8.0 * (y.cdf_error + last_bit))[better]
        low[active] = np.where(miss < 0.0, at, low[active])
        high[active] = np.where(miss > 0.0, at, high[active])
        inside = (newton > low[active]) & (newton < high[active])
        new = np.where(inside, newton, _middle(low[active], high[active]))
        tiny = abs(new - at) <= 2.0 * EPS * np.maximum(1.0, abs(at))
        done = tiny | (abs(miss) <= np.maximum(_MET * y.cdf_error, 2.0 * EPS * p[active]))
        x[active] = new
        active = active[~(done | ~np.isfinite(new) | np.isnan(miss))]
        if active.size == 0:
            break
    lost = ~(miss_at <= slack) | np.isnan(best)
    best[lost], error[lost] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        widest = np.maximum(best - part.low, part.high - best)
    rounding = 8.0 * EPS * np.maximum(1.0, abs(best))
    error = np.fmin(np.where(np.isnan(error), np.inf, error), widest) + rounding
    return best, np.where(lost, np.inf, error)


def _start(p: Array, low: Array, high: Array, level_low: Array, level_high: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # infinite ends, steps of no height
        share = np.where(level_high > level_low, (p - level_low) / (level_high - level_low), 0.5)
        x = low + (high - low) * np.clip(share, 0.0, 1.0)
    return np.where((x > low) & (x < high), x, _middle(low, high))


def _middle(low: Array, high: Array) -> Array:
    """Between the ends; twice as far out where one is infinite."""
    with np.errstate(invalid="ignore"):  # -inf + inf
        out = 0.5 * (low + high)
        out = np.where(np.isinf(low), high - np.maximum(1.0, abs(high)), out)
        return np.where(np.isinf(high), low + np.maximum(1.0, abs(low)), out)
