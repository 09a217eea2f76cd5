r"""Critical points: lengths and gradients both keep their size from layer to layer.

.. math:: \chi_\parallel(K^*) = \chi_\perp(K^*) = 1, \qquad
   C_W = \sigma_w^2 = \frac{1}{E\,\phi'^2}, \qquad
   C_b = \sigma_b^2 = K^* - \frac{E\,\phi^2}{E\,\phi'^2}
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, cost, result
from chione.theory.meanfield.fading import Fading, fading, is_straight
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.taylor import Origin, origin, slope_in_q

K_MIN, K_MAX = 1e-8, 1e8
_DEAD = 1e-12
_SETTLED = 1e-9
_PER_DECADE = 8  # a Gaussian mean hardly changes within an eighth of a decade of q


@result
class CriticalPoint(AbstractResult):
    r"""One K* with both susceptibilities equal to 1, and what it asks of the variances.

    Parameters
    ----------
    k_star : Estimate
        The length K* (q* elsewhere); status ``CONTINUUM`` where every K is one.
    weight_variance, bias_variance : Estimate
        :math:`C_W = \sigma_w^2` and :math:`C_b = \sigma_b^2`.
    universality : {"scale-invariant", "K* = 0", "half-stable", "stable", "unstable"}
        The class; the last three are points at finite K*.
    attracts : {"both", "above", "below", "none", "neutral"}
        From which side lengths approach K*; ``neutral`` where all K stay where they are.
    curvature : Estimate
        :math:`V''(K^*)`; at K* = 0 NaN, see `fading`.
    fading : Fading or None
        How lengths fade; only at K* = 0.
    """

    k_star: Estimate
    weight_variance: Estimate
    bias_variance: Estimate
    universality: str
    attracts: str
    curvature: Estimate
    fading: Fading | None = None

    @property
    def sigma_w(self) -> float:
        """Standard deviation of the weights (times the root of the fan-in)."""
        return math.sqrt(self.weight_variance.value)

    @property
    def sigma_b(self) -> float:
        """Standard deviation of the biases."""
        return math.sqrt(max(self.bias_variance.value, 0.0))

    @property
    def is_physical(self) -> bool:
        """Whether the bias variance is not negative."""
        return bool(self.bias_variance.value >= -self.bias_variance.error)

    @property
    def is_reached(self) -> bool:
        """Whether lengths stay at K*, or come to it at least from one side."""
        return self.attracts != "none"

    def _parts(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "k_star": self.k_star.to_dict(),
            "weight_variance": self.weight_variance.to_dict(),
            "bias_variance": self.bias_variance.to_dict(),
            "universality": self.universality,
            "attracts": self.attracts,
            "curvature": self.curvature.to_dict(),
        }
        if self.fading is not None:
            out["fading"] = {
                "law": self.fading.law,
                "exponent": self.fading.exponent,
                "amplitude": self.fading.amplitude.to_dict(),
            }
        return out


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
    from chione.theory.critical.criticality_reasons import reason  # words live beside the numbers

    act = activation(phi)
    m, at = moments(act), origin(act)
    if m.has_jumps:
        return Criticality(act.name, "none", (), (), reason(act, at, (), (), None))
    if at.has_slope and is_straight(act, at):
        points: list[CriticalPoint] = [_scale_invariant(at)]
        ratio = None
    else:
        ratio = _RatioScan(m)
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


def _is_over(k: Array, gap: Array) -> bool:
    """Whether the last decade shows that larger K bring nothing new.

    Either the moments have become infinite, or chi_parallel has died away in rounding, as for a
    periodic activation, or the ratio has settled at large K, as for x + sin x: larger K then only
    cost time.
    """
    last = gap[-_PER_DECADE:]
    if len(last) < _PER_DECADE:
        return False
    if np.all(np.isnan(last)):
        return bool(np.any(np.isfinite(gap)))
    if not np.all(np.isfinite(last)):
        return False
    settled = np.ptp(last) <= _SETTLED and np.abs(last).min() > 1e3 * _SETTLED
    return bool(np.all(np.abs(1.0 - last) <= _DEAD) or (k[-1] > 1e4 and settled))


class _RatioScan:
    """The difference 1 - chi_parallel / chi_perp on a grid of K, and its roots."""

    def __init__(self, m: Moments) -> None:
        self._m = m
        n = round(np.log10(K_MAX / K_MIN) * _PER_DECADE)
        unit = own_unit(m.phi)
        k: Array = np.geomspace(K_MIN, K_MAX, n + 1) * unit
        gap, error = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
        done = 0
        while done <= n and not _is_over(k[:done] / unit, gap[:done]):
            part = slice(done, done + _PER_DECADE)
            gap[part], error[part] = self._difference(k[part])
            done = min(done + _PER_DECADE, n + 1)
        self.k, self.gap, self.error = k[:done], gap[:done], error[:done]

    def _difference(self, k: Any) -> tuple[Any, Any]:
        d, s = self._m.derivative_square(k), self._m.slope(k)
        with np.errstate(all="ignore"):
            r = s.value / d.value
            return 1.0 - r, (s.error + np.abs(r) * d.error) / np.abs(d.value) + EPS

    @property
    def is_empty(self) -> bool:
        """Whether the two slopes agree at every K where they are known."""
        return bool(np.any(np.isfinite(self.gap)) and not np.any(self.signs))

    @property
    def signs(self) -> Array:
        """-1, 0 or 1; 0 where the difference is not larger than its error or has no value."""
        with np.errstate(invalid="ignore"):
            clear = np.abs(self.gap) > 4.0 * self.error
        return np.where(clear, np.sign(np.nan_to_num(self.gap)), 0.0)

    def roots(self) -> list[Estimate]:
        """Each K with a change of sign, to the accuracy that the moments allow."""
        signs = self.signs
        known = np.flatnonzero(signs)
        out = []
        for i, j in itertools.pairwise(known):
            if signs[i] * signs[j] < 0.0:
                out.append(self._refine(self.k[i], self.k[j]))
        return out

    def _refine(self, low: float, high: float) -> Estimate:
        root = float(
            np.exp(
                brentq(
                    lambda u: float(self._difference(float(np.exp(u)))[0]),
                    np.log(low),
                    np.log(high),
                    xtol=4.0 * EPS,
                    rtol=4.0 * EPS,
                )
            )
        )
        near = root * np.exp(np.array([-0.02, 0.02]))
        gaps = self._difference(near)[0]
        steep = abs(gaps[1] - gaps[0]) / (near[1] - near[0])
        _, error = self._difference(root)
        return Estimate(root, float(error / steep + 8.0 * EPS * root))
