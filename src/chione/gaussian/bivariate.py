r"""Expectations of products of functions of two correlated Gaussians.

.. math:: K(c) = E\,f(u_1)\,g(u_2), \quad u_1 = \sqrt{q_1} z_1, \quad
   u_2 = \sqrt{q_2}\,(c z_1 + \sqrt{1 - c^2}\,z_2)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.base import Array, Estimate, Status, checks
from chione.gaussian.expectation import Integrator
from chione.gaussian.features import Features, features_of
from chione.gaussian.flow import Grid, Local, grid_of, heat
from chione.gaussian.growth import growth
from chione.gaussian.kept import is_known, is_unchanging
from chione.gaussian.outer import Budget, integrate
from chione.gaussian.panels import NODES, WEIGHTS
from chione.gaussian.resolution import Resolution, resolve
from chione.gaussian.smoothing import NARROW, WIDE, smooth

_REACH = 85.0  # standard deviations: the outer integral goes to 40, a wide window 40 beyond
_MOST_ROUGH = 1000  # panels of a function that is noise, or too quick, on some of them
_INDEPENDENT = 1e-100  # a correlation below this changes nothing, but dividing by it overflows
_MOST_PANELS = 2e6  # inner panels, about a second: beyond, both factors oscillate too fast
_MASS = 14.0  # standard deviations that hold the outer integral of what does not grow fast
_MOST_EDGES = 40_000  # of the outer integral
_FINE = 1e-13  # of the integral itself: nobody asks for more
_NEAR_ROUNDING = 16.0  # times the rounding of sums: what interpolation may add
_GAUSSIAN = np.array([0.0, 1.5, 3.0, 4.5, 6.5, 9.5, 14.0, 20.0, 29.0, 40.0])
_GAUSSIAN = np.r_[-_GAUSSIAN[:0:-1], _GAUSSIAN]

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
    breakpoints_f = checks.places("breakpoints_f", breakpoints_f)
    breakpoints_g = checks.places("breakpoints_g", breakpoints_g)
    for name, function in (("f", f), ("g", g)):
        if not is_unchanging(function):  # an activation was looked at when it was made
            checks.real_function(name, function)
    q1, q2 = checks.non_negative("q1", q1), checks.non_negative("q2", q2)
    c = float(checks.correlation("c", checks.finite("c", c)))
    gap = 1.0 - c if one_minus_c is None else checks.finite("one_minus_c", one_minus_c)
    if q1 < q2:  # the narrower variable is smoothed: |rho| <= 1
        f, g, q1, q2 = g, f, q2, q1
        breakpoints_f, breakpoints_g = breakpoints_g, breakpoints_f
    if q2 == 0.0:
        wide = Integrator(f, breakpoints_f, features=features_of(f, breakpoints_f))
        return _times(wide(q1), Integrator(g, breakpoints_g)(0.0))
    v = q2 * ((1.0 - c) * (1.0 + c) if one_minus_c is None else gap * (2.0 - gap))
    rho = c * np.sqrt(q2 / q1)
    if abs(c) < _INDEPENDENT:
        rho = 0.0
    if v == 0.0:
        mapped = tuple(k / rho for k in breakpoints_g) if rho else ()
        every = tuple(sorted({*breakpoints_f, *(k for k in mapped if np.isfinite(k))}))
        return _degenerate(f, g, rho, every, q1)
    if _is_infinite(f, g, q1, q2, c):
        return Estimate(float("nan"), float("nan"), Status.INFINITE)
    inner = panels_of(g, breakpoints_g, q2)
    same = f == g and q1 == q2 and breakpoints_f == breakpoints_g
    outer = inner if same else panels_of(f, breakpoints_f, q1)
    product = _mean_size(f, outer, q1) * _mean_size(g, inner, q2)
    budget = Budget(_MOST_PANELS)
    pair = _Pair(f, g, q1, q2, v, rho, outer, inner)
    # what stays unresolved on many panels is for the ones that adapt, and for their budget
    hopeless = any(r.rough.any() and len(r.edges) > _MOST_ROUGH for r in (inner, outer))
    grid = None if hopeless else grid_of(g, inner, q2, v)
    flows: list[_Heat | _GridHeat] = [] if grid is None else [_GridHeat(grid, v)]
    for flow in (*flows, _Heat(pair, NARROW, budget), _Heat(pair, WIDE, budget)):
        value, error, size, lost, rounded = _nested(pair, flow, budget)
        # a window of 9 deviations leaves out 1e-18 of the product: is that below the error?
        enough = size > 1e-4 * product or error > 1e-18 * product
        if isinstance(flow, _GridHeat) and not rounded:
            continue  # far in a tail, or not resolved: the panels that adapt are the judge
        if not np.isfinite(value) or (enough and lost < max(1e-11 * size, error)) or budget.gone:
            break
    if np.isinf(error):
        value, error = 0.0, _largest(f, breakpoints_f, q1, g, breakpoints_g, q2)
    if not np.isfinite(value) or not np.isfinite(error):
        return Estimate(float("nan"), float("nan"), Status.OVERFLOW)
    status = Status.OK if error <= 1e-9 * abs(value) or error < 1e-14 else Status.INEXACT
    missed = _missed(f, breakpoints_f, q1, g, breakpoints_g, q2)
    if not np.isfinite(missed):  # poles, beside which nothing is certain
        return Estimate(float("nan"), float("nan"), Status.INFINITE)
    return Estimate(value, error + missed, Status.RESOLUTION if missed else status)


def _largest(
    f: Function,
    breakpoints_f: tuple[float, ...],
    q1: float,
    g: Function,
    breakpoints_g: tuple[float, ...],
    q2: float,
) -> float:
    """Bound on the kernel by Cauchy and Schwarz, where the panels would be too many."""
    one = Integrator(f, breakpoints_f, power=2)(q1)
    two = Integrator(g, breakpoints_g, power=2)(q2)
    return float(np.sqrt(one.value + one.error) * np.sqrt(two.value + two.error))


def _degenerate(
    f: Function, g: Function, rho: float, breakpoints: tuple[float, ...], q: float
) -> Estimate:
    """E f(x) g(rho x): both variables are one."""

    def product(x: Array) -> Array:
        return f(x) * g(rho * x)

    if is_known(f) and is_known(g):
        return Integrator(product, breakpoints)(q)
    return Integrator(product, breakpoints, features=Features(product, breakpoints))(q)


def _missed(
    f: Function,
    breakpoints_f: tuple[float, ...],
    q1: float,
    g: Function,
    breakpoints_g: tuple[float, ...],
    q2: float,
) -> float:
    r"""Bound on what features too narrow to be found may add, by Cauchy and Schwarz.

    .. math:: |\delta K| \le \sqrt{E (\delta f)^2\, E g^2} + \sqrt{E f^2\, E (\delta g)^2}
    """
    squares, unsure = [], []
    for h, breakpoints, q in ((f, breakpoints_f, q1), (g, breakpoints_g, q2)):
        features = features_of(h, breakpoints)
        found = None if features is None else features.at(float(np.sqrt(q)))
        unsure.append(found is not None and (found.silent or bool(found.lucky)))
        squares.append((h, breakpoints, q, features))
    if not any(unsure):
        return 0.0
    both = [Integrator(h, b, power=2, features=look)(q) for h, b, q, look in squares]
    sizes = [np.sqrt(e.value + e.error) for e in both]
    return float(sum(np.sqrt(both[i].error) * sizes[1 - i] for i in range(2) if unsure[i]))


@dataclass(frozen=True)
class _Pair:
    """E f(u1) H(rho u1), with H the heat flow of g over v."""

    f: Function
    g: Function
    q1: float
    q2: float
    v: float
    rho: float
    outer: Resolution
    inner: Resolution

    def edges(self, window: float) -> Array:
        """Panels of the outer integral."""
        reach = (_MASS if window == NARROW else WIDE) * float(np.sqrt(self.q1))
        return _outer_edges(self.q1, self.v, self.rho, self.outer, self.inner, reach)


class _Heat:
    """H by panels that adapt, around every centre anew."""

    def __init__(self, pair: _Pair, window: float, budget: Budget) -> None:
        self._pair, self.window, self._budget = pair, window, budget

    def fits(self, n_edges: int) -> bool:
        """Whether the panels are few enough to begin."""
        # panels of g in one window, at the density they have where the Gaussian has its mass
        p = self._pair
        near = 9.0 * float(np.sqrt(p.rho * p.rho * p.q1 + p.v))
        in_window = min(1.0, self.window * np.sqrt(p.v) / near)
        cuts = float(np.sum(np.abs(p.inner.edges) < near) * in_window)
        return 16.0 * n_edges * (8.0 + cuts) <= 2.0 * _MOST_PANELS

    def __call__(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, error, tail, and the part of the error that no panels take away."""
        p = self._pair
        mean, error, tail = smooth(
            p.g, x, p.v, window=self.window, resolution=p.inner, budget=self._budget
        )
        return mean, error, tail, np.zeros(len(x))


