"""Kernels of infinite networks as objects that scikit-learn's Gaussian processes accept."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import Array, MissingExtraError, checks, cost
from chione.networks import MLP, as_network
from chione.theory.depth.kernels import kernel_diagonal, nngp, ntk

KINDS = ("nngp", "ntk")


@cost.ends
def process_kernel(network: MLP, kind: str = "nngp") -> Any:
    r"""Kernel for ``sklearn.gaussian_process.GaussianProcessRegressor``, without free parameters.

    Parameters
    ----------
    network : MLP
        The infinitely wide network: activation, sigmas and depth.
    kind : {"nngp", "ntk"}
        Prior of the untrained network, or tangent kernel.

    Returns
    -------
    sklearn.gaussian_process.kernels.Kernel
        To be added to and multiplied with scikit-learn's own kernels.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    Notes
    -----
    There are no gradients with respect to hyperparameters: it has none that scikit-learn may
    change, so a regressor does not optimise over it.
    """
    network = as_network(network)
    checks.one_of("kind", kind, KINDS)
    try:
        from sklearn.gaussian_process.kernels import Kernel
    except ImportError as err:
        raise MissingExtraError("scikit-learn", "test", "A Gaussian process kernel") from err

    class NetworkKernel(Kernel):  # type: ignore[misc]  # scikit-learn is not typed
        """The kernel of one network; an instance is made by `process_kernel`."""

        def __init__(self, network: MLP, kind: str = "nngp") -> None:
            self.network = network
            self.kind = kind

        def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
            function = nngp if self.kind == "nngp" else ntk
            value = function(self.network, X, Y).value
            if eval_gradient:
                return value, np.empty((*value.shape, 0))
            return value

        def diag(self, X: Any) -> Array:
            """Diagonal of the kernel, from each input alone."""
            x = checks.real_array("X", X)
            q0 = np.einsum("ij,ij->i", x, x) / x.shape[1]
            return np.asarray(kernel_diagonal(self.network, q0, with_ntk=self.kind == "ntk").value)

        def is_stationary(self) -> bool:
            """False: it depends on the inputs' norms."""
            return False

        def __repr__(self) -> str:
            return f"{self.kind}({self.network.activation}, depth={self.network.depth})"

    return NetworkKernel(network, kind)
