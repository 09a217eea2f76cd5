"""Kernels of inputs with different norms, through the layers one by one.

Each layer needs E phi(u1) phi(u2) for every pair of lengths and every correlation. It comes from
the closed form where one is known, else from the Hermite coefficients of phi at each length where
their series has converged, else from one two-dimensional integral an entry (milliseconds each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, ConvergenceError, Estimate, Status
from chione.gaussian import hermite_expansion
from chione.networks import MLP
from chione.theory.correlation_map import derivative_kernel, kernel
from chione.theory.moments import CLOSED_ERROR, moments

_BLOCK = 1 << 16  # entries at a time: the working set of the Hermite sums stays in the cache
_N_HERMITE = 320
_TAIL = 1e-13  # part of the mean square that the Hermite series may leave out
_PER_OCTAVE = 24  # nodes in log q for the interpolation of Hermite coefficients

Pair = tuple[Array, Array, float]


def mixed_kernels(network: MLP, a: Array, b: Array, *, same: bool, with_ntk: bool) -> Estimate:
    """NNGP or tangent kernel of the rows of `a` with those of `b`, of any norms."""
    act, w2, b2 = network.activation, network.sigma_w**2, network.sigma_b**2
    m, d = moments(act), a.shape[1]
    k = w2 * (a @ b.T) / d + b2
    q = [w2 * np.einsum("ij,ij->i", x, x) / d + b2 for x in (a, b)]
    theta, error = k.copy() if with_ntk else k, 8.0 * np.finfo(float).eps
    for layer in range(1, network.depth):
        with np.errstate(invalid="ignore", divide="ignore"):
            c = np.clip(np.nan_to_num(k / np.sqrt(np.outer(q[0], q[1]))), -1.0, 1.0)
        if same:
            np.fill_diagonal(c, 1.0)
        value, slope, step = _layer(act, q[0], q[1], c, with_ntk)
        k = w2 * value + b2
        q = [w2 * np.asarray(m.square(x).value) + b2 for x in q]
        if not all(np.all(np.isfinite(x)) for x in (k, *q)):
            raise ConvergenceError(f"Kernels leave the range of float64 at layer {layer + 1}.")
        theta = k + w2 * slope * theta if with_ntk else k
        error += step
    error *= float(np.abs(theta).max())
    return Estimate(
        theta,
        np.broadcast_to(error, theta.shape),
        np.broadcast_to(np.int8(Status.OK), theta.shape),
    )


def _layer(act: AbstractActivation, q1: Array, q2: Array, c: Array, with_ntk: bool) -> Pair:
    """E phi phi, E phi' phi' (or zero) and their relative error, for all pairs."""
    closed = act.closed_forms
    if closed.kernel is not None and (closed.derivative_kernel is not None or not with_ntk):
        value = _by_rows(closed.kernel, q1, q2, c)
        slope = _by_rows(closed.derivative_kernel, q1, q2, c) if with_ntk else np.zeros(())
        return value, slope, CLOSED_ERROR
    series = _Series.of(act, np.concatenate([q1, q2]))
    if series is not None:
        return series.kernels(q1, q2, c, with_ntk)
    return _one_by_one(act, q1, q2, c, with_ntk)


def _by_rows(f: Callable[..., Array] | None, q1: Array, q2: Array, c: Array) -> Array:
    if f is None:
        raise ValueError("No closed form of this kernel is known.")
    out = np.empty_like(c)
    step = max(1, _BLOCK // max(1, c.shape[1]))
    for start in range(0, len(q1), step):
        part = slice(start, start + step)
        out[part] = f(q1[part, None], q2[None, :], c[part])
    return out


class _Series:
    """Hermite coefficients of phi over a range of lengths, interpolated in log q."""

    def __init__(self, act: AbstractActivation, q: Array) -> None:
        low, high = float(q.min()), float(q.max())
        middle, half = 0.5 * np.log(low * high), 0.5 * np.log(high / low)
        n = 6 + int(np.ceil(_PER_OCTAVE * 2.0 * half / np.log(2.0)))
        self._nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n) if half > 1e-12 else np.zeros(1)
        self._middle, self._half = float(middle), float(half) or 1.0
        n = len(self._nodes)
        self._weights = (-1.0) ** np.arange(n) * np.sin(np.pi * (np.arange(n) + 0.5) / n)
        m = moments(act)
        rows, self.tail = [], 0.0
        for x in self._nodes:
            at = float(np.exp(self._middle + half * x))
            e = hermite_expansion(act.value, at, _N_HERMITE, breakpoints=act.kinks)
            square = e.coefficients @ e.coefficients
            rest = max(e.tail.value, 0.0) / square
            k = np.arange(_N_HERMITE)
            steep = float(k @ e.coefficients**2) / at
            whole = m.derivative_square(at).value
            self.tail = max(self.tail, rest, abs(whole - steep) / whole)
            rows.append(e.coefficients)
            if self.tail > _TAIL:
                break
        self._rows = np.stack(rows)  # (nodes, K)

    @classmethod
    def of(cls, act: AbstractActivation, q: Array) -> _Series | None:
        """The series, or None where it has not converged or there are lengths of zero."""
        if q.min() <= 0.0 or moments(act).has_jumps:
            return None
        series = cls(act, q)
        return series if series.tail <= _TAIL else None

    def _at(self, q: Array) -> Array:
        """Coefficients at each length, (n, K), by barycentric interpolation."""
        x = (np.log(q) - self._middle) / self._half
        distance = x[:, None] - self._nodes
        exact = np.abs(distance) < 1e-15
        distance[exact] = 1.0
        weights = self._weights / distance
        weights[exact.any(axis=1)] = 0.0
        weights[exact] = 1.0
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self._rows)

    def kernels(self, q1: Array, q2: Array, c: Array, with_ntk: bool) -> Pair:
        """Both kernels by Horner's rule in c, block by block."""
        a, b = self._at(q1), self._at(q2)
        used = np.flatnonzero(np.abs(self._rows).max(axis=0) > 1e-18 * np.abs(self._rows).max())
        last = int(used[-1]) + 1
        value = np.empty_like(c)
        slope = np.empty_like(c) if with_ntk else np.zeros(())
        step = max(1, _BLOCK // max(1, c.shape[1]))
        for start in range(0, len(q1), step):
            part = slice(start, start + step)
            x = c[part]
            v, s = np.zeros_like(x), np.zeros_like(x)
            for k in range(last - 1, -1, -1):
                if with_ntk:
                    s *= x
                    s += v
                v *= x
                v += np.outer(a[part, k], b[:, k])
            value[part] = v
            if with_ntk:
                slope[part] = s / np.sqrt(np.outer(q1[part], q2))
        return value, slope, 4e-14 + self.tail


def _one_by_one(act: AbstractActivation, q1: Array, q2: Array, c: Array, with_ntk: bool) -> Pair:
    pairs = np.broadcast_arrays(q1[:, None], q2[None, :], c)
    value: Any = kernel(act, *pairs)
    slope: Any = derivative_kernel(act, *pairs) if with_ntk else None
    scale = float(np.abs(value.value).max())
    error = float(np.max(value.error)) / scale
    if slope is None:
        return value.value, np.zeros(()), error
    error += float(np.max(slope.error)) / max(float(np.abs(slope.value).max()), 1e-300)
    return value.value, slope.value, error
