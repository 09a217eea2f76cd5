r"""Expectations of products of functions of two correlated Gaussians.

.. math:: K(c) = E\,f(u_1)\,g(u_2), \quad u_1 = \sqrt{q_1} z_1, \quad
   u_2 = \sqrt{q_2}\,(c z_1 + \sqrt{1 - c^2}\,z_2)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.base import Array, Estimate, Status, checks
from chione.gaussian.expectation import Integrator
from chione.gaussian.growth import growth
from chione.gaussian.outer import coarse_edges, integrate
from chione.gaussian.smoothing import NARROW, WIDE, smooth

Function = Callable[[Array], Array]


def bivariate(
    f: Function,
    g: Function,
    q1: float,
    q2: float,
    c: float,
    *,
    breakpoints_f: tuple[float, ...] = (),
    breakpoints_g: tuple[float, ...] = (),
    one_minus_c: float | None = None,
) -> Estimate:
    r"""E f(u1) g(u2) for Gaussians of variances `q1`, `q2` and correlation `c`.

    Parameters
    ----------
    f, g : callable
        Vectorised functions, (n,) -> (n,).
    q1, q2 : float
        Variances, zero or above.
    c : float
        Correlation in [-1, 1].
    breakpoints_f, breakpoints_g : tuple of float
        Where the functions or a derivative of them jump.
    one_minus_c : float, optional
        1 - c, where it is known more accurately than c itself.

    Returns
    -------
    Estimate
        Value, absolute error, status.

    Raises
    ------
    ValueError
        If a variance is negative, c is outside [-1, 1], or a function returns NaN.

    Notes
    -----
    Given u1 the second variable is Gaussian with mean :math:`\rho u_1`,
    :math:`\rho = c \sqrt{q_2 / q_1}`, and variance :math:`q_2 (1 - c)(1 + c)`, so
    :math:`K = E\,f(u_1) H(\rho u_1)` with H the heat flow of g
    (:func:`chione.gaussian.smoothing.smooth`). Both integrals are adaptive.
    """
    q1, q2 = checks.non_negative("q1", q1), checks.non_negative("q2", q2)
    c = float(checks.correlation("c", checks.finite("c", c)))
    gap = 1.0 - c if one_minus_c is None else checks.finite("one_minus_c", one_minus_c)
    if q1 < q2:  # the narrower variable is smoothed: |rho| <= 1
        f, g, q1, q2 = g, f, q2, q1
        breakpoints_f, breakpoints_g = breakpoints_g, breakpoints_f
    if q2 == 0.0:
        return _times(Integrator(f, breakpoints_f)(q1), Integrator(g, breakpoints_g)(0.0))
    v = q2 * ((1.0 - c) * (1.0 + c) if one_minus_c is None else gap * (2.0 - gap))
    rho = c * np.sqrt(q2 / q1)
    mapped = tuple(k / rho for k in breakpoints_g) if rho else ()
    if v == 0.0:
        every = tuple(sorted({*breakpoints_f, *(k for k in mapped if np.isfinite(k))}))
        return Integrator(lambda x: f(x) * g(rho * x), every)(q1)
    if _is_infinite(f, g, q1, q2, c):
        return Estimate(float("nan"), float("nan"), Status.INFINITE)
    for window in (NARROW, WIDE):
        value, error, lost = _nested(f, g, q1, v, rho, breakpoints_f, breakpoints_g, window)
        if lost < 1e-11:  # the windows hold all that matters
            break
    if not np.isfinite(value) or not np.isfinite(error):
        return Estimate(float("nan"), float("nan"), Status.OVERFLOW)
    status = Status.OK if error <= 1e-9 * abs(value) or error < 1e-14 else Status.INEXACT
    return Estimate(value, error, status)


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def _nested(
    f: Function,
    g: Function,
    q1: float,
    v: float,
    rho: float,
    breakpoints_f: tuple[float, ...],
    breakpoints_g: tuple[float, ...],
    window: float,
) -> tuple[float, float, float]:
    """Double integral: value, error, and the share that a wider window might still change."""

    def integrand(x: Array) -> tuple[Array, Array]:
        mean, error, tail = smooth(g, rho * x, v, breakpoints=breakpoints_g, window=window)
        fx = f(x)
        return fx * mean, np.abs(fx) * (error + tail)

    reach = 14.0 if window == NARROW else WIDE
    edges = coarse_edges(f, breakpoints_f, q1, reach)
    if rho and g != f:  # g may have features that f has not
        other = coarse_edges(g, breakpoints_g, rho**2 * q1, reach) / rho
        edges = np.unique(np.r_[edges, other[(other > edges[0]) & (other < edges[-1])]])
    if rho and breakpoints_g:
        # H turns each kink of g into a layer of this width, which the panels have to see
        width = np.sqrt(v) / abs(rho)
        layers = width * 4.0 ** np.arange(0.0, max(1.0, np.log2(np.sqrt(q1) / width) / 2.0))
        extra = np.concatenate([k / rho + np.r_[-layers, 0.0, layers] for k in breakpoints_g])
        inside = (extra > edges[0]) & (extra < edges[-1])
        edges = np.unique(np.r_[edges, extra[inside]])
    value, error, size, ends = integrate(integrand, edges, q1)
    return value, error, max(error, 1e4 * ends) / (size or 1.0)


def _is_infinite(f: Function, g: Function, q1: float, q2: float, c: float) -> bool:
    r"""Whether the integrand outgrows the density in some direction.

    With f ~ exp(a u1^2), g ~ exp(b u2^2) the exponent is minus one half of the form
    :math:`\Sigma^{-1} - 2\,\mathrm{diag}(a, b)`, which has to be positive definite.
    """
    for side in (-1, 1):
        a, b = growth(f, side), growth(g, side if c >= 0.0 else -side)
        if max(a.order, b.order) < 1.98:
            continue
        if max(a.order, b.order) > 2.02:
            return True
        a2 = 2.0 * a.coefficient if a.order > 1.98 else 0.0
        b2 = 2.0 * b.coefficient if b.order > 1.98 else 0.0
        det = (1.0 - q1 * a2) * (1.0 - q2 * b2) - q1 * q2 * a2 * b2 * c * c
        if q1 * a2 >= 1.0 or q2 * b2 >= 1.0 or det <= (1.0 - c * c) * 1e-9:
            return True
    return False


def _times(a: Estimate, b: Estimate) -> Estimate:
    """Product of two independent estimates."""
    error = abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error
    return Estimate(a.value * b.value, error, max(a.status, b.status))
