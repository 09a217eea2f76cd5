"""The usual initialisation schemes as sigmas: Xavier, He, LeCun, PyTorch's, Glorot's standard."""

from __future__ import annotations

import math
from typing import Literal

from chione.activations import AbstractActivation, LeakyReLU
from chione.base import checks
from chione.theory.meanfield.length_map import count

SCHEMES = ("xavier", "he", "lecun", "pytorch", "calculate_gain")  # set beside a recommendation
NAMED = (*SCHEMES, "standard")  # all that can be asked for
_UNIFORM = ("pytorch", "standard")
_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def scheme_sigmas(
    scheme: str, phi: AbstractActivation, *, fan_in: int, fan_out: int
) -> tuple[float, float] | None:
    r"""sigma_w and sigma_b of a scheme; None where it does not cover the activation.

    .. math::
        \text{xavier: } \sigma_w^2 = \frac{2 n_{in}}{n_{in} + n_{out}}, \quad
        \text{he: } 2, \quad \text{lecun: } 1, \quad
        \text{pytorch: } \sigma_w^2 = \frac13,\ \sigma_b^2 = \frac{1}{3 n_{in}}, \quad
        \text{standard: } \sigma_w^2 = \frac13

    ``calculate_gain`` is the number of that name in ``torch.nn.init`` taken as sigma_w (LeCun
    scaling, zero biases); it exists for linear, sigmoid, tanh, relu, leaky_relu and selu only.
    ``standard`` is the habit that Glorot and Bengio [1]_ compare theirs with: weights uniform
    within :math:`\pm 1/\sqrt{n_{in}}` and zero biases. Theirs, "normalised", is ``xavier``.

    Parameters
    ----------
    scheme : {"xavier", "he", "lecun", "pytorch", "calculate_gain", "standard"}
        Whose choice.
    phi : AbstractActivation
        Only ``calculate_gain`` looks at it.
    fan_in, fan_out : int
        Sizes of the layer.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010, section 4.2.1.
    """
    checks.one_of("scheme", scheme, NAMED)
    n_in, n_out = count("fan_in", fan_in), count("fan_out", fan_out)
    if scheme == "xavier":
        return math.sqrt(2.0 * n_in / (n_in + n_out)), 0.0
    if scheme == "he":
        return math.sqrt(2.0), 0.0
    if scheme == "lecun":
        return 1.0, 0.0
    if scheme == "standard":
        return math.sqrt(1.0 / 3.0), 0.0  # the variance of U(-a, a) is a^2 / 3
    if scheme == "pytorch":
        return math.sqrt(1.0 / 3.0), math.sqrt(1.0 / (3.0 * n_in))
    if isinstance(phi, LeakyReLU):
        return math.sqrt(2.0 / (1.0 + phi.slope**2)), 0.0
    known = _GAINS.get(phi.name)
    return None if known is None else (known, 0.0)


def scheme_law(scheme: str) -> Literal["gaussian", "uniform"]:
    """The law that a scheme draws weights from; those that fix a variance only are Gaussian."""
    checks.one_of("scheme", scheme, NAMED)
    return "uniform" if scheme in _UNIFORM else "gaussian"
