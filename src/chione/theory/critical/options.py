"""Sigmas in the terms of a recommendation: fixed point, slopes, figures over the depth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Estimate, Status, missing
from chione.theory.critical.recommendation import Recommendation
from chione.theory.meanfield.iterated_maps import follow, limit, susceptibilities

_LOG10_MAX = math.log10(np.finfo(np.float64).max)


def option(
    act: AbstractActivation,
    name: str,
    kind: str,
    sigma_w: float,
    sigma_b: float,
    *,
    depth: int,
    q0: float,
    q_star: Estimate | None = None,
    status: Status = Status.OK,
    sigma_errors: tuple[float, float] = (0.0, 0.0),
) -> Recommendation:
    """Put sigmas into the terms of a recommendation, with figures over the depth."""
    figures = follow(act, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth, q0=q0)
    if q_star is None:
        q_star = limit(act, sigma_w=sigma_w, sigma_b=sigma_b, q1=sigma_w**2 * q0 + sigma_b**2)
    if math.isfinite(q_star.value):
        chi_parallel, chi_perp = susceptibilities(act, q_star.value, sigma_w)
    else:
        chi_parallel = chi_perp = missing(Status.NOT_COMPUTED)
    made = Recommendation(
        name=name,
        activation=act.name,
        depth=depth,
        sigma_w=sigma_w,
        sigma_b=sigma_b,
        q_star=q_star,
        chi_parallel=chi_parallel,
        chi_perp=chi_perp,
        gradient=_factor(figures.log10_gradient, figures.relative_error),
        log10_gradient=figures.log10_gradient,
        log10_distance=figures.log10_distance,
        status=status,
        kind=kind,
        reason="",
        errors={
            "sigma_w": sigma_errors[0] + EPS * sigma_w,
            "sigma_b": sigma_errors[1] + EPS * sigma_b,
            "log10_gradient": figures.relative_error / math.log(10.0),
        },
    )
    return replace(made, reason=_figures_words(made))


def root_error(variance: Estimate) -> float:
    """Error of the root of a variance; of a variance that may be zero, the root of its error."""
    v, error = max(float(variance.value), 0.0), float(variance.error)
    return error / math.sqrt(v) if v > error else math.sqrt(v + error)


def _figures_words(o: Recommendation) -> str:
    """The figures over the depth as a sentence."""
    if not math.isfinite(o.log10_gradient):
        if o.log10_gradient == -math.inf:
            return f"No gradient is left after {o.depth} layers."
        return f"Lengths leave the range of numbers within {o.depth} layers."
    lengths = "lengths grow without bound" if o.q_star.status == Status.DIVERGENT else ""
    text = (
        f"Over {o.depth} layers the mean square gradient changes by "
        f"10^{o.log10_gradient:+.2f}, the distance of a close pair by 10^{o.log10_distance:+.2f}"
    )
    return f"{text}; {lengths}." if lengths else f"{text}."


def _factor(log10: float, relative: float) -> Estimate:
    if not math.isfinite(log10):
        return missing(Status.NOT_COMPUTED)
    if abs(log10) > _LOG10_MAX:
        return missing(Status.OVERFLOW)
    value = 10.0**log10
    rounding = (2.0 + abs(log10) * math.log(10.0)) * EPS
    return Estimate(value, value * (relative + rounding))
