r"""One length at which both susceptibilities are 1, and the variances it asks for."""

from __future__ import annotations

import math
from typing import Any

from chione.base import AbstractResult, Estimate, result
from chione.theory.meanfield.fading import Fading


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
