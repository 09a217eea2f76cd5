r"""What sigmas do over a given depth: where lengths end, what becomes of gradients and distances.

.. math::
    q^{l+1} = \sigma_w^2 E\,\phi(\sqrt{q^l} z)^2 + \sigma_b^2, \qquad
    \frac{d^{l}}{d^{l+1}} = \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, Status, missing
from chione.gaussian import Integrator, Table
from chione.theory.fading import fading, is_straight
from chione.theory.moments import Moments, moments
from chione.theory.taylor import origin

FIRST_DISTANCE = 0.1  # 1 - c of the pair that is followed: correlation 0.9
_Q_MIN, _Q_MAX = 1e-12, 1e12


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
    m, pair = moments(phi), ClosePair(phi)
    w2, b2 = sigma_w**2, sigma_b**2
    q, gap = w2 * q0 + b2, FIRST_DISTANCE
    decades, relative, later = 0.0, 0.0, 0.0
    for layer in range(depth):
        d, s = m.derivative_square(q), m.square(q)
        if not (np.isfinite(d.value) and np.isfinite(s.value)):
            return DepthFigures(float("nan"), float("nan"), float("inf"), float("nan"))
        after = w2 * s.value + b2
        with np.errstate(divide="ignore"):
            step = float(np.log10(w2 * d.value))
        decades, relative = decades + step, relative + d.error / max(d.value, 1e-300)
        gap = float(pair.step(np.array([gap]), np.array([q]), w2, after)[0])
        settled = abs(after - q) <= 2.0 * EPS * q
        q = after
        if settled and gap < 1e-12:  # from here on gradient and distance change by one factor
            later = step * (depth - 1 - layer)
            decades += later
            relative += d.error / max(d.value, 1e-300) * (depth - 1 - layer)
            break
    with np.errstate(divide="ignore"):
        distance = float(np.log10(gap / FIRST_DISTANCE)) + later
    return DepthFigures(decades, distance, q, relative + depth * EPS)


class ClosePair:
    r"""How 1 - c of two close inputs changes in one layer, by the leading terms of the map.

    .. math:: K(1) - K(c) = q \left[E\,\phi'^2\,\epsilon
       - \tfrac23 \sum_k J_k^2\, p_q(k) \sqrt{q / \pi}\;\epsilon^{3/2}
       - \tfrac12 q\, E\,\phi''^2\, \epsilon^2\right], \qquad \epsilon = 1 - c

    with :math:`J_k` the jumps of phi' and :math:`p_q` the density of N(0, q).
    """

    def __init__(self, phi: AbstractActivation) -> None:
        self._m = moments(phi)
        self._bend = Integrator(phi.second_derivative, phi.kinks, power=2)
        self._table = Table(self._bend)
        self._bends = self._bend(1.0).value > 0.0  # not for pieces of straight lines
        self._jumps = [(k, phi.jump(1, k) ** 2) for k in phi.kinks]

    def kink_term(self, q: Array) -> Array:
        r"""Coefficient of :math:`\epsilon^{3/2}` at sigma_w = 1, relative to q."""
        out = np.zeros_like(q)
        with np.errstate(under="ignore"):
            for k, square in self._jumps:
                # density times sqrt(q / pi): sqrt(q) cancels, so q = 0 is no exception
                with np.errstate(divide="ignore"):
                    weight = np.exp(-0.5 * k * k / q) if k else np.ones_like(q)
                out += (2.0 / 3.0) * square * weight / (np.pi * np.sqrt(2.0))
        return out

    def bend_term(self, q: Array) -> Array:
        r"""Coefficient of :math:`\epsilon^2` at sigma_w = 1, relative to q: half q E phi''^2."""
        return np.asarray(0.5 * q * self._table(q)) if self._bends else np.zeros_like(q)

    def step(self, gap: Array, q: Array, w2: float | Array, q_after: float | Array) -> Array:
        """1 - c one layer on."""
        if np.all(q == 0.0):
            return gap
        slope = self._m.derivative_table(q)
        lost = self.kink_term(q) * gap**1.5 + self.bend_term(q) * gap**2
        # a distance stays positive: beyond the reach of the leading terms it halves instead
        kept = np.maximum(slope * gap - lost, 0.5 * slope * gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.minimum(w2 * q * kept / q_after, 2.0))


def limit(phi: AbstractActivation, *, sigma_w: float, sigma_b: float, q1: float) -> Estimate:
    """The fixed point that lengths reach from q1; status DIVERGENT where they grow for ever."""
    m, w2, b2 = moments(phi), sigma_w**2, sigma_b**2
    if b2 == 0.0 and _fades_at_zero(phi, w2):
        return Estimate(0.0, 0.0)

    def drift(u: float) -> float:
        q = float(np.exp(u))
        s = m.square(q).value
        return float(w2 * s + b2 - q) if np.isfinite(s) else float("inf")

    def noise(u: float) -> float:
        q = float(np.exp(u))
        return float(w2 * m.square(q).error + 8.0 * EPS * q)

    u = float(np.log(min(max(q1, _Q_MIN), _Q_MAX)))
    first = drift(u)
    if abs(first) <= noise(u):
        return Estimate(float(np.exp(u)), _limit_error(m, w2, float(np.exp(u))))
    sign = 1.0 if first > 0.0 else -1.0
    low = u
    while np.log(_Q_MIN) < u < np.log(_Q_MAX):
        u += 0.05 * sign
        there = drift(u)
        if sign * there > 0.0 or abs(there) <= noise(u):  # a drift that only fades is no root
            low = u if sign * there > noise(u) else low
            continue
        root = brentq(drift, min(low, u), max(low, u), xtol=4.0 * EPS, rtol=4.0 * EPS)
        q = float(np.exp(root))
        return Estimate(q, _limit_error(m, w2, q))
    if sign > 0.0:
        return missing(Status.DIVERGENT)
    return Estimate(0.0, 0.0 if b2 == 0.0 else _Q_MIN)


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


def _limit_error(m: Moments, w2: float, q: float) -> float:
    s, slope = m.square(q), m.slope(q)
    steep = abs(1.0 - w2 * slope.value)
    return float((w2 * s.error + 4.0 * EPS * q) / max(steep, 1e-8))
