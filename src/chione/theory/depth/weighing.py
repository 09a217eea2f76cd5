r"""What pairs of sigmas do over a depth, many at once: the figures that advice is weighed by.

From inputs of mean square q0 and correlation c0, layer by layer:

.. math:: q' = \sigma_w^2 E\,\phi^2 + \sigma_b^2, \quad
   1 - c' = \frac{\sigma_w^2 q\,E\,\phi'^2\,R(q, c)}{q'} (1 - c), \quad
   \frac{V'}{q'^2} = s^2 \left(e^2 \frac{V}{q^2} + \frac{E\,\phi^4}{(E\,\phi^2)^2} - 1
   - [\text{orthogonal}]\,2\right), \quad s = \frac{\sigma_w^2 E\,\phi^2}{q'}

with e the slope of :math:`\log E\,\phi^2` in log q, so that s e is that of the length map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chione.base import Array
from chione.theory.moments.layer_table import LayerTable

_LN10 = math.log(10.0)
LONGEST = 1000  # layers followed one by one; beyond, each goes on as the last did
_LOST = 690.0  # logarithms beyond which a length has left float64


@dataclass(frozen=True)
class Start:
    """Where lengths begin.

    Parameters
    ----------
    q0 : float
        Mean square of the inputs.
    c0 : float
        Correlation of two inputs.
    weights : str
        Law of the weights; others than orthogonal fluctuate as Gaussian ones do.
    """

    q0: float = 1.0
    c0: float = 0.5
    weights: str = "gaussian"

    @property
    def haar(self) -> bool:
        """Whether weights keep the norm they act on."""
        return self.weights == "orthogonal"


@dataclass(frozen=True)
class Walked:
    r"""Figures of n pairs over the depth, in decades but for the last two.

    Parameters
    ----------
    gradient : ndarray, shape (n,)
        Of the mean square gradient, from the last layer to the first.
    spread : ndarray, shape (n,)
        Between the layers with the largest and the smallest mean square weight gradient.
    distance : ndarray, shape (n,)
        Of 1 - c of the pair of inputs.
    length : ndarray, shape (n,)
        Of the mean square of the pre-activations, first layer to last.
    output : ndarray, shape (n,)
        Mean square of what the last layer hands on.
    vertex, slopes : ndarray, shape (n,)
        Variance times width, relative, of the mean square of the last layer and of the mean
        square gradient.
    """

    gradient: Array
    spread: Array
    distance: Array
    length: Array
    output: Array
    vertex: Array
    slopes: Array

    def part(self, rows: slice) -> Walked:
        """Those of some pairs."""
        return Walked(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def walk(
    table: LayerTable,
    w2: Array,
    b2: Array,
    first: Array,
    depth: int,
    start: Start,
    history: list[Array] | None = None,
    *,
    pairs: bool = True,
) -> Walked:
    r"""Follow lengths, gradients and a pair of inputs.

    Parameters
    ----------
    table : LayerTable
        The activation.
    w2, b2, first : ndarray, shape (n,)
        Variances of weights and biases, and of the weights of the first layer.
    depth : int
        Number of layers L.
    start : Start
        The inputs.
    history : list, optional
        Is filled with gradient, length, vertex and slopes (as in :class:`Walked`) of each layer.
    pairs : bool
        Whether two inputs are followed; the distance is zero decades else.
    """
    n, haar = w2.size, start.haar
    with np.errstate(all="ignore"):
        q = first * start.q0 + b2
        share, log_q = first * start.q0 / q, np.log(q)
        log_w2, log_first_q = np.log(w2), log_q
        gap = (1.0 - start.c0) * share
        vertex = share**2 * (-2.0 if haar else 0.0)
        gradient, slopes, coupling = np.zeros(n), np.zeros(n), np.zeros(n)
        factor = np.zeros(n)
        entering = np.full(n, math.log(start.q0))  # mean square that enters this layer
        # log of the weight gradient of a layer over the first's: entering - gradient so far
        highest = lowest = entering - gradient
        layer = 0
        for layer in range(1, min(depth, LONGEST) + 1):
            m = table.moments(log_q)
            square, steep, elastic, fourth, steeper = m.T
            after = w2 * np.exp(square) + b2
            log_after, passed = np.log(after), w2 * np.exp(square) / after
            step = log_w2 + steep
            vertex, coupling = (
                passed**2 * (elastic**2 * vertex + np.exp(fourth) - (3.0 if haar else 1.0)),
                coupling + table.bend(log_q) * np.sqrt(np.maximum(vertex, 0.0)),
            )
            slopes = slopes + 3.0 * np.exp(steeper) - (3.0 if haar else 1.0)
            if pairs:
                factor = table.log_pair_ratio(log_q, gap) + log_w2 + log_q + steep - log_after
                gap = np.clip(gap * np.exp(factor), 0.0, 2.0)
            gradient, entering = gradient + step, square
            if history is not None:
                grown = (gradient / _LN10, (log_after - log_first_q) / _LN10)
                history.append(np.array([*grown, vertex, slopes + coupling**2]))
            if layer < depth:
                here = entering - gradient
                highest, lowest = np.maximum(highest, here), np.minimum(lowest, here)
                log_q = log_after
        rest = float(depth - layer)
        if rest > 0.0:
            gradient = gradient + rest * step
            slopes, coupling = slopes * (depth / layer), coupling * (depth / layer)
            vertex = vertex * (depth / layer)
            gap = gap * np.exp(np.minimum(factor * layer * math.log(depth / layer), 50.0))
        length = log_q - log_first_q
        lost = ~np.isfinite(length) | (np.abs(log_q) > _LOST)
        figures = (
            gradient / _LN10,
            (highest - lowest) / _LN10,
            np.log10(gap / (1.0 - start.c0)) if pairs else np.zeros(n),
            length / _LN10,
            entering / _LN10,
            vertex,
            slopes + coupling**2,
        )
        return Walked(*(np.where(lost, np.inf, f) for f in figures))
