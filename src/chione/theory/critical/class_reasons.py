"""Why an activation belongs to its universality class, in words."""

from __future__ import annotations

import math

import numpy as np

from chione.activations import AbstractActivation
from chione.theory.critical.critical_point import CriticalPoint
from chione.theory.critical.ratio_scan import RatioScan
from chione.theory.moments.moments import moments
from chione.theory.moments.taylor import Origin


def reason(
    phi: AbstractActivation,
    at: Origin,
    points: tuple[CriticalPoint, ...],
    discarded: tuple[CriticalPoint, ...],
    ratio: RatioScan | None,
) -> str:
    """One or two sentences on the class, with the numbers that decide it."""
    if not points:
        return _none(phi, at, discarded, ratio)
    words = " ".join(_point(p, at) for p in points)
    if ratio is not None and ratio.is_empty:
        words += (
            " The slopes agree at every K, so each K > 0 is critical with variances of its own."
        )
    return words


def _point(p: CriticalPoint, at: Origin) -> str:
    if p.universality == "scale-invariant":
        return (
            f"Straight lines of slopes {at.right[1]:g} and {-at.left[1]:g} meet at zero, so every "
            f"length is kept at sigma_w^2 = {p.weight_variance.value:.12g}, sigma_b = 0."
        )
    if p.universality == "K* = 0":
        return _zero(p)
    k, w, b = p.k_star.value, p.weight_variance.value, p.bias_variance.value
    place = f"K* = {k:.12g} with sigma_w^2 = {w:.12g} and sigma_b^2 = {b:.12g}"
    sides = {
        "above": "attracts lengths from above and repels below",
        "below": "attracts lengths from below and repels above",
        "both": "attracts lengths from both sides",
        "none": "repels lengths on both sides",
    }
    return f"{place} {sides[p.attracts]}."


def _zero(p: CriticalPoint) -> str:
    law = p.fading
    if law is None:
        raise ValueError("A point at K* = 0 needs its law of fading.")
    place = f"K* = 0 with sigma_w^2 = {p.weight_variance.value:.12g} and sigma_b = 0"
    a = law.amplitude.value
    words = {
        "1/l": f"lengths fade like {a:.6g} / l, since phi is smooth at zero",
        "1/l^2": f"lengths fade like {a:.6g} / l^2, since phi'' or phi' jumps at zero",
        "1/log l": f"lengths fade slower than any power, like {a:.6g} / log l, since phi is "
        "straight next to zero",
        "power": f"lengths fade like {a:.6g} / l^{law.exponent:g}",
        "grows": "repels lengths: they grow away from zero",
    }
    joint = " " if law.law == "grows" else ": "
    return f"{place}{joint}{words[law.law]}."


def _none(
    phi: AbstractActivation,
    at: Origin,
    discarded: tuple[CriticalPoint, ...],
    ratio: RatioScan | None,
) -> str:
    if ratio is None:
        why = moments(phi).why_infinite()
        return (
            f"{why[0].upper()}{why[1:]}, so E phi'^2 is infinite and no sigma_w gives "
            "chi_perp = 1: two close inputs part at an infinite rate."
        )
    parts = []
    for p in discarded:
        parts.append(
            f"At K = {p.k_star.value:.6g} the slopes agree, but sigma_b^2 would have to be "
            f"{p.bias_variance.value:.6g}, which is negative."
        )
    parts.append(_why_not_zero(at))
    if not discarded:
        parts.append(_range(ratio))
    return " ".join(parts)


def _why_not_zero(at: Origin) -> str:
    if not at.is_zero and (at.has_slope or at.right[1] == at.left[1] == 0.0):
        slope = math.sqrt(at.small_lengths()[0].value)
        value = 0.5 * at.right[0] + 0.5 * at.left[0]
        if slope == 0.0:
            return f"K* = 0 is no fixed point, because phi(0) = {value:.6g} is not zero."
        return (
            f"K* = 0 is no fixed point, because phi(0) = {value:.6g} is not zero: sigma_b^2 would "
            f"have to be {-((value / slope) ** 2):.6g}."
        )
    if max(abs(at.right[1]), abs(at.left[1])) > 1.0:
        return "At K = 0 the slope of phi is infinite, so only sigma_w = 0 would give chi_perp = 1."
    return "At K = 0 phi has no slope, so no finite sigma_w gives chi_perp = 1 there."


def _range(ratio: RatioScan) -> str:
    signs = ratio.signs
    known = np.abs(ratio.gap[signs != 0.0])
    if known.size == 0:
        return "chi_parallel and chi_perp have no value between K = 1e-8 and 1e8."
    word = "below" if np.any(signs > 0.0) else "above"
    return (
        f"For every K from {ratio.k[signs != 0.0][0]:.2g} to {ratio.k[signs != 0.0][-1]:.2g} "
        f"chi_parallel stays {word} chi_perp, by {known.min():.2g} or more of it."
    )
