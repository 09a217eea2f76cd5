r"""A block of layers with attention as a map of exchangeable tokens.

All T tokens of an input have the mean square q and, two by two, the correlation c. A block takes
(q, c) to (q', c'), and mean-square gradients (P of one token, P of two different ones) back by a
2 x 2 matrix. At the point (q*, c*) that tokens settle at,

.. math:: \lambda_a = \log\left|\frac{\partial c'}{\partial c}\right|, \qquad
   \lambda_g = \log(\text{leading eigenvalue of the backward matrix})

are the angle and the gradient exponent per block; tokens collapse, c* = 1, where
:math:`\lambda_1 = \log \partial (1 - c') / \partial (1 - c)` at c = 1 is negative (Cowsik, Nebabu,
Qi & Ganguli 2024; their attention weights are log-normal, these are exact).
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
from scipy.optimize import brentq

from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ConvergenceError,
    Estimate,
    Status,
    UnsupportedLayerError,
    checks,
    missing,
    result,
)
from chione.networks import AbstractLayer, Attention, Input, Layers, Shape, ShapeError
from chione.networks.layer import as_layers, changed, count, pass_through
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.stream import Gradient, Stream, gaussian_stream
from chione.theory.layers.walk import Walk

_SECANTS, _STRIDE, _FAR = 200, 4.0, 20.0  # of log q: their number, the longest, a growth for ever
_BRACKETS, _REACH = 60, 0.5  # steps of log(1 - c) that look for a change of sign
_EXACT, _LEFT = 1e-14, 1e-6
_SETTLED = 1e-11
_LARGE_HEAD = 512  # channels from which theory takes a head for infinitely large


class TokenStep(NamedTuple):
    """What one block does.

    Parameters
    ----------
    length : Bounded
        q'.
    gap : Bounded
        1 - c'.
    backward : ndarray, shape (2, 2), or None
        Matrix from (P of one token, P of two) behind the block to those before it.
    """

    length: Bounded
    gap: Bounded
    backward: Array | None


@final
@result
class TokenExponents(AbstractResult):
    r"""Where tokens settle under a block that repeats, and how fast.

    Parameters
    ----------
    q_star, one_minus_c_star : Estimate
        Mean square of a token, and 1 minus the correlation of two, that blocks settle at; without
        a value where lengths grow for ever.
    collapse_exponent : Estimate
        :math:`\lambda_1`: below zero all tokens become one, above it they repel each other.
    angle_exponent : Estimate
        :math:`\lambda_a` at c*; below zero, since c* attracts.
    gradient_exponent : Estimate
        :math:`\lambda_g` at c*: the mean-square gradient changes by its exponential a block.
    collapsed_length : Estimate
        Mean square that tokens keep when all are one.
    phase : {"collapsed", "spread", "growing"}
        c* = 1, c* < 1, or lengths without an end.
    """

    q_star: Estimate
    one_minus_c_star: Estimate
    collapsed_length: Estimate
    collapse_exponent: Estimate
    angle_exponent: Estimate
    gradient_exponent: Estimate
    phase: str


class TokenMap:
    """A block of layers as a map of exchangeable tokens.

    Parameters
    ----------
    layers : layers
        The block; its output has the shape of its input.
    tokens : int
        Number T of tokens, at least 2. Heads count as infinitely large.
    width : int
        Channels that enter.

    Raises
    ------
    ShapeError
        If the block changes the shape.
    UnsupportedLayerError
        If what leaves it is not like what enters: channels of mean zero, Gaussian, with tokens
        that are all alike (a causal mask or positions tell tokens apart).

    Examples
    --------
    >>> from chione.networks import Attention, Norm, Residual
    >>> block = TokenMap([Residual([Norm("rms"), Attention(8, sigma_q=0.0)])], tokens=4)
    >>> step = block.through(1.0, 1.0)
    >>> round(float(step.length.value), 12), round(float(step.gap.value), 12)
    (1.25, 0.8)
    """

    def __init__(self, layers: Any, *, tokens: int = 64, width: int = 512) -> None:
        given = as_layers("layers", layers)
        self.tokens = checks.integer("tokens", tokens, minimum=2)
        shape = Input(count("width", width), (self.tokens,)).shape
        after = pass_through(given, shape, "layers")
        if after != shape:
            raise ShapeError(
                f"layers: a block that repeats must keep its shape, but it makes {after} of "
                f"{shape}; give its last layer the width of the first."
            )
        self.layers, self.shape = with_large_heads(given), shape

    def through(self, q: float, gap: float, *, backward: bool = False) -> TokenStep:
        """One block, from tokens of mean square q and correlation 1 - gap."""
        entering = _entering(self.tokens, q, gap, self.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            after, home = Walk().through(self.layers, entering, "")
        if not after.law.gaussian or np.any(after.mean.value):
            raise UnsupportedLayerError(
                "layers: second moments do not describe what leaves the block, since its channels "
                "are not Gaussian with mean zero; end it, or its branches, with weights."
            )
        _check_exchangeable(after.orbits)
        one, two = after.orbits.index[0, 0], after.orbits.index[0, 1]
        length = after.k.at(one)
        gap_after = after.d.at(two).over(length.scaled(2.0))
        if not backward:
            return TokenStep(length, gap_after, None)
        columns = []
        for gram in (np.eye(self.tokens), np.ones((self.tokens, self.tokens))):
            back = home(Gradient.of(gram))
            columns.append(back.p.value[back.orbits.index[0, :2]])
        own, all_alike = columns
        return TokenStep(length, gap_after, np.stack([own, all_alike - own], axis=1))

    def gradient_exponent(self, q: float, gap: float) -> float:
        """Logarithm of the leading eigenvalue of the backward matrix at a state."""
        matrix = self.through(q, gap, backward=True).backward
        assert matrix is not None
        return float(np.log(np.max(np.abs(np.linalg.eigvals(matrix)))))

    def exponents(self, q0: float = 1.0, gap0: float = 1.0) -> TokenExponents:
        r"""Where tokens settle that start at mean square q0 and correlation 1 - gap0.

        Raises
        ------
        ConvergenceError
            If they neither settle nor grow within the steps that are taken.
        """
        q_collapsed = self._length(q0, 0.0)
        if q_collapsed is None:
            return _growing()
        first = self._collapse_exponent(q_collapsed)
        collapsed = Estimate(q_collapsed, 10.0 * _SETTLED * q_collapsed)
        if first.value < 0.0:
            found = self.gradient_exponent(q_collapsed, 0.0)
            return TokenExponents(
                collapsed,
                Estimate(0.0, 0.0),
                collapsed,
                first,
                first,
                Estimate(found, 1e-9 + 1e-9 * abs(found)),
                "collapsed",
            )
        q, gap, error = self._settled(q_collapsed, gap0)
        slope = self._slope(q, gap)
        found = self.gradient_exponent(q, gap)
        moved = abs(self.gradient_exponent(q, min(gap * (1.0 + 1e-3), 2.0)) - found) * 1e3
        return TokenExponents(
            Estimate(q, error * q),
            Estimate(gap, error * gap),
            collapsed,
            first,
            slope,
            Estimate(found, moved * error + 1e-12 * (1.0 + abs(found))),
            "spread",
        )

    def _collapse_exponent(self, q: float) -> Estimate:
        """Small differences of tokens go forward as independent gradients come back."""
        matrix = self.through(q, 0.0, backward=True).backward
        assert matrix is not None
        factor = float(matrix[0, 0] - matrix[1, 0])
        return _log(Bounded(np.asarray(factor), np.asarray(1e-10 * abs(factor))))

    def _length(self, q: float, gap: float) -> float | None:
        """Mean square that tokens keep at a distance, by secants; None if lengths grow."""

        def change(x: float) -> float:
            return math.log(float(self.through(math.exp(x), gap).length.value)) - x

        one = math.log(q)
        at_one = change(one)
        two = one + at_one
        # what is added to q stays, relative to the first time, where lengths grow for ever
        left = _LEFT * abs(math.expm1(at_one)) * q

        def still(x: float, at: float) -> bool:
            return math.exp(x) * abs(at) <= left or abs(at) <= abs(at_first) <= _EXACT

        at_first = at_one
        for _ in range(_SECANTS):
            if abs(at_one) <= _EXACT and still(one, at_one):
                return math.exp(one)
            if abs(two - math.log(q)) > _FAR:
                return None
            at_two = change(two)
            slope = (at_two - at_one) / (two - one) if two != one else 0.0
            step = -at_two / slope if slope < 0.0 else at_two
            if abs(at_two) <= abs(at_one) <= 1e-12 and still(two, at_two):
                return math.exp(two)  # what is left is rounding
            one, at_one = two, at_two
            two = one + min(max(step, -_STRIDE), _STRIDE)
        return None

    def _settled(self, q: float, gap: float) -> tuple[float, float, float]:
        """The fixed point that tokens at a distance move to, and its relative error."""
        known = {"q": q}

        def change(x: float) -> float:
            length = self._length(known["q"], math.exp(x))
            if length is None:
                raise _unsettled(math.exp(x))
            known["q"] = length
            return math.log(float(self.through(length, math.exp(x)).gap.value)) - x

        x, top = math.log(gap), math.log(2.0)
        at = change(x)
        for _ in range(_BRACKETS):
            other = min(x + math.copysign(_REACH, at), top)
            at_other = change(other)
            if at * at_other <= 0.0:
                break
            if other == top:
                raise _unsettled(2.0)
            x, at = other, at_other
        else:
            raise _unsettled(math.exp(x))
        root = brentq(change, min(x, other), max(x, other), xtol=1e-13, rtol=8.9e-16)
        error = abs(change(root)) + _SETTLED
        return known["q"], math.exp(root), 100.0 * error

    def _slope(self, q: float, gap: float) -> Estimate:
        """The angle exponent at a fixed point, by differences of second order."""

        def central(h: float) -> float:
            up, down = (self.through(q, gap * (1.0 + s)) for s in (h, -h))
            return float(up.gap.value - down.gap.value) / (2.0 * h * gap)

        coarse, fine = central(2e-3), central(1e-3)
        best = fine + (fine - coarse) / 3.0
        error = abs(fine - coarse) + 1e-9
        return _log(Bounded(np.asarray(abs(best)), np.asarray(error)))


def _log(x: Bounded) -> Estimate:
    value, error = float(x.value), float(x.error)
    if value <= 0.0:
        return missing(Status.NONE)
    return Estimate(math.log(value), error / value + 4.0 * EPS)


def _unsettled(gap: float) -> ConvergenceError:
    return ConvergenceError(
        f"tokens do not settle: at 1 - c = {gap:.6g} they still change, or their lengths grow; "
        f"walk through a finite depth instead (chione.transformer_phase)."
    )


def _growing() -> TokenExponents:
    none = missing(Status.DIVERGENT)
    return TokenExponents(none, none, none, none, none, none, "growing")


@lru_cache(maxsize=8)
def _classes(tokens: int) -> Orbits:
    """Two classes: a token with itself, and with another one."""
    return Orbits(1 - np.eye(tokens, dtype=np.intp))


def _entering(tokens: int, q: float, gap: float, shape: Shape) -> Stream:
    d = 2.0 * q * gap
    return gaussian_stream(
        shape,
        _classes(tokens),
        Bounded(np.array([q, q * (1.0 - gap)]), np.array([0.0, EPS * q])),
        Bounded(np.array([0.0, d]), np.array([0.0, EPS * d])),
        Bounded.exact(np.zeros(2)),
    )


def with_large_heads(layers: Layers) -> Layers:
    """The layers with heads so large that they count as infinitely large."""

    def change(layer: AbstractLayer) -> AbstractLayer:
        if isinstance(layer, Attention):
            return dataclasses.replace(layer, head_size=max(layer.head_size or 0, _LARGE_HEAD))
        return layer

    return changed(layers, change)


def _check_exchangeable(orbits: Orbits) -> None:
    if orbits.count > 2 or len(np.unique(orbits.diagonal)) > 1:
        raise UnsupportedLayerError(
            "layers: tokens differ after the block (a causal mask, padding or positions tell them "
            "apart), so that one correlation does not describe them; walk through the network."
        )
