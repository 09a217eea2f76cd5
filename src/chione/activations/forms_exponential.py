r"""Closed forms of sines, cosines and the exponential, from E exp of a Gaussian.

.. math::

    E\cos(\omega(u_1 \mp u_2)) = e^{-\omega^2 v_\mp / 2}, \qquad
    v_\mp = \mathrm{Var}(u_1 \mp u_2)
          = (\sqrt{q_1} - \sqrt{q_2})^2 + 2 \sqrt{q_1 q_2}\,(1 \mp c)
"""

from __future__ import annotations

import numpy as np

from chione.activations.protocol import ClosedForms
from chione.base import Array

SOURCE = "characteristic function of a Gaussian"


def sine(w: float) -> ClosedForms:
    r"""Closed forms of :math:`\sin(\omega x)`."""
    w2 = w * w
    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: -0.5 * np.expm1(-2.0 * w2 * q),
        derivative_mean_square=lambda q: 0.5 * w2 * (1.0 + np.exp(-2.0 * w2 * q)),
        length_slope=lambda q: w2 * np.exp(-2.0 * w2 * q),
        kernel=lambda q1, q2, c: _sines(w2, q1, q2, c),
        derivative_kernel=lambda q1, q2, c: w2 * _cosines(w2, q1, q2, c),
        difference=lambda q1, q2, step, gap: _circle_gap(w2, q1, q2, step, gap, 1.0),
        total=lambda q1, q2, step, plus: _circle_gap(w2, q1, q2, step, plus, 1.0),
        near_slope=lambda q1, q2, gap, plus: (
            0.5
            * w2
            * (
                np.exp(-0.5 * w2 * _variance(q1, q2, gap))
                + np.exp(-0.5 * w2 * _variance(q1, q2, plus))
            )
        ),
        source=SOURCE,
    )


def cosine() -> ClosedForms:
    r"""Closed forms of :math:`\cos x`."""
    return ClosedForms(
        mean=lambda q: np.exp(-0.5 * q),
        mean_square=lambda q: 0.5 * (1.0 + np.exp(-2.0 * q)),
        derivative_mean_square=lambda q: -0.5 * np.expm1(-2.0 * q),
        length_slope=lambda q: -np.exp(-2.0 * q),
        kernel=lambda q1, q2, c: _cosines(1.0, q1, q2, c),
        derivative_kernel=lambda q1, q2, c: _sines(1.0, q1, q2, c),
        difference=lambda q1, q2, step, gap: _circle_gap(1.0, q1, q2, step, gap, -1.0),
        source=SOURCE,
    )


def exponential() -> ClosedForms:
    r"""Closed forms of :math:`e^x`; infinite where the true value leaves float64."""

    def of_exponent(t: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(t)

    return ClosedForms(
        mean=lambda q: of_exponent(0.5 * q),
        mean_square=lambda q: of_exponent(2.0 * q),
        derivative_mean_square=lambda q: of_exponent(2.0 * q),
        length_slope=lambda q: 2.0 * of_exponent(2.0 * q),
        kernel=lambda q1, q2, c: of_exponent(0.5 * _variance(q1, q2, 1.0 + c)),
        derivative_kernel=lambda q1, q2, c: of_exponent(0.5 * _variance(q1, q2, 1.0 + c)),
        difference=lambda q1, q2, step, gap: (
            2.0
            * of_exponent(q1 + q2)
            * (2.0 * np.sinh(0.5 * step) ** 2 - np.expm1(-0.5 * _variance(q1, q2, gap, step)))
        ),
        positive_kernel=True,
        source="moment generating function of a Gaussian",
    )


def _variance(q1: Array, q2: Array, one_minus_c: Array, step: Array | None = None) -> Array:
    """Variance of u1 - u2, without cancellation when they are nearly equal; `step` is q1 - q2."""
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    total = s1 + s2
    step = q1 - q2 if step is None else step
    gap = np.where(total > 0.0, step / np.where(total > 0.0, total, 1.0), 0.0)
    return gap * gap + 2.0 * s1 * s2 * one_minus_c


def _circle_gap(w2: float, q1: Array, q2: Array, step: Array, gap: Array, side: float) -> Array:
    r"""E (f(u1) - f(u2))^2 for the sine (`side` 1) or the cosine (-1) of w u.

    .. math:: (1 - e^{-w^2 v_- / 2}) (1 \pm e^{-w^2 v_+ / 2})
       \mp \tfrac12 (e^{-w^2 q_1} - e^{-w^2 q_2})^2
    """
    v = w2 * _variance(q1, q2, gap, step)
    beyond = w2 * (q1 + q2) - 0.5 * v  # half of w^2 times the variance of u1 + u2
    other = 1.0 + np.exp(-beyond) if side > 0.0 else -np.expm1(-beyond)
    swing = np.exp(-w2 * np.minimum(q1, q2)) * np.expm1(-w2 * np.abs(step))
    return -np.expm1(-0.5 * v) * other - side * 0.5 * swing**2


def _sines(w2: float, q1: Array, q2: Array, c: Array) -> Array:
    """E sin(w u1) sin(w u2) = e^{-w^2 v-/2} (1 - e^{-2 w^2 q12}) / 2, odd in c."""
    covariance = np.sqrt(q1) * np.sqrt(q2) * np.abs(c)
    nearest = np.exp(-0.5 * w2 * _variance(q1, q2, 1.0 - np.abs(c)))
    return np.sign(c) * -0.5 * nearest * np.expm1(-2.0 * w2 * covariance)


def _cosines(w2: float, q1: Array, q2: Array, c: Array) -> Array:
    """E cos(w u1) cos(w u2)."""
    difference = np.exp(-0.5 * w2 * _variance(q1, q2, 1.0 - c))
    return 0.5 * (difference + np.exp(-0.5 * w2 * _variance(q1, q2, 1.0 + c)))
