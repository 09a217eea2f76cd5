"""From numbers to a sentence: what happens to gradients and signals, and whether that trains."""

from __future__ import annotations

import math

from chione.base import AbstractResult, Estimate, Status, result
from chione.diagnosis.numbers import factor_text, power_text, status_of

# Decades by which the mean square gradient may change over the depth: below the first nothing is
# felt, beyond the second single-precision optimisers lose one end of the network (a rule of thumb).
MILD_DECADES = 2.0
FATAL_DECADES = 8.0


@result
class Verdict(AbstractResult):
    """What a person should know, in words.

    Parameters
    ----------
    sentence : str
        Phase, gradient a layer, gradient over the depth.
    trains : {"yes", "doubtful", "no"}
        Whether a plain network of this depth can be expected to train.
    reason : str
        Why, in one sentence.
    """

    sentence: str
    trains: str
    reason: str


def judge(
    phase: str,
    *,
    log10_gradient: float,
    depth: int,
    survives: Estimate,
    c_star: float,
    growth: float = math.nan,
    settled: bool = True,
    reached: bool = True,
) -> Verdict:
    """The verdict on a network.

    Parameters
    ----------
    phase : str
        "ordered", "critical", "chaotic", "divergent" or "none".
    log10_gradient : float
        Decades by which the mean square gradient changes over all layers.
    depth : int
        Number of layers.
    survives : Estimate
        Layers through which a signal survives.
    c_star : float
        Correlation on which two inputs end.
    growth : float
        Factor by which the mean square of the signal grows a layer where it diverges.
    settled : bool
        Whether lengths have come close to their fixed point within the depth.
    reached : bool
        Whether they ever do, from an input of mean square 1.
    """
    clause = _gradient_clause(phase, log10_gradient, depth)
    sentence = f"{phase}: {clause}"
    if not reached:
        sentence = (
            f"{phase} for small inputs only: from mean square 1 lengths diverge, in the end "
            f"{growth:.4g}x a layer; {clause}"
        )
    elif phase == "divergent" and math.isfinite(growth):
        sentence += f"; mean squares in the end grow {growth:.4g}x a layer without bound"
    elif not settled:
        sentence += f"; lengths have not settled after {depth} layers"
    shape = phase if reached else "divergent"
    trains, reason = _trains(shape, log10_gradient, depth, survives, c_star)
    return Verdict(sentence, trains, reason)


def _gradient_clause(phase: str, log10_gradient: float, depth: int) -> str:
    if math.isnan(log10_gradient):
        return f"lengths leave the range of numbers within {depth} layers"
    if log10_gradient == math.inf:
        return "the activation jumps, so the mean square gradient is infinite"
    if log10_gradient == -math.inf:
        return f"no gradient is left after {depth} layers"
    total = power_text(log10_gradient)
    layers = f"{depth} layer{'s' if depth > 1 else ''}"
    if abs(log10_gradient) < 1e-9:
        return f"gradients keep their size over {layers}"
    verb = "grow" if log10_gradient > 0 else "shrink"
    if phase == "critical":
        return f"gradients {verb} only as a power of the depth, {total} over {layers}"
    return f"gradients {verb} {factor_text(10 ** (log10_gradient / depth))} a layer, " + (
        f"{total} over {layers}"
    )


def _trains(
    phase: str, log10_gradient: float, depth: int, survives: Estimate, c_star: float
) -> tuple[str, str]:
    if phase == "none" or math.isnan(log10_gradient):
        return "no", "The mean squares of a wide network are not finite."
    if math.isinf(log10_gradient):
        return "no", "There is no gradient to follow."
    decades = abs(log10_gradient)
    layers = float(survives.value)
    lost = math.isfinite(layers) and layers < depth
    gone = status_of(survives) == Status.INSTANT or (math.isfinite(layers) and 2 * layers < depth)
    flow = "explode" if log10_gradient > 0 else "vanish"
    if decades > FATAL_DECADES:
        return "no", f"Gradients {flow}: their mean square changes by {decades:.0f} decades."
    if gone:
        return "no", f"After about {layers:.0f} layers {_fate(c_star)}."
    if lost:
        return "doubtful", f"After about {layers:.0f} of {depth} layers {_fate(c_star)}."
    if phase == "divergent":
        return "doubtful", "Lengths grow without bound, so the result depends on the input's size."
    if decades > MILD_DECADES:
        return "doubtful", f"The mean square gradient changes by {decades:.1f} decades."
    return "yes", "Signals and gradients both pass through all layers."


def _fate(c_star: float) -> str:
    if c_star > 1.0 - 1e-6:
        return "all inputs look the same to the network"
    if math.isnan(c_star):
        return "nothing is left of the difference of two inputs"
    return f"any two inputs have correlation {c_star:.2g}, however close they were"
