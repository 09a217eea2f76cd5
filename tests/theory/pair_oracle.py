"""E f(u1) g(u2) by nested Gauss-Legendre panels cut at the kinks: nothing of the library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
_X, _W = np.polynomial.legendre.leggauss(16)
_END = 13.0  # standard deviations


def _panels(cuts: Array, most: float) -> Array:
    """Edges from -13 to 13 with the cuts among them and no panel wider than `most`."""
    edges = np.unique(np.concatenate([np.arange(-_END, _END + most, most), cuts]))
    return edges[(edges >= -_END) & (edges <= _END)]


def _laid(edges: Array) -> tuple[Array, Array]:
    half = 0.5 * np.diff(edges)[:, None]
    z = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * _X
    weights = half * _W * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return z.ravel(), weights.ravel()


def pair_integral(
    f: Callable[[Array], Array],
    kinks: tuple[float, ...],
    q: tuple[float, float],
    gap: float,
    sign: float,
) -> float:
    """E f(u1) f(u2) at 1 - |c| = gap."""
    r1, r2 = np.sqrt(q[0]), np.sqrt(q[1])
    c, s = sign * (1.0 - gap), np.sqrt(gap * (2.0 - gap))
    k = np.asarray(kinks, dtype=float)
    layers = np.concatenate([[0.0], s * 2.0 ** np.arange(-2.0, 6.0)])
    layers = np.concatenate([-layers, layers])
    cuts = [k / r1]
    if c:  # where the inner integral passes a kink
        cuts += [(k / (r2 * c))[:, None].ravel(), ((k / (r2 * c))[:, None] + layers).ravel()]
    z1, w1 = _laid(_panels(np.concatenate(cuts), 0.7))
    total = 0.0
    for z, w in zip(z1, w1 * f(r1 * z1), strict=True):
        z2, w2 = _laid(_panels((k / r2 - c * z) / s, 1.0))
        total += w * float(f(r2 * (c * z + s * z2)) @ w2)
    return total
