"""From numbers to a sentence: what happens to gradients and signals, and whether that trains."""

from __future__ import annotations

import math

import numpy as np

from chione.activations import AbstractActivation
from chione.base import AbstractResult, result
from chione.diagnosis.numbers import factor_text, power_text
from chione.diagnosis.phases import Phase
from chione.theory import Trajectory, length_map
from chione.theory.depth.trainability import Passage, Trainability, trainability

_FLAT = 1e-9  # decades of gradient that are called none


@result
class Verdict(AbstractResult):
    """What a person should know, in words.

    Parameters
    ----------
    sentence : str
        Phase, gradient a layer, gradient over the depth.
    trains : {"yes", "doubtful", "no"}
        Whether a plain network of this depth can be expected to train, by the one rule of
        :mod:`chione.theory.depth.trainability`.
    reason : str
        Why, in one sentence.
    problem : str
        What is wrong in two words, "none" if nothing is: as :func:`chione.torch.inspect` says it.
    """

    sentence: str
    trains: str
    reason: str
    problem: str = "none"


def judge(
    phase: Phase, found: Trainability, *, log10_gradient: float, depth: int, settled: bool = True
) -> Verdict:
    """The verdict on a network.

    Parameters
    ----------
    phase : Phase
        Its phase and where lengths go.
    found : Trainability
        What the rule says of it.
    log10_gradient : float
        Decades by which the mean square gradient changes over all layers.
    depth : int
        Number of layers.
    settled : bool
        Whether lengths have come close to their fixed point within the depth.
    """
    clause = _gradient_clause(phase, log10_gradient, depth)
    sentence = f"{phase.word}: {clause}"
    if phase.word in ("ordered", "critical", "chaotic"):
        if not phase.reached:
            sentence = f"{phase.word} {phase.where}: from mean square 1 lengths diverge"
            sentence += f"{_growth(phase.growth)}; {clause}"
        elif phase.where:
            sentence = f"{phase.word} {phase.where}: {clause}"
        if phase.reached and not settled:
            sentence += f"; lengths have not settled after {_layers(depth)}"
        sentence += _turn(phase, log10_gradient)
    elif math.isfinite(log10_gradient):
        sentence += f"; mean squares grow without bound{_growth(phase.growth)}"
    return Verdict(sentence, found.answer, found.reason, found.problem)


def passage(phi: AbstractActivation, curves: Trajectory, *, sigma_w: float, sigma_b: float,
            c0: float = 0.5) -> Passage:  # fmt: skip
    """What infinite width says of a network with a linear read-out, in the terms of the rule."""
    with np.errstate(divide="ignore"):
        if curves.layer.size < curves.layer[-1]:
            gradient = np.append(math.log(10.0) * curves.passed, 0.0)
        else:
            logs = np.log(np.asarray(curves.chi, dtype=np.float64))
            gradient = np.append(np.cumsum(logs[::-1])[::-1], 0.0)
        lengths = np.append(np.log(curves.q), -math.inf)
        difference = np.log(curves.one_minus_c[-1] / (1.0 - c0))
        if np.isfinite(curves.q[-1]):
            after = length_map(phi, float(curves.q[-1]), sigma_w=sigma_w, sigma_b=sigma_b)
            lengths[-1] = np.log(after.value)
    return Passage.of(gradient, lengths, float(difference))


def rule(way: Passage, log10_gradient: float) -> Trainability:
    """The rule, told of what a curve cannot hold: gradients that are infinite or have no value."""
    if math.isfinite(log10_gradient):
        return trainability(way)
    return trainability(Passage(log10_gradient, math.nan, math.nan, math.nan))


def _growth(growth: float) -> str:
    if math.isfinite(growth):
        return f", in the end {growth:.4g}x a layer"
    return ", faster than exponentially"


def _layers(depth: int) -> str:
    return f"{depth} layer{'s' if depth > 1 else ''}"


def _gradient_clause(phase: Phase, log10_gradient: float, depth: int) -> str:
    layers = _layers(depth)
    if math.isnan(log10_gradient):
        return f"lengths leave the range of numbers within {layers}"
    if log10_gradient == math.inf:
        return "the activation jumps, so the mean square gradient is infinite"
    if log10_gradient == -math.inf:
        return f"no gradient is left after {layers}"
    total = power_text(log10_gradient)
    if abs(log10_gradient) < _FLAT:
        return f"gradients keep their size over {layers}"
    verb = "grow" if log10_gradient > 0 else "shrink"
    if phase.word == "critical" and phase.reached and not phase.where:
        if phase.lengths_critical:
            return f"gradients {verb} only as a power of the depth, {total} over {layers}"
        return f"gradients {verb} {total} over {layers} while lengths settle, then keep their size"
    return f"gradients {verb} {factor_text(10 ** (log10_gradient / depth))} a layer, " + (
        f"{total} over {layers}"
    )


def _turn(phase: Phase, log10_gradient: float) -> str:
    """A remark where the layers so far do the opposite of what the phase says of all later ones."""
    chi = phase.chi_perp
    if not (phase.reached and math.isfinite(log10_gradient) and math.isfinite(chi)):
        return ""
    if phase.word == "ordered" and log10_gradient > _FLAT:
        return f"; once lengths have settled they shrink {factor_text(chi)} a layer"
    if phase.word == "chaotic" and log10_gradient < -_FLAT:
        return f"; once lengths have settled they grow {factor_text(chi)} a layer"
    return ""
