"""What a choice of sigmas does over a depth: the verdict of `chione.analyze`, theory alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chione.activations import AbstractActivation
from chione.base import ConvergenceError, Status
from chione.diagnosis.alternatives import log10_gradient
from chione.diagnosis.phases import phase_of
from chione.diagnosis.verdict import passage, rule
from chione.theory import MeanField, Trajectory, mean_field, trajectory, trust
from chione.theory.depth.finite_width import relative_vertex

WIDTH = 512
DEPTHS = (10, 50, 100)
SCHEMES = {
    "pytorch": "PyTorch's default for `Linear`",
    "xavier": "Xavier (Keras's default), LeCun (Flax's)",
    "he": "He (Kaiming)",
}


@dataclass(frozen=True)
class Outcome:
    """A network of one choice of sigmas and one depth.

    Parameters
    ----------
    depth : int
        Its layers.
    sigma_w, sigma_b : float
        The choice.
    log10_gradient : float
        Decades by which the mean square gradient changes through all layers.
    trains, problem : str
        As the verdict of :func:`chione.analyze` has them.
    optimizers : dict of str to str
        The answer for each optimiser.
    phase : str
        Ordered, critical, chaotic, divergent or none; whether lengths from mean square 1 get there.
    """

    depth: int
    sigma_w: float
    sigma_b: float
    log10_gradient: float
    trains: str
    problem: str
    optimizers: dict[str, str]
    phase: str


def outcomes(
    phi: AbstractActivation, sigma_w: float, sigma_b: float, depths: tuple[int, ...] = DEPTHS
) -> list[Outcome]:
    """One outcome for each depth; the mean field is solved and the curves followed once."""
    mean = mean_field(phi, sigma_w=sigma_w, sigma_b=sigma_b)
    spreads = relative_spreads(phi, sigma_w, sigma_b, depths)
    whole = trajectory(phi, sigma_w=sigma_w, sigma_b=sigma_b, depth=max(depths))
    return [
        _outcome(phi, mean, first_layers(whole, depth), spread)
        for depth, spread in zip(depths, spreads, strict=True)
    ]


def first_layers(curves: Trajectory, depth: int) -> Trajectory:
    """The curves of a network that ends with layer `depth` of a deeper one."""
    upto = {name: getattr(curves, name)[:depth] for name in ("q", "c", "one_minus_c", "chi")}
    known = bool(np.all(np.isfinite(upto["q"]))) and upto["q"][-1] > 0.0
    log_gradient = curves.log10_gradient[:depth] - curves.log10_gradient[depth - 1]
    with np.errstate(over="ignore", under="ignore"):
        gradient = 10.0**log_gradient
    return replace(
        curves,
        **upto,
        gradient=gradient,
        log10_gradient=log_gradient,
        status=Status.OK if known else curves.status,
        layer=curves.layer[:depth],
        errors={},
    )


def _outcome(
    phi: AbstractActivation, mean: MeanField, curves: Trajectory, spread: float
) -> Outcome:
    sigmas = {"sigma_w": mean.sigma_w, "sigma_b": mean.sigma_b}
    way = passage(phi, curves, width=WIDTH, mean=mean, spread=spread, **sigmas)
    found = rule(way, curves)
    decades = log10_gradient(mean, curves)
    return Outcome(
        int(curves.layer[-1]),
        mean.sigma_w,
        mean.sigma_b,
        decades,
        found.answer,
        found.problem,
        dict(found.optimizers),
        phase_of(mean).cell,
    )


def relative_spreads(
    phi: AbstractActivation, sigma_w: float, sigma_b: float, depths: tuple[int, ...]
) -> list[float]:
    """Relative spread of the last length over networks, by depth; NaN where theory has none.

    It is that of :func:`chione.theory.trust`, by one run through the deepest network; where that
    leaves float64, by one run for each depth.
    """
    try:
        vertex = relative_vertex(phi, sigma_w=sigma_w, sigma_b=sigma_b, depth=max(depths))
    except ConvergenceError:
        if len(depths) == 1:
            return [math.nan]
        return [x for d in depths for x in relative_spreads(phi, sigma_w, sigma_b, (d,))]
    spreads = [math.sqrt(max(2.0 + float(vertex[d - 1]), 0.0) / WIDTH) for d in depths]
    return [x if math.isfinite(x) else math.nan for x in spreads]


def trusted(phi: AbstractActivation, depth: int, sigmas: dict[str, float], weights="gaussian"):
    """How far infinite width holds; None where lengths leave float64 or the signal dies."""
    try:
        found = trust(phi, depth=depth, width=WIDTH, weights=weights, **sigmas)
    except ConvergenceError:
        return None
    known = np.isfinite(found.relative_spread.value) and not np.isnan(found.ratio.value)
    return found if known else None
