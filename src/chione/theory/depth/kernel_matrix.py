r"""Both kernels of infinitely wide networks for a set of inputs, in one result.

.. math::
    K^{l+1} = \sigma_b^2 + \sigma_w^2 E\,\phi(u_1) \phi(u_2), \qquad
    \Theta^{l+1} = K^{l+1} + \sigma_w^2 E\,\phi'(u_1) \phi'(u_2)\,\Theta^l
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import AbstractResult, Estimate, Status, along, cost, result
from chione.networks import MLP, as_network
from chione.theory.depth.kernels import nngp, ntk
from chione.theory.moments.moments import moments


@result
class KernelMatrix(AbstractResult):
    """Both kernels of the last layer, for every pair of inputs.

    Parameters
    ----------
    nngp : Estimate, shape (n1, n2)
        Covariance of the last pre-activations, as :func:`chione.nngp` gives it.
    ntk : Estimate, shape (n1, n2)
        Tangent kernel, as :func:`chione.ntk` gives it. Status ``INFINITE`` and no values where
        the activation jumps: there it does not exist.
    """

    axes = along("input_1 input_2", "nngp", "ntk")

    nngp: Estimate
    ntk: Estimate


@cost.ends
def kernel_matrix(network: MLP, x1: Any, x2: Any = None) -> KernelMatrix:
    r"""Kernels :math:`K^L` and :math:`\Theta^L` of a set of inputs.

    Parameters
    ----------
    network : MLP
        Activation, sigmas and depth count.
    x1 : array_like, shape (n1, n_0)
        Inputs, one in each row.
    x2 : array_like, shape (n2, n_0), optional
        Further inputs; `x1` itself by default.

    Returns
    -------
    KernelMatrix

    Raises
    ------
    ValueError, ConvergenceError, CostError
        As :func:`chione.nngp`.

    Examples
    --------
    >>> from chione import MLP
    >>> found = kernel_matrix(MLP("relu", 2**0.5, depth=2), [[1.0, 0.0], [0.0, 1.0]])
    >>> found.nngp.value.round(9).tolist()  # 1 and 1 / pi
    [[1.0, 0.318309886], [0.318309886, 1.0]]
    >>> found.ntk.value.round(9).tolist()  # 2 and 1 / pi
    [[2.0, 0.318309886], [0.318309886, 2.0]]
    """
    network = as_network(network)
    covariance = nngp(network, x1, x2)
    if network.depth > 1 and moments(network.activation).has_jumps:
        nothing = np.full(covariance.shape, np.nan)
        status = np.full(covariance.shape, Status.INFINITE, dtype=np.int8)
        return KernelMatrix(covariance, Estimate(nothing, nothing, status))
    return KernelMatrix(covariance, ntk(network, x1, x2))
