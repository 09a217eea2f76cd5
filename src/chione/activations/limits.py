"""One-sided limits of a user's function at a kink, each with its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.activations import chebyshev
from chione.activations.protocol import sides
from chione.base import EPS, Array

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
            errors.append(_to_the_limit(subject, start, at) if order == 0 else float("inf"))
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


def _to_the_limit(f: Callable[[Array], Array], start: float, at: float) -> float:
    """How far the value at `start` may be from the limit at `at`: infinite where there is none.

    Towards the limit each step of a power of the distance is a fixed part of the one before, so
    that what is left is their geometric series.
    """
    with np.errstate(over="ignore"):
        value = f(at + (start - at) * 8.0 ** np.arange(4.0))
        steps = np.abs(np.diff(value))
    if not np.all(np.isfinite(steps)):
        return float("inf")
    if not steps[:2].any():
        return 4.0 * EPS * abs(float(value[0]))
    ratio = float(np.max(steps[:2] / np.maximum(steps[1:], 5e-324)))
    if ratio > 0.95:  # a logarithm, or noise
        return float("inf")
    return 2.0 * float(steps[0]) * ratio / (1.0 - ratio) + 4.0 * EPS * abs(float(value[0]))
