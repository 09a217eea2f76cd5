"""The spectrum at different widths per layer, Gaussian or orthogonal weights."""

# ruff: noqa: D102  (the methods are documented once, in AbstractSolver)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.base import EPS, Array
from chione.freeprob import series
from chione.freeprob.measures import Booleans, Complex
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_solvers import AbstractSolver, Transform, Values
from chione.theory.spectra.jacobian_widths_bands import Band, Gap, bands, gaps
from chione.theory.spectra.jacobian_widths_curve import Solution, Track, errors, solve_in, trace
from chione.theory.spectra.jacobian_widths_equation import WidthsEquation
from chione.theory.spectra.jacobian_widths_path import UNSEEN, AxisTable, axis_table, turn

_CURVE_POINTS = 200  # per spectrum, shared among its bands
_BESIDE = 1e-5  # in log lambda: nearer to an atom its pole hides the density in rounding
_BESIDE_ERROR = 1e-3  # relative change of a smooth density over that distance, with room
_LITTLE = 1e-9  # mass of a tail that was not followed, below which its place does not matter
_RARE = 1e-11  # mass of a band below which its rounding may hide it
_FEWEST = 40  # per band


@dataclass(frozen=True)
class WidthsSolver(AbstractSolver):
    """Solver of :class:`WidthsEquation`; cost proportional to the number of distinct widths.

    Parameters
    ----------
    law : GaussianSquare
        Law of t.
    log_gain : float
        log sigma_w^2.
    ratios : tuple of float
        Widths of the input and the L layers, relative to the last layer.
    slack : float
        Relative error of t.
    gaussian : bool
        Gaussian weights; else orthogonal ones.
    """

    law: GaussianSquare
    log_gain: float
    ratios: tuple[float, ...]
    slack: float = 0.0
    gaussian: bool = True

    @cached_property
    def equation(self) -> WidthsEquation:
        """The equation of the network."""
        return WidthsEquation(self.law, self.log_gain, self.ratios, self.gaussian, self.slack)

    @cached_property
    def check(self) -> WidthsEquation:
        """The same equation on a finer quadrature."""
        law = self.law.finer
        return WidthsEquation(law, self.log_gain, self.ratios, self.gaussian, self.slack)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """The stretches off the continuous spectrum, from below."""
        return gaps(self.equation)

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The stretches of the continuous spectrum, from below."""
        return bands(self.equation, self.gaps)

    @cached_property
    def table(self) -> AxisTable:
        """The solution on the negative axis, from which others are turned."""
        return axis_table(self.equation)

    @cached_property
    def tracks(self) -> tuple[tuple[Track, Solution], ...]:
        """Solutions along each band; the starting points of everything else."""
        n = max(_FEWEST, _CURVE_POINTS // max(1, len(self.bands)))
        return tuple(trace(self.equation, self.table, b, n) for b in self.bands)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return self.equation.atoms

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple(b.log_lambda for b in self.bands)

    def curve(self, n: int) -> tuple[Array, Values]:
        if not self.bands:
            empty = np.empty(0)
            return empty, Values(empty, empty, empty, empty)
        each = -(-n // len(self.bands))
        parts = [
            found if n == _CURVE_POINTS else trace(self.equation, self.table, track.band, each)[1]
            for track, found in self.tracks
        ]
        columns = [self._inside(p, b) for p, b in zip(parts, self.bands, strict=True)]
        x = np.concatenate([p.log_lambda.real for p in parts])
        return x, Values(
            np.concatenate([c.density for c in columns]),
            np.concatenate([c.cdf for c in columns]),
            np.concatenate([c.density_error for c in columns]),
            np.concatenate([c.cdf_error for c in columns]),
        )

    def values(self, log_lambda: Array) -> Values:
        y = np.asarray(log_lambda, dtype=np.float64)
        rounding = 8.0 * EPS * len(self.ratios)
        zero = np.zeros(y.size)
        out = Values(zero, zero.copy(), zero.copy(), np.full(y.size, rounding))
        out.cdf[:] = 1.0 - self.equation.rank
        for gap in self.gaps:
            out.cdf[y >= gap.log_lambda[0]] = 1.0 - gap.above
        for band, (track, _), below in zip(self.bands, self.tracks, self._unseen, strict=True):
            a, b = band.log_lambda
            inside = np.nonzero((y > a) & (y < b))[0]
            if inside.size:
                at, near = self._beside_atoms(y[inside], band)
                v = self._inside(solve_in(self.equation, self.table, track, at), band)
                v.density_error[near] += _BESIDE_ERROR * v.density[near]
                v.cdf_error[near] += 2.0 * _BESIDE * v.density[near]
                # A soft tail that holds less than can be followed is none.
                tail = np.isnan(v.density) & (y[inside] < track.reach[0])
                if below <= _LITTLE:
                    v.density[tail], v.cdf[tail] = 0.0, band.cdf[0]
                    v.density_error[tail] = v.cdf_error[tail] = max(below, UNSEEN)
                else:
                    v.density_error[tail] = v.cdf_error[tail] = np.inf
                out.density[inside], out.cdf[inside] = v.density, v.cdf
                out.density_error[inside], out.cdf_error[inside] = v.density_error, v.cdf_error
        nan = np.isnan(y)
        out.density[nan], out.cdf[nan] = np.nan, np.nan
        return out

    @cached_property
    def _unseen(self) -> tuple[float, ...]:
        """Mass of each band below the lowest point that was found in it."""
        out = []
        for band, (_, found) in zip(self.bands, self.tracks, strict=True):
            cdf = self._inside(found, band).cdf
            out.append(float(np.nanmin(np.append(cdf, band.cdf[1])) - band.cdf[0]))
        return tuple(out)

    def _beside_atoms(self, y: Array, band: Band) -> tuple[Array, Booleans]:
        """Points next to an atom inside a band moved away from it: x has a pole there."""
        at, near = y.copy(), np.zeros(y.size, dtype=bool)
        low, high = band.log_lambda
        for place, _ in self.atoms:
            if not low + _BESIDE < place < high - _BESIDE:
                continue
            close = abs(y - place) < _BESIDE
            at[close] = place + np.where(y[close] >= place, _BESIDE, -_BESIDE)
            near |= close
        return at, near

    def _inside(self, found: Solution, band: Band) -> Values:
        """Density and distribution function at solutions inside a band, with errors."""
        eq, x = self.equation, found.x
        log_z = found.log_lambda.astype(np.complex128)
        d_x, d_log_z = errors(eq, self.check, found)
        u = eq.mean_log(log_z, found.log_w, found.point)
        density = np.maximum(-x.imag / np.pi, 0.0)
        d_cdf = d_log_z * np.maximum(abs(x), abs(1.0 + x)) / np.pi + 8.0 * EPS * len(self.ratios)
        if self.check.law is not eq.law:
            other = self.check.mean_log(log_z, found.log_w, found.point)
            d_cdf = d_cdf + abs((other - u).imag) / np.pi
        # At the very ends of a band the angle of w is lost in rounding; its mass is known.
        cdf = np.clip(1.0 - u.imag / np.pi, *band.cdf)
        order = np.argsort(found.log_lambda.real)
        risen = np.empty(cdf.size)
        risen[order] = np.fmax.accumulate(cdf[order])  # equal values may fall by their rounding
        cdf = np.where(risen - cdf <= d_cdf, risen, cdf)
        bad = ~found.good
        density[bad], cdf[bad] = np.nan, np.nan
        mass = band.cdf[1] - band.cdf[0]
        if mass < _RARE:  # what was not found there is bounded by the whole
            density[bad], cdf[bad] = 0.0, band.cdf[0]
            d_x[bad] = 4.0 * np.pi * mass / (band.log_lambda[1] - band.log_lambda[0])
            d_cdf[bad] = mass
        return Values(density, cdf, d_x / np.pi, d_cdf)

    def resolvent(self, log_z: Complex) -> Transform:
        log_z = np.asarray(log_z, dtype=complex)
        eq = self.equation
        log_w, good = turn(eq, self.table, log_z.real, np.maximum(log_z.imag, 0.0))
        real = log_z.imag <= 0.0
        for track, _ in self.tracks:
            a, b = track.band.log_lambda
            at = np.nonzero(real & (log_z.real > a) & (log_z.real < b))[0]
            if at.size:
                found = solve_in(eq, self.table, track, log_z.real[at])
                log_w[at], good[at] = found.log_w, found.good
        y, nan = eq.at(log_w), complex(np.nan, np.nan)
        with np.errstate(all="ignore"):
            slope = 1.0 / y.slope
        p, m, slope = (np.where(good, v, nan) for v in (y.p, y.x, slope))
        off = real & np.any(
            [(log_z.real >= a) & (log_z.real <= b) for a, b in (g.log_lambda for g in self.gaps)],
            axis=0,
        )
        if np.any(off):
            p.imag[off], m.imag[off], slope.imag[off] = 0.0, 0.0, 0.0

        def mean_log() -> Complex:
            u = np.where(good, eq.mean_log(log_z, log_w, y), nan)
            if np.any(off):
                u.imag[off] = np.pi * (1.0 - self.values(log_z.real[off]).cdf)
            return u

        def error() -> Array:
            with np.errstate(all="ignore"):
                found = errors(eq, self.check, Solution(log_z, log_w, y, good))[0]
            return np.where(good, found, np.inf)

        return Transform(p, m, slope, mean_log, error)

    def scaled_moments(self, n: int) -> tuple[Array, float]:
        mu = self.law.moments(n)
        t = series.s_coefficients(mu / mu[0] ** np.arange(1.0, n + 1))
        a, count = self.equation.groups
        b, e = self.equation.factors
        k = np.arange(n)
        out = np.zeros(n)
        out[0] = 1.0
        for g, c in zip(a, count, strict=True):
            out = series.multiply(out, series.power(t * g**k, float(c)))
        for place, exponent in [*zip(a, -count, strict=True), *zip(b, -e, strict=True)]:
            linear = np.zeros(n)
            linear[:2] = (1.0, place)[:n]
            out = series.multiply(out, series.power(linear, float(exponent)))
        return series.revert(out), (len(self.ratios) - 1) * float(self.log_gain + np.log(mu[0]))
