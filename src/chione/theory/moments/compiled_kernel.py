r"""The slope kernel and its average at one q, compiled in the angle.

With :math:`c = \cos\theta` the slope :math:`R = E\,\phi'(u_1)\phi'(u_2)` is an analytic function of
:math:`\theta` on :math:`[0, \pi]`, kinks included, so short Chebyshev pieces hold it to rounding.
What the correlation map needs near c = 1 is its average

.. math:: A(c) = \frac{1}{1 - c} \int_c^1 R\,dc' = \frac{K(1) - K(c)}{q\,(1 - c)}, \qquad
   1 - C(c) = \frac{\sigma_w^2 q}{V(q)} A(c)\,(1 - c)
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.base import chebyshev as kit
from chione.gaussian.panels import NODES, WEIGHTS
from chione.theory.moments.broken_line import is_broken_line
from chione.theory.moments.kernel_drop import slope_expansion
from chione.theory.moments.layer_map import LayerMap, layer_map_at
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import slope_at

N_COEFFICIENTS = 16  # of each Chebyshev piece
_X, _TO_CHEBYSHEV = kit.nodes(N_COEFFICIENTS), kit.fit_matrix(N_COEFFICIENTS)
_END = (
    0.4  # of the angle: beyond it the Hermite series, cos(0.4)^320 < 1e-11 of its tail, is enough
)
_MAX_PIECES = 200
_SAMPLED = 2e-13  # error of R relative to E phi'^2 up to which the layer's map gives samples


class KernelMap:
    r"""R and A as functions of the angle between two inputs of equal mean square q.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    q : float
        Mean square of both pre-activations, above zero.

    Attributes
    ----------
    error : float
        Error of R and A relative to :math:`E\,\phi'^2` (for jumps: of R sin(theta)).

    Notes
    -----
    Where phi jumps, R has the singularity :math:`1 / \sin\theta` at both ends; it is R sin(theta)
    that is compiled then. Samples come from the closed form, from the integral over the angle of a
    broken line (:mod:`~chione.theory.moments.broken_line`), from the map of the layer
    (:mod:`~chione.theory.moments.layer_map`) where it holds to rounding, and from two-dimensional
    quadrature otherwise.
    """

    def __init__(self, phi: AbstractActivation, q: float) -> None:
        self.phi, self.q = phi, q
        self._jumps = moments(phi).has_jumps
        self._closed = phi.closed_forms.derivative_kernel is not None
        exact = self._closed or is_broken_line(phi)
        self._layer = None if exact else _layer(phi, q)
        self._sample_error = 0.0
        self._edges, self._slope = self._fit()
        self._average = self._resolve_average()
        self.error = self._sample_error + self._fit_error + 8.0 * EPS

    def slope(self, theta: Any) -> Array:
        """R at angles in [0, pi]; infinite at the ends where phi jumps."""
        theta = np.asarray(theta, dtype=np.float64)
        value = self._evaluate(self._slope, theta)
        if self._jumps:
            with np.errstate(divide="ignore"):
                value = value / np.sin(theta)
        return value

    def average(self, theta: Any) -> Array:
        """A at angles in [0, pi]; infinite at 0 where phi jumps."""
        theta = np.asarray(theta, dtype=np.float64)
        value = self._evaluate(self._average, theta)
        if self._jumps:
            with np.errstate(divide="ignore"):
                value = value / np.sin(0.5 * theta)
        return value

    def _evaluate(self, coefficients: Array, theta: Array) -> Array:
        edges = self._edges
        piece = np.clip(np.searchsorted(edges, theta, side="right") - 1, 0, len(edges) - 2)
        low, high = edges[piece], edges[piece + 1]
        x = (2.0 * theta - low - high) / (high - low)
        return kit.series(np.moveaxis(coefficients[piece], -1, 0), x)

    def _fit(self) -> tuple[Array, Array]:
        """Pieces of R (or R sin theta), halved until their last coefficients are rounding."""
        todo = [(0.0, _END), (_END, np.pi - _END), (np.pi - _END, np.pi)]
        done: list[tuple[float, float, Array]] = []
        self._fit_error, self._scale = 0.0, 0.0
        while todo:
            low, high = todo.pop(0)
            values = self._samples(0.5 * (low + high) + 0.5 * (high - low) * _X)
            self._scale = max(self._scale, float(np.abs(values).max()))
            coefficients = _TO_CHEBYSHEV @ values
            rest = float(kit.left_out(coefficients))
            allowed = max(4e-15 * self._scale, 2.0 * self._sample_error * self._scale)
            if rest > allowed and len(done) + len(todo) < _MAX_PIECES:
                middle = 0.5 * (low + high)
                todo[:0] = [(low, middle), (middle, high)]
                continue
            self._fit_error = max(self._fit_error, 2.0 * rest / (self._scale or 1.0))
            done.append((low, high, coefficients))
        done.sort(key=lambda p: p[0])
        edges = np.array([p[0] for p in done] + [np.pi])
        return edges, np.stack([p[2] for p in done])

    def _samples(self, theta: Array) -> Array:
        c = np.cos(theta)
        weight = np.sin(theta) if self._jumps else np.ones_like(theta)
        out = np.empty_like(theta)
        known = np.zeros(theta.shape, dtype=bool)
        if self._layer is not None and not self._jumps:
            gap = 2.0 * np.minimum(np.sin(0.5 * theta), np.cos(0.5 * theta)) ** 2  # 1 - |c|
            error = self._layer.errors(gap)[1]  # relative to E phi'^2
            known = error <= _SAMPLED
            slope = self._layer.slope(self.q, self.q, gap[known], np.sign(c[known]))
            out[known] = slope
            self._note(error[known])
        for i in np.flatnonzero(~known):
            gap, plus = 2.0 * np.sin(0.5 * theta[i]) ** 2, 2.0 * np.cos(0.5 * theta[i]) ** 2
            one = slope_at(self.phi, self.q, float(gap), float(plus))
            out[i] = one.value * weight[i]
            size = max(abs(out[i]), self._scale)
            self._note(np.array([one.error * weight[i] / size if size else 0.0]))
        return out

    def _note(self, error: Array) -> None:
        self._sample_error = max(self._sample_error, float(error.max(initial=0.0)))

    def _resolve_average(self) -> Array:
        """Pieces of A, halved until A too is resolved: it is rougher where R has died away.

        The halves of R need no new samples.
        """
        while True:
            average = self._fit_average()
            rest = np.abs(average[:, -2:]).max(axis=1)
            rough = rest > 8e-15 * np.abs(average).max(axis=1)
            rough &= rest > 4e-15 * self._floor(average)
            if not rough.any() or len(average) + rough.sum() > _MAX_PIECES:
                self._fit_error = max(
                    self._fit_error, float((2.0 * rest / self._floor(average)).max())
                )
                return average
            self._halve(rough)

    def _floor(self, average: Array) -> float:
        """Size against which A is resolved: its value at a right angle, where it is smallest."""
        middle = np.searchsorted(self._edges, 0.5 * np.pi) - 1
        return float(np.abs(average[middle, 0])) or 1.0

    def _halve(self, chosen: NDArray[np.bool_]) -> None:
        edges: list[float] = []
        slopes: list[Array] = []
        for i, (low, high) in enumerate(pairwise(self._edges)):
            middle = 0.5 * (low + high)
            parts = [(low, middle), (middle, high)] if chosen[i] else [(low, high)]
            for a, b in parts:
                edges.append(a)
                theta = 0.5 * (a + b) + 0.5 * (b - a) * _X
                slopes.append(_TO_CHEBYSHEV @ self._evaluate(self._slope, theta))
        self._edges, self._slope = np.array([*edges, np.pi]), np.stack(slopes)

    def _fit_average(self) -> Array:
        r"""Pieces of A, from :math:`K(1) - K = q \int_0^\theta R \sin\theta'\,d\theta'`."""
        total = 0.0
        out = np.empty_like(self._slope)
        for i, (low, high) in enumerate(pairwise(self._edges)):
            theta = 0.5 * (low + high) + 0.5 * (high - low) * _X
            integral = total + self._integrals(low, theta)
            drop = 2.0 * np.sin(0.5 * theta) ** 2  # 1 - c
            weight = np.sin(0.5 * theta) if self._jumps else 1.0
            out[i] = _TO_CHEBYSHEV @ (integral / drop * weight)
            total += float(self._integrals(low, np.array([high]))[0])
        return out

    def _integrals(self, low: float, theta: Array) -> Array:
        """Integral of R sin from `low` to each angle (all inside one piece), 16 Gauss nodes."""
        half = 0.5 * (theta - low)
        nodes = low + half[:, None] * (NODES + 1.0)
        values = self._evaluate(self._slope, nodes)
        if not self._jumps:
            values = values * np.sin(nodes)
        return np.asarray((values @ WEIGHTS) * half)


def _layer(phi: AbstractActivation, q: float) -> LayerMap | None:
    """The layer's map at one length, where there is one."""
    try:
        return layer_map_at(phi, (q,))
    except ConvergenceError:
        return None


def compiles_at_rounding(phi: AbstractActivation, q: float) -> bool:
    """Whether the layer's map holds to rounding at all angles, so that no integral is left."""
    if moments(phi).has_jumps:
        return False
    layer = _layer(phi, q)
    return layer is not None and float(layer.errors(0.0)[1]) <= _SAMPLED


def compiles_quickly(phi: AbstractActivation, q: float) -> bool:
    """Whether R comes from a closed form or a Hermite series alone, without double integrals."""
    if phi.closed_forms.derivative_kernel is not None:
        return True
    if phi.kinks:
        return False
    series = slope_expansion(phi, q)
    tail = abs(series.tail.value) + series.tail.error
    return bool(tail <= 1e-12 * float(series.coefficients @ series.coefficients))


def angle(one_minus_c: Any) -> Array:
    """The angle whose cosine is c, accurate however small 1 - c is."""
    return np.asarray(2.0 * np.arcsin(np.sqrt(0.5 * np.asarray(one_minus_c, dtype=np.float64))))


@lru_cache(maxsize=256)
def kernel_map(phi: AbstractActivation, q: float) -> KernelMap:
    """The compiled map of an activation at one q, kept for the next call."""
    return KernelMap(phi, q)
