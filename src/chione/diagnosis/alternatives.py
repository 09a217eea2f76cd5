"""Other initialisations of the same network, side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chione.activations.protocol import AbstractActivation
from chione.base import EPS, AbstractResult, Estimate, Status, missing, plain, result
from chione.diagnosis.curve_errors import curve_errors
from chione.diagnosis.numbers import power_text, value_text
from chione.diagnosis.phases import phase_of
from chione.diagnosis.survival import survival, survival_reason
from chione.theory import MeanField, Recommendation, Trajectory, deep_trajectory, mean_field

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
    reached : bool
        Whether lengths from mean square 1 settle.
    log10_gradient, log10_error : float
        Decades by which the mean square gradient changes over all layers, and the error of that.
    survives : Estimate
        Layers through which a signal survives.
    survives_reason : str
        Why that has no value; empty where it has.
    """

    name: str
    sigma_w: float
    sigma_b: float
    phase: str
    reached: bool
    log10_gradient: float
    log10_error: float
    survives: Estimate
    survives_reason: str

    def _parts(self) -> dict[str, Any]:
        """Plain JSON types."""
        survives = self.survives.to_dict()
        if self.survives_reason:
            survives["reason"] = self.survives_reason
        return {
            "name": self.name,
            "sigma_w": self.sigma_w,
            "sigma_b": self.sigma_b,
            "phase": self.phase,
            "reached": self.reached,
            "log10_gradient": plain(self.log10_gradient),
            "log10_gradient_error": plain(self.log10_error),
            "survives": survives,
        }

    def row(self) -> tuple[str, str, str, str, str, str]:
        """The cells of a table."""
        settles = self.phase in ("ordered", "critical", "chaotic")
        return (
            self.name,
            f"{self.sigma_w:.6g}",
            f"{self.sigma_b:.6g}",
            self.phase if self.reached or not settles else f"{self.phase}, not reached",
            power_text(self.log10_gradient),
            layers_text(self.survives),
        )


def compare(
    name: str,
    phi: AbstractActivation,
    *,
    sigma_w: float,
    sigma_b: float,
    depth: int,
    recommended: Recommendation | None = None,
) -> Alternative:
    """What one choice of sigmas does over the depth."""
    field = mean_field(phi, sigma_w=sigma_w, sigma_b=sigma_b)
    curves = deep_trajectory(phi, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth)
    relative = curve_errors(phi, curves, sigma_w=sigma_w).gradient
    return alternative(name, field, curves, relative, recommended)


def alternative(
    name: str,
    field: MeanField,
    curves: Trajectory,
    relative_error: float,
    recommended: Recommendation | None,
) -> Alternative:
    """The line of a network whose theory is known, with the relative error of its gradient."""
    phase = phase_of(field, recommended)
    decades = log10_gradient(field, curves)
    layers = survival(field, curves)
    return Alternative(
        name,
        field.sigma_w,
        field.sigma_b,
        phase.word,
        phase.reached,
        decades,
        log10_error(decades, relative_error),
        layers,
        survival_reason(layers, field, curves),
    )


def log10_error(log10: float, relative_error: float) -> float:
    """Error of the decades of a factor with that relative error; NaN where they have no value."""
    if not math.isfinite(log10):
        return math.nan
    return relative_error / math.log(10.0) + 2.0 * EPS * abs(log10)


def log10_gradient(field: MeanField, curves: Trajectory) -> float:
    """Decades by which the mean square gradient changes through all layers.

    Infinite for an activation that jumps, minus infinity where the signal is exactly zero from
    some layer on, NaN where lengths leave the range of numbers.
    """
    if field.chi_perp.status == Status.INFINITE:
        return math.inf
    factors = np.asarray(curves.chi, dtype=np.float64)
    if np.any(np.isnan(factors)):  # lengths left float64: at the top, or the signal has died
        return -math.inf if curves.status == Status.UNDEFINED else math.nan
    if curves.layer.size < curves.layer[-1]:
        return float(curves.passed[0])
    with np.errstate(divide="ignore"):
        return float(np.sum(np.log10(factors)))


def gradient_estimate(log10: float, relative_error: float) -> Estimate:
    """The factor itself with its error, or the status that says why float64 cannot hold it."""
    if math.isnan(log10):
        return missing(Status.NOT_COMPUTED)
    if log10 == math.inf:
        return missing(Status.INFINITE)
    if log10 == -math.inf:
        return Estimate(0.0, 5e-324)  # zero, or below the smallest float64
    if abs(log10) > _LOG10_MAX:
        return missing(Status.OVERFLOW)
    factor = 10.0**log10
    # the logarithm itself is rounded: a relative error of |log| ulps in the factor
    rounding = (2.0 + abs(log10) * math.log(10.0)) * EPS
    return Estimate(factor, factor * (relative_error + rounding))


def layers_text(layers: Estimate) -> str:
    """A number of layers, or the word that says why there is none."""
    if math.isfinite(layers.value):
        return f"{layers.value:.3g}"
    return "none" if layers.status == Status.DIVERGENT else value_text(layers)
