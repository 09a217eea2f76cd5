r"""Everything mean-field theory says of a block that repeats.

The same quantities as for a plain layer, and the laws of blocks whose lengths have no fixed
point: a residual sum of v a block makes :math:`q_l \sim v\,l`, and gradients follow
:math:`P_l \sim P_L\,(L / l)^{\chi / v}` where the branch has the factor :math:`1 + \chi / q`.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np

from chione.base import AbstractResult, Array, Estimate, Status, missing, result
from chione.networks import Input, Network
from chione.theory.layers.block import BlockMap
from chione.theory.meanfield.block_correlations import (
    Correlations,
    drifting,
    settled,
)
from chione.theory.meanfield.block_law import STRETCHED, BlockLaw, power_law
from chione.theory.meanfield.block_lengths import (
    LARGE,
    SMALL,
    BlockPoint,
    Lengths,
    lengths_of,
)
from chione.theory.meanfield.depth_scale import depth_scale, is_critical
from chione.theory.meanfield.length_map import mean_square
from chione.theory.meanfield.limits import bounded_limit, limit, local_power

ORDERED, CRITICAL, CHAOTIC = "ordered", "critical", "chaotic"
EXPLODING, POLYNOMIAL, DIVERGENT = "exploding", "polynomial", "divergent"


@final
@result
class BlockPhase(AbstractResult):
    r"""Infinite-width theory of a block repeated for ever.

    Parameters
    ----------
    block : Network
        The layers, from where q is read.
    start : int
        How many of the layers given come at the end of it.
    lengths : str
        What lengths do: "settle", "stay", "fade", "grow linearly", "grow as a power",
        "grow exponentially" or "grow faster than exponentially".
    phase : {"ordered", "critical", "chaotic", "exploding", "polynomial", "divergent"}
        chi_perp below, at, above 1; or lengths that grow exponentially, as a power, or faster.
    q_star : Estimate
        Mean square that lengths settle at.
    c_star, one_minus_c_star : Estimate
        Correlation that two inputs settle at, and 1 minus it with relative accuracy.
    chi_parallel, chi_perp : Estimate
        Slope of the length map, and factor on the mean-square gradient per block; in the limit
        where lengths fade or grow.
    correlation_slope : Estimate
        Slope of the correlation map at c*.
    xi_q, xi_c : Estimate
        Depth scales in blocks of lengths and correlations.
    growth : Estimate
        Factor per block of exponential growth or fading, increment v of linear growth, power
        :math:`q' \sim q^s` of faster growth.
    gradient_exponent : Estimate
        :math:`\chi / v` of :math:`P_l \sim P_L (q_L / q_l)^{\chi / v}` at linear growth.
    one_minus_c_leading : Estimate
        1 - c* to leading order in what dropout or noise adds; an approximation.
    points : tuple of BlockPoint
        All lengths that the block keeps.
    laws : tuple of BlockLaw
        Laws that are no plain exponentials.
    sentence : str
        The verdict in words.
    """

    block: Network
    start: int
    lengths: str
    phase: str
    q_star: Estimate
    c_star: Estimate
    one_minus_c_star: Estimate
    chi_parallel: Estimate
    chi_perp: Estimate
    correlation_slope: Estimate
    xi_q: Estimate
    xi_c: Estimate
    growth: Estimate
    gradient_exponent: Estimate
    one_minus_c_leading: Estimate
    points: tuple[BlockPoint, ...]
    laws: tuple[BlockLaw, ...]
    sentence: str


def block_phase(
    layers: Any,
    *,
    q0: float = 1.0,
    width: int = 512,
    grid: tuple[int, ...] = (),
) -> BlockPhase:
    """Fixed points, phase, depth scales and laws of a block of layers that repeats.

    Parameters
    ----------
    layers : layers
        The block: what :class:`~chione.networks.Repeat` holds.
    q0 : float
        Mean square of what enters the first block.
    width : int
        Channels that enter; only ratios of widths count.
    grid : tuple of int
        Extents of the positions, for convolutions; all positions are alike.

    Raises
    ------
    UnsupportedLayerError
        If second moments do not determine what the block does.

    Notes
    -----
    A batch norm runs over an infinite batch of equally correlated inputs.

    Examples
    --------
    >>> from chione.networks import Dense, Nonlinearity, Norm, Residual
    >>> branch = [Norm("layer"), Dense(1.0), Nonlinearity("relu"), Dense(1.0)]
    >>> found = block_phase([Residual(branch)])
    >>> found.lengths, round(found.growth.value, 9), round(found.gradient_exponent.value, 9)
    ('grow linearly', 0.5, 1.0)
    """
    block = BlockMap(layers, width=width, grid=grid)
    lengths = lengths_of(block, mean_square("q0", q0))
    if lengths.word == "grow linearly":
        return _linear(block, lengths)
    if lengths.word in ("grow as a power", "grow faster than exponentially"):
        return _without(block, lengths)
    q, x = _where(lengths)
    error = 0.0 if lengths.point is None else float(lengths.point.q.error)
    some = slice(None, None, 2) if lengths.grows else slice(None)  # pairs cost more
    pairs = settled(block, q[some], x[some], error if len(q) == 1 else 0.0)
    omc = pairs.one_minus_c.value if block.normalises_batches else 1.0
    perp = bounded_limit(q, x, block.gradient(q, np.full(len(q), omc)))
    parallel = lengths.growth if lengths.point is None else lengths.point.chi_parallel
    if lengths.point is not None and len(q) == 1:
        perp = _at_inexact(block, perp, float(q[0]), error, omc)
    phase = EXPLODING if lengths.grows else _phase(perp)
    laws = tuple(law for law in (lengths.law, pairs.law) if law is not None)
    return BlockPhase(
        _network(block),
        block.start,
        lengths.word,
        phase,
        missing(Status.DIVERGENT) if lengths.point is None else lengths.point.q,
        1.0 - pairs.one_minus_c,
        pairs.one_minus_c,
        parallel,
        perp,
        pairs.slope,
        missing(Status.DIVERGENT) if lengths.grows else depth_scale(parallel),
        depth_scale(pairs.slope),
        lengths.growth,
        missing(Status.NONE),
        pairs.leading,
        lengths.points,
        laws,
        _sentence(phase, lengths, perp, pairs),
    )


def _where(lengths: Lengths) -> tuple[Array, Array]:
    """Lengths at which maps are read, and the variable whose zero is their limit."""
    if lengths.homogeneous:
        return np.ones(1), np.zeros(1)
    if lengths.point is None:
        return LARGE, LARGE**-0.5
    if lengths.point.q.value == 0.0:
        return SMALL, np.sqrt(SMALL)
    return np.array([float(lengths.point.q.value)]), np.zeros(1)


def _at_inexact(block: BlockMap, perp: Estimate, q: float, error: float, omc: float) -> Estimate:
    """chi_perp with what an error of the length makes of it."""
    if error == 0.0 or not np.isfinite(error):
        return perp
    step = max(1e-4 * q, error)
    rate = abs(block.gradient(q + step, omc).value - perp.value) / step
    return Estimate(perp.value, perp.error + 2.0 * rate * error, perp.status)


def _phase(perp: Estimate) -> str:
    if is_critical(perp):
        return CRITICAL
    return ORDERED if perp.value < 1.0 else CHAOTIC


def _linear(block: BlockMap, lengths: Lengths) -> BlockPhase:
    """Lengths that grow by v a block: every law is a power."""
    v, q = lengths.growth, LARGE
    x = q**-0.5
    pairs = drifting(block, v, q, x)
    omc = pairs.one_minus_c.value if block.normalises_batches else 1.0
    extra = block.gradient(q, np.full(len(q), omc)) - 1.0
    exponent, gradients = _gradients(q, x, extra, v)
    laws = tuple(law for law in (lengths.law, gradients, pairs.law) if law is not None)
    sentence = f"lengths grow by {v.value:.6g} a block"
    sentence += f"; gradients: {gradients.sentence}" if gradients is not None else ""
    one = Estimate.exact(1.0)
    return BlockPhase(
        _network(block),
        block.start,
        lengths.word,
        POLYNOMIAL,
        missing(Status.DIVERGENT),
        1.0 - pairs.one_minus_c,
        pairs.one_minus_c,
        one,
        one,
        one,
        missing(Status.CRITICAL),
        missing(Status.CRITICAL),
        v,
        exponent,
        missing(Status.NONE),
        lengths.points,
        laws,
        sentence + ".",
    )


def _gradients(
    q: Array, x: Array, extra: Estimate, v: Estimate
) -> tuple[Estimate, BlockLaw | None]:
    """Chi / v and the law of gradients, from chi_perp - 1 at large lengths."""
    value, error = np.asarray(extra.value), np.asarray(extra.error)
    if not np.all(np.abs(value[:4]) > 4.0 * error[:4]):
        return Estimate.exact(0.0), None
    fall = -float(local_power(q, value)[-1])
    if abs(fall - 1.0) < 0.05:
        exponent = limit(x, extra * q) / v
        law = BlockLaw(
            "P_l / P_L",
            "power",
            -exponent,
            missing(Status.NOT_COMPUTED),
            f"P_l / P_L ~ (l / L)^{-exponent.value:.6g} at large depths l < L",
        )
        return exponent, law
    fall = 0.5 if abs(fall - 0.5) < 0.05 else fall
    rate = limit(x, extra * q**fall) * v**-fall / (1.0 - fall)
    return missing(Status.INFINITE), power_law("P_0 / P_L", 1.0 - fall, rate, STRETCHED)


def _without(block: BlockMap, lengths: Lengths) -> BlockPhase:
    gone, rest = missing(Status.DIVERGENT), missing(Status.NOT_COMPUTED)
    words = f"lengths {lengths.word}"
    if np.isfinite(lengths.growth.value):
        words += f", in the end q' ~ q^{lengths.growth.value:.4g}; put a norm into the block"
    return BlockPhase(
        _network(block),
        block.start,
        lengths.word,
        DIVERGENT,
        gone,
        *(rest,) * 7,
        lengths.growth,
        rest,
        missing(Status.NONE),
        lengths.points,
        () if lengths.law is None else (lengths.law,),
        words + ".",
    )


def _network(block: BlockMap) -> Network:
    return Network(block.layers, Input(block.shape.width, block.shape.grid))


def _sentence(phase: str, lengths: Lengths, perp: Estimate, pairs: Correlations) -> str:
    if phase == EXPLODING:
        words = f"exploding: lengths grow {lengths.growth.value:.6g}x a block, gradients "
        words += "by ever more" if perp.status == Status.INFINITE else f"{perp.value:.6g}x"
        words += "; a branch scale of 1/sqrt(depth) would bound both"
    elif phase == CRITICAL:
        words = "critical: gradients keep their size"
    elif abs(perp.value) <= perp.error:
        words = "ordered: no gradient passes a block"
    else:
        verb = "shrink" if phase == ORDERED else "grow"
        words = f"{phase}: gradients {verb} {perp.value:.6g}x a block"
    omc = pairs.one_minus_c
    if pairs.law is not None:
        words += f"; {pairs.law.sentence}"
    elif omc.value == 0.0:
        words += "; inputs become alike"
    elif np.isfinite(omc.value):
        words += f"; correlations settle at c* = {1.0 - omc.value:.6g}"
    return words + "."
