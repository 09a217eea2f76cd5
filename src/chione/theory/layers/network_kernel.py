"""Kernels of any network for arrays of inputs: one walk from their exact second moments."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from chione.base import Estimate, cost
from chione.networks import Network
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.inputs import as_inputs, from_inputs
from chione.theory.layers.repeated import repeated
from chione.theory.layers.walk import Propagation, propagate

_PAIR_SECONDS = 3e-6  # s a pair of sites and layer


def network_kernel(network: Network, x1: Any, x2: Any, with_ntk: bool) -> Estimate:
    """K, or Theta, of what leaves the network, for all pairs of inputs of `x1` and `x2`.

    Parameters
    ----------
    network : Network
        Any network with closed rules.
    x1, x2 : array_like, shapes (n1, *grid, channels), (n2, *grid, channels)
        Inputs; `x1` again where `x2` is None.
    with_ntk : bool
        Whether the tangent kernel is asked for.

    Returns
    -------
    Estimate
        Shape (n1, n2), or (n1, P, n2, P) where P positions leave the network.

    Raises
    ------
    TypeError, ValueError
        If the inputs are not of the shape that the network takes.
    UnsupportedLayerError
        If a rule is missing or does not close.
    CostError
        If there are too many of them.
    """
    shape = network.input.shape
    a = as_inputs("x1", x1, shape)
    b = a if x2 is None else as_inputs("x2", x2, shape)
    both = a if x2 is None else np.concatenate([a, b])
    sites = len(both) * shape.positions
    steps = network.length
    cost.check(
        f"a kernel of {len(both)} inputs at {shape.positions} positions over {steps} layers",
        seconds=steps * _PAIR_SECONDS * sites * sites,
        gigabytes=1.6e-7 * sites * sites,
        fits="fewer inputs, or in blocks",
    )
    given = from_inputs(both, shape)

    def read(found: Propagation) -> list[Bounded]:
        out = found.output
        return [(out.theta if with_ntk else out.k).at(out.orbits.index)]

    walked, (matrix,) = repeated(partial(propagate, network, given), read, seed=0)
    n, p = len(both), walked.output.positions
    value, error = (m.reshape(n, p, n, p) for m in matrix)
    second = slice(0, n) if x2 is None else slice(len(a), n)
    value, error = (m[: len(a), :, second] for m in (value, error))
    if p == 1:
        value, error = value[:, 0, :, 0], error[:, 0, :, 0]
    return Estimate(value, error, np.zeros(value.shape, np.int8))
