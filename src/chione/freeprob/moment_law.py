"""A measure of which finitely many moments are known: what they determine, with bounds."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import comb

from chione.base import EPS, Array, SpecError, checks
from chione.freeprob import jacobi, series
from chione.freeprob.cumulants import free_cumulants
from chione.freeprob.dilation import dilated
from chione.freeprob.jacobi import Jacobi
from chione.freeprob.measures import AbstractMeasure, Complex, absolute_moments, by_halves
from chione.freeprob.point_masses import PointMasses

_LINE = (-np.inf, np.inf)
_MOST = 60  # moments; beyond, float64 holds nothing of them
_ATOMIC = 64.0  # roundings within which a few atoms have all the moments
_OUTSIDE = 1e-9  # how far, relative, a node may lie outside of the support that was given
_STEP = 1e-5  # relative step of the difference that stands for dG/dz


@dataclass(frozen=True, eq=False)
class MomentLaw(AbstractMeasure):
    r"""Any measure with the moments :math:`m_1 .. m_n`.

    .. math:: G(z) = \cfrac{1}{z - a_0 - \cfrac{b_1}{z - a_1 - \dots - b_k w}}

    The continued fraction is that of the moments, w the transform at z of a probability measure on
    the support, of which no more is known: it lies in a disc, and so does G [1]_. The disc's centre
    is the value, its radius the error. The distribution function lies between the sums of the
    Chebyshev-Markov-Stieltjes inequalities [2]_. The density is not determined.

    Parameters
    ----------
    known : ndarray, shape (n,)
        The moments.
    doubt : ndarray, shape (n,)
        Bounds on their errors.
    hull : tuple of float
        Interval that carries the measure; may be infinite.
    jacobi : Jacobi
        The continued fraction.

    References
    ----------
    .. [1] N. I. Akhiezer, The Classical Moment Problem, Oliver & Boyd 1965, chapters 1 and 2.
    .. [2] G. Szego, Orthogonal Polynomials, AMS 1975, section 3.41.
    """

    known: Array
    doubt: Array = field(repr=False)
    hull: tuple[float, float]
    jacobi: Jacobi = field(repr=False)

    @property
    def is_determined(self) -> bool:
        return False

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ()

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return (self.hull,)

    def stieltjes(self, z: Any) -> Complex:
        return by_halves(lambda z: self._disc(z)[0], z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        # for Newton's method only: of a value that is known to a radius there is no derivative
        z = np.asarray(z, dtype=complex)
        h = _STEP * abs(z)
        up = np.where(z.imag < 0.0, -1j, 1j) * h
        at_axis = z.imag == 0.0
        step = np.where(at_axis, h + 0j, up)
        with np.errstate(all="ignore"):
            return np.asarray((self.stieltjes(z + step) - self.stieltjes(z - step * at_axis)) / (
                step * np.where(at_axis, 2.0, 1.0)
            ))  # fmt: skip

    def stieltjes_error(self, z: Any) -> Array:
        def radius(z: Complex) -> Complex:
            center, radius = self._disc(z)
            return np.asarray(radius + 64.0 * EPS * abs(center) + 0j)

        z = np.asarray(z, dtype=complex)
        bound = by_halves(radius, z).real + self._moved(z)
        return np.asarray(np.where(np.isfinite(bound), bound, np.inf))

    def density(self, x: Any) -> Array:
        return np.full(checks.real_array("x", x).shape, np.nan)

    def density_error(self, x: Any) -> Array:
        return self.density(x)

    def cdf(self, x: Any) -> Array:
        return 0.5 * (self._between(x)[0] + self._between(x)[1])

    def cdf_error(self, x: Any) -> Array:
        low, high = self._between(x)
        return np.asarray(0.5 * (high - low) + 1e-12 * (high > low))

    def moments(self, n: int) -> Array:
        return np.concatenate([self.known, np.full(max(n - self.known.size, 0), np.nan)])[:n]

    def moments_error(self, n: int) -> Array:
        return np.concatenate([self.doubt, np.full(max(n - self.known.size, 0), np.nan)])[:n]

    # -------------------------------------------------------------------------------- inside

    def _disc(self, z: Complex) -> tuple[Complex, Array]:
        return _disc(self.jacobi, self.hull, z)

    def _moved(self, z: Complex) -> Array:
        """What the errors of the moments move the centre by, from a few signs of theirs."""
        out = np.zeros(z.shape)
        z = np.where(z.imag < 0.0, np.conj(z), z)
        center = self._disc(z)[0]
        for other in self._others:
            out = np.maximum(out, abs(_disc(other, self.hull, z)[0] - center))
        return np.asarray(2.0 * out)

    @cached_property
    def _others(self) -> list[Jacobi]:
        """Continued fractions of moments moved by their errors, as long as this one."""
        k = np.arange(self.known.size)
        found = []
        for sign in (np.ones(k.size), (-1.0) ** k, (-1.0) ** (k // 2)):
            for s in (sign, -sign):
                moved = jacobi.from_moments(self.known + s * self.doubt, 2.0 * self.doubt)
                a, b = self.jacobi.a.size, self.jacobi.b.size
                if moved.a.size >= a and moved.b.size >= b:
                    found.append(Jacobi(moved.a[:a], moved.b[:b], self.jacobi.ended))
        return found

    def _between(self, x: Any) -> tuple[Array, Array]:
        """Bounds on F, of the quadrature that has x among its nodes."""
        x = checks.real_array("x", x)
        k = min(self.jacobi.a.size, self.jacobi.b.size)
        low, high = np.zeros(x.size), np.ones(x.size)
        for i, at in enumerate(x.ravel()):
            if at < self.hull[0]:
                high[i] = 0.0
            elif at >= self.hull[1]:
                low[i] = 1.0
            elif k:
                node, weight = jacobi.through(self.jacobi.a[:k], self.jacobi.b[:k], float(at))
                nearest = int(np.argmin(abs(node - at)))
                low[i] = weight[:nearest].sum()
                high[i] = weight[: nearest + 1].sum()
        return low.reshape(x.shape), high.reshape(x.shape)


def moment_law(moments: Any, support: Any = None, *, error: Any = None) -> AbstractMeasure:
    """A measure with these moments; see :func:`chione.freeprob.from_moments`."""
    m = checks.real_array("moments", moments)
    if m.ndim != 1 or not 1 <= m.size <= _MOST:
        raise SpecError(
            f"moments must be a list of 1 to {_MOST} numbers m_1, m_2, .., but their shape is "
            f"{m.shape}."
        )
    hull = _LINE if support is None else _hull(support)
    size = abs(m) if m.size < 2 else np.fmax(absolute_moments(m), abs(m))
    doubt = EPS * size if error is None else np.maximum(checks.real_array("error", error), 0.0)
    found = jacobi.from_moments(m, doubt)
    k = min(found.a.size, found.b.size + 1)
    place, mass = jacobi.gauss(found.a[:k], found.b[: k - 1])
    if found.ended and _has_all(place, mass, m, size):
        return PointMasses.empirical(place, mass)
    room = _OUTSIDE * (hull[1] - hull[0]) if np.all(np.isfinite(hull)) else 0.0
    outside = place[0] < hull[0] - room or place[-1] > hull[1] + room
    if outside or (room and _too_narrow(found, hull, room)):
        raise SpecError(
            f"no measure on [{hull[0]:g}, {hull[1]:g}] has these moments: some of its mass must "
            "lie beyond; give a wider support."
        )
    return MomentLaw(m, doubt, hull, found)


def _too_narrow(j: Jacobi, hull: tuple[float, float], room: float) -> bool:
    """Whether the next diagonal entry, which the hull bounds on both sides, has no place."""
    k = j.b.size
    first, last = (jacobi.last_entry(j.a[:k], j.b, x) for x in hull)
    return bool(first > last + room) and not j.ended


def _has_all(place: Array, mass: Array, m: Array, size: Array) -> bool:
    k = np.arange(1, m.size + 1)[:, None]
    return bool(np.all(abs(place**k @ mass - m) <= _ATOMIC * EPS * size))


def _hull(support: Any) -> tuple[float, float]:
    a = np.asarray(support, dtype=np.float64)
    if a.shape != (2,) or not a[0] < a[1]:
        raise SpecError(f"support must be one pair (a, b) with a < b, but it is {support!r:.60}.")
    return float(a[0]), float(a[1])


def _disc(j: Jacobi, hull: tuple[float, float], z: Complex) -> tuple[Complex, Array]:
    """The smaller of two discs in which G(z) lies: by the hull, and by moments alone."""
    center, radius = _disc_on(j, hull, z)
    if hull == _LINE:
        return center, radius
    other, size = _disc_on(j, _LINE, z)
    less = size < radius
    return np.where(less, other, center), np.where(less, size, radius)


def _disc_on(j: Jacobi, hull: tuple[float, float], z: Complex) -> tuple[Complex, Array]:
    """Centre and radius of a disc in which G(z) lies, z in the closed upper half plane."""
    k = j.b.size
    a, b = j.a[:k], j.b
    mean = float(j.a[k]) if j.a.size > k and not j.ended else None
    first, last = (jacobi.last_entry(a, b, x) if np.isfinite(x) else x for x in (hull[0], hull[1]))
    with np.errstate(all="ignore"):
        center, radius = _rest(first, last, mean, hull, z)
        for p, q in zip(a[::-1], b[::-1], strict=True):
            center, radius = _reciprocal(z - p - q * center, q * radius)
    lost = ~np.isfinite(center) | ~np.isfinite(radius) | (radius < 0.0)
    return np.where(lost, np.nan, center), np.where(lost, np.inf, radius)


def _reciprocal(center: Complex, radius: Array) -> tuple[Complex, Array]:
    """The disc of 1/u, u in a disc without 0."""
    room = abs(center) ** 2 - radius**2
    return np.asarray(np.conj(center) / room), np.asarray(radius / room)


def _rest(
    first: float, last: float, mean: float | None, hull: tuple[float, float], z: Complex
) -> tuple[Complex, Array]:
    r"""Disc of w, the transform of what the moments leave open.

    With :math:`w = 1 / (z - s)`, s maps the upper half plane to the lower one and is between
    `first` and `last` on the axis outside of the hull: the argument of
    :math:`(s - first) / (last - s)` is at most the angle under which z sees the hull.
    """
    y: Array = z.imag
    open_ = (np.where(y > 0.0, -0.5j / y, np.nan), np.where(y > 0.0, 0.5 / y, np.inf))
    left, right = (y == 0.0) & (z.real < hull[0]), (y == 0.0) & (z.real > hull[1])
    if not np.all(np.isfinite(hull)):
        # one end is enough on its own side of the axis
        edge = np.where(left, 0.5 / (z - first), np.where(right, 0.5 / (z - last), np.nan))
        center = np.asarray(np.where(left | right, edge, open_[0]), dtype=complex)
        return center, np.asarray(np.where(left | right, abs(edge), open_[1]))
    angle = np.where(left | right, 0.0, abs(np.angle((z - hull[1]) / (z - hull[0]))))
    half, middle = 0.5 * (last - first), 0.5 * (first + last)
    obtuse = angle > 0.5 * np.pi
    s = np.where(obtuse, middle + 1j * half / np.tan(angle), middle + 0j)
    size = np.where(obtuse, half / np.sin(angle), half)
    if mean is not None:  # on the axis s is between its value at infinity and that of two atoms
        up, down = last - mean, mean - first
        place = (up * hull[1] + down * hull[0]) / (up + down)
        other = mean + up * (hull[1] - place) / (z - place)
        s = np.where(left | right, 0.5 * (mean + other), s)
        size = np.where(left | right, 0.5 * abs(other - mean), size)
    center, radius = _reciprocal(np.asarray(z - s), size)
    inside = (y == 0.0) & ~(left | right)
    return np.where(inside, np.nan, center), np.where(inside, np.inf, radius)


@dilated.register
def _(law: MomentLaw, factor: float, offset: float) -> AbstractMeasure:
    n = law.known.size
    k = np.arange(n + 1)
    m, doubt = np.concatenate([[1.0], law.known]), np.concatenate([[0.0], law.doubt])
    size = np.concatenate([[1.0], np.fmax(absolute_moments(law.known), abs(law.known))])

    def moved(a: float, b: float, x: Array) -> Array:
        rows = [comb(j, k[: j + 1]) * a ** k[: j + 1] * b ** (j - k[: j + 1]) for j in k[1:]]
        return np.array([float(r @ x[: r.size]) for r in rows])

    error = moved(abs(factor), abs(offset), doubt + 8.0 * EPS * (k + 1) * size)
    ends = sorted(factor * x + offset for x in law.hull)
    return moment_law(moved(factor, offset, m), ends, error=error)


def sum_of_moments(laws: tuple[AbstractMeasure, ...], times: tuple[float, ...]) -> AbstractMeasure:
    """Free sum, with multiplicities, as far as the moments of all are known."""
    n = _common(laws)
    kappa, error = np.zeros(n), np.zeros(n)
    for law, t in zip(laws, times, strict=True):
        one, bound = free_cumulants(law, n)
        kappa, error = kappa + t * one, error + t * bound + 2.0 * EPS * abs(t * one)
    m, bound = series.moments_with_error(kappa, error)
    ends = [_ends(law) for law in laws]
    hull = [sum(t * e[i] for t, e in zip(times, ends, strict=True)) for i in (0, 1)]
    return moment_law(m, hull if np.all(np.isfinite(hull)) else None, error=bound)


def product_of_moments(
    laws: tuple[AbstractMeasure, ...], times: tuple[float, ...]
) -> AbstractMeasure:
    """Free product, with powers, as far as the moments of all are known."""
    n = _common(laws)
    if any(_ends(law)[0] < 0.0 for law in laws):
        raise SpecError(
            "a free product needs measures on [0, inf), but one may reach below 0; give "
            "from_moments its support, as in support=(0, 4)."
        )
    m = _multiplied([law.moments(n) for law in laws], times)
    error = 1e2 * n * EPS * abs(m)
    for i, law in enumerate(laws):  # by differences: S is a smooth function of few moments
        for k, bound in enumerate(law.moments_error(n)):
            moved = [other.moments(n).copy() for other in laws]
            step = max(float(bound), 1e-7 * abs(float(moved[i][k])), 1e-300)
            moved[i][k] += step
            error += 2.0 * abs(_multiplied(moved, times) - m) * float(bound) / step
    top = float(np.prod([_ends(law)[1] ** t for law, t in zip(laws, times, strict=True)]))
    return moment_law(m, (0.0, top) if np.isfinite(top) else None, error=error)


def _multiplied(moments: list[Array], times: tuple[float, ...]) -> Array:
    s = np.zeros(moments[0].size)
    s[0] = 1.0
    for m, t in zip(moments, times, strict=True):
        s = series.multiply(s, series.power(series.s_coefficients(m), t))
    return series.moments_from_s(s)


def _common(laws: tuple[AbstractMeasure, ...]) -> int:
    return min(law.known.size for law in laws if isinstance(law, MomentLaw))


def _ends(law: AbstractMeasure) -> tuple[float, float]:
    return law.support[0][0], law.support[-1][1]
