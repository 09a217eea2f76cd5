"""What no integral can follow: a pole, or a function that changes faster than any panel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.activations import chebyshev
from chione.activations.kinks import NARROWEST, REACH
from chione.base import Array, SpecError

GRID = 20_001
CANDIDATES = 8  # highest peaks that are looked at
ZOOM = 20.0
ZOOMS = 6
# E phi^2 is infinite beside 1/|x|^(1/2) and steeper; a peak that is no pole does not grow at all
GROWTH = ZOOM**0.45
STANDS_OUT = 20.0  # over the median, before a peak is looked at
UNFOLLOWED = 1e-3  # of its own size in the last coefficients: not noise, the function itself
NEAR = 4.0


def refuse_what_no_integral_follows(
    label: str, f: Callable[[Array], Array], unit: float = 1.0
) -> None:
    """Raise if `f` has a pole in [-64, 64], or turns many times within 1/64, in its `unit`.

    Raises
    ------
    SpecError
        With the place.
    """
    at = _pole(f)
    if at is not None:
        raise SpecError(
            f"{label} has a pole at {at * unit:.9g}, so its mean square is infinite at every "
            f"variance; "
            f"an activation must be square integrable (clip it, or use a bounded function)."
        )
    if _is_too_quick(f):
        raise SpecError(
            f"{label} turns many times within {NARROWEST * unit:.3g}, faster than any integral "
            f"here follows; write it in a slower variable, phi(a*x) at sigma_w and sigma_b is "
            f"phi(x) at a*sigma_w and a*sigma_b."
        )


@np.errstate(all="ignore")
def _pole(f: Callable[[Array], Array]) -> float | None:
    """The place of a pole in [-64, 64], the nearest one to zero, or None."""
    x = np.linspace(-REACH, REACH, GRID) + 1e-4 / np.pi  # no short decimal among them
    y = np.abs(np.asarray(f(x.copy()), dtype=np.float64))
    y = np.where(np.isfinite(y), y, 0.0)
    peak = np.flatnonzero((y[1:-1] >= y[:-2]) & (y[1:-1] >= y[2:])) + 1
    usual = float(np.median(y))
    peak = peak[y[peak] > STANDS_OUT * usual]
    highest = peak[np.argsort(-y[peak])][:CANDIDATES]
    nearest = peak[np.argsort(np.abs(x[peak]))][:CANDIDATES]
    width = float(x[1] - x[0])
    found = [_zoom(f, float(x[i]), width) for i in {*highest.tolist(), *nearest.tolist()}]
    return min((p for p in found if p is not None), key=abs, default=None)


def _zoom(f: Callable[[Array], Array], at: float, width: float) -> float | None:
    """The peak next to `at`, if it goes on growing the closer one looks."""
    heights = []
    for _ in range(ZOOMS + 1):
        x = at + width * np.linspace(-1.0, 1.0, 401)
        y = np.abs(np.asarray(f(x.copy()), dtype=np.float64))
        y = np.where(np.isfinite(y), y, 0.0)
        best = int(np.argmax(y))
        at, width = float(x[best]), width / ZOOM
        heights.append(float(y[best]))
    if min(heights) <= 0.0:
        return None
    growth = (heights[-1] / heights[0]) ** (1.0 / ZOOMS)  # single steps depend on luck
    return at if growth >= GROWTH else None


def _is_too_quick(f: Callable[[Array], Array]) -> bool:
    edges = np.arange(-NEAR, NEAR, NARROWEST) + NARROWEST / np.e
    panels = chebyshev.fit(chebyshev.subject(f), edges[:-1], edges[1:])
    size = np.max(np.abs(panels.coefficients), axis=1)
    last = np.max(np.abs(panels.coefficients[:, -4:]), axis=1)
    return bool(np.mean(panels.finite & (last > UNFOLLOWED * size)) > 0.5)
