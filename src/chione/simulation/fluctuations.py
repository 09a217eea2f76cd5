r"""How much the metric of a layer differs from network to network: the four-point vertex.

Over networks of width n the mean square of a layer's pre-activations has

.. math:: n \operatorname{Var}[\hat q] = 2 q^2 + V + O(1/n),

where V is the four-point vertex: zero if the units were independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array
from chione.simulation.moments import Moments


@dataclass(frozen=True)
class Derived:
    """A quantity computed from the moments of `lengths` over networks, with its standard error."""

    mean: Array
    stderr: Array


NAMES = ("fluctuations", "four_point")
SYMBOLS = {"fluctuations": "n Var q", "four_point": "V"}
WORDS = {
    "fluctuations": "width times the variance over networks of the mean square",
    "four_point": "four-point vertex, n Var q - 2 q^2",
}


def fluctuations(lengths: Moments, widths: Array) -> Derived:
    r""":math:`n \operatorname{Var}[\hat q]` of each layer and input; `widths` has shape (L, 1)."""
    return Derived(widths * lengths.variance, widths * np.sqrt(lengths.variance_of_variance))


def four_point(lengths: Moments, widths: Array) -> Derived:
    r"""The vertex :math:`V = n \operatorname{Var}[\hat q] - 2 q^2`, unbiased.

    Its standard error follows from the variances of the sample variance and mean and their
    covariance :math:`\mu_3 / n`.
    """
    count = max(lengths.count, 1)
    q, variance = lengths.mean, lengths.variance
    vertex = widths * variance - 2.0 * (q**2 - variance / count)  # E mean^2 = q^2 + Var / count
    spread = (
        widths**2 * lengths.variance_of_variance
        + (4.0 * q) ** 2 * variance / count
        - 8.0 * widths * q * lengths.third_central / count
    )
    return Derived(vertex, np.sqrt(np.maximum(spread, 0.0)))