class _GridHeat:
    """H from values of g on one grid."""

    window = NARROW

    def __init__(self, grid: Grid | Local, v: float) -> None:
        self._grid, self._v = grid, v

    def fits(self, n_edges: int) -> bool:
        """A grid of a few thousand panels always does."""
        return n_edges < _MOST_EDGES

    def __call__(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, error, tail, and the part of the error that no panels take away."""
        grid = self._grid.around(x, self._v) if isinstance(self._grid, Local) else self._grid
        if grid is None:  # g overflows
            lost = np.full(len(x), np.inf)
            return lost, lost, lost, np.zeros(len(x))
        found = heat(grid, x, self._v)
        return found.mean, found.error, found.tail, found.rounding


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def _nested(
    pair: _Pair, flow: _Heat | _GridHeat, budget: Budget
) -> tuple[float, float, float, float, bool]:
    """Value, error, size, what a wider window might change, whether H errs by rounding alone."""
    inside = beyond = rounding = 0.0

    def integrand(x: Array) -> tuple[Array, Array]:
        nonlocal inside, beyond, rounding
        mean, error, tail, least = flow(pair.rho * x)
        fx = pair.f(x)
        weight = np.abs(fx) * np.exp(-0.5 * x**2 / pair.q1)
        inside, beyond = inside + float(weight @ error), beyond + float(weight @ tail)
        rounding += float(weight @ least)
        return fx * mean, np.abs(fx) * (error + tail)

    edges = pair.edges(flow.window)
    if not flow.fits(len(edges)):
        return 0.0, float("inf"), 0.0, 0.0, False
    value, error, size, ends = integrate(integrand, edges, pair.q1, budget)
    rounded = inside <= _NEAR_ROUNDING * rounding or error <= _FINE * size
    # what the inner windows leave out counts once it is more than their rounding
    return value, error, size, 1e4 * ends + (error if beyond > inside else 0.0), rounded


def _outer_edges(
    q1: float, v: float, rho: float, outer: Resolution, inner: Resolution, reach: float
) -> Array:
    """Panels on which the Gaussian, f and the heat flow of g are all resolved."""
    edges = [np.sqrt(q1) * _GAUSSIAN, outer.edges]
    if rho:
        # features of g wider than the window live on in its heat flow, the others become layers
        _, one_each = np.unique(np.floor(inner.edges / np.sqrt(v)), return_index=True)
        room = np.diff(inner.edges, prepend=-np.inf, append=np.inf)
        room = 0.25 * np.minimum(room[:-1], room[1:])[one_each] / abs(rho)
        candidates = inner.edges[one_each] / rho
        known = np.sort(np.concatenate(edges))
        place = np.clip(np.searchsorted(known, candidates), 1, len(known) - 1)
        apart = np.minimum(np.abs(candidates - known[place]), np.abs(candidates - known[place - 1]))
        edges.append(candidates[apart > room])  # the panels of f next to it serve as well
        width = np.sqrt(v) / abs(rho)
        layers = width * 4.0 ** np.arange(0.0, max(1.0, np.log2(np.sqrt(q1) / width) / 2.0))
        edges += [k / rho + np.r_[-layers, 0.0, layers] for k in inner.breakpoints]
    every = np.concatenate(edges)
    return np.unique(np.clip(every[np.isfinite(every)], -reach, reach))


def panels_of(f: Function, breakpoints: tuple[float, ...], q: float) -> Resolution:
    """Panels of f; kept for an activation, whose map asks for many correlations at one q."""
    return (_kept if is_unchanging(f) else _found)(f, breakpoints, q)


@lru_cache(maxsize=64)
def _kept(f: Function, breakpoints: tuple[float, ...], q: float) -> Resolution:
    return _found(f, breakpoints, q)


def _found(f: Function, breakpoints: tuple[float, ...], q: float) -> Resolution:
    sigma = float(np.sqrt(q))
    features = features_of(f, breakpoints)
    extra = None if features is None else features.at(sigma).edges
    return resolve(f, breakpoints, sigma, _REACH * sigma, extra_edges=extra)


@np.errstate(all="ignore")
def _mean_size(f: Function, resolution: Resolution, q: float) -> float:
    """E |f| to an accuracy that tells orders of magnitude apart."""
    half = 0.5 * np.diff(resolution.edges)
    h = resolution.edges[:-1, None] + half[:, None] * (1.0 + NODES)
    f_p = np.abs(f(h.ravel())).reshape(h.shape) * np.exp(-0.5 * h**2 / q)
    return float(np.nansum(f_p @ WEIGHTS * half)) / float(np.sqrt(2.0 * np.pi * q))


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
