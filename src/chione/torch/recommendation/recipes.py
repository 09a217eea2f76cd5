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
from chione.theory.critical.criticality import criticality
from chione.theory.depth.initialization import gain
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.moments import moments

# The gradient may change by this factor over the depth while lengths fade towards K* = 0. Finite
# networks fluctuate by more, and a smaller start makes the network only more linear.
_FADING = 0.5
_STARTS = np.geomspace(1e-8, 1.0, 97)  # lengths tried for the first layer, 12 to a decade


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
    """The recommendation of the theory for `depth` layers of an activation, with its length."""
    best = gain(phi, depth=depth)
    if not best.exists:
        return Recipe(phi.name, math.nan, math.nan, 1.0, "none", best.sentence)
    length = float(best.q_star.value)
    if best.kind == "critical":
        point = min(
            criticality(phi).points, key=lambda p: abs(p.sigma_w - best.sigma_w), default=None
        )
        if point is not None and point.universality == "scale-invariant":
            length = 1.0  # every length is kept
        elif point is not None and float(point.k_star.value) > 0.0:
            length = float(point.k_star.value)  # also where lengths from elsewhere do not reach it
        elif point is not None:
            length = fading_length(LengthMap(moments(phi), best.sigma_w**2, 0.0), depth)
    if not (math.isfinite(length) and length > 0.0):
        length = 1.0
    target = "critical" if best.kind == "critical" else "edge"
    return Recipe(phi.name, best.sigma_w, best.sigma_b, length, target, best.sentence)


def fading_length(layer: LengthMap, depth: int) -> float:
    """A first length from which K* = 0 is approached slowly enough for the gradients."""
    q, log_gradient = _STARTS.copy(), np.zeros_like(_STARTS)
    for _ in range(max(depth - 1, 1)):
        log_gradient += np.log(layer.gradient(q).value)
        q = layer.value(q).value
    good = np.flatnonzero(np.abs(log_gradient) <= -math.log(_FADING))
    # Good lengths are an interval from below; the largest uses most of the activation.
    last = good[0] if good.size else 0
    for i in good:
        if i > last + 1:
            break
        last = i
    return float(_STARTS[last])


# Lengths up to here are moderate already.
_LONG = 1.5
# log chi_parallel over the depth: inputs of different norms drift apart by the factor e^0.5 at
# most. Networks of 30 layers (gelu, silu) trained best with 0.3 and those of 10 with 1. Where
# lengths fluctuate by themselves twice that is borne, of points that large lengths do not leave.
_LEAVING, _FLUCTUATING = 0.5, 1.0


@lru_cache(maxsize=256)
def moderate(phi: AbstractActivation, depth: int, *, steady: bool = True) -> Recipe:
    r"""As :func:`recipe`, but with pre-activations of moderate length wherever the depth allows.

    At any length q the choice :math:`\sigma_w^2 = 1 / E\,\phi'^2`, :math:`\sigma_b^2 = q -
    \sigma_w^2 E\,\phi^2` keeps gradients and this length; others leave it by the factor
    :math:`\chi_\parallel` a layer. Where the recommended length lies above 1, the largest one from
    1 downwards is taken at which :math:`\log \chi_\parallel` adds up to at most a half. An input
    far above such a length grows further, so that lengths have to be `steady` (isometries, or a
    network wide for its depth); where they are not, the smallest one from 1 upwards is taken at
    which it adds up to at most 1.
    """
    best = recipe(phi, depth)
    if not best.exists or best.length <= _LONG:
        return best
    lengths = np.geomspace(1.0, 1e-3, 31) if steady else np.geomspace(1.0, best.length, 31)
    for q in lengths:
        made = _at_length(phi, float(q), depth, _LEAVING if steady else _FLUCTUATING)
        if made is not None:
            return made
    return best


def _at_length(phi: AbstractActivation, q: float, depth: int, most: float) -> Recipe | None:
    """The edge of chaos with fixed point q, if there is one that the depth allows."""
    one = LengthMap(moments(phi), 1.0, 0.0)
    slope = float(one.gradient(np.array([q])).value[0])
    if not slope > 0.0:
        return None
    w2 = 1.0 / slope
    step = 1e-4 * q
    ends = one.value(np.array([q - step, q, q + step])).value
    b2, chi = q - w2 * float(ends[1]), w2 * float(ends[2] - ends[0]) / (2.0 * step)
    if b2 < 0.0 or math.log(max(chi, 1e-300)) * depth > most:
        return None
    return Recipe(
        phi.name,
        math.sqrt(w2),
        math.sqrt(b2),
        q,
        "critical" if chi > 0.9 else "edge",
        f"sigma_w = {math.sqrt(w2):.4g}, sigma_b = {math.sqrt(b2):.3g} keep gradients and the "
        f"length {q:.3g}.",
    )
