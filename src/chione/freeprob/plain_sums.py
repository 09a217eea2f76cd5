"""Sums over places and weights at many complex points, in blocks that stay in the cache."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Complex

_BLOCK = 1 << 14  # entries: 128 kB, above which the pages of each new array cost more than the sums


def plain_sums(w: Complex, t: Array, p: Array) -> tuple[Complex, Complex, Complex]:
    r"""The sums of p/(w - t), p t/(w - t) and p t/(w - t)^2 over t, for each w of shape (n,)."""
    g, m, square = (np.empty(w.size, dtype=complex) for _ in range(3))
    weights = np.stack([p, p * t], axis=1)
    # 1 / (w - t) in real arithmetic: a complex division costs several times as much.
    x, y = w.real[:, None], w.imag[:, None]
    with np.errstate(over="ignore"):  # the squares of points beyond 1e154 are infinite
        y2 = y * y
    step = max(1, _BLOCK // max(1, t.size))
    d, inv = (np.empty((min(step, w.size), t.size)) for _ in range(2))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for i in range(0, w.size, step):
            k = slice(i, min(i + step, w.size))
            n = k.stop - i
            a, b = d[:n], inv[:n]
            np.subtract(x[k], t, out=a)
            np.multiply(a, a, out=b)
            b += y2[k]
            np.divide(1.0, b, out=b)
            a *= b
            re, im = a @ weights, b @ weights
            g[k].real, m[k].real = re[:, 0], re[:, 1]
            g[k].imag, m[k].imag = (-y[k] * im).T
            # Of 1/(w-t)^2: the real part is 2 d^2 - inv, the imaginary part -2 y d inv.
            b *= a
            square[k].imag = -2.0 * y[k, 0] * (b @ weights[:, 1])
            a *= a
            square[k].real = 2.0 * (a @ weights[:, 1]) - im[:, 1]
    return g, m, square


def plain_logs(w: Complex, t: Array, p: Array) -> Complex:
    """The sum of p log(w - t) over t, for each w (n,) of the closed upper half plane."""
    out = np.empty(w.size, dtype=complex)
    x, y = w.real[:, None], w.imag[:, None]
    step = max(1, _BLOCK // max(1, t.size))
    d, other = (np.empty((min(step, w.size), t.size)) for _ in range(2))
    with np.errstate(divide="ignore"):
        # Logarithm and angle apart: the complex logarithm costs twice as much.
        for i in range(0, w.size, step):
            k = slice(i, min(i + step, w.size))
            a, b = d[: k.stop - i], other[: k.stop - i]
            np.subtract(x[k], t, out=a)
            np.arctan2(y[k], a, out=b)
            out[k].imag = b @ p
            a *= a
            a += y[k] * y[k]
            np.log(a, out=a)
            out[k].real = 0.5 * (a @ p)
    return out


def plain_angles(w: Complex, t: Array, p: Array) -> Complex:
    """The imaginary part of `plain_logs` alone, at half its cost; the real part is 0."""
    out = np.zeros(w.size, dtype=complex)
    x, y = w.real[:, None], w.imag[:, None]
    step = max(1, _BLOCK // max(1, t.size))
    d = np.empty((min(step, w.size), t.size))
    for i in range(0, w.size, step):
        k = slice(i, min(i + step, w.size))
        a = d[: k.stop - i]
        np.subtract(x[k], t, out=a)
        np.arctan2(y[k], a, out=a)
        out[k].imag = a @ p
    return out


def plain_sizes(w: Complex, t: Array, p: Array) -> Array:
    """The sum of p/|w - t| over t, for each w of shape (n,)."""
    step = max(1, _BLOCK // max(1, t.size))
    with np.errstate(divide="ignore"):
        parts = [(1.0 / abs(w[i : i + step, None] - t)) @ p for i in range(0, w.size, step)]
    return np.concatenate(parts) if parts else np.empty(0)
