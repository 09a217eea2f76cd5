"""Checks of what a user hands in: what was received, what is accepted, what to do."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from chione.base.estimate import Array


def real_array(name: str, x: Any, *, accepts: str = "real numbers") -> Array:
    """`x` as a float64 array; complex, text, object and NaN entries are refused.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If an entry is NaN or infinite.
    """
    try:
        a = np.asarray(x)
    except Exception as err:  # ragged nested lists end here; re-raised with the name
        raise TypeError(f"{name} must be an array of {accepts}, but NumPy says: {err}") from err
    if x is None or isinstance(x, (str, bytes, dict)):
        raise TypeError(f"{name} must hold {accepts}, but it is {x!r:.60}.")
    if a.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must hold {accepts}, but its dtype is {a.dtype}; convert it to float64 first."
        )
    a = a.astype(np.float64)
    if not np.all(np.isfinite(a)):
        bad = a[~np.isfinite(a)].ravel()[0]
        raise ValueError(f"{name} must be finite, but it holds {bad}; remove or replace it.")
    return a


def finite(name: str, x: Any) -> float:
    """One finite real number; booleans and text are refused."""
    if x is None or isinstance(x, (str, bytes, bool, np.bool_, dict)):
        raise TypeError(f"{name} must be one real number, but it is {x!r:.60}.")
    a = real_array(name, x, accepts="one real number")
    if a.ndim != 0:
        raise ValueError(f"{name} must be one number, but its shape is {a.shape}.")
    return float(a)


def positive(name: str, x: Any) -> float:
    """One finite number above zero."""
    value = finite(name, x)
    if value <= 0.0:
        raise ValueError(f"{name} must be above 0, but it is {value!r}.")
    return value


def non_negative(name: str, x: Any) -> float:
    """One finite number, zero or above."""
    value = finite(name, x)
    if value < 0.0:
        raise ValueError(f"{name} must be 0 or above, but it is {value!r}.")
    return value


def correlation(name: str, x: Any) -> Array:
    """Correlations: real numbers in [-1, 1]."""
    a = real_array(name, x, accepts="correlations in [-1, 1]")
    if np.any(np.abs(a) > 1.0):
        bad = a[np.abs(a) > 1.0].ravel()[0]
        raise ValueError(f"{name} must lie in [-1, 1], but it holds {bad}.")
    return a


def together(**arrays: Array) -> tuple[Array, ...]:
    """Arrays brought to one shape by NumPy's rules.

    Raises
    ------
    ValueError
        With the shapes, if they do not go together.
    """
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items())
        raise ValueError(f"the shapes must go together, but they are {shapes}.") from None


def places(name: str, x: Any) -> tuple[float, ...]:
    """Places on the line, such as breakpoints: real numbers in one list, in rising order."""
    if isinstance(x, tuple) and not x:
        return ()
    a = real_array(name, x, accepts="real numbers, as in (0.0, 1.0)")
    if a.ndim != 1:
        raise ValueError(f"{name} must be a list of numbers, but its shape is {a.shape}.")
    return tuple(sorted(a.tolist()))


def real_function(name: str, f: Any) -> None:
    """Refuse what is not a vectorised real function of one array, at three places.

    Raises
    ------
    TypeError
        If it is not callable, or does not give one real number for each entry.
    """
    if not callable(f):
        raise TypeError(f"{name} must be a function of one array, but it is {f!r:.60}.")
    with np.errstate(all="ignore"):
        out = np.asarray(f(np.array([-0.5, 0.25, 1.0])))
    if out.dtype.kind not in "fiub" or out.shape not in ((), (3,)):
        raise TypeError(
            f"{name} must give one real number for each entry of an array, but for three entries "
            f"it gives {out.dtype} of shape {out.shape}; write it with NumPy's functions."
        )


def integer(name: str, x: Any, *, minimum: int = 1) -> int:
    """One integer, at least `minimum`; booleans and floats such as 2.5 are refused."""
    if isinstance(x, bool):
        raise TypeError(f"{name} must be an integer, but it is {x!r}.")
    if isinstance(x, float) and math.isfinite(x) and x == int(x):
        x = int(x)
    try:
        value = operator.index(x)
    except TypeError:
        raise TypeError(f"{name} must be an integer, but it is {x!r}.") from None
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, but it is {value}.")
    return value


def one_of(name: str, x: Any, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(x, str) or x not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, but it is {x!r}.")
    return str(x)
