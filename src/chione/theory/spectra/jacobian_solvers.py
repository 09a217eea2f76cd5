"""Solvers of the spectrum: what a `JacobianSpectrum` asks, for equal widths."""

# ruff: noqa: D102  (the methods are documented once, in AbstractSolver)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from chione.base import EPS, Array
from chione.freeprob import series
from chione.freeprob.measures import Booleans, Complex, Integers
from chione.theory.spectra.jacobian_bands import Band, bands, product_atoms
from chione.theory.spectra.jacobian_curve import (
    Curve,
    curve_at,
    curve_errors,
    errors,
    levels,
    trace,
)
from chione.theory.spectra.jacobian_equation import MasterEquation, Point, by_radius, store
from chione.theory.spectra.jacobian_resolvent import HalfPlane, half_plane, off_bands
from chione.theory.spectra.jacobian_tail import Tail, begin, tail

_FAR = 690.0  # of log |w|: the range of float64
_ABOVE = 50.0  # of log lambda above a curve: no radius is looked for there
_SHARE = 1e-3  # mass below a curve that is worth points of its own
_CURVE_POINTS = 200  # per spectrum, shared among its bands


@dataclass(frozen=True)
class Values:
    """Density by log lambda and cdf at given log lambda, with their errors, all of one shape."""

    density: Array
    cdf: Array
    density_error: Array
    cdf_error: Array


@dataclass(frozen=True)
class Transform:
    r"""Transforms of the law at complex log z, :math:`0 \le \mathrm{Im} \log z \le \pi`.

    Parameters
    ----------
    p, m : ndarray of complex
        :math:`P = z G(z)` and :math:`M = P - 1`, each without cancellation.
    slope : ndarray of complex
        :math:`dP / d \log z`.
    find_mean_log, find_error : callable
        What makes `mean_log` and `error`, at the first time that somebody reads them.

    On the real axis all are the limits from above. NaN where no solution was found.
    """

    p: Complex
    m: Complex
    slope: Complex
    find_mean_log: Callable[[], Complex] = field(repr=False)
    find_error: Callable[[], Array] = field(repr=False)

    @cached_property
    def mean_log(self) -> Complex:
        r""":math:`U = E \log(z - \lambda)`, principal branch; :math:`dU = P\, d \log z`.

        At real z :math:`1 - \mathrm{cdf} = \mathrm{Im}\, U / \pi`.
        """
        return self.find_mean_log()

    @cached_property
    def error(self) -> Array:
        """Estimated absolute error of P."""
        return self.find_error()


