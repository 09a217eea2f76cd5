"""What PyTorch does to a linear layer: its default, and `calculate_gain`; without PyTorch."""

from __future__ import annotations

import math

from chione.activations import LeakyReLU, ReLU, Sigmoid, Tanh, activation
from chione.base import checks


def default_sigmas(fan_in: int) -> tuple[float, float]:
    r"""sigma_w and sigma_b of ``torch.nn.Linear`` as it is made.

    Weights and biases are uniform on :math:`(-1/\sqrt{n}, 1/\sqrt{n})`, n the fan-in, and such a
    number has the variance :math:`1/(3n)`:

    .. math:: \sigma_w^2 = n \cdot \frac{1}{3n} = \frac13, \qquad \sigma_b^2 = \frac{1}{3n}

    Parameters
    ----------
    fan_in : int
        Number of inputs of the layer, at least 1.

    Returns
    -------
    tuple of float
        (sigma_w, sigma_b).

    References
    ----------
    .. [1] ``torch.nn.Linear.reset_parameters``: ``kaiming_uniform_`` with ``a = sqrt(5)``.
    """
    n = checks.integer("fan_in", fan_in)
    return math.sqrt(1.0 / 3.0), math.sqrt(1.0 / (3.0 * n))


def calculate_gain(phi: object) -> float | None:
    r"""The number ``torch.nn.init.calculate_gain`` gives for an activation, or None.

    Used with ``kaiming_normal_`` or ``xavier_normal_`` on square layers it is sigma_w, with zero
    biases. linear 1, sigmoid 1, tanh 5/3, relu :math:`\sqrt2`, leaky_relu
    :math:`\sqrt{2/(1 + a^2)}`, selu 3/4; it raises for everything else, and then this is None.

    Parameters
    ----------
    phi : activation or str
        Whatever :func:`chione.activation` accepts.
    """
    act = activation(phi)
    if isinstance(act, ReLU):
        return math.sqrt(2.0)
    if isinstance(act, LeakyReLU):
        return math.sqrt(2.0 / (1.0 + act.slope**2))
    if isinstance(act, Tanh):
        return 5.0 / 3.0  # empirical, says its documentation
    if isinstance(act, Sigmoid):
        return 1.0
    return {"linear": 1.0, "selu": 0.75}.get(act.name)
