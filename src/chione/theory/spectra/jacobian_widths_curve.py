"""Solutions along the bands of a spectrum at different widths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.interpolate import CubicSpline

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex
from chione.theory.spectra.jacobian_widths_bands import Band
from chione.theory.spectra.jacobian_widths_equation import Point, WidthsEquation
from chione.theory.spectra.jacobian_widths_path import AxisTable, turn

_COARSE = 24  # points of a band that are turned from the negative axis; the rest starts from them
_REAL = 1e-6  # Im x over |dx/dlog z| below which a solution may be a real one
_WALK = 8  # steps from a known solution to one that was lost
_FLOOR = 0.05  # share of the neighbours' angle below which no start goes


@dataclass(frozen=True)
class Solution:
    """Solutions at real log lambda inside a band.

    Parameters
    ----------
    log_lambda : ndarray, shape (m,)
        Where; complex log z off the axis.
    log_w : ndarray of complex, shape (m, G)
        The solution.
    point : Point
        The equation there, at log z a little off, see `x`.
    good : ndarray of bool, shape (m,)
        Whether it was found.
    """

    log_lambda: Array | Complex
    log_w: Complex
    point: Point
    good: Booleans

    @property
    def x(self) -> Complex:
        """M of the spectrum, corrected for what is left of log z."""
        with np.errstate(all="ignore"):
            step = (self.log_lambda - self.point.log_z) / self.point.slope
        small = abs(step) < 1e-3 * abs(self.point.x)
        return np.asarray(self.point.x + np.where(small, step, 0.0))


@dataclass(frozen=True)
class Track:
    """Known solutions along one band, from which others start.

    Parameters
    ----------
    band : Band
        The band.
    reach : tuple of float
        Its ends in log lambda, finite ones where it has none.
    log_lambda : ndarray, shape (m,)
        Rising.
    log_w : ndarray of complex, shape (m, G)
        The solutions.
    """

    band: Band
    reach: tuple[float, float]
    log_lambda: Array
    log_w: Complex

    @cached_property
    def spline(self) -> CubicSpline[np.complex128]:
        """Log w over the place in the band; at ends with a square root the angle is 0 there."""
        place, log_w = self.place(self.log_lambda), self.log_w
        if self.band.hard[0] and self.band.log_w[0] is not None:
            place = np.concatenate([[0.0], place])
            log_w = np.concatenate([self.band.log_w[0][None], log_w])
        if self.band.hard[1] and self.band.log_w[1] is not None:
            place = np.concatenate([place, [1.0]])
            log_w = np.concatenate([log_w, self.band.log_w[1][None]])
        return CubicSpline(place, log_w)

    def place(self, log_lambda: Array) -> Array:
        """From 0 to 1, with square roots of the distance to ends of that kind."""
        return place_of(self.band, self.reach, log_lambda)

    def start(self, log_lambda: Array) -> Complex:
        """A guess of log w."""
        if self.log_lambda.size < 2:
            return np.full((log_lambda.size, self.log_w.shape[1]), np.nan + 0j)
        log_w = self.spline(np.clip(self.place(log_lambda), 0.0, 1.0))
        k = np.clip(np.searchsorted(self.log_lambda, log_lambda), 1, self.log_lambda.size - 1)
        near = np.minimum(self.log_w[k - 1].imag, self.log_w[k].imag)
        far = np.minimum(np.pi - self.log_w[k - 1].imag, np.pi - self.log_w[k].imag)
        # Beyond the first and last solution the angles shrink with the square root.
        share = np.clip(self.place(log_lambda) / self.place(self.log_lambda[:1]), 0.0, 1.0)
        rest = 1.0 - self.place(log_lambda)
        share = np.minimum(share, rest / (1.0 - self.place(self.log_lambda[-1:])))
        floor = (_FLOOR * np.maximum(share, 1e-12))[:, None]
        return np.asarray(log_w.real + 1j * np.clip(log_w.imag, floor * near, np.pi - floor * far))


def place_of(band: Band, reach: tuple[float, float], log_lambda: Array) -> Array:
    """The coordinate of `Track` in [0, 1]."""
    low, high = reach
    up = np.clip((log_lambda - low) / (high - low), 0.0, 1.0)
    down = np.clip((high - log_lambda) / (high - low), 0.0, 1.0)
    if band.hard[0] and band.hard[1]:
        return np.asarray(2.0 / np.pi * np.arctan2(np.sqrt(up), np.sqrt(down)))
    if band.hard[1]:
        return np.asarray(1.0 - np.sqrt(down))
    return np.asarray(np.sqrt(up) if band.hard[0] else up)


def log_lambda_of(band: Band, reach: tuple[float, float], place: Array) -> Array:
    """Log lambda at places in [0, 1]."""
    low, high = reach
    if band.hard[0] and band.hard[1]:
        half = 0.5 * np.pi * place
        near, far = low + (high - low) * np.sin(half) ** 2, high - (high - low) * np.cos(half) ** 2
        return np.asarray(np.where(place < 0.5, near, far))
    if band.hard[1]:
        return np.asarray(high - (high - low) * (1.0 - place) ** 2)
    return np.asarray(low + (high - low) * (place**2 if band.hard[0] else place))


def trace(eq: WidthsEquation, table: AxisTable, band: Band, n: int) -> tuple[Track, Solution]:
    """N solutions along a band: half of them by mass, half evenly over the band."""
    low, high = band.log_lambda
    reach = (low if np.isfinite(low) else min(table.reach[0], high - 1.0),
             high if np.isfinite(high) else max(table.reach[1], low + 1.0))  # fmt: skip
    place = np.linspace(0.0, 1.0, _COARSE + 2)[1:-1]
    y = log_lambda_of(band, reach, place)
    log_w, good = turn(eq, table, y)
    good &= _physical(log_w, eq.at(log_w))
    if not np.all(good):  # narrow bands, of rare units, are a hair in the whole
        arch = _arch(band, place[~good], eq.groups[0].size)
        log_w[~good], good[~good] = eq.solve(y[~good].astype(np.complex128), arch)
        good &= _physical(log_w, eq.at(log_w))
    y, log_w, place = y[good], log_w[good], place[good]
    first = Track(band, reach, y, log_w)
    cdf = 1.0 - eq.mean_log(y.astype(np.complex128), log_w, eq.at(log_w)).imag / np.pi
    cdf = np.concatenate([[band.cdf[0]], np.clip(cdf, *band.cdf), [band.cdf[1]]])
    cdf = np.maximum.accumulate(cdf)
    knots = np.concatenate([[0.0], place, [1.0]])
    mass = max(band.cdf[1] - band.cdf[0], 1e-300)
    monitor = 0.5 * (cdf - band.cdf[0]) / mass + 0.5 * knots
    grid = np.interp(np.linspace(0.0, 1.0, n + 2)[1:-1], monitor, knots)
    y = log_lambda_of(band, reach, grid)
    inside = (y > low) & (y < high)
    found = solve_in(eq, table, first, y[inside])
    ok = found.good
    if not np.all(ok):  # where t is lost in its own rounding
        point = Point(*(v[ok] for v in vars(found.point).values()))
        found = Solution(y[inside][ok], found.log_w[ok], point, found.good[ok])
    return Track(band, reach, y[inside][ok], found.log_w), found


def solve_in(eq: WidthsEquation, table: AxisTable, track: Track, y: Array) -> Solution:
    """Solutions at log lambda inside the band of a track."""
    log_w, good = eq.solve(y.astype(np.complex128), track.start(y))
    point = eq.at(log_w)
    good &= _physical(log_w, point)
    for again in (partial(_walked, eq, track), partial(turn, eq, table)):
        bad = np.nonzero(~good)[0]
        if bad.size:
            log_w[bad], good[bad] = again(y[bad])
            point = eq.at(log_w)
            good &= _physical(log_w, point)
    return Solution(y, log_w, point, good)


def _physical(log_w: Complex, y: Point) -> Booleans:
    """Whether solutions are of the upper half plane.

    Inside a band there are real ones, too, at which x would rise with z; no real one is physical.
    """
    strip = np.all((log_w.imag > 0.0) & (log_w.imag <= np.pi), axis=1)
    with np.errstate(all="ignore"):
        rate = 1.0 / y.slope
        real = abs(y.x.imag) < _REAL * abs(rate)
    return np.asarray(strip & ~(real & (rate.real > 0.5 * abs(rate))))


def _arch(band: Band, place: Array, size: int) -> Complex:
    """A guess of log w in a narrow band: half circles over the ends, or lines from side to side."""
    a, b = band.log_w
    if a is None or b is None:
        return np.full((place.size, size), np.nan + 0j)
    angle = np.pi * place[:, None]
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    same = a.imag == b.imag
    up = np.where(a.imag > 0.0, -1.0, 1.0)  # into the strip
    circle = middle - half * np.cos(angle) + 1j * up * abs(half) * np.sin(angle)
    return np.asarray(np.where(same, circle, a + (b - a) * place[:, None]))


def _walked(eq: WidthsEquation, track: Track, y: Array) -> tuple[Complex, Booleans]:
    """From the nearest known solution in short steps along the band."""
    log_w = np.full((y.size, eq.groups[0].size), np.nan + 0j)
    good = np.zeros(y.size, dtype=bool)
    if track.log_lambda.size == 0:
        return log_w, good
    place, known = track.place(y), track.place(track.log_lambda)
    near = np.argmin(abs(place[:, None] - known), axis=1)
    log_w, good = track.log_w[near], np.ones(y.size, dtype=bool)
    for share in np.linspace(0.0, 1.0, _WALK + 1)[1:]:
        at = log_lambda_of(track.band, track.reach, known[near] + share * (place - known[near]))
        log_w, ok = eq.solve((at if share < 1.0 else y).astype(np.complex128), log_w)
        good &= ok & np.all((log_w.imag > 0.0) & (log_w.imag <= np.pi), axis=1)
    return log_w, good


def errors(eq: WidthsEquation, check: WidthsEquation, found: Solution) -> tuple[Array, Array]:
    r"""Estimated absolute errors of Im x and of log z.

    One step of Newton's method with every piece of the law cut in two shows what the quadrature
    misses; the rounding of log z and of every M is carried to x by dx/dlog z.
    """
    y, x = found.point, found.x
    a, n = eq.groups
    with np.errstate(all="ignore"):
        size = np.tile(abs(x)[:, None], a.size)
        size[:, -1] = np.minimum(size[:, -1], abs(x + eq.rank))
        rounding = 8.0 * EPS * (y.terms + (abs(y.rate) * size) @ n)
        left = abs(found.log_lambda - y.log_z)
        rounding = rounding + left + abs(y.residual) @ n + eq.slack * eq.depth
        d_x = 8.0 * EPS * np.minimum(abs(x), abs(x + eq.rank)) + abs(rounding / y.slope)
        if check.law is not eq.law:
            c = check.at(found.log_w)
            moved = c.x + (found.log_lambda - c.log_z) / c.slope - x
            d_x = d_x + abs(moved.imag)
            rounding = rounding + abs(c.log_z - y.log_z)
    return d_x, rounding
