r"""Several walks with seeds of their own, where a rule samples: their mean and its error.

Sampled averages enter later ones, so the error of a place is more than that of its own average;
walks that share nothing but the network tell it,

.. math:: x = \frac1R \sum_r x_r, \qquad
   |x - x_{exact}| \le \frac{t_{R-1}}{\sqrt{R}}\,\mathrm{std}(x_r) + \text{the closed rules' bound}

with t of Student's law at the probability of three standard deviations. The channels, or the
heads, are split among the walks, so that they cost about what one would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.stats import norm, t

from chione.theory.layers.attention_heads import SAMPLED_HEADS
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.walk import Propagation

WALKS = 10
_FACTOR = float(t.isf(norm.sf(3.0), WALKS - 1)) / math.sqrt(WALKS)


class Walks(Protocol):
    """A walk through one network."""

    def __call__(self, *, seed: int, share: float, stated: bool) -> Propagation:
        """With a seed, a share of the channels, and errors stated or not."""


def repeated(
    walk: Walks, read: Callable[[Propagation], list[Bounded]], seed: int
) -> tuple[Propagation, list[Bounded]]:
    """What is read off a walk, with the errors of what it samples.

    Parameters
    ----------
    walk : callable
        The walk.
    read : callable
        Numbers of a walk.
    seed : int
        Of the first walk; the others follow from it.

    Returns
    -------
    Propagation
        One walk.
    list of Bounded
        The numbers; means over walks where a rule samples.
    """
    first = walk(seed=seed, share=1.0 / WALKS, stated=False)
    found = read(first)
    if not (first.populated or SAMPLED_HEADS in first.sampled.values()):
        return first, found
    seeds = np.random.SeedSequence(seed).generate_state(WALKS - 1)
    every = [found] + [read(walk(seed=int(s), share=1.0 / WALKS, stated=False)) for s in seeds]
    return first, [_mean(list(one)) for one in zip(*every, strict=True)]


def _mean(walks: list[Bounded]) -> Bounded:
    values = np.stack([x.value for x in walks])
    bound = np.mean([x.error for x in walks], axis=0)
    return Bounded(values.mean(axis=0), bound + _FACTOR * values.std(axis=0, ddof=1))
