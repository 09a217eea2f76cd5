r"""Kernels of depth L as one function of the correlation, compiled once.

For inputs of equal mean square (or a homogeneous activation without biases) every layer maps c to
a function of c alone, so the whole network is one function too. It is stored as short polynomials
in :math:`t = \sqrt{1 - |c|} + \delta`, on pieces that are found from the bits of t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, Status
from chione.base import chebyshev as kit
from chione.theory.meanfield.fading import is_straight
from chione.theory.moments.compiled_kernel import angle, kernel_map
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_rules import parity
from chione.theory.moments.taylor import origin

CLOSE = 1e-3  # 1 - c below which it has to come from the difference of the inputs
DEGREE = 5
_BLOCK = 1 << 14  # entries at a time: the working set stays in the second-level cache
_NODES = kit.nodes(DEGREE + 1)
_PROBES = np.array([-0.93, -0.35, 0.21, 0.77])
_FIT = kit.monomial_matrix(DEGREE + 1) @ kit.fit_matrix(DEGREE + 1)
_POWERS = _PROBES ** np.arange(DEGREE + 1)[:, None]  # (DEGREE + 1, probes)
_MANTISSA = 52
_ONE_BITS = np.float64(1.0).view(np.int64)
_FINEST = 9  # pieces an octave, as a power of two
_GOAL = 4e-15
_SHARE = 0.05  # of the error that the layers leave: pieces need not be finer than that


class Layers:
    r"""Lengths of all layers for one input norm, and the maps between them.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    sigma_w, sigma_b : float
        Standard deviations.
    depth : int
        Number of affine layers.
    q1 : float
        Mean square of the first pre-activations.
    homogeneous : bool
        Whether phi is homogeneous and sigma_b = 0: one map then serves all lengths.
    """

    def __init__(
        self,
        phi: AbstractActivation,
        sigma_w: float,
        sigma_b: float,
        depth: int,
        q1: float,
        homogeneous: bool,
    ) -> None:
        self.phi, self.depth = phi, depth
        self.w2, b2 = sigma_w**2, sigma_b**2
        m = moments(phi)
        self.q = np.empty(depth)
        self.q[0], relative = q1, 2.0 * EPS
        for layer in range(1, depth):
            s = m.square(float(self.q[layer - 1]))
            self.q[layer] = self.w2 * s.value + b2
            if not np.isfinite(self.q[layer]):
                raise ConvergenceError(
                    f"Lengths leave the range of float64 at layer {layer + 1}: "
                    f"{Status(int(s.status)).sentence}"
                )
            step = abs(self.q[layer] - self.q[layer - 1])
            if step <= 4.0 * EPS * self.q[layer]:  # settled: later layers share one map
                self.q[layer] = self.q[layer - 1]
            pull = 1.0  # d log q' / d log q
            if not homogeneous:
                pull = self.w2 * abs(m.slope(float(self.q[layer - 1])).value) * self.q[layer - 1]
                pull = pull / self.q[layer] if self.q[layer] > 0.0 else 1.0
            own = s.error / max(abs(s.value), 1e-300) + 2.0 * EPS
            relative = (pull if np.isfinite(pull) else 1.0) * relative + own
        self.length_error = relative
        if homogeneous:
            self._at = np.ones(depth)
            unit = float(m.square(1.0).value)
            self._gain = np.full(depth, 1.0 / unit if unit > 0.0 else np.nan)
        else:  # the angles between inputs of a straight activation do not depend on q
            self._at = np.ones(depth) if is_straight(phi, origin(phi)) else self.q
            with np.errstate(divide="ignore", invalid="ignore"):
                self._gain = self.w2 * self.q[:-1] / self.q[1:]
        # a signal of zero has no correlation, and denormal lengths have few digits
        faint = not homogeneous and bool(np.any(self.q < 1e-290))
        self.vanishes = faint or bool(np.any(np.isnan(self._gain)))
        self.has_jumps = m.has_jumps
        self.map_error = 0.0

    def follow(self, gap: Array, with_ntk: bool) -> tuple[Array, Array]:
        r"""1 - c of the last layer, and the tangent kernel over the last length.

        Parameters
        ----------
        gap : ndarray
            1 - c of the first layer.
        with_ntk : bool
            Whether the tangent kernel is wanted; it is zero otherwise.
        """
        out = np.array(gap, dtype=np.float64)
        ntk = 1.0 - out if with_ntk else np.zeros_like(out)  # over the length of the layer
        for layer in range(self.depth - 1):
            gain = self._gain[layer]
            compiled = kernel_map(self.phi, float(self._at[layer]))
            self.map_error = max(self.map_error, compiled.error)
            theta = angle(np.clip(out, 0.0, 2.0))
            if with_ntk:
                slope = compiled.slope(theta)
            average = compiled.average(theta)
            with np.errstate(invalid="ignore"):
                out = np.where(out > 0.0, gain * average * out, 0.0)
            if with_ntk:
                ntk = (1.0 - out) + gain * slope * ntk
        return out, ntk


class DepthKernel:
    r"""NNGP or tangent kernel of depth L, relative to the last length, as a function of c.

    Parameters
    ----------
    layers : Layers
        The network along its depth.
    with_ntk : bool
        Whether this is the tangent kernel.

    Attributes
    ----------
    error : float
        Absolute error of the values for 1 - c >= `CLOSE` and 1 + c >= `opposite`; they are of
        order 1 for the NNGP kernel.
    close_error : float
        The same for 1 - c < `CLOSE`, where chaos may be steeper than any piece is short.
    opposite : float
        1 + c below which values are not to be used: 2 - (1 + c) holds too few digits of it.

    Notes
    -----
    delta is about the scale on which the function varies next to c = 1 and c = -1, so pieces need
    not shrink any further there. The number of pieces an octave is doubled until probes between
    the nodes agree to rounding.
    """

    def __init__(self, layers: Layers, with_ntk: bool) -> None:
        self._layers, self.with_ntk = layers, with_ntk
        if with_ntk and layers.has_jumps:
            raise ConvergenceError(
                f"{layers.phi} jumps, so its tangent kernel is infinite for equal inputs."
            )
        # an odd map is as steep at c = -1 as at c = 1, and 1 + c is all rounding there
        self.opposite = 3e-2 if parity(layers.phi) == -1 else CLOSE
        self._delta = self._smooth_below()
        # a relative error of 1 - c is passed on undiminished at most: one map error a layer
        relative = layers.depth * (layers.map_error + 4.0 * EPS) + layers.length_error
        goal = max(_GOAL, 0.25 * layers.map_error, _SHARE * relative)
        for bits in range(5, _FINEST + 1):
            far, close = self._build(bits)
            if far[0] <= goal * far[1] and not goal < close[0] / close[1] < 1e3 * goal:
                break
        self.error, self.scale = far[0] + relative * far[1], far[1]
        # chaos can fall from c = 1 within less than float64 tells from 1, which no node sees
        at_one = np.zeros(1)
        missed = float(np.abs(self.close(at_one) - self._function(at_one))[0])
        self.close_error = close[0] + relative * close[1] + missed

    def values(self, c: Array, out: Array | None = None) -> Array:
        """Kernel over the last length, at correlations of any shape."""
        flat = np.ascontiguousarray(c).reshape(-1)
        result = np.empty_like(flat) if out is None else out.reshape(-1)
        for start in range(0, len(flat), _BLOCK):
            part = slice(start, start + _BLOCK)
            x = flat[part]
            self._polynomial(np.sqrt(np.maximum(1.0 - np.abs(x), 0.0)), x < 0.0, result[part])
        return result.reshape(np.shape(c))

    def close(self, gap: Array) -> Array:
        """The same from 1 - c in [0, 1], where that is known better than c."""
        out = np.empty_like(gap)
        self._polynomial(np.sqrt(gap), np.zeros(gap.shape, dtype=bool), out)
        return out

    def _polynomial(self, y: Array, negative: NDArray[np.bool_], out: Array) -> None:
        t = y + self._delta
        bits = t.view(np.int64)
        index = bits >> self._shift
        index -= self._first
        index += self._pieces * negative
        # the bits below the piece, as a number in [1, 2), then in [-1, 1)
        rest = (((bits & self._mask) << self._bits) | _ONE_BITS).view(np.float64)
        s = 2.0 * rest
        s -= 3.0
        self._coefficients[DEGREE].take(index, out=out, mode="clip")
        term = np.empty_like(out)
        for k in range(DEGREE - 1, -1, -1):
            out *= s
            self._coefficients[k].take(index, out=term, mode="clip")
            out += term

    def _smooth_below(self) -> float:
        """The largest 2^-k such that one polynomial holds the function on 0 <= y <= 2^-k."""
        edges = 2.0 ** -np.arange(1.0, 27.0)
        s = np.r_[_NODES, _PROBES]
        y = 0.5 * edges[:, None] * (1.0 + s)
        good = np.ones(len(edges), dtype=bool)
        for values in (self._function(y**2), self._function(2.0 - y**2)):
            fitted = (values[:, : DEGREE + 1] @ _FIT.T) @ _POWERS
            departure = np.abs(fitted - values[:, DEGREE + 1 :]).max(axis=1)
            good &= departure <= 1e-10 * np.abs(values).max()
        return float(edges[np.flatnonzero(good)[0]]) if good.any() else float(edges[-1])

    def _build(self, bits: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Fit all pieces; the largest departure at the probes and the largest value, far and close.

        Values below 1 count as 1.
        """
        self._bits, self._shift = bits, _MANTISSA - bits
        self._mask = np.int64((1 << self._shift) - 1)
        ends = np.array([self._delta, 1.0 + self._delta]).view(np.int64) >> self._shift
        self._first, self._pieces = int(ends[0]), int(ends[1] - ends[0]) + 1
        edges = (np.arange(ends[0], ends[1] + 2, dtype=np.int64) << self._shift).view(np.float64)
        middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
        # delta is a power of two, so the first piece begins at y = 0; the last one may reach
        # beyond y = 1, which is c of the other sign
        y = middle[:, None] + half[:, None] * np.r_[_NODES, _PROBES] - self._delta
        values = np.concatenate([self._function(y**2), self._function(2.0 - y**2)])
        coefficients = values[:, : DEGREE + 1] @ _FIT.T
        self._coefficients = np.ascontiguousarray(coefficients.T)
        off = np.abs(coefficients @ _POWERS - values[:, DEGREE + 1 :]).max(axis=1)
        size = np.maximum(np.abs(values).max(axis=1), 1.0)
        top = (edges[1:] - self._delta) ** 2  # 1 - |c| at the far end of each piece
        far = np.concatenate([top > CLOSE, top > self.opposite])
        close = np.concatenate([top <= 2.0 * CLOSE, np.zeros(len(top), dtype=bool)])
        return (
            (float(off[far].max()), float(size[far].max())),
            (float(off[close].max(initial=0.0)), float(size[close].max(initial=1.0))),
        )

    def _function(self, gap: Array) -> Array:
        value, tangent = self._layers.follow(gap.ravel(), self.with_ntk)
        return (tangent if self.with_ntk else 1.0 - value).reshape(gap.shape)
