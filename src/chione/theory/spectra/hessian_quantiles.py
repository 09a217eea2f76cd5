"""Quantiles of a model Hessian's law, by the parameter Re F along its bands."""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Complex
from chione.theory.spectra.hessian_law import HessianLaw

_STEPS = 120  # bisection alone needs 60; Newton's method about six


def quantiles(law: HessianLaw, p: Array) -> tuple[Array, Array]:
    """Smallest x with at least the share p at or below it, and a bound on its error."""
    x, error = np.full(p.shape, np.nan), np.zeros(p.shape)
    levels = law.levels()
    for k, (low, high) in enumerate(levels):
        x_low, x_high = law.intervals[k]
        first = k == 0
        own = (p > low) & (p < high)
        if own.any():
            x[own], error[own] = _in_band(law, p[own], k)
        x[(p <= low) & np.isnan(x)] = x_low  # p in a gap below, or at 0
        x[(p == low) & (not first)] = law.intervals[k - 1][1]
        x[p >= high] = x_high
    for place, mass in law.atoms:
        under = [high for (_, high), (_, b) in zip(levels, law.intervals, strict=True) if b < place]
        over = [low for (low, _), (a, _) in zip(levels, law.intervals, strict=True) if a >= place]
        below = max(under, default=0.0)
        here = (p > below) & (p <= min(over, default=below + mass))
        here |= (p == 0.0) & (not under)
        x[here], error[here] = place, 0.0
    return x, error


def _in_band(law: HessianLaw, p: Array, band: int) -> tuple[Array, Array]:
    table = law.tables[band]
    share, re = table.share, table.f.real
    k = np.clip(np.searchsorted(share, p), 1, share.size - 1)
    low, high = re[k - 1], re[k]
    at = np.clip(np.interp(p, share, re), low, high)
    done = np.zeros(p.shape, dtype=bool)
    for _ in range(_STEPS):
        f, value, error, density = _point(law, at)
        # along a band dx / d Re F = 1 / Re(1 / z')
        with np.errstate(all="ignore"):
            step = (value - p) / density * np.real(1.0 / law.slope(f))
        low, high = np.where(value < p, at, low), np.where(value < p, high, at)
        new = at - step
        inside = np.isfinite(new) & (new > low) & (new < high)
        new = np.where(inside, new, 0.5 * (low + high))
        narrow = (high - low) <= 2.0 * EPS * np.maximum(abs(low), abs(high))
        done |= (abs(value - p) <= error) | narrow
        at = np.where(done, at, new)
        if done.all():
            break
    f, value, error, density = _point(law, at)
    share = abs(value - p) + error
    with np.errstate(all="ignore"):
        moved = np.minimum(2.0 * share / density, _at_most(law, law.bands[band], share))
    return np.real(law.z(f)), np.asarray(moved + 8.0 * EPS * law.size(f))


def _point(law: HessianLaw, re: Array) -> tuple[Complex, Array, Array, Array]:
    f = law.lift(re)
    value, error = law.mass_below(np.real(law.z(f)), f)
    return f, value, error, np.asarray(f.imag / abs(f) ** 2 / np.pi)


def _at_most(law: HessianLaw, band: tuple[float, float], share: Array) -> Array:
    r"""How far such a share moves x at the edges of a band, where the density is a root.

    .. math:: \int_0^s \rho = \tfrac23 \sqrt{2 / |z''|}\, s^{3/2} / (\pi F^2)
    """
    f = np.array(band)
    bend = sum(part.bend(f) for part in law.parts)
    mass = 2.0 / 3.0 * np.sqrt(2.0 / abs(bend)) / (np.pi * f * f)
    cap = 2.0 * np.max((share[:, None] / mass) ** (2.0 / 3.0), axis=1)
    return np.where(np.isfinite(cap), cap, np.inf)
