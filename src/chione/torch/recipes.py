r"""Which :math:`\sigma_w`, :math:`\sigma_b` and which length an activation wants, by theory.

Lengths and gradients both keep their size at a critical point (K*, sigma_w, sigma_b). Where K* = 0
the length to start with is chosen for the depth, since lengths fade and gradients with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.criticality import CriticalPoint, criticality
from chione.theory.moments import derivative_second_moment, second_moment

# The gradient may change by this factor over the depth while lengths fade towards K* = 0. Finite
# networks fluctuate by more, and a smaller start makes the network only more linear.
_FADING = 0.5
_STARTS = np.geomspace(1e-8, 1.0, 97)  # lengths tried for the first layer, 12 to a decade
_LENGTHS = np.geomspace(1e-4, 1e5, 361)  # lengths searched for an edge of chaos, 40 to a decade


@dataclass(frozen=True)
class Recipe:
    r"""The initialisation of the layers around one activation.

    Parameters
    ----------
    activation : str
        Its name.
    sigma_w, sigma_b : float
        Between layers that this activation separates; NaN if nothing can be recommended.
    length : float
        Mean square that the first pre-activations should have.
    target : str
        "critical" (chi_parallel = chi_perp = 1), "edge" (chi_perp = 1 only) or "none".
    sentence : str
        Why, for a reader.
    """

    activation: str
    sigma_w: float
    sigma_b: float
    length: float
    target: str
    sentence: str

    @property
    def exists(self) -> bool:
        """Whether there is a recommendation."""
        return self.target != "none"


@lru_cache(maxsize=256)
def recipe(phi: AbstractActivation, depth: int) -> Recipe:
    """The recommendation for an activation in a network with `depth` such layers."""
    found = criticality(phi)
    point = found.best
    if point is not None:
        length = _length(phi, point, depth)
        return Recipe(phi.name, point.sigma_w, point.sigma_b, length, "critical", str(found))
    edge = _edge(phi)
    if edge is not None:
        sigma_w, sigma_b, length = edge
        sentence = (
            f"{phi.name} has no critical point. On the edge of chaos (chi_perp = 1) at "
            f"sigma_w = {sigma_w:.6g}, sigma_b = {sigma_b:.6g}, q* = {length:.4g} gradients keep "
            "their size, while lengths settle and inputs slowly become alike."
        )
        return Recipe(phi.name, sigma_w, sigma_b, length, "edge", sentence)
    sentence = (
        f"No initialisation keeps the gradients of {phi.name}: {found.reason} Use a shifted "
        "activation a * phi(x + s) + b, another activation, normalisation or residual branches."
    )
    return Recipe(phi.name, math.nan, math.nan, 1.0, "none", sentence)


def _length(phi: AbstractActivation, point: CriticalPoint, depth: int) -> float:
    """K*, or 1 where every length is one, or what fades slowly enough where K* = 0."""
    if point.universality == "scale-invariant":
        return 1.0
    k_star = float(point.k_star.value)
    if k_star > 0.0:
        return k_star
    w2 = float(point.weight_variance.value)
    q, log_gradient = _STARTS.copy(), np.zeros_like(_STARTS)
    for _ in range(max(depth - 1, 1)):
        log_gradient += np.log(w2 * derivative_second_moment(phi, q).value)
        q = w2 * second_moment(phi, q).value
    good = np.flatnonzero(np.abs(log_gradient) <= -math.log(_FADING))
    # Good lengths are an interval from below; the largest uses most of the activation.
    last = good[0] if good.size else 0
    for i in good:
        if i > last + 1:
            break
        last = i
    return float(_STARTS[last])


def _edge(phi: AbstractActivation) -> tuple[float, float, float] | None:
    """The stable point of the edge of chaos with the smallest sigma_b: (sigma_w, sigma_b, q*)."""
    phi2 = np.asarray(second_moment(phi, _LENGTHS).value)
    slope2 = np.asarray(derivative_second_moment(phi, _LENGTHS).value)
    with np.errstate(divide="ignore", invalid="ignore"):
        b2: Array = np.asarray(_LENGTHS - phi2 / slope2)
    possible = np.isfinite(b2) & (b2 >= 0.0)
    for i in np.flatnonzero(possible):
        if not _is_stable(phi, float(_LENGTHS[i]), float(slope2[i])):
            continue
        q, bias2, slope = float(_LENGTHS[i]), float(b2[i]), float(slope2[i])
        if i > 0 and b2[i - 1] < 0.0:  # down to sigma_b = 0
            q, slope = _zero_of_bias(phi, float(_LENGTHS[i - 1]), q)
            bias2 = 0.0
        return 1.0 / math.sqrt(slope), math.sqrt(bias2), q
    return None


def _is_stable(phi: AbstractActivation, q: float, slope2: float) -> bool:
    """Whether |chi_parallel| < 1 with sigma_w^2 = 1 / E phi'^2, by a difference over 2 percent."""
    above, below = (float(second_moment(phi, q * f)) for f in (1.01, 0.99))
    return abs((above - below) / (0.02 * q) / slope2) < 1.0


def _zero_of_bias(phi: AbstractActivation, low: float, high: float) -> tuple[float, float]:
    """Where q = E phi^2 / E phi'^2, by bisection in log q: (q, E phi'^2)."""
    for _ in range(60):
        q = math.sqrt(low * high)
        slope = float(derivative_second_moment(phi, q))
        if q - float(second_moment(phi, q)) / slope < 0.0:
            low = q
        else:
            high = q
    return high, float(derivative_second_moment(phi, high))
