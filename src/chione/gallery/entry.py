"""What the gallery holds: an entry, what it makes, and how that is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array


@dataclass(frozen=True)
class Variable:
    """One labelled array behind a picture.

    Parameters
    ----------
    dims : tuple of str
        Name of each axis. Axes of one name have one length within an entry.
    values : ndarray
        The numbers (or, for a table, words).
    words : str
        What they are.
    """

    dims: tuple[str, ...]
    values: NDArray[Any]
    words: str

    def __post_init__(self) -> None:
        if np.ndim(self.values) != len(self.dims):
            raise ValueError(
                f"dims must name each of the {np.ndim(self.values)} axes of the values, "
                f"but it is {self.dims!r}."
            )


@dataclass(frozen=True)
class Check:
    """A number of an entry beside one found by other means.

    Parameters
    ----------
    claim : str
        What is compared, in words.
    found, expected : float
        The two numbers.
    tolerance : float
        Largest absolute difference allowed.
    """

    claim: str
    found: float
    expected: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the two agree; a NaN never does."""
        return bool(abs(self.found - self.expected) <= self.tolerance)

    @property
    def sentence(self) -> str:
        """The check in one line."""
        verdict = "holds" if self.passed else "FAILS"
        return (
            f"{verdict}: {self.claim}: {self.found:.10g} against {self.expected:.10g}, "
            f"tolerance {self.tolerance:.2g}"
        )


def worst(claim: str, found: Any, expected: Any, tolerance: Any) -> Check:
    """The element of two arrays that uses up most of its tolerance, as one check."""
    a, b, t = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (found, expected, tolerance))
    )
    # a NaN counts as the worst of all; a zero tolerance asks for equality
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(a == b, 0.0, abs(a - b) / t)
    used = np.where(np.isnan(share), np.inf, share)
    # where all agree to the last digit the largest number says most, not a 0 against 0
    i = int(np.flatnonzero(used == used.max())[np.argmax(abs(b[used == used.max()]))])
    return Check(claim, float(a.flat[i]), float(b.flat[i]), float(t.flat[i]))


@dataclass(frozen=True)
class Reproduction:
    """A picture, the data behind it, and its checks.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    data : mapping of str to Variable
        The labelled arrays it was drawn from.
    checks : tuple of Check
        At least one.
    """

    figure: Any
    data: Mapping[str, Variable]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(c.passed for c in self.checks)

    def __getitem__(self, name: str) -> Array:
        """The values of one variable."""
        return self.data[name].values


@dataclass(frozen=True)
class Entry:
    """One figure or table of the sources.

    Parameters
    ----------
    name : str
        What ``chione reproduce`` is given.
    source : str
        Where it stands.
    title : str
        A line for the list.
    caption : str
        What to see.
    make : callable
        Makes it; called with True it takes small networks and few points.
    """

    name: str
    source: str
    title: str
    caption: str
    make: Callable[[bool], Reproduction]
