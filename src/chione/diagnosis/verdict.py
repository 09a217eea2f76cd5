"""From numbers to a sentence: what happens to gradients and signals, and whether that trains."""

from __future__ import annotations

import math
from dataclasses import field, replace

import numpy as np

from chione.activations import AbstractActivation
from chione.base import AbstractResult, Array, Status, result
from chione.diagnosis.numbers import factor_text, power_text
from chione.diagnosis.phases import Phase
from chione.gaussian import expectation
from chione.theory import MeanField, Trajectory, length_map
from chione.theory.depth.passage import Passage
from chione.theory.depth.tangent import tangent
from chione.theory.depth.trainability import Trainability, trainability
from chione.theory.moments.moments import moments

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
    optimizer : str or None
        The optimiser that was named.
    optimizers : dict of str to str
        The answer for each of "sgd", "momentum" and "adam".
    """

    sentence: str
    trains: str
    reason: str
    problem: str = "none"
    optimizer: str | None = None
    optimizers: dict[str, str] = field(default_factory=dict)


def judge(
    phase: Phase,
    found: Trainability,
    *,
    log10_gradient: float,
    depth: int,
    why_infinite: str,
    settled: bool = True,
    optimizer: str | None = None,
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
    why_infinite : str
        What makes the mean square gradient infinite, where it is.
    settled : bool
        Whether lengths have come close to their fixed point within the depth.
    optimizer : str, optional
        For which optimiser the rule was asked.
    """
    clause = _gradient_clause(phase, log10_gradient, depth, why_infinite)
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
    return Verdict(
        sentence, found.answer, found.reason, found.problem, optimizer, dict(found.optimizers)
    )


def passage(phi: AbstractActivation, curves: Trajectory, *, sigma_w: float, sigma_b: float,
            width: int | None = None, mean: MeanField | None = None,
            spread: float = math.nan, c0: float = 0.5) -> Passage:  # fmt: skip
    """What infinite width says of a network with a linear read-out, in the terms of the rule.

    Of a network whose `width` and mean field are told, also what each optimiser meets; `spread` is
    handed on.
    """
    with np.errstate(divide="ignore"):
        if curves.layer.size < curves.layer[-1]:
            gradient = np.append(math.log(10.0) * curves.passed, 0.0)
        else:
            logs = np.log(_followed(phi, curves, sigma_w))
            gradient = np.append(np.cumsum(logs[::-1])[::-1], 0.0)
        lengths = np.append(np.log(curves.q), -math.inf)
        difference = np.log(curves.one_minus_c[-1] / (1.0 - c0))
        if np.isfinite(curves.q[-1]):
            after = length_map(phi, float(curves.q[-1]), sigma_w=sigma_w, sigma_b=sigma_b)
            lengths[-1] = np.log(after.value)
    way = Passage.of(gradient, lengths, float(difference))
    if width is None or mean is None:
        return way
    stiffness, contrast = tangent(
        phi, curves, gradient, sigma_w=sigma_w, sigma_b=sigma_b, width=width, c0=c0
    )
    xi = float(mean.xi_c.value)
    chaotic = mean.phase == "chaotic" and xi > 0.0
    forgotten = float(curves.layer[-1]) / xi if chaotic else 0.0
    way = replace(way, stiffness=stiffness, contrast=contrast, forgotten=forgotten)
    return replace(way, layers=float(curves.layer[-1]), spread=spread, even=_is_even(phi))


def _is_even(phi: AbstractActivation) -> bool:
    """Whether values at a few points are those at their negatives, and not all the same."""
    h = np.array([0.1, 0.37, 0.8, 1.3, 2.1, 3.4])
    there, here = (np.asarray(phi.value(x), dtype=np.float64) for x in (-h, h))
    return bool(np.allclose(there, here, rtol=1e-12, atol=0.0) and np.ptp(here) > 0.0)


def _followed(phi: AbstractActivation, curves: Trajectory, sigma_w: float) -> Array:
    """The factor on the mean square gradient that back-propagation meets in each layer.

    It passes over jumps, whose derivative is infinite, and follows the slope beside them.
    """
    chi = np.asarray(curves.chi, dtype=np.float64)
    if not moments(phi).has_jumps:
        return chi

    def square(h: Array) -> Array:
        return np.asarray(phi.derivative(h), dtype=np.float64) ** 2

    q = np.asarray(curves.q)
    known = np.isfinite(q) & (q > 0.0)
    out = np.full(q.size, np.nan)
    if known.any():
        out[known] = sigma_w**2 * np.asarray(
            expectation(square, q[known], breakpoints=phi.kinks).value
        )
    return out


def rule(way: Passage, curves: Trajectory, optimizer: str | None = None) -> Trainability:
    """The rule, told of what a passage cannot hold: a signal that is gone before the last layer."""
    if curves.status == Status.UNDEFINED or 0.0 in curves.q:
        way = Passage(0.0, 0.0, -math.inf, math.nan)
    return trainability(way, optimizer)


def _growth(growth: float) -> str:
    if math.isfinite(growth):
        return f", in the end {growth:.4g}x a layer"
    return ", faster than exponentially"


def _layers(depth: int) -> str:
    return f"{depth} layer{'s' if depth > 1 else ''}"


def _gradient_clause(phase: Phase, log10_gradient: float, depth: int, why: str) -> str:
    layers = _layers(depth)
    if math.isnan(log10_gradient):
        return f"lengths leave the range of numbers within {layers}"
    if log10_gradient == math.inf:
        return f"{why}, so the mean square gradient is infinite"
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
