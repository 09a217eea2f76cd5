r"""What sigmas do over a given depth: where lengths end, what becomes of gradients and distances.

.. math::
    q^{l+1} = \sigma_w^2 E\,\phi(\sqrt{q^l} z)^2 + \sigma_b^2, \qquad
    \frac{d^{l}}{d^{l+1}} = \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, Estimate, Status, missing
from chione.theory.meanfield.close_pair import FIRST_DISTANCE, ClosePair, Pair
from chione.theory.meanfield.fading import fading, is_straight
from chione.theory.meanfield.far_layers import carry
from chione.theory.meanfield.fixed_points import fixed_points, settle
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import moments
from chione.theory.moments.scale_free import anchor
from chione.theory.moments.taylor import origin

_LOOP, _LOOP_MOST = 2000, 12_000  # layers followed one by one: what changes after them is slow
_LN10 = math.log(10.0)


@dataclass(frozen=True)
class DepthFigures:
    """Changes over all layers, in decades.

    Parameters
    ----------
    log10_gradient : float
        Of the mean square gradient, from the last layer to the first.
    log10_distance : float
        Of 1 - c of two inputs of correlation 0.9, by the leading terms of the map near c = 1.
    q_last : float
        Mean square of the last pre-activations; infinite where lengths leave float64.
    relative_error : float
        Error of the gradient factor itself, from those of the moments.
    """

    log10_gradient: float
    log10_distance: float
    q_last: float
    relative_error: float


def follow(
    phi: AbstractActivation, *, sigma_w: float, sigma_b: float, depth: int, q0: float
) -> DepthFigures:
    """Follow lengths, gradients and the distance of a close pair through the layers."""
    w2, b2 = sigma_w**2, sigma_b**2
    walk = Walk(phi, w2, b2)
    q = w2 * q0 + b2
    log_q, log_gap = (math.log(q) if q > 0.0 else -math.inf), math.log(FIRST_DISTANCE)
    decades, relative = 0.0, 0.0
    lost = DepthFigures(float("nan"), float("nan"), float("inf"), float("nan"))
    change, layer, last_error = math.inf, 0, 0.0
    for layer in range(1, min(depth, _LOOP_MOST) + 1):
        step = walk.step(log_q, log_gap)
        if step is None:
            return lost
        before, change, last_error = change, abs(step.log_q - log_q), step.error
        log_q, log_gap = step.log_q, step.log_gap
        decades, relative = decades + step.decades, relative + step.error
        if log_q == -math.inf or decades == -math.inf:
            return DepthFigures(decades, (log_gap - math.log(FIRST_DISTANCE)) / _LN10, 0.0, 0.0)
        # lengths that settle exponentially do so here; a power of l falls by 1 - p / l
        if layer >= _LOOP and not 64.0 * EPS < change < before * (1.0 - 4.0 / layer):
            break
    far = np.zeros(3)
    if depth > layer:
        try:
            state = np.array([log_q, log_gap, decades])
            (log_q, log_gap, decades), far = carry(walk.layer, state, layer, depth)
        except SignalLost:
            return DepthFigures(-math.inf, float("nan"), 0.0, 0.0)
        except (ConvergenceError, ArithmeticError):
            return lost
        relative += last_error * (depth - layer) + far[2] * _LN10
    distance = (log_gap - math.log(FIRST_DISTANCE)) / _LN10
    with np.errstate(over="ignore"):
        last = float(np.exp(log_q))
    rounding = EPS * float(depth)
    return DepthFigures(float(decades), float(distance), last, float(relative + rounding))


class SignalLost(ConvergenceError):
    """Far from the input no signal and no gradient is left."""


@dataclass(frozen=True)
class _Step:
    """State after one layer, the decades that the gradient changed by, and their error."""

    log_q: float
    log_gap: float
    decades: float
    error: float


class Walk:
    """One layer as a map of log q, log(1 - c) and the decades of the gradient."""

    def __init__(
        self, phi: AbstractActivation, w2: float, b2: float, pair: Pair | None = None
    ) -> None:
        self._map, self._pair = LengthMap(moments(phi), w2, b2), pair or ClosePair.of(phi)
        # lengths and distances go on
        self._jumps = self._map.moments.has_jumps and pair is not None
        self._small = anchor(phi, b2)
        bend = growth_profile(phi).linear_above
        # V / q is one number out there
        self._large = max(1e8 * bend, 1e17 * b2) if 0.0 < bend < 1e100 else math.inf

    def step(self, log_q: float, log_gap: float) -> _Step | None:
        """One layer on; None where a moment has no value."""
        q = min(self._small.of(math.exp(min(log_q, 709.0))), self._large)
        chi = Estimate.exact(1.0) if self._jumps else self._map.gradient(q)
        after = self._map.value(q).value
        if not (np.isfinite(chi.value) and np.isfinite(after)):
            return None
        decades = _log10(chi.value)
        if after <= 0.0 or q <= 0.0:
            return _Step(-math.inf, log_gap, decades, 0.0)
        return _Step(
            log_q + math.log(after / q),
            log_gap + self._pair.log_ratio(log_gap, q, self._map.w2, after),
            decades,
            chi.error / max(chi.value, 1e-300),
        )

    def layer(self, state: Array) -> Array:
        """What one layer adds to all three, for :func:`carry`."""
        known = bool(np.all(np.isfinite(state)))
        step = self.step(float(state[0]), float(state[1])) if known else None
        if step is None:
            raise ConvergenceError("A moment has no value.")
        if step.log_q == -math.inf or step.decades == -math.inf:
            raise SignalLost("Lengths fall to zero.")
        return np.array([step.log_q - state[0], step.log_gap - state[1], step.decades])


def _log10(x: float) -> float:
    return math.log10(x) if x > 0.0 else -math.inf


def limit(phi: AbstractActivation, *, sigma_w: float, sigma_b: float, q1: float) -> Estimate:
    """The fixed point that lengths reach from q1; status DIVERGENT where they grow for ever."""
    w2, b2 = sigma_w**2, sigma_b**2
    if b2 == 0.0 and _fades_at_zero(phi, w2):
        return Estimate(0.0, 0.0)
    points = fixed_points(phi, sigma_w=sigma_w, sigma_b=sigma_b)
    if points.status == Status.CONTINUUM:
        return Estimate(q1, 4.0 * EPS * q1)
    point, reached = settle(LengthMap.of(phi, sigma_w, sigma_b), points, q1)
    if point is None:
        return missing(points.status)
    return point.q if reached else missing(Status.DIVERGENT)


def _fades_at_zero(phi: AbstractActivation, w2: float) -> bool:
    """Whether K* = 0 is critical and attracts: there lengths crawl below any rounded step."""
    at = origin(phi)
    v2 = at.small_lengths()[0]
    if not at.is_zero or abs(w2 * v2.value - 1.0) > 8.0 * EPS or is_straight(phi, at):
        return False
    return fading(phi, at).law != "grows"


def susceptibilities(phi: AbstractActivation, q: float, sigma_w: float) -> tuple[Estimate, ...]:
    """chi_parallel and chi_perp at q; at q = 0 their limits, where phi(0) = 0."""
    m, w2 = moments(phi), sigma_w**2
    if q == 0.0:
        v2 = origin(phi).small_lengths()[0]
        same = w2 * v2
        return same, same
    return w2 * m.slope(q), w2 * m.derivative_square(q)
