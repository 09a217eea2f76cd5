r"""All fixed points of the length map, with their stability.

.. math:: q^* = V(q^*), \qquad V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2

Roots are bracketed on a table of V and then solved on V itself; nothing is iterated, because
iteration runs away from unstable points and crawls near half-stable ones.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation, activation
from chione.base import AbstractResult, Array, Estimate, Status, result
from chione.gaussian.panels import EPS
from chione.theory.length_map import affine, variances
from chione.theory.moments import ActivationLike, Moments, moments

STABLE = "stable"
UNSTABLE = "unstable"
FROM_ABOVE = "half-stable from above"
FROM_BELOW = "half-stable from below"

_LOWEST, _HIGHEST = 1e-12, 1e12  # where fixed points are looked for
_PER_OCTAVE = 8


@result
class FixedPoint(AbstractResult):
    """One fixed point of the length map.

    Parameters
    ----------
    q : Estimate
        The mean square q*.
    chi_parallel : Estimate
        Slope of the length map there.
    chi_perp : Estimate
        chi_1, the factor on the mean square gradient per layer there.
    stability : str
        "stable", "unstable", "half-stable from above" or "half-stable from below" (the side named
        is the one that is attracted).
    """

    q: Estimate
    chi_parallel: Estimate
    chi_perp: Estimate
    stability: str

    @property
    def attracts(self) -> bool:
        """Whether lengths can end here from at least one side."""
        return self.stability != UNSTABLE


@result
class FixedPoints(AbstractResult):
    """All fixed points of one length map.

    Parameters
    ----------
    points : tuple of FixedPoint
        In increasing order of q.
    status : Status
        ``OK``; ``CONTINUUM`` where every q is a fixed point; ``DIVERGENT`` where no point attracts
        and lengths grow without bound; ``NONE`` where there is none for another reason.
    growth : float
        Factor V(q) / q on large lengths; lengths diverge at this rate per layer where it is above
        1. Infinite where they grow faster than exponentially.
    sentence : str
        The same in words.
    """

    points: tuple[FixedPoint, ...]
    status: Status
    growth: float
    sentence: str

    @property
    def stable(self) -> tuple[FixedPoint, ...]:
        """The points that attract from at least one side."""
        return tuple(p for p in self.points if p.attracts)


def fixed_points(phi: ActivationLike, *, sigma_w: float, sigma_b: float = 0.0) -> FixedPoints:
    r"""All fixed points of the length map up to 1e12, and zero.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases, zero or above.

    Returns
    -------
    FixedPoints
        Roots with :math:`V(q) = q`, their slopes and stability; errors of q* are the error of V
        over :math:`|1 - \chi_\parallel|`, at a double root the square root of it.

    Raises
    ------
    ValueError
        If a sigma is negative or not finite.

    Examples
    --------
    >>> points = fixed_points("tanh", sigma_w=1.3, sigma_b=0.3).points
    >>> [(round(p.q.value, 6), p.stability) for p in points]
    [(0.607047, 'stable')]
    """
    w2, b2 = variances(sigma_w, sigma_b)
    m = moments(phi)
    grid, gap, noise = _scan(m, w2, b2)
    if _is_identity(m, w2, b2, grid, gap, noise):
        sentence = "Every length is a fixed point: the length map is the identity."
        return FixedPoints((), Status.CONTINUUM, 1.0, sentence)
    roots = _roots(m, w2, b2, grid, gap, noise)
    zero = _at_zero(m, w2, b2, grid, gap)
    points = tuple(([zero] if zero else []) + [_point(m, w2, b2, *r) for r in roots])
    growth = _growth(m, w2, b2, grid)
    attracting = [p for p in points if p.attracts]
    if attracting:
        return FixedPoints(points, Status.OK, growth, _describe(points))
    if growth > 1.0:
        pace = f"by {growth:.4g}x a layer" if np.isfinite(growth) else "faster than exponentially"
        sentence = f"No length is attracting: lengths diverge, in the end {pace}."
        return FixedPoints(points, Status.DIVERGENT, growth, sentence)
    return FixedPoints(points, Status.NONE, growth, "The length map has no attracting fixed point.")


def length_gap(m: Moments, w2: float, b2: float, q: float) -> Estimate:
    """V(q) - q."""
    v = affine(m.square(q), w2, b2)
    return Estimate(v.value - q, v.error + EPS * q, v.status)


def _scan(m: Moments, w2: float, b2: float) -> tuple[Array, Array, Array]:
    """Grid of q, V(q) / q - 1 on it, and the relative noise of V; cut where V is not finite."""
    low = 0.5 * b2 if b2 > 0.0 else _LOWEST  # V is never below sigma_b^2
    n = int(np.ceil(np.log2(_HIGHEST / low) * _PER_OCTAVE)) if low < _HIGHEST else 2
    grid = np.geomspace(low, max(_HIGHEST, 2.0 * low), n)
    v = m.square(grid)
    known = (np.asarray(v.status) == Status.OK) | (np.asarray(v.status) == Status.INEXACT)
    end = len(grid) if known.all() else int(np.argmin(known))
    grid, value, error = grid[:end], v.value[:end], v.error[:end]
    return grid, (w2 * value + b2) / grid - 1.0, w2 * error / grid + 4.0 * EPS


def _is_identity(m: Moments, w2: float, b2: float, grid: Array, gap: Array, noise: Array) -> bool:
    if b2 > 0.0 or grid.size == 0:
        return False
    return bool(np.all(np.abs(gap) <= noise + 4.0 * EPS))


def _roots(
    m: Moments, w2: float, b2: float, grid: Array, gap: Array, noise: Array
) -> list[tuple[float, str]]:
    """Places and kinds of all roots above zero."""
    found: list[tuple[float, str]] = []
    sign = np.where(np.abs(gap) <= noise, 0.0, np.sign(gap))

    def f(log_q: float) -> float:
        return float(length_gap(m, w2, b2, float(np.exp(log_q))).value)

    def add(a: float, b: float, left: float) -> None:
        root = float(np.exp(brentq(f, np.log(a), np.log(b), xtol=1e-15, rtol=4.0 * EPS)))
        found.append((root, STABLE if left > 0.0 else UNSTABLE))

    nonzero = np.flatnonzero(sign)
    for i, j in pairwise(nonzero):
        if sign[i] != sign[j]:
            add(grid[i], grid[j], sign[i])
            continue
        for q, kind in _between(m, w2, b2, grid[i : j + 1], gap[i : j + 1], sign[i]):
            if kind is not None:
                found.append((q, kind))
            else:
                add(grid[i], q, sign[i])
                add(q, grid[j], -sign[i])
    return sorted(found)


def _between(
    m: Moments, w2: float, b2: float, grid: Array, gap: Array, sign: float
) -> list[tuple[float, str | None]]:
    """A touching point, or one beyond the axis (kind None), between grid points of one sign."""
    if grid.size == 2 and np.abs(gap).min() > 0.2:
        return []  # too far from the axis to come back within a tenth of an octave

    def slope(log_q: float) -> float:
        return float(w2 * m.slope(float(np.exp(log_q))).value - 1.0)

    a, b = np.log(grid[0]), np.log(grid[-1])
    # an extremum of V - q towards the axis: sign * (V' - 1) goes from below zero to above
    if not (sign * slope(a) < 0.0 < sign * slope(b)):
        return []
    q = float(np.exp(brentq(slope, a, b, xtol=1e-14)))
    e = length_gap(m, w2, b2, q)
    if abs(e.value) <= 4.0 * e.error:
        return [(q, FROM_BELOW if sign > 0.0 else FROM_ABOVE)]
    return [] if np.sign(e.value) == sign else [(q, None)]


def _point(m: Moments, w2: float, b2: float, q: float, kind: str) -> FixedPoint:
    parallel = affine(m.slope(q), w2, 0.0)
    perp = affine(m.derivative_square(q), w2, 0.0)
    error = length_gap(m, w2, b2, q).error
    distance = abs(1.0 - parallel.value)
    curvature = _curvature(m, w2, q)
    # simple root: error over slope; double root: V - q = V'' (q - q*)^2 / 2
    if distance > np.sqrt(2.0 * error * curvature):
        q_error = error / distance
    else:
        q_error = np.sqrt(2.0 * error / curvature) if curvature > 0.0 else float("inf")
    q_error += 2.0 * EPS * q
    perp_slope = abs(_difference(lambda x: float(m.derivative_square(x).value), q)) * w2
    return FixedPoint(
        Estimate(q, q_error, Status.OK),
        _spread(parallel, curvature * q_error),
        perp if perp.status != Status.OK else _spread(perp, perp_slope * q_error),
        kind,
    )


def _spread(e: Estimate, further: float) -> Estimate:
    """The same estimate with a wider error."""
    return Estimate(e.value, e.error + further, e.status)


def _curvature(m: Moments, w2: float, q: float) -> float:
    """Size of V''(q); only error estimates rest on it."""
    return abs(w2 * _difference(lambda x: float(m.slope(x).value), q))


def _difference(f: Callable[[float], float], q: float) -> float:
    step = 1e-4 * q
    value = (f(q + step) - f(q - step)) / (2.0 * step)
    return float(value) if np.isfinite(value) else 0.0


def _at_zero(m: Moments, w2: float, b2: float, grid: Array, gap: Array) -> FixedPoint | None:
    """The fixed point q = 0 of a network without biases whose activation vanishes at zero."""
    start = affine(m.square(0.0), w2, b2)
    if start.value > 4.0 * start.error and start.value > 0.0:
        return None
    if start.value != 0.0:
        return None
    slope = zero_slope(m.phi, w2)
    stable = slope < 1.0 - 4.0 * EPS
    if abs(slope - 1.0) <= 4.0 * EPS:  # decided by what V does just above zero
        seen = np.flatnonzero(np.abs(gap) > 1e-13)
        stable = seen.size == 0 or gap[seen[0]] < 0.0
    chi = Estimate(slope, 4.0 * EPS * slope, Status.OK)
    return FixedPoint(Estimate(0.0, 0.0, Status.OK), chi, chi, STABLE if stable else UNSTABLE)


def zero_slope(phi: AbstractActivation, w2: float) -> float:
    """V'(0) = sigma_w^2 times the mean of the squared one-sided slopes at zero."""
    one_sided = phi.derivative(np.array([-1e-300, 1e-300]))
    return float(w2 * np.mean(one_sided**2))


