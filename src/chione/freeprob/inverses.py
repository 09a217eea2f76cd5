r"""Inverses of G and M on the branch that begins at infinity, with errors.

The inverse of G is continued from g = 0, where :math:`z \approx 1/g`, along the straight line to g,
that of M from x = 0, where :math:`z \approx m_1/x`. On the real axis G and, for measures on one
side of 0, M are monotone outside of the support, and the inverse is bracketed up to the ends of the
support. Elsewhere the line is followed by steps of Newton's method whose lengths adapt; the inverse
ends where the line meets a branch point or z the support.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.base.newton import bracketed_newton
from chione.freeprob.dilation import dilated
from chione.freeprob.measures import AbstractMeasure, Booleans, Complex, Integers

Bands = tuple[tuple[float, float], ...]

_FAR = 1e3  # in sizes of the support: where the line is begun
_CORRECTIONS = 8  # of Newton's method after a prediction
_FARTHEST = 1e20  # from there on one term of the series is exact
_STRAY = 0.3  # a correction larger than this part of the prediction: the step was too long
_SHORTEST = 1e-7  # relative step at which the line has met a singular point
_ROUNDS = 150
_LEAST = 1e-300  # nearest to 0 that a point on the negative axis is looked for
_TAKEN = 64.0  # stated errors of f up to which a residual is rounding


@dataclass(frozen=True)
class Inverse:
    """Points z, bounds on their errors, and where there are any; all of shape (n,)."""

    z: Complex
    error: Array
    ok: Booleans


@dataclass(frozen=True)
class Function:
    """f, its derivative, its error, and the residue of z ~ residue / f at infinity."""

    value: Callable[[Complex], Complex]
    slope: Callable[[Complex], Complex]
    error: Callable[[Complex], Array]
    residue: float


def function_g(law: AbstractMeasure) -> Function:
    """G as a function to invert."""
    return Function(law.stieltjes, law.stieltjes_derivative, law.stieltjes_error, 1.0)


def function_m(law: AbstractMeasure) -> Function:
    """M as a function to invert."""
    return Function(
        law.moment_function,
        law.moment_function_derivative,
        law.moment_function_error,
        law.mean,
    )


def inverse_stieltjes(law: AbstractMeasure, g: Complex) -> Inverse:
    """Z with G(z) = g, g of shape (n,) without zeros."""
    f = function_g(law)
    low, high = law.support[0][0], law.support[-1][1]
    z = np.full(g.shape, np.nan + 0j)
    real = g.imag == 0.0
    right, left = real & (g.real > 0.0), real & (g.real < 0.0)
    if np.isfinite(high) and right.any():
        x = g[right].real
        near = np.zeros(x.shape) if low == -np.inf else 1.0 / x - (high - low)
        z[right] = _outside(f, x, high, 1.0, near, 1.0 / x)
    if np.isfinite(low) and left.any():
        x = g[left].real
        near = np.zeros(x.shape) if high == np.inf else -1.0 / x - (high - low)
        z[left] = _outside(f, x, low, -1.0, near, -1.0 / x)
    rest = ~real
    z[rest] = _follow(f, g[rest], law.support)
    return judged(f, z, g)


def inverse_moment_function(law: AbstractMeasure, x: Complex) -> Inverse:
    """Z with M(z) = x, x of shape (n,) without zeros; the mean must not be 0."""
    low, high = law.support[0][0], law.support[-1][1]
    if high <= 0.0:  # M of the reflected law at -z
        found = inverse_moment_function(dilated(law, -1.0, 0.0), x)
        return Inverse(-found.z, found.error, found.ok)
    f = function_m(law)
    z = np.full(x.shape, np.nan + 0j)
    rest = np.ones(x.shape, dtype=bool)
    if low >= 0.0:
        real = x.imag == 0.0
        right, left = real & (x.real > 0.0), real & (x.real < 0.0)
        if np.isfinite(high) and right.any():
            at = x[right].real
            z[right] = _outside(f, at, high, 1.0, f.residue / at - high, high / at)
        if left.any():
            at = x[left].real
            # an atom at 0 has no part in M, which goes on up to the next of the support
            start = next((a for a, b in law.support if b > 0.0), 0.0)
            near = -f.residue / at - (high - start)
            z[left] = _outside(f, at, start, -1.0, near, -f.residue / at)
        rest = ~real
    z[rest] = _follow(f, x[rest], law.support)
    return judged(f, z, x)


def inverse_r(
    law: AbstractMeasure, r: Complex, kappa: tuple[float, float], doubt: float
) -> Inverse:
    r"""The z at which :math:`R(G(z)) = z - 1/G(z)` is r, other than the mean kappa_1.

    Followed from infinity, where :math:`R(G(z)) - \kappa_1 \approx \kappa_2 / z`.
    """

    def slope(z: Complex) -> Complex:
        g, g1 = law.stieltjes_with_derivative(z)
        return np.asarray(1.0 + g1 / g**2)

    def error(z: Complex) -> Array:
        g = law.stieltjes(z)
        value = abs(law.moment_function(z) / g)
        relative = law.moment_function_error(z) + value * law.stieltjes_error(z)
        return np.asarray(relative / abs(g) + 4.0 * EPS * (value + abs(kappa[0])) + doubt)

    f = Function(
        lambda z: law.moment_function(z) / law.stieltjes(z) - kappa[0], slope, error, kappa[1]
    )
    t = r - kappa[0]
    return judged(f, _follow(f, t, law.support), t)


def inverse_s(law: AbstractMeasure, s: Complex, mean: float, second: float) -> Inverse:
    r"""The z at which :math:`S(M(z)) = G(z) / M(z)` is s, other than one over the mean.

    Followed from infinity, where :math:`S(M(z)) - 1/m_1 \approx (m_1^2 - m_2) / (m_1^2 z)`.
    """

    def slope(z: Complex) -> Complex:
        (g, g1), m = law.stieltjes_with_derivative(z), law.moment_function(z)
        return np.asarray((g1 - g * law.moment_function_derivative(z) / m) / m)

    def error(z: Complex) -> Array:
        g, m = law.stieltjes(z), law.moment_function(z)
        value = abs(g / m)
        relative = law.stieltjes_error(z) + value * law.moment_function_error(z)
        return np.asarray(relative / abs(m) + 8.0 * EPS * (value + 1.0 / abs(mean)))

    residue = 1.0 - second / mean**2
    f = Function(
        lambda z: law.stieltjes(z) / law.moment_function(z) - 1.0 / mean, slope, error, residue
    )
    t = s - 1.0 / mean
    return judged(f, _follow(f, t, law.support), t)


def _outside(
    f: Function, target: Array, end: float, side: float, near: Array, far: Array
) -> Complex:
    """Real points beyond an end of the support, at distances between `near` and `far` from it.

    Solved for 1/f, which rises with slope near one in z and is concave in the distance: Newton's
    method has no bad starts.
    """
    far = far * (1.0 + 8.0 * EPS)
    floor = max(1e-2 * EPS * abs(end), _LEAST)
    near = np.minimum(np.maximum(near * (1.0 - 8.0 * EPS), floor), far)
    near = np.maximum(near / far, 1e-150)  # in units of `far`, where squares stay in range

    def at(u: Array, i: Integers) -> Complex:
        return np.asarray(end + side * (u * far[i]), dtype=complex)

    def gap(u: Array, i: Integers) -> tuple[Array, Array, Array]:
        z = at(u, i)
        with np.errstate(all="ignore"):
            g = f.value(z).real
            value = side * (1.0 / target[i] - np.where(np.isfinite(g), 1.0 / g, 0.0))  # 0: an atom
            slope = f.slope(z).real / g**2 * far[i]
        return value, slope, np.zeros(u.shape)

    every = np.arange(far.size)
    u = bracketed_newton(gap, near, np.ones(far.size), np.sqrt(near), logarithmic=True)
    with np.errstate(all="ignore"):
        beyond = gap(near, every)[0] < 0.0  # f at the end is not as large as wanted
        z = at(np.where(beyond, 0.0, u), every)
        end_of_range = abs(target) > abs(f.value(z)) + f.error(z)
    z[beyond & end_of_range] = np.nan
    return z


def _follow(f: Function, target: Complex, support: Bands) -> Complex:
    """Z along the straight line from far out, where z = residue / (s target), to s = 1."""
    ends = [abs(x) for x in (support[0][0], support[-1][1]) if np.isfinite(x)]
    bands = tuple((a, b) for a, b in support if b > a)
    size = max([*ends, abs(f.residue), 1e-300])
    with np.errstate(all="ignore"):
        z = f.residue / target
        asymptotic = abs(z) > _FARTHEST * size * max(size / abs(f.residue), 1.0)
        last = np.where(asymptotic, z, np.nan)
        log_s = np.minimum(np.log(abs(z) / (_FAR * size)), 0.0)
        z = z / np.exp(log_s)
        step = np.full(target.shape, 0.7)
        active = np.arange(target.size)
        # the far end itself is solved for before the walk
        z, good = _corrected(f, z, target * np.exp(log_s), 0.1 * abs(z))
        z[~good] = last[~good]
        active = active[good & (log_s < 0.0)]
        for _ in range(_ROUNDS):
            if active.size == 0:
                break
            now, s, length = z[active], log_s[active], step[active]
            length = np.minimum(length, -s)
            aim = target[active] * np.exp(s + length)
            turn = length * target[active] * np.exp(s) / (f.slope(now) * now)
            guess = now * np.exp(turn)
            new, good = _corrected(f, guess, aim, _STRAY * abs(guess - now) + 1e-12 * abs(now))
            good &= ~_crosses(now, new, bands)
            hit, miss = active[good], active[~good]
            z[hit], log_s[hit] = new[good], (s + length)[good]
            step[hit] = np.minimum(2.0 * length[good], 0.7)
            step[miss] = 0.35 * length[~good]
            lost = step[active] < _SHORTEST
            z[active[lost & ~good]] = np.nan
            active = active[(log_s[active] < 0.0) & ~(lost & ~good)]
        z[active] = np.nan
    return z


def _corrected(f: Function, z: Complex, aim: Complex, room: Array) -> tuple[Complex, Booleans]:
    """Newton's method for f = aim from z, and whether it stayed within `room` and came to rest."""
    start = z
    size = np.full(z.shape, np.inf)
    for _ in range(_CORRECTIONS):
        step = (f.value(z) - aim) / f.slope(z)
        z = z - step
        size = abs(step)
        if not np.any(size > 4.0 * EPS * abs(z)):
            break
    rest = size <= 1e-8 * abs(z)
    return z, rest & (abs(z - start) <= room) & np.isfinite(z)


