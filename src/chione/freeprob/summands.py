"""What a free convolution is made of, and what all of them answer alike."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from functools import cached_property, singledispatch
from itertools import pairwise, product
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.contour import contour_moments
from chione.freeprob.dilation import Dilated, dilated
from chione.freeprob.measures import (
    AbstractMeasure,
    Booleans,
    Complex,
    absolute_moments,
    by_halves,
    rounding_of_cdf,
)
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.solved import Solved
from chione.freeprob.subordination import Subordination

_ATOM = 1e-12  # mass below which an atom is rounding
_KEPT = 100_000  # points of the last solution that are kept: value, slope, error ask for the same
_LOW = 6  # moments up to which series of cumulants lose nothing to speak of
_HEAL = 1e-6  # distance of these neighbours: the fourth power of it is lost, and 1e-10 of digits
_AWAY = 1e3  # where the system is solved instead of at places at which all is known

Factors = list[tuple[AbstractMeasure, float]]
Choice = tuple[tuple[float, float], ...]


class AbstractConvolution(AbstractMeasure):
    """A law given by a subordination system."""

    @property
    @abstractmethod
    def system(self) -> Subordination:
        """The equations of the subordination functions."""

    @abstractmethod
    def zeta(self, z: Complex) -> Complex:
        """The variable of the system at points z of the closed upper half plane."""

    @abstractmethod
    def transforms(self, z: Complex, s: Solved) -> tuple[Complex, Complex]:
        """G and dG/dz from the solution."""

    @abstractmethod
    def potential(self, s: Solved) -> Complex:
        """The mean logarithm from the solution."""

    @property
    @abstractmethod
    def known_logs(self) -> tuple[tuple[float, complex], ...]:
        """Places at which U is known without solving: atoms, and zero of products."""

    @abstractmethod
    def sensitivity(self, z: Complex, s: Solved) -> Array:
        """``|dG / df|``."""

    @property
    @abstractmethod
    def kept(self) -> dict[bytes, Solved]:
        """The last solution: value, slope and error are asked for one after another."""

    def solved(self, z: Complex) -> Solved:
        """The solution at points z, shape (N,), of the closed upper half plane."""
        zeta = self.zeta(z)
        if zeta.size > _KEPT:
            return self.system.solve(zeta)
        key = zeta.tobytes()
        found = self.kept.get(key)
        if found is None:
            found = self.system.solve(zeta)
            self.kept.clear()
            self.kept[key] = found
        return found

    def stieltjes(self, z: Any) -> Complex:
        return _flat(lambda z: self._both(z)[0], z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return _flat(lambda z: self._both(z)[1], z)

    def stieltjes_error(self, z: Any) -> Array:
        r"""The errors of the parts and the residual, through the equations; and rounding.

        .. math::
            |\delta G| \le \Big|\frac{dG}{df}\Big| \Big(\Big|\frac{df}{d\zeta}\Big| r
            + \sum_i n_i \Big|\frac{df}{d\zeta} \frac{du_i}{df_i}\Big| \delta f_i\Big)
        """

        def upper(z: Complex) -> Complex:
            s = self.solved(z)
            with np.errstate(all="ignore"):
                moved = self.sensitivity(z, s) * self.system.error(self.zeta(z), s)
                error = moved + 1e-15 * abs(self._both(z)[0])
            return np.asarray(np.where(np.isfinite(error), error, np.inf) + 0j)

        return np.asarray(_flat(upper, z).real)

    def moments_error(self, n: int) -> Array:
        """Rounding; of high moments also how far series and contour are apart."""
        value = self.moments(n + 1)
        error = 16.0 * EPS * np.arange(1, n + 1) * absolute_moments(value)[:n]
        if n <= _LOW:
            return np.asarray(error)
        apart = abs(contour_moments(self, n) - value[:n])
        apart[:_LOW] = 0.0
        return np.asarray(
            error + np.where(np.isnan(apart), error * 2.0 ** np.arange(n), 2.0 * apart)
        )

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...]

    @abstractmethod
    def opened(self, part: AbstractMeasure) -> Factors:
        """What a part that is a convolution of this kind is made of itself."""

    @property
    @abstractmethod
    def change(self) -> tuple[float, float]:
        """Factor and offset that the constants among the parts stand for."""

    def expand(self) -> Factors:
        """The parts with their multiplicities, convolutions of the same kind among them opened."""
        return [
            (law, n * t)
            for part, n in zip(self.parts, self.times, strict=True)
            for law, t in self.opened(part)
        ]

    @cached_property
    def alone(self) -> AbstractMeasure | None:
        """The law itself where constants dilate and shift a single one; else None."""
        if len(self.system.laws) != 1 or self.system.total != 1.0:
            return None
        return dilated(self.system.laws[0], *self.change)

    def density(self, x: Any) -> Array:
        """Zero off the bands, where no equation has to be solved."""
        x = checks.real_array("x", x)
        if self.alone is not None:
            return self.alone.density(x)
        inside = self._inside(x)
        out = np.zeros(x.shape)
        out[inside] = super().density(x[inside])
        return out

    def density_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        if self.alone is not None:
            return self.alone.density_error(x)
        inside = self._inside(x)
        out = np.zeros(x.shape)
        out[inside] = super().density_error(x[inside])
        return out

    def cdf(self, x: Any) -> Array:
        """Off the bands the masses of what lies below, each taken in the middle of its gap."""
        x = checks.real_array("x", x)
        if self.alone is not None:
            return self.alone.cdf(x)
        flat = x.ravel()
        inside = self._inside(flat)
        ends, masses = self._below
        out = masses[np.searchsorted(ends, flat, side="right")]
        for place, mass in self.lone_atoms:
            out = out + np.where(flat >= place, mass, 0.0)
        out[inside] = super().cdf(flat[inside])
        return np.asarray(np.clip(out, 0.0, 1.0).reshape(x.shape))

    @cached_property
    def lone_atoms(self) -> list[tuple[float, float]]:
        """Atoms that lie in no band."""
        return [(a, m) for a, m in self.atoms if not any(p <= a <= q for p, q in self._bands)]

    @property
    def _bands(self) -> list[tuple[float, float]]:
        return [(a, b) for a, b in self.support if b > a]

    def _inside(self, x: Array) -> Booleans:
        inside = np.zeros(x.shape, dtype=bool)
        for a, b in self._bands:
            inside |= (x >= a) & (x <= b)
        return inside

    @cached_property
    def _below(self) -> tuple[Array, Array]:
        """Upper ends of the bands, and the mass of the bands below each gap, shape (k + 1,)."""
        bands, lone = self._bands, self.lone_atoms
        gaps = [(p[1], q[0]) for p, q in pairwise(bands)]
        masses = [0.0]
        for a, b in gaps:
            # the widest piece of the gap that no atom parts
            cuts = [a, *(place for place, _ in lone if a < place < b), b]
            left, right = max(pairwise(cuts), key=lambda c: c[1] - c[0])
            middle = 0.5 * (left + right)
            atoms = sum(m for place, m in lone if place <= middle)
            masses.append(max(float(super().cdf(np.array([middle]))[0]) - atoms, masses[-1]))
        if bands:
            masses.append(1.0 - sum(m for _, m in lone))
        return np.array([b for _, b in bands]), np.array(masses)

    def mean_log(self, z: Any) -> Complex:
        return _flat(self._log, z)

    def cdf_error(self, x: Any) -> Array:
        """Rounding of x and U, and what the residual moves U by."""
        x = checks.real_array("x", x)
        flat = x.ravel() + 0j
        s = self.solved(flat)
        with np.errstate(all="ignore"):
            moved = 16.0 * s.residual * (1.0 + abs(self.zeta(flat)) + np.sum(abs(s.u), axis=0))
            moved = moved * np.minimum(1.0 + abs(1.0 / np.expm1(-abs(s.f))), 1e3)
        moved = np.where(np.isfinite(moved), moved, 0.0).reshape(x.shape)
        return np.asarray(rounding_of_cdf(self, x, 4.0 * EPS * abs(x)) + moved)

    def _log(self, z: Complex) -> Complex:
        known = self.known_logs
        at = np.isin(z, [a for a, _ in known])
        size = max((abs(a) for a, _ in known), default=0.0) or 1.0
        out = _healed(lambda w: self.potential(self.solved(w)), np.where(at, _AWAY * size, z), size)
        for a, value in known:
            out[z == a] = value
        return out

    def _both(self, z: Complex) -> tuple[Complex, Complex]:
        with np.errstate(all="ignore"):
            size = float(np.max(abs(z[np.isfinite(z)]), initial=0.0))
            g = _healed(lambda w: self.transforms(w, self.solved(w))[0], z, size)
            slope = _healed(lambda w: self.transforms(w, self.solved(w))[1], z, size)
        at = np.isin(z, [a for a, _ in self.atoms])
        return np.where(at, np.inf, g), np.where(at, -np.inf, slope)


def _healed(f: Callable[[Complex], Complex], z: Complex, size: float) -> Complex:
    """F at z; next to a zero of G on the axis, where an omega is infinite, between neighbours."""
    out = np.array(f(z))
    bad = np.nonzero(~np.isfinite(out) & (z.imag == 0.0) & np.isfinite(z))[0]
    if bad.size:
        h = _HEAL * np.maximum(abs(z[bad]), size or 1.0)
        a, b, c, d = (f(z[bad] + k * h) for k in (1.0, -1.0, 2.0, -2.0))
        value = (4.0 * (a + b) - (c + d)) / 6.0
        same = abs(a.imag - b.imag) <= 1e-9 * (abs(a.imag) + abs(b.imag))  # in one gap
        out[bad] = np.where(same, value, out[bad])
    return out


def _flat(f: Callable[[Complex], Complex], z: Any) -> Complex:
    """F of flat arrays of the closed upper half plane, at z of any shape."""
    return by_halves(lambda w: f(w.ravel()).reshape(w.shape), z)


def multiplicities(
    parts: tuple[AbstractMeasure, ...], times: tuple[float, ...]
) -> tuple[float, ...]:
    """One multiplicity of at least 1 for each part; once each by default."""
    if len(parts) == 0:
        raise ValueError("a free convolution needs at least one measure, but it got none.")
    times = tuple(float(t) for t in times) or (1.0,) * len(parts)
    if len(times) != len(parts) or not all(1.0 <= t < np.inf for t in times):
        raise ValueError(
            f"times must hold one multiplicity of at least 1 for each of {len(parts)} measures, "
            f"but it is {times}."
        )
    return times


def is_constant(law: AbstractMeasure) -> bool:
    """Whether the law is a single point mass."""
    return isinstance(law, PointMasses) and len(law.places) == 1


def grouped(pairs: Factors) -> tuple[tuple[AbstractMeasure, ...], tuple[float, ...]]:
    """Distinct laws but constants, and their multiplicities.

    Laws that hold arrays, and have no value to compare, are told apart by identity.
    """
    laws: dict[Hashable, AbstractMeasure] = {}
    times: dict[Hashable, float] = {}
    for law, n in pairs:
        if is_constant(law):
            continue
        key: Hashable = law
        try:
            hash(law)
        except TypeError:
            key = id(law)
        laws.setdefault(key, law)
        times[key] = times.get(key, 0.0) + n
    return tuple(laws.values()), tuple(times.values())


def remaining_atoms(system: Subordination) -> list[tuple[Choice, float]]:
    r"""Choices of one atom of each law that stay: mass :math:`1 - \sum_i n_i (1 - p_i) > 0`."""
    choices: list[tuple[Choice, float]] = [((), 1.0)]
    for law, n in zip(system.laws, system.times, strict=True):
        heavy = [(a, p) for a, p in law.atoms if n * (1.0 - p) < 1.0 - _ATOM]
        choices = [
            ((*choice, (a, p)), mass - n * (1.0 - p))
            for (choice, mass), (a, p) in product(choices, heavy)
            if mass - n * (1.0 - p) > _ATOM
        ]
    return choices


def log_at_atom(system: Subordination, choice: Choice) -> complex:
    """U just above an atom that stays: -inf, with the angles of the parts at theirs."""
    pairs = zip(system.laws, system.times, choice, strict=True)
    angle = float(sum(n * law.mean_log(complex(a)).imag for law, n, (a, _) in pairs))
    return complex(-np.inf, angle)


def hull(law: AbstractMeasure) -> tuple[float, float]:
    """Lowest and highest point of the support."""
    points = [x for s in law.support for x in s] + [a for a, _ in law.atoms]
    return min(points), max(points)


@singledispatch
def summands_of(law: AbstractMeasure) -> Factors:
    """Laws whose free sum, with these multiplicities, the law is."""
    return [(law, 1.0)]


@singledispatch
def factors_of(law: AbstractMeasure) -> Factors:
    """Laws whose free product, with these multiplicities, the law is."""
    return [(law, 1.0)]


@summands_of.register
def _(law: Dilated) -> Factors:
    parts = summands_of(law.base)
    if len(parts) == 1 and parts[0][1] == 1.0:
        return [(law, 1.0)]
    inner: Factors = [(dilated(part, law.factor, 0.0), n) for part, n in parts]
    return [*inner, (PointMasses((law.offset,), (1.0,)), 1.0)]


@factors_of.register
def _(law: Dilated) -> Factors:
    if law.offset != 0.0 or law.factor < 0.0:
        return [(law, 1.0)]
    return [*factors_of(law.base), (PointMasses((law.factor,), (1.0,)), 1.0)]
