"""A slip in a source: the formula as printed, the right one, and the number that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """Three values of one quantity.

    Parameters
    ----------
    printed : float
        By the formula, code or claim as printed.
    right : float
        By the corrected one.
    check : float
        By a third way that uses neither.
    tolerance : float
        What the third way can resolve.
    """

    printed: float
    right: float
    check: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """The right value agrees with the third way, and the printed one clearly does not."""
        return bool(
            abs(self.right - self.check) <= self.tolerance
            and abs(self.printed - self.check) > 3.0 * self.tolerance
        )


@dataclass(frozen=True)
class Slip:
    """One entry of the list.

    Parameters
    ----------
    source : str
        Title of the source.
    place : str
        Where in it.
    kind : {"mathematics", "code", "index"}
        What is wrong.
    printed, right : str
        Both forms, in words and TeX.
    quantity : str
        What is evaluated.
    evaluate : callable
        Computes the evidence.
    """

    source: str
    place: str
    kind: str
    printed: str
    right: str
    quantity: str
    evaluate: Callable[[], Evidence]
