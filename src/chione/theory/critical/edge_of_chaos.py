"""Errors of a point on the edge of chaos (chi_perp = 1) of an activation."""

from __future__ import annotations

from chione.activations import AbstractActivation
from chione.theory.critical.options import root_error
from chione.theory.moments.moments import moments


def edge_errors(act: AbstractActivation, q: float) -> tuple[float, float]:
    """Errors of sigma_w and sigma_b of the edge of chaos at q."""
    m = moments(act)
    w2 = 1.0 / m.derivative_square(q)
    return root_error(w2), root_error(q - w2 * m.square(q))
