r"""The law of a model Hessian: free sum of parts that are freely infinitely divisible.

Over each band the law is written down, not solved for: Re F runs along the band, Im F is the one
root of S = 1, and

.. math:: x = F + \sum_i V_i(F), \qquad \rho = \frac{\mathrm{Im}\,F}{\pi |F|^2}

rises with Re F. A density at a given x starts from a table of such points.
"""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.measures import AbstractMeasure, Booleans, Complex, by_halves
from chione.freeprob.series import moments_from_free_cumulants
from chione.theory.spectra import hessian_edges
from chione.theory.spectra.hessian_h0 import Wishart
from chione.theory.spectra.hessian_parts import AbstractPart
from chione.theory.spectra.hessian_tables import BandTable, band_table

_INNER = 60  # steps of Newton's method for Im F, which converges from one side
_LEAST = 1e-60  # (Im F)^2 over the variance of the law: 1e-42 at the lowest energy
_POLISH = 12
_LANDING = 80  # Im F falls by a factor of 4 at most, from 1e-14 of the size of the law
_HALVINGS = 110
_ACCEPT = 64.0 * EPS  # residual, relative to the terms of z(F), of a solution
_DOWN = np.concatenate([np.geomspace(1e3, 1e-3, 25), np.geomspace(1e-4, 1e-14, 11), [0.0]])


