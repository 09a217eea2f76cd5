"""Why a number of the page has no value, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from chione.base import Estimate, Status
from chione.theory import MeanField

_SHORT = {
    Status.CRITICAL: "at criticality the decay is a power law, so there is no finite depth scale",
    Status.CONTINUUM: "every value stays where the first layers leave it",
}
_OF_THE_POINT = ("c_star", "chi_parallel", "chi_perp", "xi_q", "xi_c")


def reason(key: str, estimate: Estimate, field: MeanField) -> str:
    """Why the row `key` has no value; empty where it has one."""
    if math.isfinite(float(estimate.value)):
        return ""
    status = Status(int(estimate.status))
    if status in _SHORT:
        return _SHORT[status]
    unsettled = not math.isfinite(float(field.q_star.value))
    if unsettled and key in _OF_THE_POINT and status in (Status.NOT_COMPUTED, Status.DIVERGENT):
        return "it belongs to a fixed point of the lengths, and they settle at none"
    if key == "q_star" and status == Status.DIVERGENT:
        return "lengths of every size grow without bound"
    if key == "xi_c" and status == Status.DIVERGENT:
        return "the slope of the correlation map at c* is not below 1"
    if key == "xi_q" and status == Status.DIVERGENT:
        return "the slope of the length map is above 1, so lengths leave the fixed point"
    if key in ("gradient", "gradient_per_layer") and status == Status.NOT_COMPUTED:
        return "lengths leave the range of numbers"
    text = status.sentence.rstrip(".")
    return text[0].lower() + text[1:]


def grouped(reasons: Mapping[str, str]) -> list[str]:
    """One sentence for each reason, with the names of all rows that share it."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        if why:
            names.setdefault(why, []).append(name)
    return [f"No value for {', '.join(rows)}: {why}." for why, rows in names.items()]
