"""Sampled singular values as bins and bars, and how high the axis is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.base import Array
from chione.plotting.spectrum_axis import SpectrumAxis
from chione.plotting.spectrum_parts import Curve, Intervals

_CROWD = 3.0  # times the density elsewhere that the axis gives to what crowds at 0
_HARD = 0.03  # part of a window beside a hard edge that does not set the height


@dataclass(frozen=True)
class Histogram:
    """Densities of sampled values between bin edges, both by position on the axis."""

    edges: Array
    heights: Array


def histogram(
    axis: SpectrumAxis, log_v: Array, total: int, support: Intervals, floor: float = -np.inf
) -> Histogram | None:
    """Bins that end where bands end, as many as the values there can fill.

    Eigenvalues repel each other, so that counts scatter less than those of independent samples and
    bins may be finer: 2.5 n^0.4 of them for n values of a band.

    Parameters
    ----------
    axis : SpectrumAxis
        Its window is filled.
    log_v : ndarray
        The values without zeros, rounding and point masses.
    total : int
        Number of all values, these included: the area is the share of `log_v`.
    support : sequence of (float, float)
        Bands in log v; no bin lies on both sides of an end.
    floor : float
        Log v where the bins begin, above rounding.
    """
    left, right = axis.ends
    left = max(left, float(axis.position(np.array(floor))))
    if left >= right:
        return None
    own = np.sort(axis.position(log_v))
    own = own[(own >= left) & (own <= right)]
    if own.size == 0:
        return None
    bands = [tuple(np.clip(axis.position(np.array(b)), left, right)) for b in support]
    bands = [b for b in bands if b[1] > b[0]]
    cuts = [left]
    for x in sorted({right, *(float(x) for b in bands for x in b)}):
        if x - cuts[-1] > 1e-4 * (right - left):  # what is closer is one line on paper
            cuts.append(x)
    cuts[-1] = right
    widths = []
    for a, b in bands:
        n = np.count_nonzero((own >= a) & (own <= b))
        widths.append((b - a) / float(np.clip(round(2.5 * n**0.4), 5, 60)))
    usual = min(widths, default=(right - left) / float(np.clip(2.5 * own.size**0.4, 5, 60)))
    edges = [np.array([left])]
    for a, b in pairwise(cuts):
        inside = [w for w, band in zip(widths, bands, strict=True)
                  if band[0] <= 0.5 * (a + b) < band[1]]  # fmt: skip
        size = min(inside, default=usual)
        count = int(np.clip(np.ceil((b - a) / size - 1e-6), 1, 400))
        edges.append(np.linspace(a, b, count + 1)[1:])
    at = np.concatenate(edges)
    counts, _ = np.histogram(own, at)
    return Histogram(at, counts / (total * np.diff(at)))


def clusters(log_v: Array, slack: Array) -> list[tuple[float, int]]:
    """Values that are equal within their errors, many times: (log v, how often)."""
    order = np.argsort(log_v)
    x, near = log_v[order], np.clip(4.0 * slack[order], 1e-12, 1e-6)
    if x.size == 0:
        return []
    new = np.concatenate([[True], np.diff(x) > np.maximum(near[1:], near[:-1])])
    start = np.flatnonzero(new)
    count = np.diff([*start, x.size])
    many = count >= max(4, 0.01 * x.size)
    return [
        (float(np.median(x[i : i + n])), int(n))
        for i, n in zip(start[many], count[many], strict=True)
    ]


def height(axis: SpectrumAxis, curves: Sequence[Curve], bins: Histogram | None) -> float:
    """Top of the axis: all of the curve but what rises beside a hard edge or towards 0."""
    left, right = axis.ends
    margin = _HARD * (right - left)
    tops, beyond = [0.0], [0.0]
    for c in curves:
        with np.errstate(over="ignore", invalid="ignore"):
            at, y = axis.position(c.log_v), axis.density(c.log_v, c.density)
        shown = (at >= left) & (at <= right)
        for end in (np.flatnonzero(shown)[:1], np.flatnonzero(shown)[-1:]):
            if end.size and (np.isinf(y[end[0]]) or y[end[0]] >= np.max(y[shown])):
                shown &= abs(at - at[end[0]]) > margin
        shown &= np.isfinite(y)
        tops.append(float(np.max(y[shown], initial=0.0)))
        if axis.kind == "linear":  # mass that crowds at 0 would leave the rest flat
            away = shown & (at > left + margin)
            beyond.append(float(np.max(y[away], initial=0.0)))
    top = max(tops)
    if beyond and max(beyond) > 0.0:
        top = min(top, _CROWD * max(beyond))
    if bins is not None:
        highest = float(np.max(bins.heights))
        top = max(top, min(highest, 1.6 * top) if top > 0.0 else highest)
    return 1.12 * top if top > 0.0 else 1.0
