"""The curve of the spectrum: triples (lambda, density, cdf) along the physical roots w."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from chione.base import EPS, Array
from chione.freeprob.measures import Complex
from chione.theory.spectra.jacobian_bands import Band
from chione.theory.spectra.jacobian_equation import MasterEquation, Point

_COARSE = 32  # points per band of the first pass, which only places the second


@dataclass(frozen=True)
class Curve:
    r"""Points along one band, from below.

    Parameters
    ----------
    log_w : ndarray of complex, shape (n,)
        The roots.
    log_lambda : ndarray, shape (n,)
        Natural logarithm of the squared singular value.
    density : ndarray, shape (n,)
        Density with respect to log lambda, :math:`\lambda \rho(\lambda)`.
    cdf : ndarray, shape (n,)
        Mass at or below lambda, atoms included.
    """

    log_w: Complex
    log_lambda: Array
    density: Array
    cdf: Array


def trace(eq: MasterEquation, band: Band, n: int) -> Curve:
    """N points along a band, dense where the mass is, near hard ends and in the tails alike."""
    lo, hi = band.reach
    u = np.linspace(0.0, 1.0, _COARSE + 2)[1:-1]
    log_r = lo + (hi - lo) * _map(u, band.hard)
    theta = eq.angle(log_r)
    ok = np.isfinite(theta)
    log_r, theta, u = log_r[ok], theta[ok], u[ok]
    cdf = 1.0 - eq.above(log_r + 1j * theta)
    grid = _second_pass(u, cdf, n)
    if eq.law.pieces is None:  # an evaluation is cheaper than a better start
        start = np.exp(np.interp(grid, u, np.log(theta)))
    else:
        start = np.exp(PchipInterpolator(u, np.log(theta))(grid))
    fine = lo + (hi - lo) * _map(grid, band.hard)
    angle = eq.angle(fine, start)
    ok = np.isfinite(angle)
    return curve_at(eq, fine[ok] + 1j * angle[ok])


def curve_at(eq: MasterEquation, log_w: Complex) -> Curve:
    """The triples at given roots."""
    y = eq.at(log_w)
    cdf = 1.0 - eq.above(log_w, y.m)
    return Curve(log_w, y.log_z.real, np.maximum(-y.p.imag / np.pi, 0.0), np.clip(cdf, 0.0, 1.0))


def _map(u: Array, hard: tuple[bool, bool]) -> Array:
    """[0, 1] to itself; dense at the top, where the mass is, and at a hard lower end.

    The angle grows like a square root at hard ends, so squares would do; cubes serve soft upper
    ends too, at which the mass can crowd.
    """
    top = (1.0 - u) ** 3
    return np.asarray(u**2 / (u**2 + top) if hard[0] else 1.0 - top)


def _second_pass(u: Array, cdf: Array, n: int) -> Array:
    """N places in u: half of the points by mass, the other half evenly along the first pass."""
    mass = cdf[-1] - cdf[0]
    share = np.maximum.accumulate((cdf - cdf[0]) / mass) if mass > 0.0 else u
    monitor = 0.5 * share + 0.5 * (u - u[0]) / (u[-1] - u[0])
    return np.asarray(np.interp(np.linspace(0.0, 1.0, n), monitor, u))


def errors(
    eq: MasterEquation, check: MasterEquation, log_w: Complex, y: Point
) -> tuple[Array, Array, Array, Point]:
    r"""Estimated absolute errors of P and Im P at roots, that of log z, and the check's values.

    The same roots are put into the equation with every piece of the law cut in two; what changes,
    and the rounding of log z (L eps times its terms), is carried to P at fixed lambda:

    .. math:: \delta P + \frac{dP}{d \log w} \frac{-\delta \log z}{d \log z / d \log w}
    """
    c = check.at(log_w)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = 4.0 + abs(log_w) + abs(eq.log_gain) + abs(np.log(y.p)) + abs(np.log(y.m))
        zero = sum(m for a, m in eq.law.atoms if a == 0.0)
        rounding = 8.0 * EPS * eq.depth * terms
        d_log_z = abs(c.log_z - y.log_z) + rounding + eq.slack * eq.depth
        shared = 8.0 * EPS * abs(y.p - zero) + abs(y.p_slope / y.slope) * d_log_z
    return abs(c.p - y.p) + shared, abs((c.p - y.p).imag) + shared, d_log_z, c


def curve_errors(eq: MasterEquation, check: MasterEquation, curve: Curve) -> tuple[Array, Array]:
    """Estimated relative error of the density, and absolute error of the cdf."""
    y = eq.at(curve.log_w)
    _, d_p, d_log_z, c = errors(eq, check, curve.log_w, y)
    d_cdf = abs((1.0 - curve.cdf) - check.above(curve.log_w, c.m))
    relative = d_p / np.maximum(abs(y.p.imag), 1e-300)
    return relative, d_cdf + d_log_z * abs(y.p) / np.pi + 8.0 * EPS * eq.depth