def _crosses(a: Complex, b: Complex, bands: Bands) -> Booleans:
    """Whether the chord from a to b meets a band, where G is cut; atoms are poles, not cuts."""
    turned = (a.imag * b.imag < 0.0) | (b.imag == 0.0)
    with np.errstate(all="ignore"):
        share = np.where(b.imag == a.imag, 1.0, a.imag / (a.imag - b.imag))
    x = a.real + share * (b.real - a.real)
    inside = np.zeros(x.shape, dtype=bool)
    for low, high in bands:
        inside |= (x >= low) & (x <= high)
    return np.asarray(turned & inside)


def judged(f: Function, z: Complex, target: Complex) -> Inverse:
    """Errors from what f misses at z, and no z where f is not the target."""
    with np.errstate(all="ignore"):
        miss, doubt, slope = abs(f.value(z) - target), f.error(z), abs(f.slope(z))
        doubt = np.where(np.isfinite(doubt), doubt, 0.0) + EPS * abs(target)
        unit = 4.0 * EPS * abs(z)  # of z itself; at a square root of f, by a slope beside it
        seen = np.where(np.isfinite(slope), slope, abs(f.slope(z + 1j * unit)))
        ok = np.isfinite(z) & (miss <= _TAKEN * doubt + unit * seen)
        first = 2.0 * (miss + doubt) / slope
        bend = abs(f.slope(z + first) - f.slope(z - first)) / (2.0 * first)
        flat = np.isfinite(bend) & (bend * first > 0.5 * slope)  # next to a branch point
        first = np.where(flat, np.maximum(first, 2.0 * np.sqrt((miss + doubt) / bend)), first)
        first = np.where(np.isfinite(first), first, 0.0)
        error = first + 8.0 * EPS * abs(z)
    return Inverse(np.where(ok, z, np.nan), np.where(ok, error, np.nan), ok)
