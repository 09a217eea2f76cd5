r"""All fixed points of the length map, with their stability.

.. math:: q^* = V(q^*), \qquad V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2

Roots are bracketed on a table of V and then solved on V itself; nothing is iterated, because
iteration runs away from unstable points and crawls near half-stable ones.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from chione.activations import ActivationLike
from chione.base import EPS, AbstractResult, Array, Estimate, Status, cost, result
from chione.base.newton import bracketed_newton
from chione.theory.meanfield.length_map import AbstractLengthMap, LengthMap
from chione.theory.meanfield.root_error import error_of_length

STABLE = "stable"
UNSTABLE = "unstable"
FROM_ABOVE = "half-stable from above"
FROM_BELOW = "half-stable from below"

_FIRST, _STEPS = 15, 200  # of the map, before the direction alone decides


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
    layer = LengthMap.of(phi, sigma_w, sigma_b)
    if layer.w2 == 0.0:  # the map is constant, whatever the activation
        none = Estimate.exact(0.0)
        still = (FixedPoint(Estimate(layer.b2, EPS * layer.b2), none, none, STABLE),)
        return FixedPoints(still, Status.OK, none, _describe(still))
    return fixed_points_of(layer)


def fixed_points_of(layer: AbstractLengthMap) -> FixedPoints:
    """All fixed points of any map of lengths; of a network of layers use :func:`fixed_points`.

    This is the careful path: it tells stable points from unstable and half-stable ones, double
    roots from none, and a map that is the identity from one that crosses it. A phase diagram,
    which asks for stable points alone, brackets them by :mod:`.stable_lengths` and solves for
    them, and for their errors, by the same functions.

    Parameters
    ----------
    layer : AbstractLengthMap
        The map.
    """
    grid, v = layer.scan()
    gap, noise = v.value / grid - 1.0, v.error / grid + 2.0 * EPS
    start = layer.value(0.0)
    if start.value == 0.0 and grid.size and np.all(np.abs(gap) <= noise + 4.0 * EPS):
        sentence = "Every length is a fixed point: the length map is the identity."
        return FixedPoints((), Status.CONTINUUM, Estimate.exact(1.0), sentence)
    zero = (_at_zero(layer, gap),) if start.value == 0.0 else ()
    points = (*zero, *(_point(layer, *r) for r in _roots(layer, grid, gap, noise)))
    growth = layer.growth()
    if any(p.attracts for p in points):
        return FixedPoints(points, Status.OK, growth, _describe(points))
    status = layer.fate()
    if status == Status.DIVERGENT:
        settles = np.isfinite(growth.value)
        pace = f"by {growth:.4g}x a layer" if settles else "faster than exponentially"
        start_of = (
            "every" if len(points) == 0 or points[-1].q.value == 0.0 else "every large enough"
        )
        sentence = f"No length attracts: from {start_of} input lengths diverge, in the end {pace}."
    elif status == Status.OVERFLOW:
        sentence = "Lengths grow beyond 1e300, ever more slowly: where they end is out of reach."
    else:
        sentence = "The length map has no attracting fixed point."
    return FixedPoints(points, status, growth, sentence)


def _roots(
    layer: AbstractLengthMap, grid: Array, gap: Array, noise: Array
) -> list[tuple[float, str]]:
    """Places and kinds of all roots above zero."""
    touching: list[tuple[float, str]] = []
    crossed: list[tuple[float, float, float]] = []  # bracket, and sign of V - q at its lower end
    sign = np.where(np.abs(gap) <= noise, 0.0, np.sign(gap))
    slope = _slopes(layer, grid, gap, noise)
    for i, j in pairwise(np.flatnonzero(sign)):
        if sign[i] != sign[j]:
            crossed.append((grid[i], grid[j], sign[i]))
        # an extremum of V - q towards the axis: sign * (V' - 1) goes from below zero to above
        elif sign[i] * slope[i] < 0.0 < sign[i] * slope[j]:
            for q, kind in _between(layer, grid[i], grid[j], sign[i]):
                if kind is not None:
                    touching.append((q, kind))
                else:
                    crossed += [(grid[i], q, sign[i]), (q, grid[j], -sign[i])]
    return sorted(touching + _crossings(layer, crossed))


def _crossings(
    layer: AbstractLengthMap, brackets: list[tuple[float, float, float]]
) -> list[tuple[float, str]]:
    """The roots inside brackets, all at once."""
    if not brackets:
        return []
    low, high, sign = np.array(brackets).T

    def f(q: Array, index: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        v, side = layer.value(q), sign[index]
        return side * (v.value - q), side * (layer.slope(q).value - 1.0), EPS * (v.value + q)

    at = bracketed_newton(f, low, high, np.sqrt(low * high), logarithmic=True)
    return [(float(q), STABLE if s > 0.0 else UNSTABLE) for q, s in zip(at, sign, strict=True)]


def _slopes(layer: AbstractLengthMap, grid: Array, gap: Array, noise: Array) -> Array:
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
        out[near] = np.asarray(layer.slope(grid[near]).value) - 1.0
    return out


def _between(
    layer: AbstractLengthMap, low: float, high: float, sign: float
) -> list[tuple[float, str | None]]:
    """A touching point, or one beyond the axis (kind None), between grid points of one sign."""

    def slope(u: float) -> float:
        return float(layer.slope(low * float(np.exp(u))).value - 1.0)

    end = float(np.log(high / low))
    if not slope(0.0) * slope(end) < 0.0:
        return []
    q = float(low) * float(np.exp(brentq(slope, 0.0, end, xtol=EPS)))
    v = layer.value(q)
    gap = float(v.value) - q
    if abs(gap) <= 4.0 * (v.error + EPS * q):
        return [(q, FROM_BELOW if sign > 0.0 else FROM_ABOVE)]
    return [] if np.sign(gap) == sign else [(q, None)]


def _point(layer: AbstractLengthMap, q: float, kind: str) -> FixedPoint:
    value, parallel, perp = layer.value(q), layer.slope(q), layer.gradient(q)
    bend, change = _change(layer.slope, q), _change(layer.gradient, q)
    error = float(
        error_of_length(
            *(np.array(x) for x in (q, value.value, value.error)),
            *(np.array(x) for x in (parallel.value, parallel.error, bend)),
        )
    )
    return FixedPoint(
        Estimate(q, error, Status.OK),
        _spread(parallel, bend * error),
        perp if perp.status != Status.OK else _spread(perp, change * error),
        kind,
    )


def _spread(e: Estimate, further: float) -> Estimate:
    """The same estimate with a wider error."""
    return Estimate(e.value, e.error + further, e.status)


def _change(f: Callable[[float], Estimate], q: float) -> float:
    """Size of the slope of f at q; only error estimates rest on it."""
    step = 1e-4 * q
    value = abs(f(q + step).value - f(q - step).value) / (2.0 * step)
    return float(value) if np.isfinite(value) else 0.0


def _at_zero(layer: AbstractLengthMap, gap: Array) -> FixedPoint:
    """The fixed point q = 0 of a network without biases whose activation vanishes at zero."""
    chi = layer.slope(0.0)
    stable = bool(chi.value < 1.0 - 4.0 * EPS)
    if abs(chi.value - 1.0) <= 4.0 * EPS:  # decided by what V does just above zero
        seen = np.flatnonzero(np.abs(gap) > 1e-13)
        stable = seen.size == 0 or bool(gap[seen[0]] < 0.0)
    zero = Estimate(0.0, 0.0, Status.OK)
    return FixedPoint(zero, chi, layer.gradient(0.0), STABLE if stable else UNSTABLE)


def _describe(points: tuple[FixedPoint, ...]) -> str:
    attracting = [p for p in points if p.attracts]
    words = ", ".join(f"q* = {p.q.value:.6g} ({p.stability})" for p in points)
    if len(attracting) > 1:
        return f"Several lengths attract, depending on the input: {words}."
    return f"One length attracts: {words}." if len(points) > 1 else f"One fixed point, {words}."


def settle(
    layer: AbstractLengthMap, points: FixedPoints, q: float
) -> tuple[FixedPoint | None, bool]:
    """The attracting point at which lengths settle, and whether they get there.

    Where the map rises throughout, a few steps, otherwise a few hundred; then the nearest
    attracting point on the way it is going. Where there is none, the last of all, not reached.

    Parameters
    ----------
    layer : AbstractLengthMap
        The map of `points`.
    points : FixedPoints
        All fixed points.
    q : float
        Mean square of the first pre-activations.
    """
    attracting, step = points.stable, 0.0
    if not attracting:
        return None, False
    for i in range(_STEPS):
        e = layer.value(q)
        if e.status not in (Status.OK, Status.INEXACT):
            return attracting[-1], False
        before, q = q, float(e.value)
        step = q - before
        if abs(step) <= 1e-14 * q or not np.isfinite(q):
            break
        if i == _FIRST and _rises(layer):  # all further steps go the way of this one
            break
    places = np.array([p.q.value for p in attracting])
    if abs(step) <= 1e-12 * q:
        near = int(np.argmin(np.abs(places - q)))
        if abs(places[near] - q) <= 1e-6 * max(places[near], q):
            return attracting[near], True
    ahead = np.flatnonzero(places > q) if step > 0.0 else np.flatnonzero(places <= q)[::-1]
    return (attracting[ahead[0]], True) if ahead.size else (attracting[-1], False)


def _rises(layer: AbstractLengthMap) -> bool:
    """Whether V is nowhere seen to fall, so that lengths move one way."""
    _, v = layer.scan()
    return bool(np.all(np.diff(v.value) >= -4.0 * v.error[1:]))