@dataclass(frozen=True)
class HessianLaw(AbstractMeasure):
    r"""Free sum of freely infinitely divisible parts, see `hessian_parts`.

    .. math:: z = F + \sum_i V_i(F), \qquad G = 1 / F

    Parameters
    ----------
    parts : tuple of AbstractPart
        The summands.
    """

    parts: tuple[AbstractPart, ...]

    # ------------------------------------------------------------------------- whole numbers

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Mass 1 - (number of jumps a dimension) at zero, where that is positive."""
        rate = sum(p.rate for p in self.parts if p.variance > 0.0)
        return ((0.0, 1.0 - rate),) if rate < 1.0 else ()

    @cached_property
    def bands(self) -> tuple[tuple[float, float], ...]:
        """Intervals of Re F that carry a density."""
        return hessian_edges.bands(self.parts)

    @cached_property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """The continuous part: intervals from below."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Wishart):
            root = self.parts[0].ratio ** 0.5
            return (((1.0 - root) ** 2, (1.0 + root) ** 2),)
        return tuple((self.edge(a), self.edge(b)) for a, b in self.bands)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple(sorted([*self.intervals, *((a, a) for a, _ in self.atoms)]))

    @property
    def center(self) -> float:
        """The mean, added over the parts."""
        return sum(p.mean for p in self.parts)

    def free_cumulants(self, n: int) -> Array:
        return np.asarray(sum(p.cumulants(n) for p in self.parts))

    def moments(self, n: int) -> Array:
        return moments_from_free_cumulants(self.free_cumulants(n))

    # ---------------------------------------------------------------------------- transforms

    def stieltjes(self, z: Any) -> Complex:
        return _reciprocal(self.reciprocal(z))

    def stieltjes_derivative(self, z: Any) -> Complex:
        f = self.reciprocal(z)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-1.0 / (self.slope(f) * f * f))

    def stieltjes_error(self, z: Any) -> Array:
        """Bound on the error of G: the rounding of z(F) over its slope, times |dG/dF|."""
        f = self.reciprocal(z)
        return np.asarray(self.rounding(f) / abs(f) ** 2 + 4.0 * EPS / abs(f))

    def mean_log(self, z: Any) -> Complex:
        r"""E log(z - t) in the closed upper half plane.

        .. math:: U = z G - \log G - \sum_i \int_0^G R_i(g)\, dg - 1
        """
        return by_halves(self._mean_log, z)

    def _mean_log(self, z: Complex) -> Complex:
        g = _reciprocal(self.reciprocal(z))
        potentials = [p.potential(g) for p in self.parts]
        center = sum(c for _, c in potentials)
        terms = (z - center) * g - 1.0 - _log(g)
        return np.asarray(terms - sum(u for u, _ in potentials))

    def r_transform(self, g: Any) -> Complex:
        f = 1.0 / np.asarray(g, dtype=complex)
        return np.asarray(sum(p.value(f) for p in self.parts))

    def reciprocal(self, z: Any) -> Complex:
        """F = 1/G at complex z; on the real axis the limit from above."""
        z = np.asarray(z, dtype=complex)
        flat = np.where(z.ravel().imag < 0.0, z.ravel().conj(), z.ravel())
        out = np.empty(flat.size, dtype=complex)
        real = flat.imag == 0.0
        out[real] = self.at(flat[real].real)
        out[~real] = self._above(flat[~real])
        return np.where(z.imag < 0.0, out.reshape(z.shape).conj(), out.reshape(z.shape))

    # --------------------------------------------------------------------- along the real line

    def density(self, x: Any) -> Array:
        return self.density_with_error(checks.real_array("x", x))[0]

    def density_error(self, x: Any) -> Array:
        return self.density_with_error(checks.real_array("x", x))[1]

    def density_with_error(self, x: Array) -> tuple[Array, Array]:
        """Density of the continuous part, inf at a pole of G at an edge, and its error."""
        value, error = np.zeros(x.shape), np.zeros(x.shape)
        inside = np.zeros(x.shape, dtype=bool)
        for a, b in self.intervals:
            inside |= (x > a) & (x < b)
        value[inside], error[inside] = self.density_at(self.at(x[inside]))
        for f, edge in zip(np.ravel(self.bands), np.ravel(self.intervals), strict=True):
            if f == 0.0:
                value[x == edge], error[x == edge] = np.inf, 0.0
                continue
            # what is rounding of the place is the root of it for the density
            room = 16.0 * EPS * float(self.size(np.array(f)) + abs(edge))
            bend = abs(sum(p.bend(f) for p in self.parts))
            near = abs(x - edge) <= room
            reach = np.sqrt(4.0 * room / float(np.real(bend))) / (np.pi * f * f)
            error[near] = np.maximum(error[near], reach)
        return value, error

    def density_at(self, f: Complex) -> tuple[Array, Array]:
        """-Im G / pi, and its error: the rounding of z(F) over its slope."""
        square = abs(f) ** 2 * np.pi
        return np.asarray(f.imag / square), np.asarray(self.rounding(f) / square)

    def cdf(self, x: Any) -> Array:
        return self.cdf_with_error(checks.real_array("x", x))[0]

    def cdf_error(self, x: Any) -> Array:
        return self.cdf_with_error(checks.real_array("x", x))[1]

    def cdf_with_error(self, x: Array) -> tuple[Array, Array]:
        """Mass at or below x, that of an atom at x included, and a bound on its error."""
        low, high = self.intervals[0][0], self.intervals[-1][1]
        value, error = (x >= high).astype(float), np.zeros(x.shape)
        for place, mass in self.atoms:
            value[(x >= place) & (x < low)] = mass
        between = (x >= low) & (x < high)
        f, at = self.at(x[between]), x[between]
        atom = sum(m for _, m in self.atoms)
        zero = (at == 0.0) & (atom > 0.0)  # the mass below, and that of the atom
        share, error[between] = self.mass_below(at, np.where(zero, -1e-200, f))
        value[between] = share + np.where(zero, atom, 0.0)
        return value, error

    def mass_below(self, x: Any, f: Complex) -> tuple[Array, Array]:
        r"""Mass at or below x, where F(x) = f, and a bound on its error.

        .. math:: F_{\rm cdf} = \frac1\pi \left[\arg(-G) + \sum_i \mathrm{Im}
           \int_0^G R_i\, dg - x\, \mathrm{Im}\,G\right]

        The bracket is stationary in G, so that an error of f counts in second order; all terms
        vanish with Im G at the lower edge.
        """
        with np.errstate(all="ignore"):
            g = _reciprocal(f)
            potentials = [p.potential(g) for p in self.parts]
            center = sum(c for _, c in potentials)
            terms = [np.arctan2(-g.imag, -g.real), -(np.asarray(x) - center) * g.imag]
            terms += [u.imag for u, _ in potentials]
        total = sum(abs(t) for t in terms)
        value = np.clip(sum(terms) / np.pi, 0.0, 1.0)
        return np.asarray(value), np.asarray(4.0 * EPS * total / np.pi)

    def levels(self) -> tuple[tuple[float, float], ...]:
        """For each band the mass up to its lower and up to its upper end."""
        ends = np.array(self.bands)
        ends = np.where(ends == 0.0, -1e-200, ends)
        value, _ = self.mass_below(0.0, ends + 0j)
        zero = sum(m for _, m in self.atoms)
        value = np.where(np.array(self.bands) == 0.0, value + zero, value)
        value[0, 0] = min(value[0, 0], zero)
        value[-1, 1] = 1.0
        return tuple((float(a), float(b)) for a, b in value)

    # ------------------------------------------------------------------------ along the bands

    def z(self, f: Any) -> Any:
        """F + sum of V_i(F)."""
        return f + sum(p.value(f) for p in self.parts)

    def slope(self, f: Any) -> Any:
        """dz/dF."""
        return 1.0 + sum(p.slope(f) for p in self.parts)

    def size(self, f: Any) -> Any:
        """Size of the terms of z(F), whose rounding is that of z."""
        return abs(f) + sum(abs(p.value(f)) for p in self.parts)

    def rounding(self, f: Any) -> Array:
        """How far F may be off at its z: the rounding of z(F) over dz/dF, and its own."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(4.0 * EPS * (self.size(f) / abs(self.slope(f)) + abs(f)))

    def lift(self, re: Array) -> Complex:
        """F over the points Re F of bands: Im F solves S = 1.

        Newton's method for 1/S, which is concave in (Im F)^2: from the second step on all steps
        go up, and none too far.
        """
        q = np.full(re.shape, sum(p.variance for p in self.parts))
        least = _LEAST * q
        done = np.zeros(re.shape, dtype=bool)  # a point that is done stays: batch = one by one
        with np.errstate(all="ignore"):
            for _ in range(_INNER):
                f = re + 1j * np.sqrt(q)
                shares = [p.share(f) for p in self.parts]
                s = sum(x for x, _ in shares)
                ds = sum(x for _, x in shares)
                new = np.maximum(q + s * (1.0 - s) / ds, least)
                new = np.where(np.isfinite(new) & ~done, new, q)
                done |= abs(new - q) <= 4.0 * EPS * q
                q = new
                if done.all():
                    break
        return np.asarray(re + 1j * np.sqrt(q))

    @cached_property
    def tables(self) -> tuple[BandTable, ...]:
        """A table of each band."""
        levels = zip(self.bands, self.levels(), strict=True)
        return tuple(band_table(self, band, level) for band, level in levels)

    def at(self, x: Array) -> Complex:
        """F at real places, shape (n,); NaN where an atom or a pole of G stands."""
        out = np.full(x.shape, np.nan + 0j)
        with np.errstate(all="ignore"):
            for (lo, hi), table in zip(self.intervals, self.tables, strict=True):
                own = (x > lo) & (x < hi)
                if own.any():
                    out[own] = self._in_band(x[own], table.x, table.f)
            gaps = [-np.inf, *(v for band in self.intervals for v in band), np.inf]
            ends = [-np.inf, *(v for band in self.bands for v in band), np.inf]
            for k in range(0, len(gaps), 2):
                own = (x >= gaps[k]) & (x <= gaps[k + 1])
                if own.any():
                    out[own] = self._in_gap(x[own], ends[k], ends[k + 1])
        return out

    def _in_band(self, x: Array, places: Array, table: Complex) -> Complex:
        re = np.interp(x, places, table.real)
        im = np.sqrt(np.interp(x, places, table.imag**2))
        f = self._newton(np.asarray(re + 1j * im), x.astype(complex))
        bad = ~self._solved(f, x)
        if bad.any():
            f[bad] = self._halved(x[bad], places, table)
        return f

    def _halved(self, x: Array, places: Array, table: Complex) -> Complex:
        """By bisection in Re F, along which x rises."""
        k = np.clip(np.searchsorted(places, x), 1, places.size - 1)
        low, high = table.real[k - 1], table.real[k]
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            under = np.real(self.z(self.lift(middle))) < x
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        f = self.lift(0.5 * (low + high))
        polished = self._newton(f, x.astype(complex))
        return np.asarray(np.where(self._solved(polished, x), polished, f))

    def _in_gap(self, x: Array, low: float, high: float) -> Complex:
        """The real F of a gap: z rises with F there, and F lies below z less the mean."""
        shift = x - self.center
        a = np.where(np.isfinite(low), low, np.minimum(shift, high) if np.isfinite(high) else shift)
        b = np.where(np.isfinite(high), high, np.maximum(shift, low))
        a, b = np.broadcast_to(a, x.shape).copy(), np.broadcast_to(b, x.shape).copy()
        for _ in range(_HALVINGS):
            middle = 0.5 * (a + b)
            under = np.real(self.z(middle)) < x
            a, b = np.where(under, middle, a), np.where(under, b, middle)
        f = 0.5 * (a + b)
        for _ in range(3):
            step = (np.real(self.z(f)) - x) / np.real(self.slope(f))
            new = f - step
            f = np.where(np.isfinite(new) & (abs(step) <= 1e-8 * abs(f)), new, f)
        return np.asarray(f, dtype=np.complex128)

    def _above(self, z: Complex) -> Complex:
        """F in the open half plane, followed from far up, where F = z."""
        size = max(abs(v) for band in self.intervals for v in band) + 1.0
        f: Complex = z + 1j * size * _DOWN[0]
        with np.errstate(all="ignore"):
            for height in _DOWN:
                f = self._newton(f, z + 1j * size * height, steps=4 if height else _LANDING)
        return f

    def _newton(self, f: Complex, z: Complex, steps: int = _POLISH) -> Complex:
        """Newton's method inside the upper half plane, steps below half of Im F downwards."""
        done = np.zeros(f.shape, dtype=bool)
        for _ in range(steps):
            step = (self.z(f) - z) / self.slope(f)
            size = abs(step) / (0.5 * abs(f))
            step = np.where(size > 1.0, step / size, step)
            new = f - step
            floor = np.where(f.imag > 0.0, 0.25 * f.imag, new.imag)
            new = new.real + 1j * np.maximum(new.imag, floor)
            new = np.where(np.isfinite(new) & ~done, new, f)
            done |= abs(new - f) <= 2.0 * EPS * abs(f)
            f = new
            if done.all():
                break
        return np.asarray(f)

    def _solved(self, f: Complex, x: Array) -> Booleans:
        size = abs(x) + self.size(f)
        return np.asarray((f.imag > 0.0) & (abs(self.z(f) - x) <= _ACCEPT * size))

    def edge(self, f: float) -> float:
        """The place of a real F."""
        return float(np.real(self.z(f))) if f != 0.0 else 0.0


def _reciprocal(f: Complex) -> Complex:
    """1/F with the sign of a zero imaginary part turned."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = abs(f)
        g = np.empty(f.shape, dtype=complex)
        g.real, g.imag = f.real / size / size, -(f.imag + 0.0) / size / size
    return g


def _log(g: Complex) -> Complex:
    """Log in the closed lower half plane, where the border counts as Im g = -0."""
    out = np.empty(g.shape, dtype=complex)
    with np.errstate(divide="ignore"):
        out.real = np.log(abs(g))
    out.imag = -np.arctan2(-g.imag, g.real)
    return out
