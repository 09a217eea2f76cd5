"""The best stable point on the edge of chaos (chi_perp = 1) of an activation, at a depth."""

from __future__ import annotations

import math

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, Estimate
from chione.theory.critical.options import option, root_error
from chione.theory.critical.recommendation import Recommendation
from chione.theory.meanfield.close_pair import FIRST_DISTANCE, ClosePair
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.moments import moments

_RANKED = 1000  # layers that are followed to rank points of the edge of chaos
_STABLE = 1.0 - 1e-9  # chi_parallel below which a fixed point is called stable


def edge_option(act: AbstractActivation, depth: int, q0: float) -> Recommendation | None:
    """The best stable point on the edge of chaos, q* rounded to two digits; None without one."""
    if moments(act).has_jumps:
        return None
    grid = np.array(
        [a * 10.0**k for k in range(-3, 3) for a in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
    ) * own_unit(act)
    w2, b2, chi = _edge_variances(act, grid)
    with np.errstate(invalid="ignore"):
        good = (b2 >= 0.0) & (chi < _STABLE) & np.isfinite(w2)
    if not np.any(good):
        return None
    q, w2, b2 = grid[good], w2[good], b2[good]
    best = int(np.argmin(edge_costs(act, w2, b2, depth, q0)))
    return option(
        act,
        "edge of chaos",
        "edge of chaos",
        math.sqrt(w2[best]),
        math.sqrt(b2[best]),
        depth=depth,
        q0=q0,
        q_star=Estimate(float(q[best]), 0.0),
        sigma_errors=_edge_errors(act, float(q[best])),
    )


def _edge_errors(act: AbstractActivation, q: float) -> tuple[float, float]:
    """Errors of sigma_w and sigma_b of the edge of chaos at q."""
    m = moments(act)
    w2 = 1.0 / m.derivative_square(q)
    return root_error(w2), root_error(q - w2 * m.square(q))


def _edge_variances(act: AbstractActivation, q: Array) -> tuple[Array, Array, Array]:
    """sigma_w^2, sigma_b^2 and chi_parallel of the edge of chaos at each q."""
    m = moments(act)
    with np.errstate(all="ignore"):
        w2 = 1.0 / m.derivative_square(q).value
        return w2, q - w2 * m.square(q).value, w2 * m.slope(q).value


def edge_costs(act: AbstractActivation, w2: Array, b2: Array, depth: int, q0: float) -> Array:
    """Decades of gradient and distance over the depth, for many points at once."""
    layers, pair = LengthMap(moments(act), w2, b2), ClosePair(act)
    q, gap, decades = w2 * q0 + b2, np.full(w2.shape, FIRST_DISTANCE), np.zeros(w2.shape)
    far = 0.0
    for layer in range(min(depth, _RANKED)):
        after = layers.quick_value(q)
        with np.errstate(divide="ignore"):  # a gradient that float64 cannot hold costs everything
            step = np.log10(layers.quick_gradient(q))
        before, gap = gap, pair.step(gap, q, w2, after)
        decades += step
        if np.all(np.abs(after - q) <= 1e-12 * q) and layer > 200:
            decades += step * (min(depth, 10**300) - 1 - layer)
            break
        q = after
    if depth > layer + 1:  # on the edge of chaos 1 - c falls as a power of the depth
        with np.errstate(divide="ignore", invalid="ignore"):
            power = layer * np.log(gap / before)
        far = power * math.log10(depth / (layer + 1))
    with np.errstate(divide="ignore"):  # and so does a distance that float64 cannot hold
        lost = np.abs(np.log10(gap / FIRST_DISTANCE) + far)
    return np.asarray(np.abs(decades) + np.where(np.isnan(lost), np.inf, lost))
