"""A recommendation in words: what it keeps, how to draw it, how far it holds, against what."""

from __future__ import annotations

import math
from dataclasses import replace

from chione.base import Status
from chione.theory.critical.recommendation import Recommendation
from chione.theory.depth.advice_rule import AFFINE_MARGIN
from chione.theory.depth.options import Options

_LEVEL = 0.05  # of the factor on the first layer that is not worth a sentence
_FORGETS = 0.995  # chi_parallel up to which a few hundred layers forget the length of an input
_EQUAL = 1e-6  # chi_parallel this far above 1 is 1


def worded(
    best: Recommendation, others: tuple[Recommendation, ...], options: Options
) -> Recommendation:
    """The same with its reason in full."""
    own = [o for o in others if o.name != "affine change"]
    parts = [_kept(best, own, options.found.reason), best.reason, _drawn(best), _held(best)]
    if best.name == "affine change" and own:
        parts.append(f"It is better by {own[0].total - best.total:.1f} than the activation itself.")
    for o in own:
        parts.append(
            f"Against it: {o.name} (sigma_w = {o.sigma_w:.6g}, sigma_b = {o.sigma_b:.6g}): "
            f"{o.reason[:1].lower()}{o.reason[1:]}"
        )
    better = [o for o in others if o.name == "affine change" and o.total < best.total]
    if best.name != "affine change" and better and best.total - better[0].total > AFFINE_MARGIN:
        parts.append(f"A change of the activation would do better. {better[0].reason}")
    return replace(best, reason=" ".join(p for p in parts if p))


def _kept(best: Recommendation, others: list[Recommendation], why: str) -> str:
    if best.name == "affine change":
        return ""
    if best.kind == "critical":
        kept = "Signals and gradients are both critical (chi_parallel = chi_perp = 1)."
        if best.status != Status.OK:
            start = (best.q_star.value - best.sigma_b**2) / best.sigma_w**2
            kept += (
                f" q* = {best.q_star.value:.6g} holds lengths from one side only; inputs of mean "
                f"square {start:.4g} start right there."
            )
        return kept
    chi = best.chi_parallel.value
    if chi < _FORGETS:
        does = "attracts lengths"
    elif chi <= 1.0 + _EQUAL:
        does = "holds lengths"
    else:
        does = "repels lengths so slowly that this depth bears it"
    kept = (
        f"Gradients keep their size at q* = {best.q_star.value:g}, which {does} "
        f"(chi_parallel = {chi:.3g}"
    )
    kept += ", so input lengths are forgotten)." if chi < _FORGETS else ")."
    if not others:
        kept += f" There is no critical point: {why}"
    return kept


def _drawn(best: Recommendation) -> str:
    """Law of the weights and scale of the first layer."""
    out = f"Draw {best.weights} weights."
    if abs(best.first_layer - 1.0) > _LEVEL:
        out += (
            f" {best.first_layer:.3g} times sigma_w in the first layer starts lengths at q* at "
            "once."
        )
    return out


def _held(best: Recommendation) -> str:
    """Up to which depth and from which width."""
    depth, width = best.holds["depth"], best.holds["width"]
    what = (
        f"At width {best.holds['at_width']:.0f} gradients stay within a hundredfold, for inputs of "
        "half and twice the length too, and chance within threefold,"
    )
    if depth >= best.depth:
        far = "as deep as was looked" if math.isinf(depth) else f"up to {depth:.0f} layers"
        return f"{what} {far}."
    short = f"{what} up to {depth:.0f} layers only"
    if math.isinf(width):
        return f"{short}; no width makes that {best.depth}."
    return f"{short}; {best.depth} layers want a width of {width:.0f}."
