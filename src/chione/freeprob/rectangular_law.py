"""The law of the squared singular values of a sum of free rectangular matrices."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, checks
from chione.freeprob import rectangular_series
from chione.freeprob.charts import upper_log
from chione.freeprob.local_form import local_form
from chione.freeprob.measures import AbstractMeasure, Booleans, Complex, by_halves
from chione.freeprob.rectangular_system import RectangularSolved, RectangularSystem
from chione.freeprob.summands import hull

_ATOM = 1e-12  # mass below which an atom is rounding
_ZERO = 1e-60  # the argument that stands for 0, in units of the mean
_FAR = 1e20  # |G|, in inverse ones, that stands for infinite
_SMALL = 0.01  # |y G|, relative to what it is summed from, below which it is solved for
_SCAN = 400  # singular values at which bands are looked for
_ROUNDS = 6  # of looking closer where a band or a gap hides between two of them
_HIDDEN = 1e-7  # mass between two points of density zero that gives a band away
_DENSE = 1e-7  # density, in units of 1 / support, that tells a band from a gap
_FIRST = 4  # times that a bracket of an edge is cut in nine parts before its form is fitted,
_HALVINGS = 10  # and further ones where no form fits
_SURE = 1e-9  # error of a fitted end, in units of the room around it, that is believed
_BESIDE = 1e-4  # part of the gap around an atom in which its distribution function is constant
_CLOSE = 1e-8  # how far above an atom inside a band it is read, in units of the largest
_KEPT = 100_000  # points of the last solution that are kept


@dataclass(frozen=True)
class RectangularSum(AbstractMeasure):
    r"""Rectangular free convolution of laws of squared singular values.

    .. math::
        G(y) = \frac{1 + X}{y}, \qquad
        U(y) = \sum_i n_i U_i(y_i) + (n - 1) \log h
            - \frac{1 - c}{c} \Big[\log(1 + c X) - \sum_i n_i \log(1 + c x_i)\Big]

    with X, x_i, y_i, h of the system of equations; U is the mean logarithm.

    Parameters
    ----------
    parts : tuple of AbstractMeasure
        Distinct laws of squared singular values, on [0, inf), none the point mass at 0.
    times : tuple of float
        How often each occurs, at least 1.
    ratio : float
        Rows / columns, in (0, 1].
    """

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...]
    ratio: float

    @cached_property
    def system(self) -> RectangularSystem:
        """The equations of the subordination functions."""
        return RectangularSystem(self.parts, self.times, self.ratio)

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        r"""Atoms, from the dimensions of kernels of matrices in general position.

        At 0 the mass is :math:`1 - \sum_i n_i (1 - p_i)`, :math:`p_i` that of each law there; at
        an atom a > 0 of mass q of one law it is :math:`q - 2 \sum_{i \ne j} n_i (1 - p_i)`.
        """
        zeros = [sum(m for a, m in law.atoms if a == 0.0) for law in self.parts]
        lost = sum(n * (1.0 - p) for n, p in zip(self.times, zeros, strict=True))
        found = [(0.0, 1.0 - lost)]
        for law, n, p in zip(self.parts, self.times, zeros, strict=True):
            if n == 1.0:
                others = lost - (1.0 - p)
                found += [(a, q - 2.0 * others) for a, q in law.atoms if a > 0.0]
        return tuple(sorted((a, m) for a, m in found if m > _ATOM))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        tops = [np.sqrt(hull(law)[1]) for law in self.parts]
        top = float(np.dot(tops, self.times)) * (1.0 + 1e-3)
        level = _DENSE / top**2
        s, on = self._scanned(top, level)
        change = np.nonzero(on[1:] != on[:-1])[0]
        inner = np.where(on[change], s[change], s[change + 1])
        outer = np.where(on[change], s[change + 1], s[change])
        outer, inner = self._narrowed(outer, inner, level, _FIRST)
        order = np.argsort(inner)
        ends = inner[order] ** 2
        ends = np.where(np.sqrt(ends) < 1e-9 * top, 0.0, ends)
        refined = self._refined(ends)
        lost = np.isnan(refined)
        if lost.any():
            rest = order[lost]
            refined[lost] = self._narrowed(outer[rest], inner[rest], level, _HALVINGS)[1] ** 2
        bands = zip(refined[0::2].tolist(), refined[1::2].tolist(), strict=True)
        return tuple(sorted([*bands, *((a, a) for a, _ in self.atoms)]))

    def _scanned(self, top: float, level: float) -> tuple[Array, NDArray[np.bool_]]:
        """Singular values and whether they lie in a band, with one in each band and gap.

        A band between two points is told by the mass between them, a gap by a dip of the density.
        """
        s = top * (0.5 - 0.5 * np.cos(np.pi * np.arange(_SCAN + 1) / _SCAN))
        rho, f = self._looked_at(s)
        for _ in range(_ROUNDS):
            off = rho <= level
            atoms = np.zeros(s.size - 1)
            for a, m in self.atoms:
                atoms += np.where((s[:-1] ** 2 < a) & (a <= s[1:] ** 2), m, 0.0)
            split = off[1:] & off[:-1] & (np.diff(f) - atoms > _HIDDEN)
            dip = (rho[1:-1] < 0.5 * np.minimum(rho[:-2], rho[2:])) & ~off[1:-1]
            split[:-1] |= dip
            split[1:] |= dip
            k = np.nonzero(split)[0]
            if k.size == 0:
                break
            part = np.linspace(0.0, 1.0, 8)[1:-1]
            new = (s[k][:, None] + np.diff(s)[k][:, None] * part).ravel()
            rho_new, f_new = self._looked_at(new)
            order = np.argsort(np.concatenate([s, new]))
            s, rho, f = (
                np.concatenate(pair)[order] for pair in ((s, new), (rho, rho_new), (f, f_new))
            )
        return s, rho > level

    def _looked_at(self, s: Array) -> tuple[Array, Array]:
        """Density and distribution function at singular values, both 0 below the first."""
        with np.errstate(all="ignore"):
            f = 1.0 - self.mean_log(s**2 + 0j).imag / np.pi
        zero = sum(m for a, m in self.atoms if a == 0.0)
        return self._sure_density(s), np.where(s > 0.0, f, zero)

    def _sure_density(self, s: Array) -> Array:
        """The density where it is above its error, 0 elsewhere: close to an atom G is rough."""
        y = s**2 + 0j
        with np.errstate(all="ignore"):
            rho = -self.stieltjes(y).imag / np.pi
            sure = (s > 0.0) & (rho > self.stieltjes_error(y) / np.pi)
        return np.where(sure, rho, 0.0)

    def _narrowed(
        self, outer: Array, inner: Array, level: float, times: int
    ) -> tuple[Array, Array]:
        """Brackets of ends, outside and inside of the bands, cut in nine parts again and again."""
        part = np.linspace(0.0, 1.0, 10)[1:-1]
        for _ in range(times):
            x = outer[:, None] + (inner - outer)[:, None] * part
            dense = self._sure_density(x.ravel()).reshape(x.shape) > level
            # the first dense point seen from outside, and the one before it
            first = np.where(dense.any(axis=1), np.argmax(dense, axis=1), part.size)
            every = np.concatenate([outer[:, None], x, inner[:, None]], axis=1)
            rows = np.arange(len(inner))
            outer, inner = every[rows, first], every[rows, first + 1]
        return outer, inner

    def _refined(self, ends: Array) -> Array:
        """Ends to the last digits of G where the density is algebraic there, or else NaN."""
        places = [0.0, *(a for a, _ in self.atoms), *ends]
        out = np.full(ends.size, np.nan)
        for k, end in enumerate(ends):
            if end == 0.0:
                out[k] = 0.0
                continue
            room = min(abs(end - x) for x in places if abs(x - end) > 1e-9 * ends[-1])
            form = local_form(self, float(end), 1.0 if k % 2 == 0 else -1.0, room)
            # other forms keep the place that they are given
            if form is not None and form.place != end and form.place_error < _SURE * room:
                out[k] = form.place
        return out

    def stieltjes(self, z: Any) -> Complex:
        return _flat(lambda y: self._both(y)[0], z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return _flat(lambda y: self._both(y)[1], z)

    def stieltjes_error(self, z: Any) -> Array:
        r"""The residual and the errors of the laws as errors of log y, times the slope of G."""

        def upper(y: Complex) -> Complex:
            w = self._no_zero(y)
            s, c, h = self._solved(y), self.ratio, np.exp(self._solved(y).eta)
            with np.errstate(all="ignore"):
                moved, share = np.zeros(s.u.shape), np.zeros_like(s.eta)
                for k, (law, n) in enumerate(zip(self.parts, self.times, strict=True)):
                    at, q = np.exp(s.u[k]), s.q[k]
                    rise = 1.0 / (1.0 + s.x[k]) + c / (1.0 + c * s.x[k])
                    lost = abs(at) * law.stieltjes_error(at)
                    moved[k] = lost * (1.0 + abs(q * rise / (rise * q - 1.0)))
                    share += n * q / (rise * q - 1.0)
                delta = self.system.uncertainty(2.0 * upper_log(_root(w)), s, moved)
                p, small = self._p(w, s)
                size = np.sum(self.system.counts * (abs(s.x) * 8.0 * EPS + moved), axis=0)
                error = np.where(
                    small,
                    abs(h / (1.0 - c + 2.0 * c * p)) * delta,
                    (abs(share) * delta + size + 8.0 * EPS) / abs(w),
                )
                error = error + 8.0 * EPS * abs(p / w)
            return np.asarray(np.where(np.isfinite(error), error, np.inf) + 0j)

        return np.asarray(_flat(upper, z).real)

    def mean_log(self, z: Any) -> Complex:
        return _flat(self._potential, z)

    def cdf(self, x: Any) -> Array:
        """P(t <= x); close to an atom that no band touches it is read further away from it."""
        x = np.array(checks.real_array("x", x), dtype=np.float64)
        zero = sum(m for a, m in self.atoms if a == 0.0)
        low = np.where(x == 0.0, zero, 0.0)
        positive = x > 0.0
        x = np.where(positive, x, 2.0 * hull(self)[1])
        for a, _ in self.atoms:
            ends = [abs(e - a) for band in self.support for e in band if e != a]
            inside = any(low <= a <= high for low, high in self.support if high > low)
            room = _CLOSE * hull(self)[1] if inside else _BESIDE * min(ends, default=1.0)
            near = (x == a) if inside else abs(x - a) < room
            x = np.where(near, np.where(x >= a, a + room, a - room), x)
        value = np.clip(1.0 - self.mean_log(x + 0j).imag / np.pi, 0.0, 1.0)
        return np.asarray(np.where(positive, value, low))

    def moments(self, n: int) -> Array:
        c = np.zeros(n)
        for law, times in zip(self.parts, self.times, strict=True):
            c += times * rectangular_series.cumulants(law.moments(n), self.ratio)
        return rectangular_series.moments(c, self.ratio)

    # ---- inside ------------------------------------------------------------------------------

    @cached_property
    def _last(self) -> dict[bytes, RectangularSolved]:
        return {}

    def _solved(self, y: Complex) -> RectangularSolved:
        z = _root(self._no_zero(y))
        if z.size > _KEPT:
            return self.system.solve(z)
        key = z.tobytes()
        if key not in self._last:
            found = self.system.solve(z)
            self._last.clear()
            self._last[key] = found
        return self._last[key]

    def _p(self, w: Complex, s: RectangularSolved) -> tuple[Complex, Booleans]:
        r"""P = y G, and where it is small.

        There 1 + X cancels, and :math:`P (1 - c + c P) = y h` is solved for P.
        """
        c = self.ratio
        x = self.system.counts * s.x
        p = 1.0 + np.sum(x, axis=0)
        yh = w * np.exp(s.eta)
        root = np.sqrt((1.0 - c) ** 2 + 4.0 * c * yh)
        found = [2.0 * yh / (1.0 - c + r) for r in (root, -root)]
        other = np.where(abs(found[0] - p) <= abs(found[1] - p), found[0], found[1])
        small = abs(p) < _SMALL * (1.0 + np.sum(abs(x), axis=0))
        return np.where(small, other, p), small

    def _both(self, y: Complex) -> tuple[Complex, Complex]:
        s, w, c = self._solved(y), self._no_zero(y), self.ratio
        with np.errstate(all="ignore"):
            p, small = self._p(w, s)
            dp = np.sum(self.system.counts * s.q * s.du, axis=0)
            rate = (1.0 - c + c * p) * s.deta - c * p
            bend = np.where(small, p * rate / (1.0 - c + 2.0 * c * p), dp - p)
            g, slope = p / w, bend / w**2
        at = np.isin(y, [a for a, _ in self.atoms])
        at |= (y == 0.0) & (abs(g) > _FAR / self.system.size**2)
        return np.where(at, np.inf, g), np.where(at, -np.inf, slope)

    def _no_zero(self, y: Complex) -> Complex:
        return np.asarray(np.where(y == 0.0, _ZERO * self.system.size**2, y))

    def _potential(self, y: Complex) -> Complex:
        y = self._no_zero(y)
        s, w, c = self._solved(y), _root(y), self.ratio
        with np.errstate(all="ignore"):
            p = self._p(y, s)[0]
            wide = 1.0 - c + c * p
            log_z, log_g1, log_g2 = upper_log(w), -upper_log(w / p), -upper_log(w / wide)
            out = (sum(self.times) - 1.0) * (log_g1 + log_g2) - (1 - c) / c * (log_z + log_g2)
            for law, times, x in zip(self.parts, self.times, s.x, strict=True):
                log_w1 = upper_log(w * (1.0 + x) / p)
                log_w2 = upper_log(w * (1.0 + c * x) / wide)
                out += times * _mean_log(law, log_w1 + log_w2)
                out += times * (1 - c) / c * (log_w2 + log_g2)  # log(1 + c x)
        return np.asarray(out)


def _mean_log(law: AbstractMeasure, u: Complex) -> Complex:
    """E log(y - t) at y = exp(u), 0 <= Im u <= 2 pi, log continued from the upper half plane."""
    y = np.exp(u)
    low = u.imag > np.pi
    with np.errstate(all="ignore"):  # points without a solution are NaN
        value = law.mean_log(y.real + 1j * abs(y.imag))
    return np.asarray(np.where(low, np.conj(value) + 2j * np.pi, value))


def _flat(f: Callable[[Complex], Complex], z: Any) -> Complex:
    """F of flat arrays of the closed upper half plane, at z of any shape."""
    return by_halves(lambda w: f(w.ravel()).reshape(w.shape), z)


def _root(y: Complex) -> Complex:
    """The root in the closed first quadrant, on its edges exactly."""
    z = np.sqrt(y.real + 1j * abs(y.imag))
    return np.asarray(np.where(y.imag == 0.0, np.where(y.real < 0.0, 1j * z.imag, z.real), z))
