"""Closed forms of the parabola and the cubic, from Isserlis' theorem."""

from __future__ import annotations

import numpy as np

from chione.activations.protocol import ClosedForms

SOURCE = "Isserlis (1918)"


def quadratic() -> ClosedForms:
    r"""Closed forms of :math:`x^2`: the kernel is :math:`q_1 q_2 (1 + 2c^2)`."""
    return ClosedForms(
        mean=lambda q: 1.0 * q,
        mean_square=lambda q: 3.0 * q * q,
        derivative_mean_square=lambda q: 4.0 * q,
        length_slope=lambda q: 6.0 * q,
        kernel=lambda q1, q2, c: q1 * q2 * (1.0 + 2.0 * c * c),
        derivative_kernel=lambda q1, q2, c: 4.0 * np.sqrt(q1) * np.sqrt(q2) * c,
        source=SOURCE,
    )


def cubic() -> ClosedForms:
    r"""Closed forms of :math:`x^3`: the kernel is :math:`(q_1 q_2)^{3/2} (9c + 6c^3)`."""
    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: 15.0 * q * q * q,
        derivative_mean_square=lambda q: 27.0 * q * q,
        length_slope=lambda q: 45.0 * q * q,
        kernel=lambda q1, q2, c: (
            q1 * np.sqrt(q1) * q2 * np.sqrt(q2) * (3.0 * c * (3.0 + 2.0 * c * c))
        ),
        derivative_kernel=lambda q1, q2, c: 9.0 * q1 * q2 * (1.0 + 2.0 * c * c),
        source=SOURCE,
    )
