"""Free additive and free multiplicative convolution of any number of measures."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob import series
from chione.freeprob.charts import ProductChart, SumChart, upper_log
from chione.freeprob.classical import PointMasses
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.subordination import Solved, Subordination

_ATOM = 1e-12  # mass below which an atom is rounding
_KEPT = 100_000  # points of the last solution that are kept: value, slope, error ask for the same
_FAR = 1e90  # |G| that stands for infinite
_BESIDE = 1e-12  # how far above an atom its distribution function is read
_SCAN = 400  # points at which bands are looked for
_DENSE = 1e-7  # density that tells a band from a gap: a square root is this large at 1e-14


@dataclass(frozen=True)
class FreeSum(AbstractMeasure):
    r"""Free additive convolution :math:`\mu_1 \boxplus \dots \boxplus \mu_n`.

    .. math::
        G(z) = G_i(\omega_i), \qquad \sum_i \omega_i = z + \frac{n - 1}{G(z)}, \qquad
        U(z) = \sum_i U_i(\omega_i) + (n - 1) \log G(z)

    with :math:`U(z) = \int \log(z - t) d\mu(t)`. All :math:`\omega_i` are solved for at once; sums
    inside of sums are opened, equal laws counted, constants taken as a shift: n equal summands
    cost as much as one.

    Parameters
    ----------
    parts : tuple of AbstractMeasure
        One or more measures.
    times : tuple of float
        How often each occurs, real and at least 1; once each by default.

    References
    ----------
    .. [1] H. Bercovici, D. Voiculescu, Free convolution of measures with unbounded support,
       Indiana Univ. Math. J. 42, 1993.
    .. [2] S. T. Belinschi, H. Bercovici, A new approach to subordination results in free
       probability, J. Anal. Math. 101, 2007.
    """

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "times", _multiplicities(self.parts, self.times))

    def expand(self) -> list[tuple[AbstractMeasure, float]]:
        """The summands with their multiplicities, sums among them opened."""
        return [
            (law, n * t)
            for part, n in zip(self.parts, self.times, strict=True)
            for law, t in (part.expand() if isinstance(part, FreeSum) else [(part, 1.0)])
        ]

    @cached_property
    def system(self) -> Subordination:
        """The equations of the subordination functions."""
        return Subordination(*_grouped(self.expand()), SumChart())

    @cached_property
    def constant(self) -> float:
        """Sum of the point masses among the parts."""
        return float(sum(law.mean * n for law, n in self.expand() if _is_constant(law)))

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        laws, times = self.system.laws, self.system.times
        found = [
            (self.constant + sum(n * a for n, (a, _) in zip(times, choice, strict=True)), mass)
            for choice, mass in _remaining(laws, times)
        ]
        return tuple(sorted(found))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        hulls = [_hull(law) for law in self.system.laws]
        low, high = (
            self.constant + sum(n * h[i] for n, h in zip(self.system.times, hulls, strict=True))
            for i in (0, 1)
        )
        return _bands(self.density, low, high, self.atoms)

    def stieltjes(self, z: Any) -> Complex:
        return _by_halves(lambda z: self._value(z)[0], z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return _by_halves(lambda z: self._value(z)[1], z)

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        """G and dG/dz of one solution."""
        return self.stieltjes(z), self.stieltjes_derivative(z)

    def stieltjes_error(self, z: Any) -> Array:
        r"""The error of z that the residual stands for, times the slope of G; and rounding.

        .. math:: |\delta G| \le |G'(z)| \Big(r + \sum_i n_i \frac{\delta G_i}{|G_i'|}\Big)
        """
        flat = _upper(z)
        s = self._solved(flat)
        g, slope = self._value(flat)
        with np.errstate(all="ignore"):
            error = abs(slope) * self.system.error(flat - self.constant, s) + 8.0 * EPS * abs(g)
        return np.asarray(np.where(np.isfinite(error), error, np.inf).reshape(np.shape(z)))

    def mean_log(self, z: Any) -> Complex:
        def upper(z: Complex) -> Complex:
            s = self._solved(self._beside_atoms(z))
            logs = self.system.sum_of(lambda law, u: law.mean_log(u), s)
            return np.asarray(logs - (self.system.total - 1.0) * upper_log(s.f))

        return _by_halves(upper, z)

    def cdf(self, x: Any) -> Array:
        """P(t <= x), 1 - Im U / pi."""
        x = checks.real_array("x", x)
        return np.asarray(np.clip(1.0 - self.mean_log(x + 0j).imag / np.pi, 0.0, 1.0))

    def moments(self, n: int) -> Array:
        kappa = np.zeros(n)
        kappa[0] = self.constant
        for law, times in zip(self.system.laws, self.system.times, strict=True):
            kappa += times * law.free_cumulants(n)
        return series.moments_from_free_cumulants(kappa)

    def r_transform(self, g: Any) -> Complex:
        g = np.asarray(g, dtype=complex)
        pairs = zip(self.system.laws, self.system.times, strict=True)
        return np.asarray(sum((n * law.r_transform(g) for law, n in pairs), self.constant + 0j * g))

    # --------------------------------------------------------------------------------- inside

    @cached_property
    def _kept(self) -> dict[bytes, Solved]:
        return {}

    def _solved(self, z: Complex) -> Solved:
        return _remembered(self._kept, self.system, z - self.constant)

    def _value(self, z: Complex) -> tuple[Complex, Complex]:
        s = self._solved(z)
        with np.errstate(all="ignore"):
            g = 1.0 / s.f
            slope = -s.slope * g * g
        at = np.isin(z, [a for a, _ in self.atoms])
        return np.where(at, np.inf, g), np.where(at, -np.inf, slope)

    def _beside_atoms(self, z: Complex) -> Complex:
        """At an atom U is infinite, but its imaginary part is that just above the atom."""
        size = 1.0 + max((abs(a) for a, _ in self.atoms), default=0.0)
        at = np.isin(z, [a for a, _ in self.atoms])
        return np.asarray(np.where(at, z + _BESIDE * size, z))


@dataclass(frozen=True)
class FreeProduct(AbstractMeasure):
    r"""Free multiplicative convolution of measures on [0, inf).

    .. math::
        x = M_i(\omega_i), \qquad \prod_i \omega_i = z \Big(\frac{1 + x}{x}\Big)^{n-1}, \qquad
        G(z) = \frac{1 + x}{z}, \qquad U(z) = \sum_i U_i(\omega_i) + (n - 1) \log x

    All :math:`\omega_i` are solved for at once, in logarithms; products inside of products are
    opened, equal laws counted, constants taken as a dilation.

    Parameters
    ----------
    parts : tuple of AbstractMeasure
        One or more measures on the half line, none of them the point mass at zero.
    times : tuple of float
        How often each occurs, real and at least 1; once each by default.

    References
    ----------
    .. [1] S. T. Belinschi, H. Bercovici, A new approach to subordination results in free
       probability, J. Anal. Math. 101, 2007.
    """

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "times", _multiplicities(self.parts, self.times))
        for law in self.parts:
            low, high = _hull(law)
            if low < 0.0:
                raise ValueError(
                    "a free product needs measures on [0, inf), but one reaches down to "
                    f"{low:g}; use the law of squares, or a free sum."
                )
            if high == 0.0:
                raise ValueError(
                    "a free product with the point mass at 0 is the point mass at 0; leave it out "
                    "or use point_mass(0.0)."
                )

    def expand(self) -> list[tuple[AbstractMeasure, float]]:
        """The factors with their multiplicities, products among them opened."""
        return [
            (law, n * t)
            for part, n in zip(self.parts, self.times, strict=True)
            for law, t in (part.expand() if isinstance(part, FreeProduct) else [(part, 1.0)])
        ]

    @cached_property
    def system(self) -> Subordination:
        """The equations of the logarithms of the subordination functions."""
        return Subordination(*_grouped(self.expand()), ProductChart())

    @cached_property
    def log_constant(self) -> float:
        """Logarithm of the product of the point masses among the parts."""
        return float(sum(np.log(law.mean) * n for law, n in self.expand() if _is_constant(law)))

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        laws, times = self.system.laws, self.system.times
        found = [
            (float(np.exp(self.log_constant) * np.prod([a**n for n, a in places])), mass)
            for choice, mass in _remaining(laws, times)
            if all(a > 0.0 for a, _ in choice)
            for places in [list(zip(times, (a for a, _ in choice), strict=True))]
        ]
        zero = max((m for law in laws for a, m in law.atoms if a == 0.0), default=0.0)
        if zero > _ATOM:
            found.append((0.0, zero))
        return tuple(sorted(found))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        tops = [_hull(law)[1] ** n for law, n in zip(*self._factors, strict=True)]
        return _bands(self.density, 0.0, float(np.prod(tops)), self.atoms)

    def stieltjes(self, z: Any) -> Complex:
        return _by_halves(lambda z: self._value(z)[0], z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return _by_halves(lambda z: self._value(z)[1], z)

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        """G and dG/dz of one solution."""
        return self.stieltjes(z), self.stieltjes_derivative(z)

    def stieltjes_error(self, z: Any) -> Array:
        r"""The error of log z that the residual stands for, times the slope of G; and rounding."""
        flat = _upper(z)
        s = self._solved(flat)
        with np.errstate(all="ignore"):
            slope = s.slope / (4.0 * np.sinh(0.5 * s.f) ** 2)  # dP / dlog z
            moved = abs(slope) * self.system.error(self._log(flat), s)
            error = moved / abs(_no_zero(flat)) + 8.0 * EPS * abs(self._value(flat)[0])
        return np.asarray(np.where(np.isfinite(error), error, np.inf).reshape(np.shape(z)))

    def mean_log(self, z: Any) -> Complex:
        def upper(z: Complex) -> Complex:
            s = self._solved(self._beside_atoms(z))
            logs = self.system.sum_of(lambda law, u: law.mean_log(u), s)
            with np.errstate(all="ignore"):
                log = upper_log(np.expm1(s.f))  # of 1 / x
            return np.asarray(
                self.log_constant + logs - (self.system.total - 1.0) * log
            )

        return _by_halves(upper, z)

    def cdf(self, x: Any) -> Array:
        """P(t <= x), 1 - Im U / pi."""
        x = checks.real_array("x", x)
        return np.asarray(np.clip(1.0 - self.mean_log(x + 0j).imag / np.pi, 0.0, 1.0))

    def moments(self, n: int) -> Array:
        s = np.zeros(n)
        s[0] = np.exp(-self.log_constant)
        for law, times in zip(self.system.laws, self.system.times, strict=True):
            s = series.multiply(s, series.power(law.s_coefficients(n), times))
        return series.moments_from_s(s)

    def s_transform(self, x: Any) -> Complex:
        x = np.asarray(x, dtype=complex)
        pairs = zip(self.system.laws, self.system.times, strict=True)
        logs = sum((n * np.log(law.s_transform(x)) for law, n in pairs), 0j * x)
        return np.asarray(np.exp(logs - self.log_constant))

    # --------------------------------------------------------------------------------- inside

    @property
    def _factors(self) -> tuple[list[AbstractMeasure], list[float]]:
        pairs = self.expand()
        return [law for law, _ in pairs], [n for _, n in pairs]

    @cached_property
    def _kept(self) -> dict[bytes, Solved]:
        return {}

    def _log(self, z: Complex) -> Complex:
        return np.asarray(upper_log(_no_zero(z)) - self.log_constant)

    def _solved(self, z: Complex) -> Solved:
        return _remembered(self._kept, self.system, self._log(z))

    def _value(self, z: Complex) -> tuple[Complex, Complex]:
        s = self._solved(z)
        w = _no_zero(z)
        with np.errstate(all="ignore"):
            p = -1.0 / np.expm1(-s.f)
            g = p / w
            slope = (s.slope / (4.0 * np.sinh(0.5 * s.f) ** 2) - p) / (w * w)
        at = np.isin(z, [a for a, _ in self.atoms])
        g = np.where(abs(g) > _FAR, np.sign(g.real) * np.inf + 1j * np.sign(g.imag) * np.inf, g)
        return np.where(at, np.inf, g), np.where(at, -np.inf, slope)

    def _beside_atoms(self, z: Complex) -> Complex:
        at = np.isin(z, [a for a, _ in self.atoms if a > 0.0])
        return np.asarray(np.where(at, z * (1.0 + _BESIDE), z))


def free_sum(*laws: AbstractMeasure) -> FreeSum:
    """Law of the sum of free variables with these laws."""
    return FreeSum(laws)


def free_product(*laws: AbstractMeasure) -> FreeProduct:
    """Law of the product (in symmetric form) of free positive variables with these laws."""
    return FreeProduct(laws)


# ------------------------------------------------------------------------------------- the parts


def _multiplicities(
    parts: tuple[AbstractMeasure, ...], times: tuple[float, ...]
) -> tuple[float, ...]:
    if len(parts) == 0:
        raise ValueError("a free convolution needs at least one measure, but it got none.")
    times = tuple(float(t) for t in times) or (1.0,) * len(parts)
    if len(times) != len(parts) or not all(1.0 <= t < np.inf for t in times):
        raise ValueError(
            f"times must hold one multiplicity of at least 1 for each of {len(parts)} measures, "
            f"but it is {times}."
        )
    return times


def _is_constant(law: AbstractMeasure) -> bool:
    return isinstance(law, PointMasses) and len(law.places) == 1


def _grouped(
    pairs: list[tuple[AbstractMeasure, float]],
) -> tuple[tuple[AbstractMeasure, ...], tuple[float, ...]]:
    """Distinct laws and their multiplicities; laws that hold arrays are told apart by identity."""
    laws: dict[Hashable, AbstractMeasure] = {}
    times: dict[Hashable, float] = {}
    for law, n in pairs:
        if _is_constant(law):
            continue
        key: Hashable = law
        try:
            hash(law)
        except TypeError:
            key = id(law)
        laws.setdefault(key, law)
        times[key] = times.get(key, 0.0) + n
    return tuple(laws.values()), tuple(times.values())


def _remaining(
    laws: tuple[AbstractMeasure, ...], times: tuple[float, ...]
) -> list[tuple[tuple[tuple[float, float], ...], float]]:
    r"""Choices of one atom of each law that stay: mass :math:`1 - \sum_i n_i (1 - p_i) > 0`."""
    choices: list[tuple[tuple[tuple[float, float], ...], float]] = [((), 1.0)]
    for law, n in zip(laws, times, strict=True):
        kept = product(choices, law.atoms)
        choices = [
            ((*choice, atom), left)
            for (choice, mass), atom in kept
            if (left := mass - n * (1.0 - atom[1])) > _ATOM
        ]
    return choices


# ------------------------------------------------------------------------------------- the points


def _upper(z: Any) -> Complex:
    """Points as a flat array in the closed upper half plane."""
    z = np.asarray(z, dtype=complex).ravel()
    return np.asarray(z.real + 1j * abs(z.imag))


def _by_halves(f: Callable[[Complex], Complex], z: Any) -> Complex:
    """f of the closed upper half plane at z of any shape, by conjugation below."""
    z = np.asarray(z, dtype=complex)
    value = f(_upper(z)).reshape(z.shape)
    return np.asarray(np.where(z.imag < 0.0, np.conj(value), value))


def _no_zero(z: Complex) -> Complex:
    return np.asarray(np.where(z == 0.0, 1e-300, z))


def _remembered(kept: dict[bytes, Solved], system: Subordination, zeta: Complex) -> Solved:
    """The last solution is kept: its value, slope and error are asked for one after another."""
    if zeta.size > _KEPT:
        return system.solve(zeta)
    key = zeta.tobytes()
    found = kept.get(key)
    if found is None:
        found = system.solve(zeta)
        kept.clear()
        kept[key] = found
    return found


def _hull(m: AbstractMeasure) -> tuple[float, float]:
    points = [x for s in m.support for x in s] + [a for a, _ in m.atoms]
    return min(points), max(points)


def _bands(
    density: Callable[[Any], Array], low: float, high: float, atoms: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """Intervals of positive density inside [low, high], ends found by bisection."""
    margin = 1e-3 * (high - low)
    u = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, _SCAN))
    start = low if low == 0.0 else low - margin
    x = start + (high + margin - start) * u
    x = x[(x != 0.0)]
    on = density(x) > _DENSE
    if on[0]:
        x, on = np.concatenate([[start], x]), np.concatenate([[False], on])
    change = np.nonzero(on[1:] != on[:-1])[0]
    inner = np.where(on[change], x[change], x[change + 1])
    outer = np.where(on[change], x[change + 1], x[change])
    for _ in range(46):
        mid = 0.5 * (inner + outer)
        is_on = density(mid) > _DENSE
        inner, outer = np.where(is_on, mid, inner), np.where(is_on, outer, mid)
    ends = np.sort(0.5 * (inner + outer))
    out = [(float(a), float(b)) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
    return tuple(sorted([*out, *((a, a) for a, _ in atoms)]))
