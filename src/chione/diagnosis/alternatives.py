"""Other initialisations of the same network, side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chione.activations.protocol import AbstractActivation
from chione.base import AbstractResult, Estimate, Status, missing, result
from chione.diagnosis.numbers import power_text, value_text
from chione.diagnosis.survival import survival
from chione.theory import MeanField, Trajectory, mean_field, trajectory

_LOG10_MAX = math.log10(np.finfo(np.float64).max)


@result
class Alternative(AbstractResult):
    """One choice of sigmas and what it does.

    Parameters
    ----------
    name : str
        Whose choice it is.
    sigma_w, sigma_b : float
        The choice.
    phase : str
        Its phase.
    log10_gradient : float
        Decades by which the mean square gradient changes over all layers.
    survives : Estimate
        Layers through which a signal survives.
    """

    name: str
    sigma_w: float
    sigma_b: float
    phase: str
    log10_gradient: float
    survives: Estimate

    def _parts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sigma_w": self.sigma_w,
            "sigma_b": self.sigma_b,
            "phase": self.phase,
            "log10_gradient": finite_or_none(self.log10_gradient),
            "survives": self.survives.to_dict(),
        }

    def row(self) -> tuple[str, str, str, str, str, str]:
        """The cells of a table."""
        return (
            self.name,
            f"{self.sigma_w:.6g}",
            f"{self.sigma_b:.6g}",
            self.phase,
            power_text(self.log10_gradient),
            layers_text(self.survives),
        )


def compare(
    name: str, phi: AbstractActivation, *, sigma_w: float, sigma_b: float, depth: int
) -> Alternative:
    """What one choice of sigmas does over the depth."""
    field = mean_field(phi, sigma_w=sigma_w, sigma_b=sigma_b)
    curves = trajectory(phi, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth)
    decades = log10_gradient(field, curves)
    return Alternative(name, sigma_w, sigma_b, phase_text(field), decades, survival(field, curves))


def phase_text(field: MeanField) -> str:
    """The phase, or "divergent" where lengths do not reach the fixed point that has one."""
    return field.phase if field.reached else "divergent"


def log10_gradient(field: MeanField, curves: Trajectory) -> float:
    """Decades by which the mean square gradient changes through all layers.

    Infinite for an activation that jumps, NaN where lengths leave the range of numbers.
    """
    if field.chi_perp.status == Status.INFINITE:
        return math.inf
    factors = np.asarray(curves.chi, dtype=np.float64)
    if np.any(np.isnan(factors)):
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.sum(np.log10(factors)))


def gradient_estimate(log10: float, relative_error: float) -> Estimate:
    """The factor itself with its error, or the status that says why float64 cannot hold it."""
    if math.isnan(log10):
        return missing(Status.NOT_COMPUTED)
    if log10 == math.inf:
        return missing(Status.INFINITE)
    if log10 == -math.inf:
        return Estimate(0.0, 0.0)
    if abs(log10) > _LOG10_MAX:
        return missing(Status.OVERFLOW)
    factor = 10.0**log10
    # the logarithm itself is rounded: a relative error of |log| ulps in the factor
    rounding = (2.0 + abs(log10) * math.log(10.0)) * np.finfo(np.float64).eps
    return Estimate(factor, factor * (relative_error + rounding))


def layers_text(layers: Estimate) -> str:
    """A number of layers, or the word that says why there is none."""
    return f"{layers.value:.3g}" if math.isfinite(layers.value) else value_text(layers)


def finite_or_none(x: float) -> float | None:
    """`x`, or None where it is not finite, because JSON knows neither infinity nor NaN."""
    return x if math.isfinite(x) else None
