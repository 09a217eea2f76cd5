r"""Where the correlation of two inputs leads, block after block.

At lengths that stay, or grow or fade by one factor, 1 - c follows a map G of its own:

.. math:: \epsilon_{l+1} = G(\epsilon_l), \qquad
   G = \epsilon - \kappa\,\epsilon^{1 + 1/p} \;\Rightarrow\; \epsilon_l \sim (p / \kappa)^p\,l^{-p}

At lengths that grow by v a block, each block counts for 1 / l of it:

.. math:: \frac{d \epsilon}{d \log l} = -\frac{D(\epsilon)}{v}, \qquad
   D(\epsilon) = \lim_{q \to \infty} q\,(\epsilon - G(q, \epsilon))

so that 1 - c fades as :math:`l^{(\chi - v) / v}` with :math:`\chi = v - D'(0)`, or, where that is
zero, as a power of log l.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, Array, Estimate, Status, missing
from chione.theory.layers.block import BlockMap
from chione.theory.meanfield.block_law import LOGARITHM, BlockLaw, power_law
from chione.theory.meanfield.depth_scale import is_critical
from chione.theory.meanfield.limits import bounded_limit, leading_power, limit

_NEAR = 1e-2 * 4.0 ** -np.arange(8.0)  # 1 - c at which leading powers are read off
_SCAN = (*(10.0 ** np.arange(-9.0, 0.0)), 0.3, 1.0, 1.5, 1.9, 2.0)
Map = Callable[[Array], Estimate]


@dataclass(frozen=True)
class Correlations:
    """Where 1 - c leads.

    Parameters
    ----------
    one_minus_c : Estimate
        1 - c*.
    slope : Estimate
        Slope of the correlation map there; missing where there is no such map.
    slope_at_one : Estimate
        The same at c = 1.
    apart : Estimate
        1 - c of two equal inputs after one block: zero without dropout and noise.
    law : BlockLaw or None
        The law of 1 - c where its decay is no exponential.
    leading : Estimate
        1 - c* to leading order in `apart`, where that keeps inputs apart at a slope of 1;
        status ``INEXACT``, its error is the distance to the exact one.
    """

    one_minus_c: Estimate
    slope: Estimate
    slope_at_one: Estimate
    apart: Estimate
    law: BlockLaw | None
    leading: Estimate


# ---- lengths that keep their map ----------------------------------------------------------------


def settled(block: BlockMap, q: Array, x: Array, q_error: float) -> Correlations:
    """At one length q, or in the limit of the last of several, where x is zero."""

    def at_limit(of: Callable[[Array, Array], Estimate], eps: Array) -> Estimate:
        if len(q) == 1:
            return of(np.full(len(eps), q[0]), eps)
        many = of(np.tile(q, len(eps)), np.repeat(eps, len(q)))
        rows = [limit(x, many[i * len(q) : (i + 1) * len(q)]) for i in range(len(eps))]
        return Estimate.stack(rows)

    def gap(eps: Array) -> Estimate:
        return at_limit(block.gap, eps)

    none = missing(Status.NONE)
    nothing = missing(Status.NOT_COMPUTED)
    if block.normalises_batches:  # two equal inputs have no variance over the batch
        eps = _root(gap, none)
        return Correlations(eps, Estimate.exact(0.0), none, none, None, none)
    zero = np.zeros(1)
    apart = gap(zero)[0]
    slope = bounded_limit(q, x, block.correlation_slope(q, np.zeros(len(q))))
    if apart.value <= apart.error:
        half = gap(np.array([0.5]))[0]
        if abs(half.value - 0.5) <= 4.0 * half.error:
            return Correlations(missing(Status.CONTINUUM), slope, slope, apart, None, none)
        if is_critical(slope):
            law = _power(lambda eps: eps - gap(eps))
            return Correlations(Estimate.exact(0.0), slope, slope, apart, law, none)
        if slope.value < 1.0:
            return Correlations(Estimate.exact(0.0), slope, slope, apart, None, none)
    if len(q) > 1:
        eps = _rest(lambda e: block.gap(np.full(len(e), q[-1]), e), gap, apart)
    else:
        eps = _root(gap, apart)
    if not np.isfinite(eps.value):
        return Correlations(eps, nothing, slope, apart, None, none)
    there = at_limit(block.correlation_slope, np.array([eps.value]))[0]
    if len(q) == 1:
        eps = _moved(block, eps, float(q[0]), q_error)
        room = 1.0 - there.value - there.error
        error = eps.error / room if room > 0.0 else np.inf
        eps = Estimate(eps.value, float(error) + 4.0 * EPS * eps.value, eps.status)
    leading = _leading(gap, apart, slope, eps)
    return Correlations(eps, there, slope, apart, None, leading)


def _root(gap: Map, apart: Estimate) -> Estimate:
    """The smallest 1 - c above zero that the map keeps; its error is that of the map there."""

    def pull(eps: float) -> tuple[float, float]:
        g = gap(np.array([eps]))[0]
        return g.value / eps - 1.0, g.error / eps

    low: float | None = None
    for eps in _SCAN:
        h, error = pull(eps)
        if abs(h) <= 4.0 * error:
            if error < 1e-9:
                return Estimate(eps, error * eps)
            continue  # nothing can be told so close to c = 1
        if h > 0.0:
            low = eps
        elif low is None:
            return missing(Status.NOT_COMPUTED)  # closer to 1 than 1e-9
        else:
            t = brentq(lambda t: pull(float(np.exp(t)))[0], np.log(low), np.log(eps), xtol=1e-15)
            found = float(np.exp(t))
            h, error = pull(found)
            return Estimate(found, (abs(h) + error) * found)
    return missing(Status.NONE)


def _moved(block: BlockMap, eps: Estimate, q: float, q_error: float) -> Estimate:
    """With what an error of the length makes of the map."""
    if q_error == 0.0:
        return eps
    step = max(1e-4 * q, q_error)
    both = block.gap(np.array([q, q + step]), np.full(2, eps.value)).value
    return Estimate(eps.value, eps.error + 2.0 * abs(both[1] - both[0]) / step * q_error)


def _power(drop: Map) -> BlockLaw | None:
    found = leading_power(drop, _NEAR)
    if found is None:
        return None
    p, kappa = found
    return power_law("1 - c", -p, (p / kappa) ** p)


def _leading(gap: Map, apart: Estimate, slope: Estimate, exact: Estimate) -> Estimate:
    r"""Where :math:`G = d + s (\epsilon - \kappa\,\epsilon^{1 + 1/p})` rests at small d.

    :math:`(d / \kappa)^{p / (1 + p)}`, the slope s counting as 1 to leading order: for a smooth
    activation this is :math:`\sqrt{2 d / C''(1)}`, for relu and dropout
    :math:`((1 - p) / \kappa)^{2/3}`.
    """
    if not apart.value > apart.error or not abs(slope.value - 1.0) < 0.5:
        return missing(Status.NONE)
    found = leading_power(lambda eps: apart + eps * slope - gap(eps), _NEAR)
    if found is None:
        return missing(Status.NONE)
    p, kappa = found
    value = float((apart * slope / kappa).value) ** (p / (1.0 + p))
    return Estimate(value, abs(value - exact.value) + exact.error, Status.INEXACT)


# ---- lengths that grow by v a block --------------------------------------------------------------


def drifting(block: BlockMap, v: Estimate, q: Array, x: Array) -> Correlations:
    """At lengths q ~ v l; `q` are large ones, whose limit is x = 0."""

    def drift(eps: Array) -> Estimate:  # D
        rows = []
        for e in eps:
            found = block.through(q, np.full(len(q), e), pairs=True, backward=False)
            # of the covariances: v e - (the branch's half distance)
            branch = found.distance.minus(found.distance.exact(2.0 * q * e)).scaled(0.5)
            rows.append(v * e - limit(x, branch.estimate()))
        return Estimate.stack(rows)

    none = missing(Status.NONE)

    def gap(eps: Array) -> Estimate:  # a map with the same fixed point, and the slope of the flow
        return eps - drift(eps) / v

    if block.normalises_batches:
        return Correlations(_root(gap, none), none, none, none, None, none)
    chi = bounded_limit(q, x, (block.covariance_slope(q, np.zeros(len(q))) - 1.0) * q)
    apart = gap(np.zeros(1))[0]
    rate = (chi - v) / v
    nothing = missing(Status.NOT_COMPUTED)
    if apart.value <= 4.0 * apart.error and np.isfinite(rate.value):
        zero = Estimate.exact(0.0)
        if abs(rate.value) <= 2.0 * rate.error:
            return Correlations(zero, none, none, apart, _logarithmic(drift, v), none)
        if rate.value < 0.0:
            law = power_law("1 - c", rate, nothing)
            return Correlations(zero, none, none, apart, law, none)

    def at_last(eps: Array) -> Estimate:
        d = block.through(q[-1:], eps, pairs=True, backward=False).distance
        return d.minus(d.exact(2.0 * q[-1:] * eps)).scaled(0.5).estimate() / v

    return Correlations(_rest(at_last, gap, apart), none, none, apart, None, none)


def _rest(at_last: Map, gap: Map, apart: Estimate) -> Estimate:
    """1 - c > 0 that the limit of maps keeps: the root of the last map, then corrected."""
    start = _root(at_last, apart)
    if not np.isfinite(start.value):
        return start
    eps = start.value
    for _ in range(3):
        step = 1e-4 * eps
        near = gap(np.array([eps - step, eps])) - np.array([eps - step, eps])
        pull = float(near.value[0] - near.value[1]) / step
        if not pull > 0.0:
            return Estimate(eps, np.inf)
        miss, error = float(near.value[1]) / pull, float(near.error[1]) / pull
        if abs(miss) <= 2.0 * error or not 0.0 < eps + miss <= 2.0:
            break
        eps += miss
    return Estimate(eps, abs(miss) + 1.1 * error)


def _logarithmic(drift: Map, v: Estimate) -> BlockLaw | None:
    found = leading_power(drift, _NEAR)
    if found is None:
        return None
    p, kappa = found
    return power_law("1 - c", -p, (p * v / kappa) ** p, LOGARITHM)
