"""One-sided limits of a user's function at a kink, each with its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.activations import chebyshev
from chione.activations.chebyshev import EPS
from chione.activations.protocol import sides
from chione.base import Array

WIDEST = 1.0
NARROWEST = 1e-5


@dataclass(frozen=True)
class Limits:
    """Limits from both sides of one place.

    Parameters
    ----------
    left, right : float
        The limits.
    error : float
        Bound on the error of each.
    """

    left: float
    right: float
    error: float


def limits(
    f: Callable[[Array], Array],
    order: int,
    at: float,
    room: tuple[float, float],
    margin: float,
) -> Limits:
    """Limits of f (`order` 0) or of a derivative of it, taken from fits that end at the kink.

    Parameters
    ----------
    f : callable
        (n,) -> (n,), smooth on both sides of `at`.
    order : {0, 1, 2}
        0 where `f` itself is wanted; 1 or 2 where only f is known but a derivative is wanted.
    at : float
        The kink.
    room : tuple of float
        How far f is smooth to the left and to the right.
    margin : float
        Uncertainty of the place: f is not asked closer to it than that.
    """
    subject = chebyshev.subject(f)
    beside = np.array(sides(at))
    direct = subject(beside)
    found, errors = [], []
    for k, direction in enumerate((-1, 1)):
        start = at + direction * margin if margin else float(beside[k])
        widest = min(WIDEST, room[k])
        side = chebyshev.side_fit(subject, start, direction, widest, NARROWEST * widest)
        if side is None:  # no smooth side, as of the square root at zero
            found.append(float(direct[k]) if order == 0 else float("nan"))
            errors.append(_unsettled(subject, at, beside[k]) if order == 0 else float("inf"))
            continue
        value = float(side.derivative(np.array([at]), order)[0])
        error = float(side.error(np.array([at]), order)[0])
        if order == 0 and margin == 0.0 and abs(direct[k] - value) <= error:
            # two ways to one number: the formula beside the kink has the fewer roundings
            error = min(error, abs(direct[k] - value) + 4.0 * EPS * abs(value))
            value = float(direct[k])
        found.append(value)
        errors.append(error)
    return Limits(found[0], found[1], float(max(errors)))


def _unsettled(f: chebyshev.Subject, at: float, beside: float) -> float:
    r"""How far a value beside a singularity may be from the limit.

    That of :math:`|x|^p` at x is :math:`|x|^p = (|2x|^p - |x|^p) / (2^p - 1)`, and p is taken to
    be 1/20 or more.
    """
    y = f(np.array([beside, at + 2.0 * (beside - at)]))
    return float(32.0 * abs(y[1] - y[0]) + 4.0 * EPS * abs(y[0]))
