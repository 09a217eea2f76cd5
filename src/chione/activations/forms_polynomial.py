"""Closed forms of the parabola and the cubic, from Isserlis' theorem."""

from __future__ import annotations

import numpy as np

from chione.activations.forms_arc_cosine import root_gap
from chione.activations.protocol import ClosedForms
from chione.base import Array

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
        difference=lambda q1, q2, step, gap: 3.0 * step**2 + 4.0 * q1 * q2 * gap * (2.0 - gap),
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
        difference=_cubes_gap,
        total=_cubes_gap,
        source=SOURCE,
    )


def _cubes_gap(q1: Array, q2: Array, step: Array, gap: Array) -> Array:
    r"""E (u1^3 - u2^3)^2 = 15 (q_1^{3/2} - q_2^{3/2})^2 + 6 (q_1 q_2)^{3/2} g (9 - 6g + 2g^2)."""
    r1, r2 = np.sqrt(q1), np.sqrt(q2)
    cubes = root_gap(q1, q2, step) * (q1 + r1 * r2 + q2)
    rest = 6.0 * (r1 * r2) ** 3 * gap * (9.0 - 6.0 * gap + 2.0 * gap * gap)
    return np.asarray(15.0 * cubes**2 + rest)
