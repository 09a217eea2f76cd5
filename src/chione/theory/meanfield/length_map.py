r"""The length map and its two susceptibilities.

.. math:: V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2, \qquad
   \chi_\parallel = V'(q), \qquad \chi_\perp = \sigma_w^2 E\,\phi'(\sqrt q z)^2
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.activations import ActivationLike
from chione.base import EPS, Estimate, checks
from chione.theory.moments.moments import moments

LARGEST_COUNT = 10**300
LARGEST_LENGTH = 1e100
LARGEST_SIGMA = 1e100  # its square, times a mean square of 1e100, is still a float64


def length_map(
    phi: ActivationLike, q: Any, *, sigma_w: float, sigma_b: float = 0.0, method: str = "auto"
) -> Estimate:
    r"""Mean square of the pre-activations one layer on.

    .. math:: V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q : float or array_like
        Mean squares, zero or above.
    sigma_w, sigma_b : float
        Standard deviations of the weights (times the square root of the fan-in) and biases.
    method : {"auto", "closed", "quadrature"}
        How the expectation is found.

    Returns
    -------
    Estimate
        Of the shape of `q`.

    Raises
    ------
    ValueError
        If a sigma or q is negative or not finite.
    """
    w2, b2 = variances(sigma_w, sigma_b)
    return affine(moments(phi).square(q, method), w2, b2)


def chi_parallel(phi: ActivationLike, q: Any, *, sigma_w: float, method: str = "auto") -> Estimate:
    r"""Slope of the length map, :math:`\chi_\parallel = \sigma_w^2 \frac{d}{dq} E\,\phi^2`.

    Also written chi_11. Never below -1/2 at a fixed point; parameters as :func:`length_map`.
    """
    w2, _ = variances(sigma_w, 0.0)
    return affine(moments(phi).slope(q, method), w2, 0.0)


def chi_perp(phi: ActivationLike, q: Any, *, sigma_w: float, method: str = "auto") -> Estimate:
    r"""Factor on the mean square gradient per layer, :math:`\sigma_w^2 E\,\phi'(\sqrt q z)^2`.

    At the fixed point it is chi_1, the slope of the correlation map at c = 1. Infinite where the
    activation jumps; parameters as :func:`length_map`.
    """
    w2, _ = variances(sigma_w, 0.0)
    return affine(moments(phi).derivative_square(q, method), w2, 0.0)


def variances(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """Checked squares of the two standard deviations."""
    w, b = sigmas(sigma_w, sigma_b)
    return w * w, b * b


def sigmas(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """The two standard deviations as float64, also where they came in single precision."""
    variance("sigma_w", sigma_w), variance("sigma_b", sigma_b)
    return float(sigma_w), float(sigma_b)


def variance(name: str, sigma: float) -> float:
    """Checked square of a standard deviation."""
    value = checks.non_negative(name, sigma)
    if value > LARGEST_SIGMA:
        raise ValueError(
            f"{name} must be at most {LARGEST_SIGMA:g}, because its square enters, "
            f"but it is {value!r}."
        )
    return value * value


def count(name: str, x: Any) -> int:
    """A number of layers or units: an integer from 1 to 1e300, which a float64 still holds."""
    n = checks.integer(name, x)
    if n > LARGEST_COUNT:
        raise ValueError(
            f"{name} must be at most 1e300, but it has some {n.bit_length() * 0.30103:.0f} digits."
        )
    return n


def mean_square(name: str, x: Any) -> float:
    """A mean square of inputs: above 0, and so small that products of lengths have a float64."""
    value = checks.positive(name, x)
    if value > LARGEST_LENGTH:
        raise ValueError(f"{name} must be at most {LARGEST_LENGTH:g}, but it is {value!r}.")
    return value


def affine(e: Estimate, scale: float, offset: float) -> Estimate:
    """An estimate times a number plus a number; an infinite expectation stays infinite."""
    value = scale * e.value + offset
    error = abs(scale) * e.error + 2.0 * EPS * np.abs(value)
    if np.ndim(value) == 0:
        return Estimate(float(value), float(error), e.status)
    return Estimate(value, error, e.status)
