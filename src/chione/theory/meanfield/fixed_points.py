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

from chione.activations import ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, cost, result
from chione.theory.meanfield.growth_factor import growth_factor, unsettled
from chione.theory.meanfield.length_map import affine, variances
from chione.theory.meanfield.root_error import root_error
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.scale_free import zero_slope

STABLE = "stable"
UNSTABLE = "unstable"
FROM_ABOVE = "half-stable from above"
FROM_BELOW = "half-stable from below"

_STEPS = 200  # of the map, before the direction alone decides
_BLOCK = 64  # of a scan: where eight octaves are not resolved, none beyond will be
_FAINT = 1e-250  # smaller means are inexact for want of range, not of resolution


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
    growth : Estimate
        Factor V(q) / q on large lengths; lengths diverge at this rate per layer where it is above
        1. Infinite where they grow faster than exponentially.
    sentence : str
        The same in words.
    """

    points: tuple[FixedPoint, ...]
    status: Status
    growth: Estimate
    sentence: str

    @property
    def stable(self) -> tuple[FixedPoint, ...]:
        """The points that attract from at least one side."""
        return tuple(p for p in self.points if p.attracts)


@cost.ends
def fixed_points(phi: ActivationLike, sigma_w: float, sigma_b: float = 0.0) -> FixedPoints:
    r"""All fixed points of the length map.

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

    Notes
    -----
    Where V can meet the diagonal is read from the sizes of the activation at all arguments
    between 1e-145 and 1e150, so that no unit of q is preferred; that lengths diverge is said where
    V lies above the diagonal at the largest of them.

    Examples
    --------
    >>> points = fixed_points("tanh", sigma_w=1.3, sigma_b=0.3).points
    >>> [(round(p.q.value, 6), p.stability) for p in points]
    [(0.607047, 'stable')]
    """
    w2, b2 = variances(sigma_w, sigma_b)
    m = moments(phi)
    if w2 == 0.0:  # the map is constant, whatever the activation
        none = Estimate.exact(0.0)
        still = (FixedPoint(Estimate(b2, EPS * b2), none, none, STABLE),)
        return FixedPoints(still, Status.OK, none, _describe(still))
    grid, gap, noise = _scan(m, w2, b2)
    if _is_identity(b2, gap, noise):
        sentence = "Every length is a fixed point: the length map is the identity."
        return FixedPoints((), Status.CONTINUUM, Estimate.exact(1.0), sentence)
    roots = _roots(m, w2, b2, grid, gap, noise)
    zero = _at_zero(m, w2, b2, gap)
    points = tuple(([zero] if zero else []) + [_point(m, w2, b2, *r) for r in roots])
    factor = growth_factor(m)
    growth = w2 * factor if np.isfinite(factor.value) else factor
    if any(p.attracts for p in points):
        return FixedPoints(points, Status.OK, growth, _describe(points))
    status = Status(int(unsettled(m, np.array(w2), np.array(b2))))
    if status == Status.DIVERGENT:
        settles = np.isfinite(growth.value)
        pace = f"by {growth:.4g}x a layer" if settles else "faster than exponentially"
        start = "every" if len(points) == 0 or points[-1].q.value == 0.0 else "every large enough"
        sentence = f"No length attracts: from {start} input lengths diverge, in the end {pace}."
    elif status == Status.OVERFLOW:
        sentence = "Lengths grow beyond 1e300, ever more slowly: where they end is out of reach."
    else:
        sentence = "The length map has no attracting fixed point."
    return FixedPoints(points, status, growth, sentence)


def length_gap(m: Moments, w2: float, b2: float, q: float) -> Estimate:
    """V(q) - q."""
    v = affine(m.square(q), w2, b2)
    return Estimate(v.value - q, v.error + EPS * q, v.status)


def _scan(m: Moments, w2: float, b2: float) -> tuple[Array, Array, Array]:
    """Grid of q, V(q) / q - 1 on it, and the relative noise of V; cut where V is not known."""
    grid = growth_profile(m.phi).grid(np.array([w2]), np.array([b2]))
    value, error = resolved_squares(m, grid)
    grid = grid[: value.size]
    return grid, (w2 * value + b2) / grid - 1.0, w2 * error / grid + 4.0 * EPS


def resolved_squares(m: Moments, grid: Array) -> tuple[Array, Array]:
    """E phi^2 with its error on a rising grid, as far as it is finite and resolved.

    An oscillation at q far beyond its period costs seconds and has no digits.
    """
    values, errors = [np.empty(0)], [np.empty(0)]
    for start in range(0, grid.size, _BLOCK):
        v = m.square(grid[start : start + _BLOCK])
        known = np.asarray(v.status) <= Status.INEXACT
        end = known.size if known.all() else int(np.argmin(known))
        values.append(np.asarray(v.value)[:end])
        errors.append(np.asarray(v.error)[:end])
        lost = np.all(np.asarray(v.status) == Status.INEXACT) and np.max(v.value) > _FAINT
        if end < known.size or lost:
            break
    return np.concatenate(values), np.concatenate(errors)


def _is_identity(b2: float, gap: Array, noise: Array) -> bool:
    return b2 == 0.0 and gap.size > 0 and bool(np.all(np.abs(gap) <= noise + 4.0 * EPS))


def _roots(
    m: Moments, w2: float, b2: float, grid: Array, gap: Array, noise: Array
) -> list[tuple[float, str]]:
    """Places and kinds of all roots above zero."""
    found: list[tuple[float, str]] = []
    sign = np.where(np.abs(gap) <= noise, 0.0, np.sign(gap))

    def add(a: float, b: float, left: float) -> None:
        def f(u: float) -> float:
            return float(length_gap(m, w2, b2, a * float(np.exp(u))).value) / a

        root = float(a) * float(np.exp(brentq(f, 0.0, np.log(b / a), xtol=EPS, rtol=4.0 * EPS)))
        found.append((root, STABLE if left > 0.0 else UNSTABLE))

    nonzero = np.flatnonzero(sign)
    slope = _slopes(m, w2, grid, gap, noise)
    for i, j in pairwise(nonzero):
        if sign[i] != sign[j]:
            add(grid[i], grid[j], sign[i])
        # an extremum of V - q towards the axis: sign * (V' - 1) goes from below zero to above
        elif sign[i] * slope[i] < 0.0 < sign[i] * slope[j]:
            for q, kind in _between(m, w2, b2, grid[i], grid[j], sign[i]):
                if kind is not None:
                    found.append((q, kind))
                else:
                    add(grid[i], q, sign[i])
                    add(q, grid[j], -sign[i])
    return sorted(found)


def _slopes(m: Moments, w2: float, grid: Array, gap: Array, noise: Array) -> Array:
    """V' - 1 where V is near the diagonal; NaN elsewhere.

    Beyond 0.2 it is too far away to come back within a tenth of an octave; so it is beyond some
    times what V - q changes by from one point to the next, V having no narrower feature.
    """
    out, near = np.full(grid.shape, np.nan), np.abs(gap) <= 0.2
    if grid.size > 1:
        change = np.abs(np.diff(gap * grid))
        around = np.pad(change, (2, 3), mode="edge")
        most = np.max([around[k : k + grid.size] for k in range(5)], axis=0)
        near &= np.abs(gap * grid) <= 8.0 * (most + noise * grid)
    near[1:] |= near[:-1]
    near[:-1] |= near[1:]
    near &= np.abs(gap) > noise  # where V - q has no sign its slope is not asked for
    if near.any():
        out[near] = w2 * np.asarray(m.slope(grid[near]).value) - 1.0
    return out


def _between(
    m: Moments, w2: float, b2: float, low: float, high: float, sign: float
) -> list[tuple[float, str | None]]:
    """A touching point, or one beyond the axis (kind None), between grid points of one sign."""

    def slope(u: float) -> float:
        return float(w2 * m.slope(low * float(np.exp(u))).value - 1.0)

    end = float(np.log(high / low))
    if not slope(0.0) * slope(end) < 0.0:
        return []
    q = float(low) * float(np.exp(brentq(slope, 0.0, end, xtol=EPS)))
    e = length_gap(m, w2, b2, q)
    if abs(e.value) <= 4.0 * e.error:
        return [(q, FROM_BELOW if sign > 0.0 else FROM_ABOVE)]
    return [] if np.sign(e.value) == sign else [(q, None)]


def _point(m: Moments, w2: float, b2: float, q: float, kind: str) -> FixedPoint:
    parallel = affine(m.slope(q), w2, 0.0)
    perp = affine(m.derivative_square(q), w2, 0.0)
    gap, bend = length_gap(m, w2, b2, q), _curvature(m, w2, q)
    slope = max(abs(1.0 - parallel.value) - parallel.error, 0.0)
    error, size, curvature = (np.array(x) for x in (gap.error + abs(gap.value), slope, bend))
    q_error = float(root_error(error, size, curvature)) + 2.0 * EPS * q
    perp_slope = abs(_difference(lambda x: float(m.derivative_square(x).value), q)) * w2
    return FixedPoint(
        Estimate(q, float(q_error), Status.OK),
        _spread(parallel, bend * q_error),
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


def _at_zero(m: Moments, w2: float, b2: float, gap: Array) -> FixedPoint | None:
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


def _describe(points: tuple[FixedPoint, ...]) -> str:
    attracting = [p for p in points if p.attracts]
    words = ", ".join(f"q* = {p.q.value:.6g} ({p.stability})" for p in points)
    if len(attracting) > 1:
        return f"Several lengths attract, depending on the input: {words}."
    return f"One length attracts: {words}." if len(points) > 1 else f"One fixed point, {words}."


def settle(
    phi: ActivationLike, points: FixedPoints, q: float, *, sigma_w: float, sigma_b: float
) -> tuple[FixedPoint | None, bool]:
    """The attracting point at which lengths settle, and whether they get there.

    A few hundred steps of the map, then the nearest attracting point on the way it is going;
    where there is none, the last of all, not reached.

    Parameters
    ----------
    phi : activation
        The activation of `points`.
    points : FixedPoints
        All fixed points.
    q : float
        Mean square of the first pre-activations.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.
    """
    attracting = points.stable
    if not attracting:
        return None, False
    w2, b2 = variances(sigma_w, sigma_b)
    m, step = moments(activation(phi)), 0.0
    for _ in range(_STEPS):
        e = m.square(q)
        if e.status not in (Status.OK, Status.INEXACT):
            return attracting[-1], False
        before, q = q, w2 * e.value + b2
        step = q - before
        if abs(step) <= 1e-14 * q or not np.isfinite(q):
            break
    places = np.array([p.q.value for p in attracting])
    if abs(step) <= 1e-12 * q:
        near = int(np.argmin(np.abs(places - q)))
        if abs(places[near] - q) <= 1e-6 * max(places[near], q):
            return attracting[near], True
    ahead = np.flatnonzero(places > q) if step > 0.0 else np.flatnonzero(places <= q)[::-1]
    return (attracting[ahead[0]], True) if ahead.size else (attracting[-1], False)
