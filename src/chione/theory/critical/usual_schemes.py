"""The usual initialisation schemes as sigmas: Xavier, He, LeCun, PyTorch's default and its gain."""

from __future__ import annotations

import math

from chione.activations import AbstractActivation, LeakyReLU
from chione.base import checks
from chione.theory.meanfield.length_map import count

SCHEMES = ("xavier", "he", "lecun", "pytorch", "calculate_gain")
_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def scheme_sigmas(
    scheme: str, phi: AbstractActivation, *, fan_in: int, fan_out: int
) -> tuple[float, float] | None:
    r"""sigma_w and sigma_b of a scheme; None where it does not cover the activation.

    .. math::
        \text{xavier: } \sigma_w^2 = \frac{2 n_{in}}{n_{in} + n_{out}}, \quad
        \text{he: } 2, \quad \text{lecun: } 1, \quad
        \text{pytorch: } \sigma_w^2 = \frac13,\ \sigma_b^2 = \frac{1}{3 n_{in}}

    ``calculate_gain`` is the number of that name in ``torch.nn.init`` taken as sigma_w (LeCun
    scaling, zero biases); it exists for linear, sigmoid, tanh, relu, leaky_relu and selu only.

    Parameters
    ----------
    scheme : {"xavier", "he", "lecun", "pytorch", "calculate_gain"}
        Whose choice.
    phi : AbstractActivation
        Only ``calculate_gain`` looks at it.
    fan_in, fan_out : int
        Sizes of the layer.
    """
    checks.one_of("scheme", scheme, SCHEMES)
    n_in, n_out = count("fan_in", fan_in), count("fan_out", fan_out)
    if scheme == "xavier":
        return math.sqrt(2.0 * n_in / (n_in + n_out)), 0.0
    if scheme == "he":
        return math.sqrt(2.0), 0.0
    if scheme == "lecun":
        return 1.0, 0.0
    if scheme == "pytorch":
        return math.sqrt(1.0 / 3.0), math.sqrt(1.0 / (3.0 * n_in))
    if isinstance(phi, LeakyReLU):
        return math.sqrt(2.0 / (1.0 + phi.slope**2)), 0.0
    known = _GAINS.get(phi.name)
    return None if known is None else (known, 0.0)
