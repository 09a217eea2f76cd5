"""Everything that a page of the atlas says of an activation, computed by the library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import chione as ch
from atlas.entries import Entry
from atlas.schemes import SCHEMES, WIDTH, Outcome, outcomes, trusted
from chione import theory
from chione.activations import AbstractActivation
from chione.base import Estimate
from chione.theory import Criticality, CriticalLine, Recommendation
from chione.theory.critical.usual_schemes import scheme_sigmas
from chione.theory.depth.advice_rule import recommended_weights
from chione.theory.depth.candidates import Setting
from chione.theory.depth.initialization import advise
from chione.theory.depth.weighing import Start

DEPTH = 50


@dataclass(frozen=True)
class Spectrum:
    """The Jacobian at one point, for one law of the weights.

    Parameters
    ----------
    weights : str
        Their law.
    q_star : float
        Mean square of the pre-activations.
    law : JacobianSpectrum
        The spectrum of `DEPTH` layers.
    """

    weights: str
    q_star: float
    law: ch.JacobianSpectrum


@dataclass(frozen=True)
class Facts:
    """An activation's numbers.

    Parameters
    ----------
    entry : Entry
        Whose numbers.
    phi : AbstractActivation
        The activation.
    moments : dict of str to Estimate
        Expectations at length 1.
    criticality : Criticality
        Its class.
    line : CriticalLine
        Where chi_perp is 1.
    best : Recommendation
        What :func:`chione.gain` advises for `DEPTH` layers.
    plain : Recommendation
        The same without a change of the activation; `best` itself where that has none.
    rows : dict of str to list of Outcome
        What usual and recommended initialisations do, over all depths.
    spectra : list of Spectrum
        The Jacobian at the recommended point.
    trust : list
        Finite width at the recommended point, of Gaussian and orthogonal weights.
    """

    entry: Entry
    phi: AbstractActivation
    moments: dict[str, Estimate]
    criticality: Criticality
    line: CriticalLine
    best: Recommendation
    plain: Recommendation
    rows: dict[str, list[Outcome]]
    spectra: list[Spectrum]
    trust: list[tuple[str, Any]]

    @property
    def changes(self) -> bool:
        """Whether the advice changes the activation."""
        return self.best.name == "affine change"

    @property
    def point(self) -> Recommendation:
        """The point that pictures and the Jacobian show: plain advice if there is any."""
        return self.plain if self.plain.exists else self.best


def facts(entry: Entry) -> Facts:
    """Compute all of it; some seconds."""
    phi = entry.activation
    best, plain = advice(phi), advice(phi, change=False)
    if best.name != "affine change":
        best = plain
    point = plain if plain.exists else best
    used = phi if plain.exists or not best.exists else ch.activation(best.activation)
    return Facts(
        entry,
        phi,
        moments(phi),
        ch.criticality(phi),
        ch.critical_line(phi),
        best,
        plain,
        _rows(entry, phi, best, plain),
        _spectra(used, point),
        _trust(used, point),
    )


def advice(phi: AbstractActivation, *, change: bool = True) -> Recommendation:
    """What :func:`chione.gain` says at `DEPTH` and `WIDTH`, without the usual schemes beside it.

    The page has those in a table of their own; some of them take seconds to follow.
    """
    start = Start(weights=recommended_weights(DEPTH, WIDTH))
    return advise(phi, Setting(DEPTH, WIDTH, start), change=change, trusted=True, beside=())


def moments(phi: AbstractActivation, q: float = 1.0) -> dict[str, Estimate]:
    """Expectations at mean square q of the pre-activations, by what the pages call them."""
    return {
        "mean": theory.mean(phi, q),
        "square": ch.second_moment(phi, q),
        "fourth": theory.fourth_moment(phi, q),
        "slope": ch.derivative_second_moment(phi, q),
        "length": ch.length_slope(phi, q),
        "uncorrelated": ch.kernel(phi, q, q, 0.0),
        "half": ch.kernel(phi, q, q, 0.5),
    }


def _rows(
    entry: Entry, phi: AbstractActivation, best: Recommendation, plain: Recommendation
) -> dict[str, list[Outcome]]:
    rows = {}
    for name in SCHEMES:
        if name == entry.leaves_out:
            continue
        rows[name] = outcomes(phi, *scheme_sigmas(name, phi, fan_in=WIDTH, fan_out=WIDTH))
    if plain.exists:
        rows["recommended"] = outcomes(phi, plain.sigma_w, plain.sigma_b)
    if best is not plain:
        changed = ch.activation(best.activation)
        rows["changed"] = outcomes(changed, best.sigma_w, best.sigma_b)
    return rows


def _spectra(phi: AbstractActivation, point: Recommendation) -> list[Spectrum]:
    if not point.exists:
        return []
    q = spectrum_length(phi, point)
    return [
        Spectrum(
            weights,
            q,
            ch.jacobian_spectrum(
                phi,
                depth=DEPTH,
                sigma_w=point.sigma_w,
                sigma_b=point.sigma_b,
                q_star=q,
                weights=weights,
            ),
        )
        for weights in ("gaussian", "orthogonal")
    ]


def spectrum_length(phi: AbstractActivation, point: Recommendation) -> float:
    """The fixed point; where lengths fade, or grow for ever, that of the last layer."""
    q = float(point.q_star.value)
    if math.isfinite(q) and q > 0.0:
        return q
    curves = ch.trajectory(phi, sigma_w=point.sigma_w, sigma_b=point.sigma_b, depth=DEPTH)
    return float(curves.q[-1])


def _trust(phi: AbstractActivation, point: Recommendation) -> list[tuple[str, Any]]:
    if not point.exists:
        return []
    sigmas = {"sigma_w": point.sigma_w, "sigma_b": point.sigma_b}
    return [(w, trusted(phi, DEPTH, sigmas, w)) for w in ("gaussian", "orthogonal")]


def alternatives(found: Facts) -> list[Recommendation]:
    """Options of the advice that are no usual scheme."""
    every = {(o.name, o.activation): o for o in (found.best, found.plain, *found.best.alternatives,
             *found.plain.alternatives)}  # fmt: skip
    return [o for o in every.values() if o.kind != "scheme" and o.exists]
