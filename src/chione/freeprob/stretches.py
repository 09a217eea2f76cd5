"""Intervals of the line: their Gaussian mass, and what remains when touching ones are joined."""

from __future__ import annotations

from scipy.special import ndtr


def interval(a: float, b: float) -> float:
    """P(a < z <= b) for a standard Gaussian z, without loss in the tails."""
    return float(ndtr(-a) - ndtr(-b)) if a > 0.0 else float(ndtr(b) - ndtr(a))


def union(spans: list[tuple[float, float]], slack: float) -> tuple[tuple[float, float], ...]:
    """Merge touching intervals; an atom at the end of an interval belongs to it."""
    merged: list[list[float]] = []
    for a, b in sorted((float(a), float(b)) for a, b in spans):
        if merged and a <= merged[-1][1] * (1.0 + 1e-13) + slack:
            merged[-1][1] = max(merged[-1][1], b)
        else:
            merged.append([a, b])
    return tuple((a, b) for a, b in merged)
