r"""Critical points: lengths and gradients both keep their size from layer to layer.

.. math:: \chi_\parallel(K^*) = \chi_\perp(K^*) = 1, \qquad
   C_W = \sigma_w^2 = \frac{1}{E\,\phi'^2}, \qquad
   C_b = \sigma_b^2 = K^* - \frac{E\,\phi^2}{E\,\phi'^2}
"""

from __future__ import annotations

import math
from typing import Any

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Estimate, Status, cost, result
from chione.theory.critical.class_reasons import reason
from chione.theory.critical.critical_point import CriticalPoint
from chione.theory.critical.ratio_scan import RatioScan
from chione.theory.meanfield.fading import fading, is_straight
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.taylor import Origin, origin, slope_in_q


@result
class Criticality(AbstractResult):
    """All critical points of an activation and its universality class.

    Parameters
    ----------
    activation : str
        Its name.
    universality : {"scale-invariant", "K* = 0", "half-stable", "stable", "unstable", "none"}
        Class of the point that is of most use: one that lengths reach comes first.
    points : tuple of CriticalPoint
        Every point with a bias variance that is not negative.
    discarded : tuple of CriticalPoint
        Points that would need a negative bias variance.
    reason : str
        Why this class, in words.
    """

    activation: str
    universality: str
    points: tuple[CriticalPoint, ...]
    discarded: tuple[CriticalPoint, ...]
    reason: str

    @property
    def best(self) -> CriticalPoint | None:
        """The point that gives the class its name; None where there is none."""
        return self.points[0] if self.points else None

    def _parts(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "universality": self.universality,
            "points": [p.to_dict() for p in self.points],
            "discarded": [p.to_dict() for p in self.discarded],
            "reason": self.reason,
        }

    def __str__(self) -> str:
        return f"{self.activation}: {self.universality}. {self.reason}"


@cost.ends
def criticality(phi: ActivationLike) -> Criticality:
    r"""Every K* at which lengths and gradients both keep their size, and the universality class.

    .. math:: \frac{\chi_\perp(K)}{\chi_\parallel(K)}
       = \frac{E\,\phi'^2}{\tfrac{d}{dK} E\,\phi^2} = 1

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.

    Returns
    -------
    Criticality
        Prints as the class with its reason.

    Notes
    -----
    Scale-invariant activations are recognised by their two straight lines, K* = 0 by the Taylor
    coefficients at zero. Finite K* are sign changes of :math:`1 - \chi_\parallel / \chi_\perp`
    between 1e-8 and 1e8 of the unit of the activation, bracketed on a grid of eight values a
    decade and refined with the moments themselves. Errors are those of the moments divided by the
    slope. A pair of roots closer to each other than the grid is not seen. Where the slopes agree at
    every K without phi
    being homogeneous (``softshrink``, whose kinks lie on the axis), each K > 0 has its own
    variances; the point at K = 1 is given for all of them, and the reason says so.

    References
    ----------
    .. [1] D. A. Roberts, S. Yaida, B. Hanin, "The Principles of Deep Learning Theory", 2022,
       chapter 5.

    Examples
    --------
    >>> criticality("tanh").universality
    'K* = 0'
    >>> point = criticality("gelu").best
    >>> round(point.k_star.value, 9), round(point.weight_variance.value, 9)
    (3.561552813, 1.983058257)
    """
    act = activation(phi)
    m, at = moments(act), origin(act)
    if m.slope_is_infinite:
        return Criticality(act.name, "none", (), (), reason(act, at, (), (), None))
    if at.has_slope and is_straight(act, at):
        points: list[CriticalPoint] = [_scale_invariant(at)]
        ratio = None
    else:
        ratio = RatioScan(m)
        roots = [Estimate(own_unit(act), 0.0)] if ratio.is_empty else ratio.roots()
        points = [*_at_zero(act, at), *(_finite(m, k) for k in roots)]
    kept = tuple(sorted((p for p in points if p.is_physical), key=_preference))
    gone = tuple(p for p in points if not p.is_physical)
    name = kept[0].universality if kept else "none"
    return Criticality(act.name, name, kept, gone, reason(act, at, kept, gone, ratio))


def _preference(p: CriticalPoint) -> tuple[int, float]:
    """Points that lengths reach first, then small K*."""
    rank = {"neutral": 0, "both": 1, "above": 2, "below": 2, "none": 3}
    return rank[p.attracts], p.k_star.value if math.isfinite(p.k_star.value) else 0.0


def _scale_invariant(at: Origin) -> CriticalPoint:
    v2 = at.small_lengths()[0]
    return CriticalPoint(
        Estimate(float("nan"), float("nan"), Status.CONTINUUM),
        1.0 / v2,
        Estimate(0.0, 0.0),
        "scale-invariant",
        "neutral",
        Estimate(0.0, 0.0),
    )


def _at_zero(phi: AbstractActivation, at: Origin) -> list[CriticalPoint]:
    """The point K* = 0, where phi passes through zero with a slope."""
    v2 = at.small_lengths()[0]
    if not at.is_zero or not at.has_slope:
        return []
    law = fading(phi, at)
    return [
        CriticalPoint(
            Estimate(0.0, 0.0),
            1.0 / v2,
            Estimate(0.0, 0.0),
            "K* = 0",
            "none" if law.law == "grows" else "both",
            Estimate(float("nan"), float("nan"), Status.UNDEFINED),
            law,
        )
    ]


def _finite(m: Moments, k: Estimate) -> CriticalPoint:
    """Variances and stability at a root of the ratio."""
    q = float(k.value)
    d, s = m.derivative_square(q), m.square(q)
    d_slope = slope_in_q(m.derivative_square, q).value
    variance = 1.0 / Estimate(d.value, d.error + abs(d_slope) * k.error)
    weight = float(variance.value)
    bias = q - weight * s.value
    # both terms move with K, so their errors are correlated; as d(E phi^2)/dK = E phi'^2 at the
    # root, only the change of E phi'^2 is left in dC_b / dK
    bias_slope = weight**2 * s.value * d_slope
    bias_error = abs(bias_slope) * k.error + weight * (s.error + weight * s.value * d.error)
    bias_error += 2.0 * EPS * q
    curvature = variance * slope_in_q(m.slope, q)
    name, attracts = _stability(m, q, weight, bias, curvature)
    return CriticalPoint(k, variance, Estimate(bias, bias_error), name, attracts, curvature)


def _stability(
    m: Moments, q: float, weight: float, bias: float, curvature: Estimate
) -> tuple[str, str]:
    """Which side attracts: from V'' or, where that vanishes, from V itself at some distance."""
    if abs(curvature.value) * q > max(1e-9, 8.0 * curvature.error * q):
        return "half-stable", "below" if curvature.value > 0.0 else "above"
    step = 0.05
    below, above = (weight * m.square(q * f).value + bias - q * f for f in (1 - step, 1 + step))
    if below > 0.0 > above:
        return "stable", "both"
    if below < 0.0 < above:
        return "unstable", "none"
    return "half-stable", "above" if above < 0.0 else "below"
