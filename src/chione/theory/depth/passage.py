"""What a network does to gradients and signals over its depth: the numbers of the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chione.base import Array


@dataclass(frozen=True)
class Passage:
    """What a network does to gradients and signals over its depth, in natural logarithms.

    Parameters
    ----------
    gradient : float
        g where it is largest in size; NaN where lengths leave the range of numbers, infinite where
        there is no gradient.
    relative : float
        Largest s.
    length : float
        m where it is largest in size; 0 where a normalisation follows everywhere.
    difference : float
        d; NaN where there is only one input, or none is told.
    stiffness, contrast : float
        Logarithms of the squared gradient of an output in all weights, and of the part of it that
        differs between two inputs (:mod:`chione.theory.depth.tangent`); NaN where not known.
    forgotten : float
        Depth scales of chaos in the network, 0 in any other phase; NaN where not known.
    layers : float
        Depth L; NaN where not known.
    spread : float
        Standard deviation over networks of the last mean square, relative to it, at the width of
        the network; NaN where not known.
    even : bool
        Whether the activation is known to be even.
    pair : {"inputs", "tokens"}
        Whose difference d is.
    """

    gradient: float
    relative: float
    length: float
    difference: float
    stiffness: float = math.nan
    contrast: float = math.nan
    forgotten: float = math.nan
    layers: float = math.nan
    spread: float = math.nan
    even: bool = False
    pair: str = "inputs"

    @classmethod
    def of(
        cls,
        log_gradient: Sequence[float] | Array,
        log_length: Sequence[float] | Array,
        difference: float,
        *,
        normalised: Sequence[bool] | None = None,
    ) -> Passage:
        """From logarithms of G and q in layers 1 to L.

        Where a layer is `normalised`, its length does not matter and its gradient counts as
        relative to the length.
        """
        g = np.asarray(log_gradient, dtype=np.float64)
        q = np.asarray(log_length, dtype=np.float64)
        free = np.ones(g.size, dtype=bool) if normalised is None else ~np.asarray(normalised, bool)
        own = np.where(free, g, g + q)
        with np.errstate(invalid="ignore"):
            s = g + q - (g[-1] + q[-1])
            lengths = q[free] - q[free][0] if free.any() else np.zeros(1)
        return cls(_farthest(own - own[-1]), float(np.max(s)), _farthest(lengths), difference)


def _farthest(x: Array) -> float:
    """The entry that is largest in size; NaN if any is."""
    return float(x[int(np.argmax(np.abs(x)))]) if not np.any(np.isnan(x)) else math.nan
