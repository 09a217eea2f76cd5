r"""The form of a density at the end of a band: place, exponent and constant, from G around it.

Near an end a of the support of a law that is algebraic there, :math:`z - a` is an analytic
function of a local variable h which takes the value :math:`h_0` at the end:

.. math:: z - a = \kappa\,(h - h_0)^k\,(1 + O(h - h_0))

with h = G at soft edges (k = 2) and cusps (k = 3), h = 1/G at hard edges of exponent -1/2, and
h = (z - a) G at those of exponent -(k - 1)/k. z is fitted as a real polynomial of h on points in
the upper half plane around a. The points lie at distances from a that rounding cannot reach, so
that the place comes out to the last digits of what is known of G, not to their square root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import AbstractMeasure, Complex

_DEGREE = 16  # of the polynomial; the reach below is chosen so that its error is 0.14^16 = 2e-14
_REACH = 0.02  # radius of the points as a part of the distance to the next singular point
_LADDER = (1.0, 0.25, 0.06, 0.015, 2e-3, 1e-4, 5e-6)  # and fractions of it: at some two fits agree
_HIGHEST = 6  # order k up to which a coincidence of branch points is told apart
_GOOD = 1e-8  # misfit, relative to the radius, up to which the form is believed
_NOISE = 512.0  # units of rounding that the coefficient of a fit may be off by
_FLAT = 1e-7  # derivative, in units of the radius, that counts as none
_SPLIT = 0.05  # distance of the critical points, relative to that of h, below which they are one


@dataclass(frozen=True)
class LocalForm:
    """Density C d^exponent at distance d from an end of a band.

    Parameters
    ----------
    place, exponent, constant : float
        What was found.
    place_error, exponent_error, constant_error : float
        Bounds on the absolute errors; an exponent that is a ratio of small integers is exact.
    """

    place: float
    exponent: float
    constant: float
    place_error: float
    exponent_error: float
    constant_error: float


def local_form(law: AbstractMeasure, place: float, inward: float, room: float) -> LocalForm | None:
    """The form at `place`, with the band on the side `inward` (+1 or -1) of it.

    `room` is the distance to the next point at which the law is singular.
    """
    rough = _rough_exponent(law, place, inward, room)
    if np.isnan(rough):
        return None
    for variable, order in _variables(law, place, rough):
        form = _algebraic(law, place, room, variable, order)
        if form is not None and abs(form.exponent - rough) < 0.1:
            return form
    return _power(law, place, inward, room)


def critical_point(
    z: Complex, h: Complex, degree: int = _DEGREE, order: int = 2
) -> tuple[float, float, float, float]:
    r"""Where :math:`d^{k-1} z / dh^{k-1} = 0`, for z a real analytic function of h; k = `order`.

    Returns h there, z there, the k-th Taylor coefficient of z, and the misfit of the polynomial.
    """
    poly, mid, size, misfit = _fitted(z, h, degree)
    slope: Any = poly
    for _ in range(order - 1):
        slope = np.polyder(slope)
    roots = np.roots(slope)
    real = roots[abs(roots.imag) < 1e-6].real if roots.size else roots.real
    if not real.size:
        return np.nan, np.nan, np.nan, np.inf
    u = real[np.argmin(abs(real))]
    top = np.polyder(slope)
    for _ in range(3):  # the roots of a companion matrix, polished
        u = u - np.polyval(slope, u) / np.polyval(top, u)
    kappa = np.polyval(top, u) / _factorial(order)
    for _ in range(order):  # a power of the size may be beyond the floats
        kappa = kappa / size
    return float(mid + size * u), float(np.polyval(poly, u)), float(kappa), misfit


def value_at(z: Complex, h: Complex, target: float) -> tuple[float, float, float]:
    """Z and dz/dh at the real h = `target`, and the misfit of the polynomial for z."""
    poly, mid, size, misfit = _fitted(z, h, _DEGREE)
    u = (target - mid) / size
    return float(np.polyval(poly, u)), float(np.polyval(np.polyder(poly), u)) / size, misfit


def around(place: float, room: float, shrink: float = 1.0) -> Complex:
    """Points z - place, in the closed upper half plane, on arcs around `place` and aside of it."""
    r = _REACH * room * shrink
    arcs = [q * np.exp(1j * np.pi * (np.arange(n) + 0.5) / n) for q, n in ((1.0, 24), (0.3, 10))]
    line = np.array([0.08, 0.3, 0.6, 0.85, 1.0], dtype=complex)
    # The place is rounded to a float: the differences have to be those of the points evaluated.
    d = r * np.concatenate([*arcs, line, -line])
    return np.asarray((place + d) - place)


Variable = Callable[[Complex, Complex], Complex]


def _variables(law: AbstractMeasure, place: float, rough: float) -> list[tuple[Variable, str]]:
    if rough > 0.0:
        return [(lambda d, g: g, "root")]
    return [(lambda d, g: 1.0 / g, "inverse"), (lambda d, g: d * g, "pole")]


def _algebraic(
    law: AbstractMeasure, place: float, room: float, variable: Variable, kind: str
) -> LocalForm | None:
    """The form on which fits at two distances agree best."""
    clouds = [around(place, room, s) for s in _LADDER]
    d = np.stack(clouds)
    with np.errstate(all="ignore"):
        h = variable(d, law.stieltjes(place + d))
    fits = []
    for one, values in zip(d, h, strict=True):
        if np.all(np.isfinite(values)) and (fit := _branch(one, values, kind)) is not None:
            fits.append(fit)
    best = None
    for one, two in pairwise(fits):
        if one.order != two.order:
            continue
        near = min(one, two, key=lambda f: f.misfit / f.radius)
        c = _constant(near, kind)
        rounding = 4.0 * EPS * (abs(place) + near.radius)
        place_error = rounding + 4.0 * abs(one.shift - two.shift) + near.misfit
        noise = EPS * (_NOISE + 4.0 * abs(place) / near.radius) + 16.0 * near.misfit / near.radius
        constant_error = 4.0 * abs(_constant(one, kind) - _constant(two, kind)) + noise * c
        if best is None or constant_error < best.constant_error:
            e = 1.0 / near.order if kind == "root" else -(near.order - 1.0) / near.order
            best = LocalForm(place + near.shift, e, c, place_error, 0.0, constant_error)
    return best


@dataclass(frozen=True)
class _Branch:
    """z - place - shift = kappa (h - h0)^order, from points up to `radius` away."""

    order: int
    shift: float
    kappa: float
    misfit: float
    radius: float


def _constant(b: _Branch, kind: str) -> float:
    """Constant of the density: Im of the branch of h that comes from above, over pi."""
    if kind == "inverse":  # h = 1/G = (d / kappa)^(1/2)
        return float(abs(b.kappa) ** 0.5 / np.pi)
    return float(np.sin(np.pi / b.order) / np.pi * abs(b.kappa) ** (-1.0 / b.order))


def _branch(d: Complex, h: Complex, kind: str) -> _Branch | None:
    """The branch point near d = 0, or None if z is no such function of h."""
    radius = float(np.max(abs(d)))
    k, shift, kappa, misfit = _order(d, h, _DEGREE, kind)
    if k < 2 or misfit > _GOOD * radius or kappa == 0.0:
        return None
    return _Branch(k, shift, kappa, misfit, radius)


def _order(d: Complex, h: Complex, degree: int, kind: str) -> tuple[int, float, float, float]:
    """Order k of the branch point, z - place there, its coefficient kappa, and the misfit."""
    if kind == "pole":
        return _order_at_zero(d, h, degree)
    poly, mid, size, _ = _fitted(d, h, degree)
    roots = np.roots(np.polyder(poly))
    if not roots.size:
        return 0, 0.0, 0.0, np.inf
    nearest = roots[np.argmin(abs(roots))]
    k = 1 + int(np.sum(abs(roots - nearest) < _SPLIT))
    if kind == "inverse" and k != 2:
        return 0, 0.0, 0.0, np.inf
    h0, shift, kappa, misfit = critical_point(d, h, degree, k)
    if abs(h0 - mid) > 1.5 * size:
        return 0, 0.0, 0.0, np.inf
    u: float = (h0 - mid) / size
    lower: Any = poly
    for _ in range(k - 2):  # of an order above 2, the lower derivatives vanish, too
        lower = np.polyder(lower)
        if abs(np.polyval(lower, u)) > _FLAT * np.max(abs(d)):
            return 0, 0.0, 0.0, np.inf
    return k, shift, kappa, misfit


def _order_at_zero(d: Complex, h: Complex, degree: int) -> tuple[int, float, float, float]:
    """The branch point lies at h = 0, where z = place: the first power that is there."""
    size = float(np.max(abs(h)))
    reach = float(np.max(abs(d)))
    for k in range(2, _HIGHEST + 1):
        powers = np.arange(k, degree + 1)
        v = (h / size)[:, None] ** powers
        coef = _least_squares(v, d)
        misfit = float(np.max(abs(v @ coef - d)))
        if misfit < _GOOD * reach and abs(coef[0]) > _SPLIT * reach:
            return k, 0.0, float(coef[0] / size**k), misfit
    return 0, 0.0, 0.0, np.inf


def _fitted(z: Complex, h: Complex, degree: int) -> tuple[Array, float, float, float]:
    """Real polynomial of u = (h - mid) / size for z, highest power first, and its misfit."""
    low, high = float(np.min(h.real)), float(np.max(h.real))
    mid = 0.5 * (low + high)
    size = float(np.max(abs(h - mid)))
    v = ((h - mid) / size)[:, None] ** np.arange(degree, -1, -1)
    coef = _least_squares(v, z)
    return coef, mid, size, float(np.max(abs(v @ coef - z)))


def _least_squares(v: Complex, z: Complex) -> Array:
    rows = np.concatenate([v.real, v.imag])
    scale = np.max(abs(rows), axis=0)
    out = np.linalg.lstsq(rows / scale, np.concatenate([z.real, z.imag]), rcond=None)[0]
    return np.asarray(out / scale)


# ---- where there is no such variable -----------------------------------------------------------


def _rough_exponent(law: AbstractMeasure, place: float, inward: float, room: float) -> float:
    """Slope of log density by log distance, near the end."""
    d = _REACH * room * np.array([1e-3, 1e-2])
    rho = law.density(place + inward * d)
    with np.errstate(all="ignore"):
        return float(np.log(rho[1] / rho[0]) / np.log(d[1] / d[0]))


def _power(law: AbstractMeasure, place: float, inward: float, room: float) -> LocalForm | None:
    r"""Fit :math:`\log\rho = \log C + e \log d + \text{polynomial}(d^{1/p})`, p = 1 or 2."""
    best = None
    for root in (1, 2):
        fits = [_power_fit(law, place, inward, 4.0 * _REACH * room * s, root) for s in (1.0, 0.4)]
        (e, c, misfit), (e2, c2, _) = fits
        error, c_error = 4.0 * abs(e - e2) + misfit, 4.0 * abs(c - c2) + c * misfit
        if best is None or error < best.exponent_error:
            best = LocalForm(place, e, c, 8.0 * EPS * (abs(place) + room), error, c_error)
    if best is None or not np.isfinite(best.exponent):
        return None
    return _snapped(law, best, inward, room)


def _power_fit(
    law: AbstractMeasure, place: float, inward: float, radius: float, root: int, e: Any = None
) -> tuple[float, float, float]:
    """Exponent, constant and misfit; with `e` given that is the exponent."""
    u = 0.5 - 0.5 * np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    d = inward * ((place + inward * radius * u) - place)
    with np.errstate(all="ignore"):
        log_rho = np.log(law.density(place + inward * d))
    if not np.all(np.isfinite(log_rho)):
        return np.nan, np.nan, np.inf
    powers = [(d / radius) ** (j / root) for j in range(1, 5 + 4 * root)]
    columns = [np.ones_like(d), *powers] + ([np.log(d)] if e is None else [])
    target = log_rho if e is None else log_rho - e * np.log(d)
    rows = np.stack(columns, axis=1)
    coef = np.linalg.lstsq(rows, target, rcond=None)[0]
    misfit = float(np.max(abs(rows @ coef - target)))
    return float(coef[-1] if e is None else e), float(np.exp(coef[0])), misfit


def _snapped(law: AbstractMeasure, form: LocalForm, inward: float, room: float) -> LocalForm:
    """An exponent within its error of a ratio of small integers is that ratio."""
    for q in range(1, _HIGHEST + 1):
        e = round(form.exponent * q) / q
        if abs(e - form.exponent) > max(form.exponent_error, 1e-9) or form.exponent_error > 0.02:
            continue
        root = 1 if q == 1 else 2
        fits = [
            _power_fit(law, form.place, inward, 4.0 * _REACH * room * s, root, e)
            for s in (1.0, 0.4)
        ]
        (_, c, misfit), (_, c2, _) = fits
        error = 4.0 * abs(c - c2) + c * misfit
        return LocalForm(form.place, e, c, form.place_error, 0.0, error)
    return form


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1, n + 1)))
