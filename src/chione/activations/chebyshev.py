"""Chebyshev fits of a function on many short panels at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array

N = 24  # points on a panel
UNDERFLOW = 1e-290  # what is smaller may have been flushed to zero on the way

_K = np.arange(N)
# T_k at node j is (-1)^k cos(pi k (2j + 1) / 2N); reduced as an integer, every entry is exact
_TURNS = (_K[:, None] * (2 * _K + 1)) % (4 * N)
_CHEBYSHEV = (1.0 - 2.0 * (_K % 2))[:, None] * np.cos(np.pi * _TURNS / (2 * N))
NODES = _CHEBYSHEV[1]  # first kind, ascending, no node on an edge
_TO_COEFFICIENTS = (2.0 - (_K == 0)[:, None]) / N * _CHEBYSHEV
_GAPS = np.diff(NODES)
_MOST_TERMS = 30.0  # slopes of lines that cancel; more than that is noise, not rounding


@dataclass(frozen=True)
class Panels:
    """P panels with the Chebyshev coefficients of one function.

    Parameters
    ----------
    low, high : ndarray, shape (P,)
        Edges.
    coefficients : ndarray, shape (P, 24)
        Coefficients in T_0 .. T_23 of the panel's own variable in [-1, 1].
    noise : ndarray, shape (P,)
        What the rounding of f and of its argument can leave in one coefficient.
    resolved, finite : ndarray of bool, shape (P,)
        Whether the last coefficients are noise, and whether all values are finite.
    """

    low: Array
    high: Array
    coefficients: Array
    noise: Array
    resolved: NDArray[np.bool_]
    finite: NDArray[np.bool_]

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Panels:
        """Some of the panels."""
        return Panels(
            self.low[which],
            self.high[which],
            self.coefficients[which],
            self.noise[which],
            self.resolved[which],
            self.finite[which],
        )


@dataclass(frozen=True)
class Subject:
    """The function under study, and how large it is within a distance of the origin.

    The size bounds the rounding that cancellation inside f leaves behind: (1 + tanh(x)) x is a
    staircase of steps 1e-16 at x = -7, and those steps are no jumps.

    Parameters
    ----------
    f : callable
        (n,) -> (n,), float64.
    radii, sizes : ndarray
        Largest absolute value seen within each radius, or the size of the terms that cancel.
    """

    f: Callable[[Array], Array]
    radii: Array
    sizes: Array

    def __call__(self, x: Array) -> Array:
        """The function, with its overflow silenced."""
        with np.errstate(all="ignore"):
            return self.f(x)

    def floor(self, reach: Array) -> Array:
        """Size below which rounding may hide what the function does, at most about `reach`."""
        index = np.minimum(np.searchsorted(self.radii, reach), len(self.radii) - 1)
        return np.asarray(self.sizes[index])


def subject(f: Callable[[Array], Array]) -> Subject:
    """Sample how `f` grows up to 10^5."""
    radii = np.geomspace(1.0, 1e5, 120)
    inner = np.linspace(-1.0, 1.0, 40)
    with np.errstate(all="ignore"):
        sizes = np.maximum(np.abs(f(radii)), np.abs(f(-radii)))
        first = np.nanmax(np.where(np.isfinite(f(inner)), np.abs(f(inner)), 0.0))
    sizes = np.where(np.isfinite(sizes), sizes, 0.0)
    seen = np.minimum(np.maximum(sizes, first), np.maximum(radii, 1.0))
    return Subject(f, radii, np.maximum.accumulate(np.maximum(seen, _scatter(f, radii))))


def _scatter(f: Callable[[Array], Array], radii: Array) -> Array:
    """Size of the terms that cancel in f, at +-radii, from how far neighbours are off a line.

    A plateau that is a sum of steep lines is rounded as they are, however small it is itself.
    """
    k = np.arange(12.0)
    near = 1e-9 * (k + 0.1 + 0.8 * np.mod(k * 0.6180339887498949, 1.0))
    x = np.concatenate([radii, -radii])[:, None] * (1.0 + near)
    u = near - near.mean()
    with np.errstate(all="ignore"):
        y = np.asarray(f(x.ravel()), dtype=np.float64).reshape(x.shape)
        y = y - y.mean(axis=1, keepdims=True)
        y = y - (y @ u)[:, None] / (u @ u) * u
        size = np.max(np.abs(y), axis=1) / EPS
    size = np.where(np.isfinite(size), size, 0.0)
    size = np.maximum(size[: len(radii)], size[len(radii) :])
    return np.asarray(np.minimum(size, _MOST_TERMS * np.maximum(radii, 1.0)))


def fit(f: Subject, low: Array, high: Array) -> Panels:
    """Interpolate `f` at 24 Chebyshev points of each panel [low, high] (arrays of shape (P,))."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    x = middle[:, None] + half[:, None] * NODES  # (P, 24)
    y = f(x.ravel()).reshape(x.shape)
    finite = np.all(np.isfinite(y) & (np.abs(y) < 1e290), axis=1)
    y = np.where(finite[:, None], y, 0.0)
    scale = np.max(np.abs(y), axis=1)
    steepest = np.max(np.abs(np.diff(y, axis=1)) / _GAPS, axis=1) / half
    reach = np.maximum(np.abs(low), np.abs(high))
    noise = EPS * (scale + f.floor(reach) + 0.5 * reach * steepest) + UNDERFLOW
    coefficients = y @ _TO_COEFFICIENTS.T
    tail = np.max(np.abs(coefficients[:, -4:]), axis=1)
    resolved = finite & (tail <= 3.0 * noise)
    return Panels(low, high, coefficients, noise, resolved, finite)


