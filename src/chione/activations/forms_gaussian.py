r"""Closed forms of the error functions and of the Gaussian bell.

Both rest on :math:`D = \det(1 + 2 a \Sigma) = 1 + X_1 + X_2 + X_1 X_2 (1 - c^2)`,
:math:`X = 2 a q`, a sum of positive terms.

References
----------
Williams, "Computing with infinite networks" (1997).
"""

from __future__ import annotations

import math

import numpy as np

from chione.activations.protocol import ClosedForms
from chione.base import Array


def error_function(a: float) -> ClosedForms:
    r"""Closed forms of :math:`\mathrm{erf}(\sqrt a\, x)`.

    .. math::

        E\,\phi(u_1)\phi(u_2) = \frac2\pi \arcsin\frac{X_{12}}{\sqrt{(1+X_1)(1+X_2)}}
        = \frac2\pi \arctan\frac{X_{12}}{\sqrt D}, \qquad
        E\,\phi'(u_1)\phi'(u_2) = \frac{4a}{\pi \sqrt D}

    Parameters
    ----------
    a : float
        Square of the factor of x.
    """

    def kernel(q1: Array, q2: Array, c: Array) -> Array:
        x12 = 2.0 * a * np.sqrt(q1) * np.sqrt(q2) * c
        return (2.0 / math.pi) * np.arctan2(x12, np.sqrt(_determinant(a, q1, q2, c)))

    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: (2.0 / math.pi) * np.arctan2(2.0 * a * q, np.sqrt(1.0 + 4.0 * a * q)),
        derivative_mean_square=lambda q: 4.0 * a / math.pi / np.sqrt(1.0 + 4.0 * a * q),
        length_slope=lambda q: (
            4.0 * a / math.pi / ((1.0 + 2.0 * a * q) * np.sqrt(1.0 + 4.0 * a * q))
        ),
        kernel=kernel,
        derivative_kernel=lambda q1, q2, c: 4.0 * a / math.pi / np.sqrt(_determinant(a, q1, q2, c)),
        source="Williams (1997)",
    )


def bell(a: float) -> ClosedForms:
    r"""Closed forms of :math:`e^{-a x^2}`.

    .. math::

        E\,\phi(u_1)\phi(u_2) = D^{-1/2}, \qquad
        E\,\phi'(u_1)\phi'(u_2) = 4 a^2 q_{12} D^{-3/2}

    Parameters
    ----------
    a : float
        Rate, above 0.
    """
    return ClosedForms(
        mean=lambda q: 1.0 / np.sqrt(1.0 + 2.0 * a * q),
        mean_square=lambda q: 1.0 / np.sqrt(1.0 + 4.0 * a * q),
        derivative_mean_square=lambda q: 4.0 * a * a * q / (1.0 + 4.0 * a * q) ** 1.5,
        length_slope=lambda q: -2.0 * a / (1.0 + 4.0 * a * q) ** 1.5,
        kernel=lambda q1, q2, c: 1.0 / np.sqrt(_determinant(a, q1, q2, c)),
        derivative_kernel=lambda q1, q2, c: (
            4.0 * a * a * np.sqrt(q1) * np.sqrt(q2) * c / _determinant(a, q1, q2, c) ** 1.5
        ),
        source="Gaussian integral",
    )


def _determinant(a: float, q1: Array, q2: Array, c: Array) -> Array:
    x1, x2 = 2.0 * a * q1, 2.0 * a * q2
    return 1.0 + x1 + x2 + x1 * x2 * ((1.0 - c) * (1.0 + c))
