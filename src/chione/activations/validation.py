"""What a user's function must fulfil before it goes near an integral."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chione.base import Array, SpecError

_RNG = np.random.default_rng(20)
SAMPLE: Array = np.concatenate(
    [[0.0], np.linspace(-30.0, 30.0, 61)[:-1] + 0.0137, 3.0 * _RNG.standard_normal(67)]
)
FINITE_WITHIN = 4.0  # beyond this a function may overflow: exp(x^4) does at 5.2
REPLACE = "use np.where instead of if, and NumPy's functions instead of those of math"


def checked_values(label: str, f: Callable[[Array], Any], x: Array) -> Array:
    """`f` at `x`, or one clear sentence about what is wrong with the result."""
    try:
        with np.errstate(all="ignore"):
            y = f(x.copy())
    except Exception as err:  # whatever the user's code raises is reported with its name
        raise SpecError(
            f"{label} cannot be applied to a float64 array "
            f"({type(err).__name__}: {err}); {REPLACE}."
        ) from err
    y = np.asarray(y)
    if y.dtype.kind == "c":
        raise SpecError(f"{label} returns complex numbers; an activation must be real.")
    if y.dtype.kind in "biu":
        y = y.astype(np.float64)
    if y.dtype != np.float64:
        raise SpecError(
            f"{label} returns {y.dtype}; an activation must compute in float64, "
            f"because everything else rests on its digits."
        )
    if y.shape != x.shape:
        raise SpecError(
            f"{label} turns an array of shape {x.shape} into one of shape {y.shape}; "
            f"an activation keeps the shape."
        )
    return y


def validate(label: str, f: Callable[[Array], Any]) -> None:
    """Check once that `f` is real, finite near the origin, deterministic and pointwise.

    Raises
    ------
    SpecError
        With the place and the value that gave it away.
    """
    x = SAMPLE
    y = checked_values(label, f, x)
    if np.any(np.isnan(y)):
        at = x[np.isnan(y)][0]
        raise SpecError(
            f"{label} returns NaN at {at:.6g}; it must be defined for every real number."
        )
    bad = ~np.isfinite(y) & (np.abs(x) <= FINITE_WITHIN)
    if np.any(bad):
        raise SpecError(f"{label} is infinite at {x[bad][0]:.6g}; an activation must be finite.")
    again = checked_values(label, f, x)
    if not np.array_equal(y, again):
        raise SpecError(
            f"{label} returns other values when it is called again; an activation must be "
            f"deterministic (put a random layer into evaluation mode)."
        )
    order = np.random.default_rng(21).permutation(len(x))
    try:
        part = checked_values(label, f, x[order][:50])
    except SpecError as err:
        raise SpecError(
            f"{label} does not act on each number alone: it accepts {len(x)} numbers "
            f"but not 50 of them."
        ) from err
    expected = y[order][:50]
    with np.errstate(all="ignore"):
        off = ~((np.abs(part - expected) <= 1e-12 * np.abs(expected) + 1e-15) | (part == expected))
    if np.any(off):
        raise SpecError(
            f"{label} does not act on each number alone: its value at {x[order][:50][off][0]:.6g} "
            f"changes with the rest of the array (as in softmax or a normalisation)."
        )