def _growth(m: Moments, w2: float, b2: float, grid: Array) -> float:
    """Limit of V(q) / q at large q; infinite where it keeps rising."""
    if grid.size < 2 * _PER_OCTAVE or grid[-1] < 0.5 * _HIGHEST:
        return float("inf")  # V itself leaves float64
    a, b = (w2 * m.square(float(x)).value + b2 for x in (grid[-1] / 16.0, grid[-1]))
    if b == 0.0:
        return 0.0
    ratio = 16.0 * a / b
    return float("inf") if ratio < 0.9 else float(b / grid[-1])


def _describe(points: tuple[FixedPoint, ...]) -> str:
    attracting = [p for p in points if p.attracts]
    words = ", ".join(f"q* = {p.q.value:.6g} ({p.stability})" for p in points)
    if len(attracting) > 1:
        return f"Several lengths attract, depending on the input: {words}."
    return f"One length attracts: {words}." if len(points) > 1 else f"One fixed point, {words}."


def reached_from(phi: ActivationLike, q0: float, *, sigma_w: float, sigma_b: float) -> float:
    """Where lengths that start at input mean square `q0` end; inf where they diverge.

    A few hundred steps of the map, then the nearest attracting point on the way it is going.
    """
    w2, b2 = variances(sigma_w, sigma_b)
    m = moments(activation(phi))
    q = w2 * q0 + b2
    for _ in range(200):
        e = m.square(q)
        if e.status not in (Status.OK, Status.INEXACT) or q > _HIGHEST:
            return float("inf")
        before, q = q, w2 * e.value + b2
        if abs(q - before) <= 1e-14 * q:
            break
    return q
