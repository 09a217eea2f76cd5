r"""Closed forms of GELU, by Stein's lemma applied to :math:`E\,u_1 u_2 \Phi(u_1)\Phi(u_2)`.

With :math:`E = (1+q_1)(1+q_2)`, :math:`D = E - q_{12}^2` and
:math:`\omega = \arccos(-q_{12}/\sqrt E) = \mathrm{atan2}(\sqrt D, -q_{12})`,

.. math::

    2\pi\,E\,\phi(u_1)\phi(u_2) &= q_{12}\,\omega + \frac{q_1 q_2 D + q_{12}^2}{E \sqrt D} \\
    2\pi\,E\,\phi'(u_1)\phi'(u_2) &= \omega
      + \frac{q_{12}}{\sqrt D}\Bigl(\frac1{1+q_1} + \frac1{1+q_2} + \frac1D\Bigr).

References
----------
Tsuchida et al., "Avoiding kernel fixed points" (2021), derive equivalent expressions.
"""

from __future__ import annotations

import math

import numpy as np

from chione.activations.protocol import ClosedForms
from chione.base import Array

TWO_PI = 2.0 * math.pi


def gelu() -> ClosedForms:
    """Closed forms of x times the normal distribution function."""
    return ClosedForms(
        mean=lambda q: q / np.sqrt(TWO_PI * (1.0 + q)),
        mean_square=_mean_square,
        derivative_mean_square=_derivative_mean_square,
        length_slope=_length_slope,
        kernel=_kernel,
        derivative_kernel=_derivative_kernel,
        source="Tsuchida et al. (2021)",
    )


def _angle_alone(q: Array) -> Array:
    """The angle omega at c = 1: pi/2 + arcsin(q / (1 + q))."""
    return np.arctan2(np.sqrt(1.0 + 2.0 * q), -q)


def _mean_square(q: Array) -> Array:
    rational = 2.0 * q * q / ((1.0 + q) * np.sqrt(1.0 + 2.0 * q))
    return (q * _angle_alone(q) + rational) / TWO_PI


def _derivative_mean_square(q: Array) -> Array:
    rational = q / np.sqrt(1.0 + 2.0 * q) * (2.0 / (1.0 + q) + 1.0 / (1.0 + 2.0 * q))
    return (_angle_alone(q) + rational) / TWO_PI


def _length_slope(q: Array) -> Array:
    rational = q * (5.0 + q * (11.0 + 4.0 * q)) / ((1.0 + q) ** 2 * (1.0 + 2.0 * q) ** 1.5)
    return (_angle_alone(q) + rational) / TWO_PI


def _parts(q1: Array, q2: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """Covariance, product of variances, E and D as sums of positive terms."""
    product = q1 * q2
    covariance = np.sqrt(q1) * np.sqrt(q2) * c
    free = 1.0 + q1 + q2
    return covariance, product, free + product, free + product * ((1.0 - c) * (1.0 + c))


def _kernel(q1: Array, q2: Array, c: Array) -> Array:
    q12, product, e, d = _parts(q1, q2, c)
    root = np.sqrt(d)
    plain = q12 * np.arctan2(root, -q12) + (product * d + q12 * q12) / (e * root)
    # For large negative covariance both terms grow like sqrt(q) and their sum falls like
    # 1/sqrt(q): subtract sqrt(D) from one, add it to the other, analytically.
    m = np.maximum(-q12, 1e-300)
    t = np.minimum(root / m, 1.0)
    opposed = (q12 * q12 - d * (1.0 + q1 + q2)) / (e * root) + m * _arctan_defect(t)
    return np.where(-q12 > root, opposed, plain) / TWO_PI


def _derivative_kernel(q1: Array, q2: Array, c: Array) -> Array:
    q12, _, _, d = _parts(q1, q2, c)
    root = np.sqrt(d)
    rational = q12 / root * (1.0 / (1.0 + q1) + 1.0 / (1.0 + q2) + 1.0 / d)
    return (np.arctan2(root, -q12) + rational) / TWO_PI


def _arctan_defect(t: Array) -> Array:
    """T - arctan(t) on [0, 1], by the continued fraction of arctan: no cancellation at 0."""
    square = t * t
    r = np.zeros_like(t)
    for k in range(24, 0, -1):
        r = k * k * square / (2 * k + 1 + r)
    return t * r / (1.0 + r)