def evaluate(panels: Panels, index: NDArray[np.intp], x: Array, order: int) -> Array:
    """Derivative of `order` (0, 1, 2, 3) of the fits at the points `x` (n,) of panels `index`."""
    half = 0.5 * (panels.high - panels.low)
    t = (x - 0.5 * (panels.low + panels.high)[index]) / half[index]
    c = panels.coefficients
    if order:
        c = np.polynomial.chebyshev.chebder(c, order, axis=1) / half[:, None] ** order
    if len(c) > len(index):
        c, index = c[index], np.arange(len(index))
    length = int(np.max(np.flatnonzero(np.any(c != 0.0, axis=0)), initial=0)) + 1
    rows = c[:, :length].T  # of each degree; none that are zero is carried to the points
    return np.asarray(np.polynomial.chebyshev.chebval(t, rows[:, index], tensor=False))


def without_noise(panels: Panels) -> Array:
    """Coefficients (P, 24), those below the noise set to zero: a line has no curvature."""
    c = panels.coefficients
    return np.where(np.abs(c) <= 2.0 * panels.noise[:, None], 0.0, c)


def refine(f: Subject, edges: Array, *, narrowest: float, most: int) -> Panels | None:
    """Bisect the panels between `edges` until each is resolved or narrower than `narrowest`.

    A panel on which f overflows is left as it is.

    Returns
    -------
    Panels or None
        The leaves, in ascending order; None if more than `most` panels were asked for.
    """
    todo = fit(f, edges[:-1], edges[1:])
    done: list[Panels] = []
    total = len(todo.low)
    while True:
        stop = todo.resolved | ~todo.finite | (todo.high - todo.low < narrowest)
        done.append(todo.take(stop))
        todo = todo.take(~stop)
        if not len(todo.low):
            break
        total += 2 * len(todo.low)
        if total > most:
            return None
        middle = 0.5 * (todo.low + todo.high)
        todo = fit(f, np.r_[todo.low, middle], np.r_[middle, todo.high])
    parts = [
        np.concatenate([getattr(p, key) for p in done])
        for key in ("low", "high", "coefficients", "noise", "resolved", "finite")
    ]
    return Panels(*parts).take(np.argsort(parts[0]))


@dataclass(frozen=True)
class Side:
    """One resolved fit beside a suspicious place, with the error of its derivatives.

    Parameters
    ----------
    panel : Panels
        A single panel.
    coefficients : ndarray
        Its coefficients without those that are noise.
    noise : float
        Error of one coefficient.
    """

    panel: Panels
    coefficients: Array
    noise: float

    def derivative(self, x: Array, order: int) -> Array:
        """Derivative of the fit at `x`, also a little outside its panel."""
        t, half = self._local(x)
        c: Array = self.coefficients
        if order:
            c = _differentiated(c, order) / half**order
        return np.asarray(np.polynomial.chebyshev.chebval(t, c))

    def error(self, x: Array, order: int) -> Array:
        """Bound on what the noise does to the derivative: every coefficient off by the noise."""
        t, half = self._local(x)
        worst: Array = np.ones(len(self.coefficients))
        if order:
            worst = _differentiated(worst, order) / half**order
        if not len(worst):
            return np.zeros_like(t)
        grown = np.polynomial.chebyshev.chebval(np.maximum(np.abs(t), 1.0), worst)
        return np.asarray(self.noise * grown, dtype=np.float64)

    def _local(self, x: Array) -> tuple[Array, float]:
        low, high = float(self.panel.low[0]), float(self.panel.high[0])
        half = 0.5 * (high - low)
        return (x - 0.5 * (low + high)) / half, half


def _differentiated(c: Array, order: int) -> Array:
    return np.asarray(np.polynomial.chebyshev.chebder(c, order), dtype=np.float64)


def side_fit(f: Subject, at: float, direction: int, widest: float, narrowest: float) -> Side | None:
    """The widest resolved fit that ends at `at`, to its left (-1) or right (+1)."""
    if widest < narrowest:
        return None
    steps = max(1, math.ceil(math.log2(widest / narrowest)) + 1)
    widths = widest * 0.5 ** np.arange(steps)
    ends = at + direction * widths
    low, high = np.minimum(ends, at), np.maximum(ends, at)
    panels = fit(f, low, high)
    good = np.flatnonzero(panels.resolved)
    if not len(good):
        return None
    best = panels.take(good[:1])
    noise = 2.0 * float(best.noise[0])
    c = best.coefficients[0]
    significant = np.flatnonzero(np.abs(c) > 2.0 * noise)
    keep = int(significant[-1]) + 2 if len(significant) else 1
    return Side(best, c[: min(keep, N)], noise)
