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
        y1, y2, rest = _parts(a, q1, q2, (1.0 - c) * (1.0 + c))
        return (2.0 / math.pi) * np.arctan2(np.sqrt(y1) * np.sqrt(y2) * c, np.sqrt(rest))

    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: (2.0 / math.pi) * np.arctan2(2.0 * a * q, np.sqrt(1.0 + 4.0 * a * q)),
        derivative_mean_square=lambda q: 4.0 * a / math.pi / np.sqrt(1.0 + 4.0 * a * q),
        length_slope=lambda q: (
            4.0 * a / math.pi / ((1.0 + 2.0 * a * q) * np.sqrt(1.0 + 4.0 * a * q))
        ),
        kernel=kernel,
        derivative_kernel=lambda q1, q2, c: (
            4.0 * a / math.pi / _root(a, q1, q2, (1.0 - c) * (1.0 + c))
        ),
        difference=lambda q1, q2, step, gap: _arcsine_gap(a, q1, q2, step, gap),
        total=lambda q1, q2, step, plus: _arcsine_gap(a, q1, q2, step, plus),
        near_slope=lambda q1, q2, gap, plus: 4.0 * a / math.pi / _root(a, q1, q2, gap * plus),
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
        kernel=lambda q1, q2, c: 1.0 / _root(a, q1, q2, (1.0 - c) * (1.0 + c)),
        derivative_kernel=lambda q1, q2, c: (
            4.0
            * a
            * a
            * np.sqrt(q1)
            * np.sqrt(q2)
            * c
            / _root(a, q1, q2, (1.0 - c) * (1.0 + c)) ** 3
        ),
        difference=lambda q1, q2, step, gap: _bell_gap(a, q1, q2, step, gap),
        source="Gaussian integral",
    )


def _parts(a: float, q1: Array, q2: Array, sine_squared: Array) -> tuple[Array, Array, Array]:
    """Y = X / (1 + X) of both lengths and D / (1 + X_1)(1 + X_2), which cannot overflow."""
    x1, x2 = 2.0 * a * q1, 2.0 * a * q2
    y1, y2 = x1 / (1.0 + x1), x2 / (1.0 + x2)
    return y1, y2, 1.0 / (1.0 + x1) + y1 / (1.0 + x2) + y1 * y2 * sine_squared


def _root(a: float, q1: Array, q2: Array, sine_squared: Array) -> Array:
    """Root of D."""
    rest = _parts(a, q1, q2, sine_squared)[2]
    return np.sqrt(1.0 + 2.0 * a * q1) * np.sqrt(1.0 + 2.0 * a * q2) * np.sqrt(rest)


def _arcsine_gap(a: float, q1: Array, q2: Array, step: Array, gap: Array) -> Array:
    r"""E (phi(u1) - phi(u2))^2 = (4/pi) (A - beta), A the mean of both angles at c = 1.

    From :math:`\cos 2\beta - \cos 2A = 2 \sin(A + \beta) \sin(A - \beta)`, whose left side is

    .. math:: \frac{2 X_1 X_2 (1 - c^2) + (X_1 - X_2)^2 / (1 + X_1 + X_2 + r)}
       {(1 + X_1)(1 + X_2)}, \qquad r = \sqrt{(1 + 2 X_1)(1 + 2 X_2)}.
    """
    x1, x2 = 2.0 * a * q1, 2.0 * a * q2
    sine_squared = gap * (2.0 - gap)
    r1, r2 = np.sqrt(1.0 + 2.0 * x1), np.sqrt(1.0 + 2.0 * x2)
    y1, y2, rest = _parts(a, q1, q2, sine_squared)
    d, x12 = np.sqrt(rest), np.sqrt(y1) * np.sqrt(y2) * (1.0 - gap)
    # sin(A + beta) from the complements, which keep their digits where all angles near pi / 2
    mean = 0.5 * (np.arctan2(x1, r1) + np.arctan2(x2, r2)) + np.arctan2(x12, d)
    beside = 0.5 * (np.arctan2(r1, x1) + np.arctan2(r2, x2)) + np.arctan2(d, x12)
    sine = np.where(mean < 0.5 * math.pi, np.sin(mean), np.sin(beside))
    parts = 2.0 * y1 * y2 * sine_squared
    step = 2.0 * a * step
    parts = parts + step / (1.0 + x1) * (step / (1.0 + x2)) / (1.0 + x1 + x2 + r1 * r2)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(parts > 0.0, parts / (2.0 * sine), 0.0)
    return (4.0 / math.pi) * np.arcsin(np.minimum(ratio, 1.0))


def _bell_gap(a: float, q1: Array, q2: Array, step: Array, gap: Array) -> Array:
    r"""E (phi(u1) - phi(u2))^2, with V = (1 + 2X)^{-1/2} and K = D^{-1/2}.

    .. math:: (\sqrt{V_1} - \sqrt{V_2})^2 + 2 \left(\sqrt{V_1 V_2} - K\right), \qquad
       D^2 - (V_1 V_2)^{-2} = (X_1 - X_2)^2 + 2 (1 + X_1 + X_2) X_1 X_2 (1 - c^2) + \dots
    """
    x1, x2 = 2.0 * a * q1, 2.0 * a * q2
    mixed = x1 * x2 * (gap * (2.0 - gap))
    v1, v2 = 1.0 / np.sqrt(1.0 + 2.0 * x1), 1.0 / np.sqrt(1.0 + 2.0 * x2)
    k = 1.0 / np.sqrt(1.0 + x1 + x2 + mixed)
    n = np.sqrt(v1) * np.sqrt(v2)
    step = 2.0 * a * step
    excess = step**2 + (2.0 * (1.0 + x1 + x2) + mixed) * mixed  # D^2 - n^-4
    # n - K = n K (D^{1/2} - n^-1), and D^2 - n^-4 splits twice into sums of positive terms
    defect = n * k * excess / ((1.0 / k + 1.0 / n) * (1.0 / k**2 + 1.0 / n**2))
    roots = (v1 * v2 / (v1 + v2) * 2.0 * step * v1 * v2 / (np.sqrt(v1) + np.sqrt(v2))) ** 2
    return np.asarray(roots + 2.0 * defect)
