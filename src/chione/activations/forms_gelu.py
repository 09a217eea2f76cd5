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
_NODES = 0.5 * (1.0 + np.polynomial.legendre.leggauss(6)[0])
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(6)[1]


def gelu() -> ClosedForms:
    """Closed forms of x times the normal distribution function."""
    return ClosedForms(
        mean=lambda q: q / np.sqrt(TWO_PI * (1.0 + q)),
        mean_square=_mean_square,
        derivative_mean_square=_derivative_mean_square,
        length_slope=_length_slope,
        kernel=_kernel,
        derivative_kernel=_derivative_kernel,
        difference=_difference,
        near_slope=lambda q1, q2, gap, plus: _slope_from(
            q1, q2, np.where(gap < plus, 1.0 - gap, plus - 1.0), gap * plus
        ),
        source="Tsuchida et al. (2021)",
    )


def _angle_alone(q: Array) -> Array:
    """The angle omega at c = 1: pi/2 + arcsin(q / (1 + q))."""
    return np.arctan2(np.sqrt(1.0 + 2.0 * q), -q)


def _mean_square(q: Array) -> Array:
    rational = 2.0 * q * (q / (1.0 + q)) / np.sqrt(1.0 + 2.0 * q)
    return (q * _angle_alone(q) + rational) / TWO_PI


def _derivative_mean_square(q: Array) -> Array:
    rational = q / np.sqrt(1.0 + 2.0 * q) * (2.0 / (1.0 + q) + 1.0 / (1.0 + 2.0 * q))
    return (_angle_alone(q) + rational) / TWO_PI


def _length_slope(q: Array) -> Array:
    y, free = q / (1.0 + q), 1.0 / (1.0 + q)
    rational = y * (5.0 * free + y * (11.0 + 4.0 * q)) / (1.0 + 2.0 * q) ** 1.5
    return (_angle_alone(q) + rational) / TWO_PI


def _parts(q1: Array, q2: Array, sine_squared: Array) -> tuple[Array, Array, Array]:
    """Q / (1 + Q) of both variances, and D / E as a sum of positive terms."""
    y1, y2 = q1 / (1.0 + q1), q2 / (1.0 + q2)
    return y1, y2, 1.0 / (1.0 + q1) + y1 / (1.0 + q2) + y1 * y2 * sine_squared


def _kernel(q1: Array, q2: Array, c: Array) -> Array:
    q12, scale = np.sqrt(q1) * np.sqrt(q2) * c, np.sqrt(1.0 + q1) * np.sqrt(1.0 + q2)
    y1, y2, share = _parts(q1, q2, (1.0 - c) * (1.0 + c))
    root, y12 = scale * np.sqrt(share), np.sqrt(y1) * np.sqrt(y2) * c
    plain = q12 * np.arctan2(root, -q12) + y1 * y2 * root + y12 * (y12 / root)
    # For large negative covariance both terms grow like sqrt(q) and their sum falls like
    # 1/sqrt(q): subtract sqrt(D) from one, add it to the other, analytically.
    m = np.maximum(-q12, root)
    opposed = y12 * (y12 / root) - root * (1.0 / (1.0 + q1) + y1 / (1.0 + q2))
    opposed = opposed + m * _arctan_defect(root / m)
    return np.asarray(np.where(-q12 > root, opposed, plain) / TWO_PI)


def _derivative_kernel(q1: Array, q2: Array, c: Array) -> Array:
    return _slope_from(q1, q2, c, (1.0 - c) * (1.0 + c))


def _slope_from(q1: Array, q2: Array, c: Array, sine_squared: Array) -> Array:
    q12, scale = np.sqrt(q1) * np.sqrt(q2) * c, np.sqrt(1.0 + q1) * np.sqrt(1.0 + q2)
    root = scale * np.sqrt(_parts(q1, q2, sine_squared)[2])
    rational = q12 / root * (1.0 / (1.0 + q1) + 1.0 / (1.0 + q2) + (1.0 / root) / root)
    return np.asarray((np.arctan2(root, -q12) + rational) / TWO_PI)


def _difference(q1: Array, q2: Array, step: Array, gap: Array) -> Array:
    r"""E (phi(u1) - phi(u2))^2 where the two are close; NaN where the plain difference is as good.

    .. math:: \int\!\!\int_{s_2}^{s_1} E\,z^2 \phi'(a z)\phi'(b z)\,da\,db
       + 2 s_1 s_2 \int_c^1 R\,dc', \qquad s = \sqrt q,

    both by Gauss-Legendre rules, which are exact to rounding on ranges this short.
    """
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    width = np.where(s1 + s2 > 0.0, step / np.where(s1 + s2 > 0.0, s1 + s2, 1.0), 0.0)
    total = np.zeros(np.broadcast_shapes(np.shape(width), np.shape(gap)))
    for x, w in zip(_NODES, _WEIGHTS, strict=True):
        for y, v in zip(_NODES, _WEIGHTS, strict=True):
            total = total + w * v * width * width * _stretch(s2 + x * width, s2 + y * width)
        sine_squared = x * gap * (2.0 - x * gap)
        slope = _slope_from(q1, q2, 1.0 - x * gap, sine_squared)
        total = total + 2.0 * w * s1 * s2 * gap * slope
    short = (np.abs(width) < 0.1 * (0.1 + s2)) & (gap * (1.0 + np.maximum(q1, q2)) < 0.1)
    return np.where(short, total, np.nan)


@np.errstate(over="ignore", invalid="ignore")  # used where both are short only
def _stretch(a: Array, b: Array) -> Array:
    """E z^2 phi'(a z) phi'(b z)."""
    p, q, m = 1.0 / (1.0 + a * a), 1.0 / (1.0 + b * b), 1.0 + a * a + b * b
    root = np.sqrt(m)
    sum_ = p + q + 2.0 * (p * p + q * q) + (p + q) / m + 3.0 / (m * m)
    return np.asarray((np.arctan2(root, -a * b) + a * b / root * sum_) / TWO_PI)


def _arctan_defect(t: Array) -> Array:
    """T - arctan(t) on [0, 1], by the continued fraction of arctan: no cancellation at 0."""
    square = t * t
    r = np.zeros_like(t)
    for k in range(24, 0, -1):
        r = k * k * square / (2 * k + 1 + r)
    return t * r / (1.0 + r)
