"""Infinite-width densities of what flows through a layer, as shares of histogram bins.

At infinite width a pre-activation is Gaussian of variance q, an activation is phi of it, and an
error signal is phi'(h) y with y Gaussian and independent of h. Expectations over h are means over
midpoints of equal probability, so atoms (the dead half of ReLU) come out as atoms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from chione.base import Array
from chione.theory.depth.infinite_width import InfiniteWidth

_POINTS = 100_001  # midpoints for plain shares: each is right to 1e-5
_MIXTURE = 1_001  # midpoints where each carries a Gaussian of its own


def preactivation_shares(limit: InfiniteWidth, edges: Array) -> Array:
    """Share of the pre-activations in each bin, (L, bins); `edges` has shape (L, bins + 1)."""
    return _each(limit, edges, lambda l, q, e: np.diff(ndtr(e / np.sqrt(q))))


def activation_shares(limit: InfiniteWidth, edges: Array) -> Array:
    """Share of the activations in each bin, (L, bins)."""
    phi, z = limit.network.activation, _midpoints(_POINTS)
    return _each(limit, edges, lambda l, q, e: _share(phi.value(np.sqrt(q) * z), e))


def gradient_shares(limit: InfiniteWidth, edges: Array) -> Array:
    r"""Share of the error signals in each bin, (L, bins).

    .. math:: \delta^l = \phi'(h)\, y, \qquad y \sim N(0,\, d^l / E\,\phi'^2)
    """
    z, phi = _midpoints(_MIXTURE), limit.network.activation
    size = limit.backward(limit.slope)
    slope = limit.slope / limit.network.sigma_w**2  # E phi'^2

    def share(l: int, q: float, e: Array) -> Array:
        k = int(np.argmin(np.abs(limit.q[l] - q)))
        if not np.isfinite(size[l, k]):
            return np.full(len(e) - 1, np.nan)
        if l == len(size) - 1:  # the error at the output is Gaussian itself
            return np.diff(ndtr(e / np.sqrt(size[l, k])))
        deviation = np.abs(phi.derivative(np.sqrt(q) * z)) * np.sqrt(size[l, k] / slope[l, k])
        with np.errstate(divide="ignore", invalid="ignore"):
            below = np.where(deviation > 0.0, ndtr(e[:, None] / deviation), e[:, None] > 0.0)
        return np.diff(below.mean(axis=1))

    return _each(limit, edges, share)


def _each(limit: InfiniteWidth, edges: Array, share: Callable[[int, float, Array], Array]) -> Array:
    """Mean over the inputs, each distinct length computed once; NaN where q does not exist."""
    out = np.full((len(edges), edges.shape[1] - 1), np.nan)
    for l, row in enumerate(limit.q):
        if np.all(np.isfinite(row)) and np.all(row > 0.0):
            lengths, counts = np.unique(row, return_counts=True)
            parts = np.array([share(l, float(q), edges[l]) for q in lengths])
            out[l] = np.average(parts, axis=0, weights=counts)
    return out


def _midpoints(count: int) -> Array:
    """Standard normal quantiles in the middle of `count` intervals of equal probability."""
    return np.asarray(ndtri((np.arange(count) + 0.5) / count))


def _share(values: Array, edges: Array) -> Array:
    """Share of the values in each of equal bins that are closed below, as the simulator counts."""
    bins = len(edges) - 1
    place = np.floor((values - edges[0]) / ((edges[-1] - edges[0]) / bins))
    inside = place[(place >= 0) & (place < bins)].astype(np.intp)
    return np.asarray(np.bincount(inside, minlength=bins) / values.size)
