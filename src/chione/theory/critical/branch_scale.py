r"""The branch scale that keeps a deep stack of residual blocks within a band.

With the branches times b, lengths and gradients through L blocks change by

.. math:: \frac{q_L}{q_0} = \prod_l \frac{V_b(q_l)}{q_l}, \qquad
   \frac{P_0}{P_L} = \prod_l \chi_\perp(q_l)

both of which move away from what the skip alone gives as b grows, :math:`e^{b^2 v L}` for relu. The
largest b that keeps both between 1 / R and R is the root of one equation. For relu it is close to
:math:`\sqrt{\log R / (v L)}`, the :math:`1 / \sqrt L` of Hayou et al. 2021.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple, final

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, AbstractResult, Array, Estimate, Status, checks, missing, result
from chione.base import chebyshev as kit
from chione.networks import Input, Layers, Network, Residual
from chione.networks.layer import as_layers
from chione.theory.layers.block import BlockMap
from chione.theory.meanfield.length_map import count, mean_square

_NODES = 25  # in log q, over the lengths that the stack passes
_LARGEST_DEPTH = 10**5
_SMALLEST = 1e-100  # mean square of an input, whose ratio to a bias float64 still holds
_OVERFLOW = 690.0  # logarithm that float64 still holds


@final
@result
class BranchScale(AbstractResult):
    r"""A factor for the branches of a residual block, and what it controls.

    Parameters
    ----------
    block : Network
        The block with its branches times that factor.
    depth : int
        Number of blocks.
    band : float
        R.
    scale : Estimate
        The factor b on every branch; 1 where none is needed.
    length_ratio, gradient_ratio : Estimate
        :math:`q_L / q_0` and :math:`P_0 / P_L` with it.
    unscaled_length_ratio, unscaled_gradient_ratio : Estimate
        The same without it; missing where they leave float64.
    limited_by : {"lengths", "gradients", "nothing"}
        What would leave the band first.
    reason : str
        What it controls, in words.
    """

    block: Network
    depth: int
    band: float
    scale: Estimate
    length_ratio: Estimate
    gradient_ratio: Estimate
    unscaled_length_ratio: Estimate
    unscaled_gradient_ratio: Estimate
    limited_by: str
    reason: str


def branch_scale(
    layers: Any, depth: int, *, band: float = math.e, q0: float = 1.0, width: int = 512
) -> BranchScale:
    """The largest common factor on the branches that keeps lengths and gradients in a band.

    Parameters
    ----------
    layers : layers
        One block with at least one :class:`~chione.networks.Residual`.
    depth : int
        Number of blocks, at most 10^5.
    band : float
        The factor R by which the mean square of the stream, and the mean-square gradient, may
        change over all blocks, up or down; above 1.
    q0 : float
        Mean square of what enters.
    width : int
        Channels that enter.

    Raises
    ------
    ValueError
        If there is no residual connection, or the skip alone leaves the band.

    Examples
    --------
    >>> from chione.networks import Dense, Nonlinearity
    >>> block = [Residual([Nonlinearity("relu"), Dense(2**0.5)])]
    >>> found = branch_scale(block, 100)
    >>> round(found.scale.value, 4), found.limited_by
    (0.1003, 'lengths')
    """
    given = as_layers("layers", layers)
    depth, q0 = count("depth", depth), mean_square("q0", q0)
    band = checks.finite("band", band)
    if depth > _LARGEST_DEPTH:
        raise ValueError(f"depth must be at most 10^5, but it is {depth}; scales go as its root.")
    if q0 < _SMALLEST:
        raise ValueError(f"q0 must be at least {_SMALLEST:g}, but it is {q0!r}.")
    if not band > 1.0:
        raise ValueError(f"band must be above 1, but it is {band!r}.")
    if not any(isinstance(layer, Residual) for layer in given):
        raise ValueError(
            "layers must hold a residual connection, whose branch can be scaled; give a block such "
            "as [Residual([...])]."
        )
    room = math.log(band)

    def stack(b: float, most: float) -> _Passed:
        return _through(BlockMap(_scaled(given, b), width=width), depth, math.log(q0), most)

    def excess(b: float) -> float:
        return stack(b, 4.0 * room).largest - room

    if excess(0.0) > 0.0:
        raise ValueError(
            f"without the branches the block alone changes lengths or gradients by more than "
            f"{band:g}x over {depth} blocks; set the factor of its skip to 1, or widen the band."
        )
    free = stack(1.0, _OVERFLOW)
    scale = Estimate.exact(1.0)
    if free.largest > room:
        b = float(brentq(excess, 0.0, 1.0, xtol=1e-13, rtol=8.0 * EPS))
        slope = (excess(b) - excess(0.999 * b)) / (0.001 * b)
        miss = stack(b, 4.0 * room).error + abs(excess(b))
        scale = Estimate(b, miss / slope + 1e-13 if slope > 0.0 else math.inf)
    found = stack(scale.value, _OVERFLOW)
    limited = "lengths" if abs(found.length) >= abs(found.gradient) else "gradients"
    limited = limited if scale.value < 1.0 else "nothing"
    before = free.ratios()
    return BranchScale(
        Network(_scaled(given, scale.value), Input(width)),
        depth,
        band,
        scale,
        *found.ratios(),
        *before,
        limited,
        _reason(scale.value, depth, band, limited, before),
    )


class _Passed(NamedTuple):
    """Logarithms of q_L / q_0 and P_0 / P_L, and a bound on the errors of both."""

    length: float
    gradient: float
    error: float

    @property
    def largest(self) -> float:
        """The size of the larger one."""
        return max(abs(self.length), abs(self.gradient))

    def ratios(self) -> tuple[Estimate, Estimate]:
        """Both as factors; those that leave float64 are missing."""
        if self.largest >= _OVERFLOW:
            return missing(Status.OVERFLOW), missing(Status.OVERFLOW)
        one, two = (Estimate(x, self.error).exp() for x in (self.length, self.gradient))
        return one, two


def _scaled(layers: Layers, factor: float) -> Layers:
    """The layers with every residual branch times a factor."""
    return tuple(
        dataclasses.replace(layer, scale=layer.scale * factor)
        if isinstance(layer, Residual)
        else layer
        for layer in layers
    )


def _through(block: BlockMap, depth: int, start: float, most: float) -> _Passed:
    """Through all blocks, or until a logarithm leaves `most`.

    Both maps are interpolated in t = log q over a window that moves along.
    """
    t, p, error, left = start, 0.0, 0.0, depth
    while left:
        middle = t
        q = np.exp(middle + kit.nodes(_NODES))
        value, gradient = block.value(q), block.gradient(q)
        rise = kit.fit_matrix(_NODES) @ (np.log(value.value) - np.log(q))
        factor = kit.fit_matrix(_NODES) @ np.log(gradient.value)
        own = sum(float(np.max(e.error / e.value)) for e in (value, gradient))
        own += 4.0 * sum(float(kit.left_out(c)) for c in (rise, factor)) + 8.0 * EPS
        one, two = _short(rise), _short(factor)
        while left and abs(t - middle) <= 1.0:
            p += _series(two, t - middle)
            t += _series(one, t - middle)
            left -= 1
            # an error of a length moves all that follow, by at most the whole change
            error += own * (1.0 + abs(t - start) + abs(p))
            if abs(t - start) > most or abs(p) > most:
                return _Passed(math.copysign(most, t - start), math.copysign(most, p), math.inf)
    return _Passed(t - start, p, error)


def _short(c: Array) -> list[float]:
    """Coefficients without a tail that rounding would swallow."""
    used = np.flatnonzero(np.abs(c) > 1e-17 * max(float(np.abs(c).max()), 1.0))
    return [float(x) for x in c[: int(used[-1]) + 1]] if used.size else [0.0]


def _series(c: list[float], x: float) -> float:
    """Sum of a series, in plain floats: a million sums of a few terms."""
    b1 = b2 = 0.0
    for a in c[:0:-1]:
        b1, b2 = 2.0 * x * b1 - b2 + a, b1
    return x * b1 - b2 + c[0]


def _reason(
    scale: float, depth: int, band: float, limited: str, before: tuple[Estimate, Estimate]
) -> str:
    lengths, gradients = (f"{e.value:.4g}x" if e.ok else "beyond float64" for e in before)
    if scale == 1.0:
        return (
            f"Over {depth} blocks lengths change {lengths} and gradients {gradients}, within "
            f"{band:.4g}x: no scale is needed."
        )
    return (
        f"Branches times {scale:.4g} keep lengths and gradients within {band:.4g}x over {depth} "
        f"blocks; {limited} would leave that band first. Without it lengths change {lengths} and "
        f"gradients {gradients}."
    )