class AbstractSolver(ABC):
    """One spectrum, in log lambda."""

    @property
    @abstractmethod
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Pairs (log lambda, mass), -inf for zero."""

    @property
    @abstractmethod
    def support(self) -> tuple[tuple[float, float], ...]:
        """Continuous part: intervals of log lambda, -inf for zero."""

    @abstractmethod
    def values(self, log_lambda: Array) -> Values:
        """Density and cdf at a flat array of log lambda."""

    @abstractmethod
    def curve(self, n: int) -> tuple[Array, Values]:
        """About n graded points of the continuous part, from below, and their values."""

    @abstractmethod
    def resolvent(self, log_z: Complex) -> Transform:
        """Transforms at a flat array of log z in the closed upper half plane of z."""

    @abstractmethod
    def scaled_moments(self, n: int) -> tuple[Array, float]:
        """E (lambda / m_1)^k, k = 1 .. n, and log m_1."""


@dataclass(frozen=True)
class WFormSolver(AbstractSolver):
    """The master equation in its w-form; cost independent of the depth."""

    equation: MasterEquation

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The bands from below; none where rounding leaves no mass beside the atoms."""
        rest = 1.0 - sum(m for _, m in self.atoms)
        return bands(self.equation) if rest > 4.0 * EPS else ()

    @cached_property
    def check(self) -> MasterEquation:
        """The same equation on a finer quadrature."""
        e = self.equation
        return MasterEquation(e.law.finer, e.log_gain, e.depth, e.gaussian, e.slack)

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """One curve for each band; the starting points of everything else."""
        n = max(40, _CURVE_POINTS // max(1, len(self.bands)))
        return tuple(trace(self.equation, b, n) for b in self.bands)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return product_atoms(self.equation)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple(b.log_lambda for b in self.bands)

    def curve(self, n: int) -> tuple[Array, Values]:
        if not self.bands:
            empty = np.empty(0)
            return empty, Values(empty, empty, empty, empty)
        per_band = -(-n // len(self.bands))
        same = n == _CURVE_POINTS
        parts = (
            self.curves if same else tuple(trace(self.equation, b, per_band) for b in self.bands)
        )
        found = [
            curve_errors(self.equation, self.check, c, b)
            for c, b in zip(parts, self.bands, strict=True)
        ]
        x, v = (
            np.concatenate([c.log_lambda for c in parts]),
            Values(
                np.concatenate([c.density for c in parts]),
                np.concatenate([c.cdf for c in parts]),
                np.concatenate([e[0] for e in found]),
                np.concatenate([e[1] for e in found]),
            ),
        )
        return self._with_tail(x, v, per_band)

    def _with_tail(self, x: Array, v: Values, n: int) -> tuple[Array, Values]:
        """The curve with the points of a tail that holds a share of the mass, from a table."""
        zero = sum(m for place, m in self.atoms if np.isinf(place))
        if np.isfinite(self.bands[0].log_lambda[0]) or v.cdf[0] - zero < _SHARE:
            return x, v
        if self.tail.slow is None:
            return x, v
        deep = self.tail.slow.grid(max(8, n // 4))
        deep = deep[deep < self.tail.log_lambda]
        below, keep = self.values(deep), x > self.tail.log_lambda
        joined = (
            np.concatenate([a, b[keep]])
            for a, b in zip(vars(below).values(), vars(v).values(), strict=True)
        )
        density, cdf, d_density, d_cdf = joined
        return np.concatenate([deep, x[keep]]), Values(
            density, np.maximum.accumulate(cdf), d_density, d_cdf
        )

    @cached_property
    def plane(self) -> HalfPlane:
        """Starting points of the roots at complex z."""
        return half_plane(self.equation, self.bands, self.curves)

    def resolvent(self, log_z: Complex) -> Transform:
        log_z = np.asarray(log_z, dtype=complex)
        log_w, good = np.empty(log_z.size, dtype=complex), np.ones(log_z.size, dtype=bool)
        axis = log_z.imag <= 0.0
        log_w[axis], good[axis] = self._on_axis(log_z.real[axis])
        log_w[~axis], good[~axis] = self.plane.roots(log_z[~axis])
        eq, nan = self.equation, complex(np.nan, np.nan)
        y = eq.at(log_w)
        with np.errstate(all="ignore"):
            slope = y.p_slope / y.slope
        p, m, slope = (np.where(good, v, nan) for v in (y.p, y.m, slope))
        return Transform(
            p,
            m,
            slope,
            lambda: np.where(good, eq.mean_log(log_w, y.m), nan),
            lambda: np.where(good, errors(eq, self.check, log_w, y).p, np.inf),
        )

    def _on_axis(self, x: Array) -> tuple[Complex, Booleans]:
        """Roots at real z, in the bands and between them."""
        log_w, good = np.empty(x.size, dtype=complex), np.zeros(x.size, dtype=bool)
        below = -_FAR
        for band, curve in zip(self.bands, self.curves, strict=True):
            a, b = band.log_lambda
            off = np.nonzero(~good & (x <= a))[0]
            log_w[off] = self._off(x[off], below, band.log_r[0])
            inside = np.nonzero(~good & (x > a) & (x < b))[0]
            log_w[inside], _, good[inside] = self._roots(x[inside], curve, band)
            good[off] = True
            below = band.log_r[1]
        off = np.nonzero(~good & (x >= (self.bands[-1].log_lambda[1] if self.bands else -np.inf)))[
            0
        ]
        log_w[off] = self._off(x[off], below, _FAR)
        good[off] = True
        return log_w, good

    def _off(self, x: Array, low: float, high: float) -> Complex:
        return off_bands(self.equation, x, np.full(x.size, low), np.full(x.size, high))

    def values(self, log_lambda: Array) -> Values:
        x = np.asarray(log_lambda, dtype=np.float64)
        out = Values(*(np.zeros(x.size) for _ in range(4)))
        for place, mass in self.atoms:
            out.cdf[:] += np.where(x >= place, mass, 0.0)
        below = np.zeros(x.size)
        for band, curve in zip(self.bands, self.curves, strict=True):
            a, b = band.log_lambda
            above = x >= b
            below[above] += self._band_mass(band)
            inside = np.nonzero((x > a) & (x < b))[0]
            tail_at = curve.log_lambda[begin(self.equation, curve)] if np.isinf(a) else a
            if np.any(x[inside] < tail_at):
                deep = inside[x[inside] < self.tail.log_lambda]
                inside = inside[x[inside] >= self.tail.log_lambda]
                self._fill_tail(out, deep, x[deep])
                below[deep] = 0.0
            if np.isinf(b):  # above the last point of a law without an upper end is next to nothing
                last = curve.density[-1]  # where it is nothing, the roots beyond it are rounding
                end = curve.log_lambda[-1] + (0.0 if last < EPS else _ABOVE)
                far = inside[x[inside] > end]
                inside = inside[x[inside] <= end]
                out.cdf[far], below[far] = 1.0, 0.0
                out.density_error[far] = max(last, EPS)
                out.cdf_error[far] = 1.0 - curve.cdf[-1] + 8.0 * EPS * self.equation.depth
            if inside.size:
                floor = below[inside] + out.cdf[inside]
                self._fill(out, inside, x[inside], curve, band)
                # At the very ends of a band the angle of w is lost in rounding.
                top = floor + self._band_mass(band)
                out.cdf[inside] = np.clip(out.cdf[inside], floor, np.maximum(top, floor))
                below[inside] = 0.0
        outside = (out.density == 0.0) & (out.cdf_error == 0.0)
        out.cdf[outside] += below[outside]
        out.cdf_error[outside] = 8.0 * EPS * self.equation.depth
        np.clip(out.cdf, 0.0, 1.0, out=out.cdf)
        return out

    @cached_property
    def tail(self) -> Tail:
        """What lies below the lowest trusted radius of a law that reaches 0."""
        return tail(self.equation, self.check, self.bands[0], self.curves[0])

    def _fill_tail(self, out: Values, at: Integers, x: Array) -> None:
        """Cdf of the tail; without a power law it is only known to lie below the floor's."""
        if at.size == 0:
            return
        density, cdf, relative = self.tail.values(x)
        out.density[at], out.cdf[at] = density, out.cdf[at] + cdf
        out.density_error[at] = density * relative
        out.cdf_error[at] = np.where(np.isnan(cdf), np.inf, cdf * relative + 2.0 * EPS)

    def _fill(self, out: Values, at: Integers, x: Array, curve: Curve, band: Band) -> None:
        log_w, y, good = self._roots(x, curve, band)
        c = curve_at(self.equation, log_w, y)
        d_density, d_cdf = curve_errors(self.equation, self.check, c, band)
        out.density[at] = np.where(good, c.density, np.nan)
        out.cdf[at] = np.where(good, c.cdf, np.nan)
        # What is left of log z at a root that was not driven to rounding.
        miss = abs(c.log_lambda - x)
        with np.errstate(divide="ignore", invalid="ignore"):
            steep = abs((c.point.p_slope / c.point.slope).imag) / np.pi
        out.density_error[at] = d_density + miss * np.maximum(c.density, steep)
        out.cdf_error[at] = d_cdf + miss * c.density

    def _roots(self, x: Array, curve: Curve, band: Band) -> tuple[Complex, Point, Booleans]:
        """Newton from the curve, and where it leaves its bracket of radii, bisection of that."""
        start, low, high = curve.start(x, band)
        log_w, y, good = self.equation.solve(x, start)
        slack = 1e-9 * np.minimum(1.0, log_w.imag) + self.equation.noise(log_w) / abs(y.slope)
        good &= (log_w.real >= low - slack) & (log_w.real <= high + slack) & (log_w.imag > 0.0)
        bad = np.nonzero(~good)[0]
        if bad.size:
            low = np.where(np.isfinite(low), low, np.minimum(curve.log_w[0].real, -220.0))
            high = np.where(np.isfinite(high), high, curve.log_w[-1].real + 600.0)
            log_w[bad], good[bad] = by_radius(self.equation, x[bad], low[bad], high[bad])
            store(y, bad, self.equation.at(log_w[bad]))
        return log_w, y, good

    def _band_mass(self, band: Band) -> float:
        """Mass of a band, from the distribution function in the middle and its two ends."""
        total = 1.0 - sum(m for _, m in self.atoms)
        if len(self.bands) == 1:
            return total
        low, high = levels(self.equation, band)
        return high - low

    def scaled_moments(self, n: int) -> tuple[Array, float]:
        e = self.equation
        mu = e.law.moments(n)
        s = series.s_coefficients(mu / mu[0] ** np.arange(1.0, n + 1))
        if e.gaussian:
            one_plus_x = np.zeros(n)
            one_plus_x[:2] = (1.0, 1.0)[:n]
            s = series.multiply(s, series.reciprocal(one_plus_x))
        moments = series.moments_from_s(series.power(s, float(e.depth)))
        return moments, e.depth * float(e.log_gain + np.log(mu[0]))
